//! Pictures of people in a bucket: a stand-in for a server that speaks S3, as far as the api asks it.

use crate::{
    avatars::png,
    support::{Server, text},
};
use api::config::{AvatarBucket, AvatarStore, BucketKey};
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use platform::settings::Secret;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinSet};

/// What the stand-in holds, and how it answers.
#[derive(Clone, Default)]
struct Bucket(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    objects: HashMap<String, Bytes>,
    /// Requests that are still to be refused, as by a server that has too much to do.
    refusals: usize,
    asked: usize,
}

async fn answer(State(bucket): State<Bucket>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    assert_signed(&head.headers);
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = head.uri.path().to_owned();
    let mut held = bucket.0.lock();
    held.asked += 1;
    if held.refusals > 0 {
        held.refusals -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let tag = [("etag", "\"1\""), ("last-modified", "Mon, 30 Nov 2026 10:00:00 GMT")];
    match head.method {
        Method::PUT => {
            held.objects.insert(path, body);
            tag.into_response()
        }
        Method::GET => match held.objects.get(&path) {
            Some(object) => (tag, object.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        Method::DELETE => {
            held.objects.remove(&path);
            StatusCode::NO_CONTENT.into_response()
        }
        other => panic!("{other} {path}"),
    }
}

/// Version 4 of Amazon's signatures, by the key that was set, over what is sent.
fn assert_signed(headers: &HeaderMap) {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let signature = text("authorization");
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=chat/"), "{signature}");
    assert!(signature.contains("/eu-west-9/s3/aws4_request"), "{signature}");
    assert!(!signature.contains("hidden"), "{signature}");
    assert!(headers.contains_key("x-amz-date") && headers.contains_key("x-amz-content-sha256"));
}

impl Bucket {
    /// Where it listens, for as long as the task is kept.
    async fn serve(&self) -> (String, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(self.clone());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, app).await.unwrap() });
        (url, task)
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().objects.keys().cloned().collect()
    }

    fn refuse(&self, requests: usize) {
        let mut held = self.0.lock();
        (held.refusals, held.asked) = (requests, 0);
    }
}

async fn server(endpoint: String) -> Server {
    Server::start_with(|config| {
        config.avatars.retry_after = Duration::from_millis(1);
        config.avatars.store = Some(AvatarStore::Bucket(AvatarBucket {
            name: "faces".to_owned(),
            prefix: "chat/people".to_owned(),
            endpoint: Some(endpoint),
            region: Some("eu-west-9".to_owned()),
            key: Some(BucketKey { id: "chat".to_owned(), secret: Secret::new("hidden") }),
        }));
    })
    .await
}

#[tokio::test]
async fn pictures_are_put_into_a_bucket_and_got_and_deleted_there() {
    let bucket = Bucket::default();
    let (endpoint, _task) = bucket.serve().await;
    let t = server(endpoint).await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    let made = t.upload(token, "image/png", png([1, 2, 3])).await.ok(200);
    let path = text(&made, "avatar").to_owned();
    let name = path.strip_prefix("/avatars/").unwrap();
    assert_eq!(bucket.names(), [format!("/faces/chat/people/{name}")]);

    let kept = t.picture(&path, token).await.bytes().await.unwrap();
    assert!(kept.starts_with(&[0xff, 0xd8]), "a JPEG");
    assert_eq!(bucket.0.lock().objects.values().next(), Some(&kept));

    // A server with too much to do is asked again, and not for ever.
    bucket.refuse(2);
    assert_eq!(t.picture(&path, token).await.status(), 200);
    assert_eq!(bucket.0.lock().asked, 3);
    bucket.refuse(100);
    t.get(&path, token).await.refused(503, "unavailable");
    t.upload(token, "image/png", png([1, 2, 3])).await.refused(503, "unavailable");
    assert_eq!(bucket.0.lock().asked, 6, "three times each");
    bucket.refuse(0);
    assert_eq!(t.get("/me", token).await.ok(200)["avatar"], *path, "it stays");

    t.bearer(Method::DELETE, "/me/avatar", token).await;
    assert_eq!(t.remove_unused().await, 2, "it, and the one that was never there");
    assert_eq!(bucket.names(), [""; 0]);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_costs_nobody_else_anything() {
    let t = server("http://127.0.0.1:1".to_owned()).await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    t.upload(token, "image/png", png([1, 2, 3])).await.refused(503, "unavailable");
    assert_eq!(t.get("/me", token).await.ok(200)["avatar"], "");
}
