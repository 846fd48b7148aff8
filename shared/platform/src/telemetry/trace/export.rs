//! Sending traces: the SDK's batches, over an HTTP client that the process has anyway. A collector
//! that is away or slow costs spans, never anything else.

use super::{TraceArgs, with::TRACER};
use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry::{Key, KeyValue, trace::TracerProvider as _};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use protocol::id::NodeId;
use std::time::Duration;
use tokio::runtime::Handle;

/// How long one export may take; the standard's default.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a stopping process waits for the last export: a collector nearby needs milliseconds, and
/// the process is to be gone soon after its clients.
const LAST_EXPORT: Duration = Duration::from_secs(2);

/// A collector answers with next to nothing.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The sending of traces.
#[derive(Debug)]
#[must_use]
pub struct Traces(Option<SdkTracerProvider>);

/// Starts sending traces, if the settings say where to. Once per process, which is called `service`
/// in them unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say otherwise, and whose instance is
/// `node`. Needs a Tokio runtime.
pub fn start(args: &TraceArgs, service: &'static str, node: NodeId) -> Result<Traces, String> {
    let Some(url) = args.url()? else { return Ok(Traces(None)) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Courier::new())
        .with_endpoint(&url)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(PATIENCE)
        .build()
        .map_err(|error| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}"))?;
    // The sampler, the resource and the queue's bounds are read from their variables by the SDK.
    let told = Resource::builder().build();
    let told = |key: &'static str| told.get(&Key::from_static_str(key));
    let mut resource = Resource::builder();
    if told("service.name").is_none_or(|name| name.as_str().starts_with("unknown_service")) {
        resource = resource.with_service_name(service);
    }
    for (key, value) in [
        ("service.instance.id", node.to_string()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ] {
        if told(key).is_none() {
            resource = resource.with_attribute(KeyValue::new(key, value));
        }
    }
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_batch_exporter(exporter)
        .build();
    TRACER
        .set(provider.tracer("switchboard"))
        .map_err(|_| "traces are being sent already".to_owned())?;
    tracing::info!(url, "sending traces");
    Ok(Traces(Some(provider)))
}

impl Traces {
    /// Sends what is left, for [`LAST_EXPORT`] at most. After all work has ended.
    pub async fn finish(self) {
        let Some(provider) = self.0 else { return };
        let sent = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_EXPORT));
        if let Ok(Err(error)) = sent.await {
            tracing::warn!(%error, "could not send the last traces");
        }
    }
}

/// Carries exports from the SDK's own thread, which knows no runtime.
#[derive(Debug)]
struct Courier {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Handle,
}

impl Courier {
    fn new() -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            runtime: Handle::current(),
        }
    }
}

#[async_trait]
impl HttpClient for Courier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        // The thread that waits here owns the task; with the runtime both end. Timers need a runtime
        // already where they are made.
        self.runtime.spawn(async { tokio::time::timeout(PATIENCE, exchange).await }).await??
    }
}
