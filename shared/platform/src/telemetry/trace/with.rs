//! Spans, in a build with the feature `otlp`. Nothing here waits: a span that has ended is put into a
//! bounded queue, and dropped and counted when that is full.

use super::Kind;
use futures_util::future::Either;
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _,
        TraceFlags, TraceId, TraceState, Tracer as _,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};
use protocol::traceparent::Traceparent;
use std::sync::OnceLock;

/// Set once, by [`super::start`]: there is one per process, as there is one metrics recorder.
pub(super) static TRACER: OnceLock<SdkTracer> = OnceLock::new();

tokio::task_local! {
    static CURRENT: Traceparent;
}

/// The span that the caller's work belongs to, if that is recorded.
pub fn current() -> Option<Traceparent> {
    CURRENT.try_with(|here| *here).ok()
}

/// Does a piece of work at this place in a trace; in none, where it is none.
pub fn within<T>(here: Option<Traceparent>, work: impl FnOnce() -> T) -> T {
    match here {
        Some(here) => CURRENT.sync_scope(here, work),
        None => work(),
    }
}

/// A piece of work in a trace, or nothing when that is not recorded. It ends when it is dropped.
#[derive(Debug)]
// Boxed, because it is there for few and carried by all.
pub struct Span(Option<Box<Recorded>>);

#[derive(Debug)]
struct Recorded {
    span: SdkSpan,
    here: Traceparent,
}

impl Span {
    /// Nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Begins a trace, if the sampler wants one.
    pub fn root(name: &'static str, kind: Kind) -> Self {
        Self::start(name, kind, None, Vec::new())
    }

    /// Goes on with a trace that came from outside, or begins one.
    pub fn remote(name: &'static str, kind: Kind, parent: Option<Traceparent>) -> Self {
        Self::start(name, kind, parent, Vec::new())
    }

    /// Follows from these: the child of the first, linked to all. Nothing when none is recorded.
    pub fn following(
        name: &'static str,
        kind: Kind,
        causes: impl IntoIterator<Item = Traceparent>,
    ) -> Self {
        let causes = causes.into_iter().filter(Traceparent::is_sampled);
        let mut causes = causes.peekable();
        let Some(first) = causes.peek().copied() else { return Self(None) };
        let links = causes.map(|cause| Link::with_context(span_context(cause, kind))).collect();
        Self::start(name, kind, Some(first), links)
    }

    /// A part of the current work. Nothing when that is not recorded.
    pub fn child(name: &'static str, kind: Kind) -> Self {
        match current() {
            Some(parent) => Self::start(name, kind, Some(parent), Vec::new()),
            None => Self(None),
        }
    }

    fn start(
        name: &'static str,
        kind: Kind,
        parent: Option<Traceparent>,
        links: Vec<Link>,
    ) -> Self {
        let Some(tracer) = TRACER.get() else { return Self(None) };
        let parent = match parent {
            Some(parent) => Context::new().with_remote_span_context(span_context(parent, kind)),
            None => Context::new(),
        };
        let builder = SpanBuilder::from_name(name).with_kind(match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
            Kind::Internal => SpanKind::Internal,
        });
        let span = tracer.build_with_context(builder.with_links(links), &parent);
        if !span.is_recording() {
            return Self(None);
        }
        let named = span.span_context();
        let trace_id = u128::from_be_bytes(named.trace_id().to_bytes());
        let span_id = u64::from_be_bytes(named.span_id().to_bytes());
        let here = Traceparent::new(trace_id, span_id, named.is_sampled());
        Self(here.map(|here| Box::new(Recorded { span, here })))
    }

    /// Whether it is worth making what describes it.
    pub fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// Gives it another name, once it is known what it is about.
    pub fn rename(&mut self, name: String) {
        if let Some(recorded) = &mut self.0 {
            recorded.span.update_name(name);
        }
    }

    /// Notes a number.
    pub fn number(&mut self, key: &'static str, value: i64) {
        if let Some(recorded) = &mut self.0 {
            recorded.span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// Notes a text: nothing that people wrote, and no address.
    pub fn text(&mut self, key: &'static str, value: &str) {
        if let Some(recorded) = &mut self.0 {
            recorded.span.set_attribute(KeyValue::new(key, value.to_owned()));
        }
    }

    /// The work failed; the text is a stable word for why.
    pub fn fail(&mut self, why: &str) {
        if let Some(recorded) = &mut self.0 {
            recorded.span.set_status(Status::error(why.to_owned()));
        }
    }

    /// Ends it, before the end of its scope.
    pub fn end(self) {}

    /// Its place in the trace, for work that outlives the borrow of it.
    pub fn here(&self) -> Option<Traceparent> {
        self.0.as_ref().map(|recorded| recorded.here)
    }

    /// Does a piece of work of which this is the [`current`] span.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        within(self.here(), work)
    }

    /// The same for work that waits.
    pub fn around<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        match self.here() {
            Some(here) => Either::Left(CURRENT.scope(here, work)),
            None => Either::Right(work),
        }
    }
}

/// In OpenTelemetry's types, as the parent of a span of this kind.
fn span_context(parent: Traceparent, kind: Kind) -> SpanContext {
    let flags = if parent.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    SpanContext::new(
        TraceId::from(parent.trace_id()),
        SpanId::from(parent.span_id()),
        flags,
        // These two come into the process; the others' parents are in it.
        matches!(kind, Kind::Server | Kind::Consumer),
        TraceState::NONE,
    )
}
