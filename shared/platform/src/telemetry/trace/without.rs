//! What a build without the feature `otlp` has of traces: the same names, and nothing behind them.

#![expect(missing_docs, reason = "each is documented where it does something, in `with.rs`")]

use super::{Kind, TraceArgs};
use protocol::id::NodeId;
use protocol::traceparent::Traceparent;

/// A piece of work in a trace; here, none.
#[derive(Debug)]
pub struct Span;

impl Span {
    pub fn none() -> Self {
        Self
    }

    pub fn root(_: &'static str, _: Kind) -> Self {
        Self
    }

    pub fn remote(_: &'static str, _: Kind, _: Option<Traceparent>) -> Self {
        Self
    }

    pub fn following(_: &'static str, _: Kind, _: impl IntoIterator<Item = Traceparent>) -> Self {
        Self
    }

    pub fn child(_: &'static str, _: Kind) -> Self {
        Self
    }

    pub fn is_recording(&self) -> bool {
        false
    }

    pub fn rename(&mut self, _: String) {}

    pub fn number(&mut self, _: &'static str, _: i64) {}

    pub fn text(&mut self, _: &'static str, _: &str) {}

    pub fn fail(&mut self, _: &str) {}

    pub fn end(self) {}

    pub fn here(&self) -> Option<Traceparent> {
        None
    }

    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }

    pub fn around<F: Future>(&self, work: F) -> F {
        work
    }
}

/// The span that the caller's work belongs to: none.
pub fn current() -> Option<Traceparent> {
    None
}

/// Does a piece of work, in no trace.
pub fn within<T>(_: Option<Traceparent>, work: impl FnOnce() -> T) -> T {
    work()
}

/// The sending of traces; here, none.
#[derive(Debug)]
#[must_use]
pub struct Traces;

/// Sends nothing, and says so where traces are wanted.
pub fn start(args: &TraceArgs, _: &'static str, _: NodeId) -> Result<Traces, String> {
    if args.url()?.is_some() {
        tracing::warn!(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but this binary was built without traces: build \
             it with `--features otlp`, as the images are"
        );
    }
    Ok(Traces)
}

impl Traces {
    pub async fn finish(self) {}
}
