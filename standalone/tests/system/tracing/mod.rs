//! Traces as a collector sees them: one message's way through real processes, and that a collector
//! that wants nothing or hangs costs nobody anything.

mod collector;

use crate::harness::{Device, Rest, System, User, until_eq, want::*};
use collector::{Collector, Mood, Span};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use protocol::id::ChatId;
use reqwest::Method;
use serde_json::json;
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID: &str = "b7ad6b7169203331";

/// Longer than any test: what arrives was sent because a process stopped.
const NEVER: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "3600000");

/// Two people in a chat, on one gateway each.
struct Pair {
    system: System,
    ann: User,
    chat: ChatId,
    phone: Device,
    other: Device,
}

impl Pair {
    async fn of(system: System) -> Self {
        let (ann, bob) = (system.user("ann").await, system.user("bob").await);
        let chat = ann.group("team", &[&bob]).await;
        let (phone, other) = (ann.connect_to(0).await, bob.connect_to(1).await);
        Self { system, ann, chat, phone, other }
    }

    async fn send(&mut self, text: &str) {
        self.phone.send(self.chat, text).await;
        self.other.expect(message(text)).await;
    }

    /// Posts as a client does that traces.
    async fn post(&mut self, text: &str) {
        let path = format!("/chats/{}/messages?secret=query", self.chat);
        let request = self.ann.rest.request(Method::POST, &path).header("traceparent", SAMPLED);
        Rest::send(request.json(&json!({ "text": text }))).await.ok();
        self.phone.expect(message(text)).await;
        self.other.expect(message(text)).await;
    }

    /// Stops all nodes, each by its own clean way.
    async fn stop(&self) {
        for number in 0..2 {
            assert_eq!(self.system.gateway(number).process().stop().await.unwrap(), 0);
        }
        for number in 0..2 {
            assert_eq!(self.system.api(number).process().stop().await.unwrap(), 0);
        }
    }
}

