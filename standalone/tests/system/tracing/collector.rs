//! What an OpenTelemetry collector is to those who send to it: it takes traces by OTLP over HTTP and
//! keeps them for a test to look at, or takes them and never answers.

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1 as otlp,
};
use platform::{
    lifecycle::Lifecycle,
    serve::{ServeConfig, serve},
};
use prost::Message as _;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

/// A running collector; it ends with the test.
pub struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Bytes>>>,
    lifecycle: Lifecycle,
}

/// How a collector treats those who send to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Answers,
    Hangs,
}

/// A span, and who sent it.
#[derive(Debug)]
pub struct Span {
    pub service: String,
    /// The node.
    pub instance: String,
    pub span: otlp::Span,
}

impl Collector {
    pub async fn start(mood: Mood) -> Self {
        let taken = Arc::<Mutex<Vec<Bytes>>>::default();
        let take = async move |State(taken): State<Arc<Mutex<Vec<Bytes>>>>, body: Bytes| {
            taken.lock().unwrap().push(body);
            if mood == Mood::Hangs {
                std::future::pending::<()>().await;
            }
        };
        let app = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&taken));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let lifecycle = Lifecycle::new();
        let serving = serve(listener, app, ServeConfig::default(), lifecycle.clone());
        lifecycle.spawn_background(serving);
        Self { address, taken, lifecycle }
    }

    /// For OTEL_EXPORTER_OTLP_ENDPOINT.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often it was sent something.
    pub fn requests(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    /// Whether these bytes are in anything it was sent.
    pub fn has(&self, text: &str) -> bool {
        let within = |body: &Bytes| body.windows(text.len()).any(|part| part == text.as_bytes());
        self.taken.lock().unwrap().iter().any(within)
    }

    /// All spans it was sent.
    pub fn spans(&self) -> Vec<Span> {
        let taken = self.taken.lock().unwrap();
        let requests = taken.iter().map(|body| ExportTraceServiceRequest::decode(body.as_ref()));
        let mut all = Vec::new();
        for sent in requests.flat_map(|request| request.expect("OTLP").resource_spans) {
            let resource = sent.resource.expect("a resource").attributes;
            let [service, instance] = ["service.name", "service.instance.id"]
                .map(|key| text_of(&resource, key).expect("who sends").to_owned());
            for span in sent.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                all.push(Span { service: service.clone(), instance: instance.clone(), span });
            }
        }
        all
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

impl Span {
    /// An attribute that is a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        text_of(&self.span.attributes, key)
    }

    /// An attribute that is a number.
    pub fn number(&self, key: &str) -> Option<i64> {
        match value_of(&self.span.attributes, key)? {
            Value::IntValue(number) => Some(*number),
            _ => None,
        }
    }

    /// The spans it is linked to.
    pub fn links(&self) -> Vec<&[u8]> {
        self.span.links.iter().map(|link| link.span_id.as_slice()).collect()
    }
}

fn text_of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match value_of(attributes, key)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn value_of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref().and_then(|AnyValue { value, .. }| value.as_ref())
}
