//! Logs on stdout: one JSON object per line for collectors, text for a terminal. The filter may change while
//! the process runs: see [`super::level`]. [`super::lines`] writes the lines.

use super::{LastLines, LogFilter, Logs, lines, trace};
use clap::{Args, ValueEnum};
use std::{
    fmt,
    io::{self, IsTerminal},
    panic,
};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    Registry,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::{Layer, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// How a process logs.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// The log filter: error, warn, info, debug or trace, also per module, such as
    /// info,gateway=debug
    #[arg(long, env = "LOG", default_value = "info", global = true)]
    pub log: LogFilter,
    /// The log format: json writes one object per line, for collectors; human is for a terminal
    #[arg(long, env = "LOG_FORMAT", default_value = "human", global = true)]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line, for collectors.
    Json,
    /// For people at a terminal.
    Human,
}

/// Starts logging to stdout, panics included. Once per process, before anything logs. Logging never
/// waits: what stdout does not take is dropped and counted.
pub fn start_logs(args: &LogArgs) -> Result<(Logs, LastLines), String> {
    let (logs, filter) = Logs::new(&args.log);
    let (writer, last_lines) =
        lines::start(io::stdout()).map_err(|error| format!("cannot start logging: {error}"))?;
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(io::stdout().is_terminal()).with_writer(writer);
    let lines: Box<dyn Layer<_> + Send + Sync> = match args.log_format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            lines.map_event_format(Traced).boxed()
        }
        LogFormat::Human => lines.with_target(false).boxed(),
    };
    Registry::default()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| format!("cannot start logging: {error}"))?;
    // By default they are written to stderr by the thread itself, which may wait for ever there.
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a thread panicked")));
    Ok((logs, last_lines))
}

/// JSON lines that tell of which trace they are, where that is sampled.
struct Traced<F>(F);

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(here) = trace::current() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let object = line.trim_end();
        let (trace_id, span_id) = (here.trace_id(), here.span_id());
        writeln!(
            writer,
            r#"{},"trace_id":"{trace_id:032x}","span_id":"{span_id:016x}"}}"#,
            object.strip_suffix('}').unwrap_or(object)
        )
    }
}