#[tokio::test]
async fn a_message_is_followed_to_every_gateway() {
    let collector = Collector::start(Mood::Answers).await;
    let endpoint = collector.url();
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), NEVER];
    let mut pair = Pair::of(System::cluster_with(&settings).await).await;
    pair.send("by socket, secret").await;
    pair.post("by rest, secret").await;
    many_at_once(&mut pair).await;
    let blocked = pair.system.user("carl").await;
    let path = format!("/blockuser?username={}", blocked.username);
    let admin = pair.system.admin().await;
    let request = admin.rest.request(Method::POST, &path).header("traceparent", SAMPLED);
    Rest::send(request.json(&json!({}))).await.ok();
    pair.stop().await;

    let spans = collector.spans();
    by_socket(&spans, pair.chat);
    by_rest(&spans);
    batched(&spans);
    let handshakes: Vec<&Span> = named(&spans, "handshake").collect();
    assert_eq!(handshakes.len(), 2);
    for handshake in handshakes {
        assert_eq!(handshake.text("dialect"), Some("native"));
        let open = child(&spans, handshake, "open");
        child(&spans, open, "POST /internal/open");
    }
    for noise in ["POST /internal/changed", "GET /.well-known/jwks.json"] {
        assert_eq!(named(&spans, noise).count(), 0, "{noise} belongs to nobody's trace");
    }
    for private in ["secret", &pair.ann.username, &blocked.username, &pair.ann.token, "127.0.0.1"] {
        assert!(!collector.has(private), "{private} is in a trace");
    }
    let lines = pair.system.logs_with(&format!(r#","trace_id":"{TRACE_ID}","span_id":""#));
    assert_eq!(lines.len(), 1, "the api that blocked says of which trace its line is");
}

/// Messages that wait while no api answers.
async fn many_at_once(pair: &mut Pair) {
    for number in 0..2 {
        pair.system.api(number).process().pause();
    }
    for number in 0..4 {
        pair.phone.submit(pair.chat, &format!("number {number}")).await;
    }
    let admin = Rest::new(format!("http://{}", pair.system.gateway(0).admin()));
    until_eq("all taken", true, async || {
        let metrics = admin.request(Method::GET, "/metrics").send().await.unwrap();
        metrics.text().await.unwrap().lines().any(|line| line == "gateway_commands_total 5")
    })
    .await;
    for number in 0..2 {
        pair.system.api(number).process().resume();
    }
    while pair.phone.track.in_flight() > 0 {
        pair.phone.pump().await;
    }
}

fn by_socket(spans: &[Span], chat: ChatId) {
    let command = named(spans, "command").min_by_key(|span| span.span.start_time_unix_nano);
    let command = command.expect("a command");
    assert!(command.span.parent_span_id.is_empty(), "a client's frame begins a trace");
    assert_eq!(command.service, "gateway");
    assert_eq!(command.span.kind(), SpanKind::Server);
    assert_eq!(command.text("action"), Some("send"));
    assert_eq!(command.text("result"), Some("acknowledged"));
    assert_eq!(command.number("chat.id"), Some(chat.0));
    let call = child(spans, command, "post");
    assert_eq!(call.links(), [&command.span.span_id]);
    assert_eq!((call.number("batch"), call.span.kind()), (Some(1), SpanKind::Client));
    let server = child(spans, call, "POST /internal/post");
    assert_eq!((server.service.as_str(), server.span.kind()), ("api", SpanKind::Server));
    stored_and_delivered(spans, server);
    assert!(named(spans, "deliver").any(|span| span.instance == command.instance));
}

fn by_rest(spans: &[Span]) {
    let mut posted = named(spans, "POST /chats/{chat_id}/messages");
    let posted = posted.next().expect("a span of the request");
    assert_eq!(hex(&posted.span.trace_id), TRACE_ID, "the client's trace goes on");
    assert_eq!(hex(&posted.span.parent_span_id), PARENT_ID);
    assert_eq!(posted.text("http.route"), Some("/chats/{chat_id}/messages"));
    assert_eq!(posted.text("http.request.method"), Some("POST"));
    assert_eq!(posted.number("http.response.status_code"), Some(201));
    stored_and_delivered(spans, posted);
}

/// What follows from a message, whichever way it came.
fn stored_and_delivered(spans: &[Span], server: &Span) {
    let transaction = child(spans, server, "transaction");
    assert_eq!(transaction.number("commands"), Some(1));
    let published = child(spans, transaction, "publish");
    assert_eq!(published.span.kind(), SpanKind::Producer);
    let delivered: Vec<&Span> = children(spans, published, "deliver").collect();
    let nodes: HashSet<&str> = delivered.iter().map(|span| span.instance.as_str()).collect();
    assert_eq!((delivered.len(), nodes.len()), (2, 2), "once on each gateway");
    for delivery in delivered {
        assert_eq!(delivery.links(), [&published.span.span_id]);
        assert_eq!(delivery.span.kind(), SpanKind::Consumer);
        assert_eq!((delivery.number("events"), delivery.number("fanout")), (Some(1), Some(1)));
    }
}

/// Commands that share a call: it is in the first one's trace and linked to each.
fn batched(spans: &[Span]) {
    let calls: Vec<&Span> = named(spans, "post").collect();
    assert!(calls.iter().any(|call| call.links().len() > 1), "none was shared");
    let mut linked: Vec<&[u8]> = calls.iter().flat_map(|call| call.links()).collect();
    let mut commands: Vec<&[u8]> =
        named(spans, "command").map(|command| command.span.span_id.as_slice()).collect();
    linked.sort_unstable();
    commands.sort_unstable();
    assert_eq!(linked, commands, "each in one call");
    for call in calls {
        assert_eq!(call.span.parent_span_id, call.links()[0]);
        assert_eq!(call.number("batch"), Some(call.links().len() as i64));
    }
}

#[tokio::test]
async fn what_is_not_sampled_is_not_sent() {
    let collector = Collector::start(Mood::Answers).await;
    let endpoint = collector.url();
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let mut pair = Pair::of(System::cluster_with(&settings).await).await;
    pair.send("by socket").await;
    pair.post("by rest").await;
    pair.stop().await;
    assert_eq!(collector.requests(), 0);
}

#[tokio::test]
async fn a_collector_that_hangs_harms_nothing() {
    let collector = Collector::start(Mood::Hangs).await;
    let endpoint = collector.url();
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
    ];
    let mut pair = Pair::of(System::cluster_with(&settings).await).await;
    until_eq("an export that hangs", true, async || collector.requests() > 0).await;
    for number in 0..30 {
        pair.send(&format!("number {number}")).await;
    }
    let dropped = pair.system.logs_with("SpanDroppingStarted");
    assert!(!dropped.is_empty(), "what does not fit the queue is dropped, and that is said");
    // An export may take 10 s by the standard's default; stopping does not wait for it.
    let stopping = Instant::now();
    pair.stop().await;
    let took = stopping.elapsed();
    assert!(
        took < 4 * Duration::from_secs(6),
        "four nodes stopped one after the other in {took:?}"
    );
}

#[cfg(not(feature = "otlp"))]
#[tokio::test]
async fn a_build_without_traces_says_what_to_build() {
    let t = System::single(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]).await;
    assert_eq!(t.logs_with("build it with `--features otlp`").len(), 1);
}

fn named<'a>(spans: &'a [Span], name: &str) -> impl Iterator<Item = &'a Span> {
    spans.iter().filter(move |span| span.span.name == name)
}

/// The children of this span that have this name.
fn children<'a>(spans: &'a [Span], of: &Span, name: &str) -> impl Iterator<Item = &'a Span> {
    named(spans, name).filter(move |span| {
        (&span.span.trace_id, &span.span.parent_span_id) == (&of.span.trace_id, &of.span.span_id)
    })
}

/// The only one.
fn child<'a>(spans: &'a [Span], of: &Span, name: &str) -> &'a Span {
    let found: Vec<&Span> = children(spans, of, name).collect();
    assert_eq!(found.len(), 1, "{name} below {of:?} in {spans:#?}");
    found[0]
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
