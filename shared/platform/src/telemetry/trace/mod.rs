//! Traces: what happened to one request or message, process by process, for an OpenTelemetry
//! collector. All that the rest of the code sees of it is [`Span`] and [`current`]; built without the
//! feature `otlp`, both are nothing and cost nothing. What is measured for everybody is metrics.
//!
//! The work of a span finds it by [`current`], across awaits and without being handed it. Only what
//! is sampled has a place there: to everything that follows from the rest, no trace exists, so
//! whether a trace is recorded is decided once, where it begins.

#[cfg(feature = "otlp")]
mod export;
#[cfg(feature = "otlp")]
mod with;
#[cfg(not(feature = "otlp"))]
mod without;

#[cfg(feature = "otlp")]
pub use self::{
    export::{Traces, start},
    with::{Span, current, within},
};

#[cfg(not(feature = "otlp"))]
pub use self::without::{Span, Traces, current, start, within};

use axum::http::{HeaderMap, HeaderName};
use clap::Args;
use protocol::traceparent::Traceparent;

/// The header that carries a [`Traceparent`].
pub const HEADER: HeaderName = HeaderName::from_static("traceparent");

/// The trace that a request belongs to; a header that cannot be read is none, as the standard says.
pub fn parent(headers: &HeaderMap) -> Option<Traceparent> {
    headers.get(HEADER)?.to_str().ok()?.parse().ok()
}

/// Where traces go. The names are OpenTelemetry's.
#[derive(Args, Clone, Debug, Default)]
pub struct TraceArgs {
    /// The OpenTelemetry collector that receives traces by OTLP over HTTP, such as
    /// `http://localhost:4318`. Without it, no traces are sent. The other OTEL_… variables work
    /// too. Under real traffic, set OTEL_TRACES_SAMPLER=parentbased_traceidratio and
    /// OTEL_TRACES_SAMPLER_ARG=0.01
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", global = true)]
    pub otlp_endpoint: Option<String>,
    /// The full URL for traces, if it is not the endpoint followed by /v1/traces
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", global = true)]
    pub otlp_traces_endpoint: Option<String>,
    /// Send no traces, regardless of the other settings
    #[arg(
        long,
        env = "OTEL_SDK_DISABLED",
        default_value_t = false,
        action = clap::ArgAction::Set,
        global = true
    )]
    pub otel_sdk_disabled: bool,
}

/// The variables that the OpenTelemetry SDK reads by itself when traces are sent, with what they are
/// for; their meaning is OpenTelemetry's.
pub const SDK_VARIABLES: &[(&str, &str)] = &[
    ("OTEL_SERVICE_NAME", "The name of this process in traces; by default the binary's name"),
    (
        "OTEL_RESOURCE_ATTRIBUTES",
        "Further attributes of this process: key=value, separated by commas",
    ),
    (
        "OTEL_TRACES_SAMPLER",
        "Which traces are recorded: parentbased_always_on (the default: all), \
         parentbased_traceidratio, parentbased_always_off, always_on, traceidratio, always_off",
    ),
    (
        "OTEL_TRACES_SAMPLER_ARG",
        "The ratio of recorded traces, for the samplers that take one: 0.01 is one in a hundred",
    ),
    ("OTEL_BSP_SCHEDULE_DELAY", "Milliseconds between two exports (default 5000)"),
    (
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "The maximum number of queued spans; further spans are dropped and logged (default 2048)",
    ),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "The maximum number of spans in one export (default 512)"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "Headers for the collector: key=value, separated by commas"),
];

impl TraceArgs {
    /// One sentence about what is wrong.
    pub fn check(&self) -> Result<(), String> {
        self.url().map(drop)
    }

    /// The URL that traces go to; none when they are off. An error is one sentence.
    fn url(&self) -> Result<Option<String>, String> {
        let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let (name, url) = match (set(&self.otlp_traces_endpoint), set(&self.otlp_endpoint)) {
            _ if self.otel_sdk_disabled => return Ok(None),
            (Some(url), _) => ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url),
            (None, Some(base)) => {
                let url = format!("{}/v1/traces", base.trim_end_matches('/'));
                ("OTEL_EXPORTER_OTLP_ENDPOINT", url)
            }
            (None, None) => return Ok(None),
        };
        let uri: Result<axum::http::Uri, _> = url.parse();
        let authority = uri.as_ref().ok().and_then(|uri| uri.authority());
        if authority.is_some_and(|authority| authority.as_str().contains('@')) {
            // It is in the log, and in --help.
            return Err(format!(
                "{name} must not hold a password; give it in OTEL_EXPORTER_OTLP_HEADERS"
            ));
        }
        match uri {
            Ok(uri) if uri.scheme_str() == Some("http") && uri.host().is_some() => Ok(Some(url)),
            // TLS would be a second implementation of it in the binary, for a hop that is local.
            _ => Err(format!(
                "{name} must look like http://host:4318; for TLS let a collector nearby pass traces on"
            )),
        }
    }
}

/// What a span is to the spans around it, in OpenTelemetry's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers somebody outside the process.
    Server,
    /// Asks another process and waits.
    Client,
    /// Publishes.
    Producer,
    /// Takes what was published.
    Consumer,
    /// Anything else.
    Internal,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(traces: &str, all: &str, disabled: bool) -> Result<Option<String>, String> {
        TraceArgs {
            otlp_endpoint: Some(all.to_owned()),
            otlp_traces_endpoint: Some(traces.to_owned()),
            otel_sdk_disabled: disabled,
        }
        .url()
    }

    #[test]
    fn the_standards_rules_for_the_url() {
        let told = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(url("", "http://c:4318", false), told("http://c:4318/v1/traces"));
        assert_eq!(url("", "http://c:4318/otlp/", false), told("http://c:4318/otlp/v1/traces"));
        assert_eq!(url("http://t/x", "http://c:4318", false), told("http://t/x"));
        assert_eq!(url("", "", false), Ok(None), "empty is unset");
        assert_eq!(url("", "http://c:4318", true), Ok(None));
        assert_eq!(TraceArgs::default().url(), Ok(None));
    }

    #[test]
    fn what_cannot_be_reached_is_named() {
        for bad in ["https://c:4318", "c:4318", "grpc://c:4317", "http://", "no url"] {
            let why = url("", bad, false).unwrap_err();
            assert!(why.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{why}");
            assert!(url(bad, "", false).unwrap_err().contains("TRACES_ENDPOINT"));
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let why = url("", "http://me:hunter2@c:4318", false).unwrap_err();
        assert!(why.contains("HEADERS") && !why.contains("hunter2"), "{why}");
    }

    #[test]
    fn the_header_is_found() {
        let example = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = HeaderMap::new();
        assert_eq!(parent(&headers), None);
        headers.insert(HEADER, example.parse().unwrap());
        assert_eq!(parent(&headers), example.parse().ok());
        headers.insert(HEADER, "nonsense".parse().unwrap());
        assert_eq!(parent(&headers), None);
    }
}
