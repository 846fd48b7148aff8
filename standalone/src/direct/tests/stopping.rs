//! One of two apis stops while posts go to it by streams: each is answered, without a second try.

use super::*;
use axum::{
    extract::Request,
    middleware::{Next, from_fn},
};
use futures_util::future::join_all;
use parking_lot::Mutex;
use protocol::{
    calls::Post,
    command::{Action, Command},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const CALLERS: usize = 4;
const POSTS: usize = 50;

/// One of several apis on one database.
struct OneApi {
    life: Lifecycle,
    url: ServerUrl,
    /// How many streams were begun here.
    streams: Arc<AtomicUsize>,
}

impl OneApi {
    fn start(api: &Api) -> Self {
        let (life, streams) = (Lifecycle::new(), Arc::new(AtomicUsize::new(0)));
        let api = Api { lifecycle: life.clone(), ..api.clone() };
        let begun = Arc::clone(&streams);
        let count = from_fn(move |request: Request, next: Next| {
            begun.fetch_add(1, Ordering::Relaxed);
            next.run(request)
        });
        let url = serves(&api, by_streams_alone(&api).layer(count));
        Self { life, url, streams }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_stops_answers_every_call() {
    let stage = SqliteStage::new(|api| Box::new(Direct(api.clone()))).await;
    let [ann, ..] = stage.users();
    let chat = stage.make(ChatType::Group, &[&ann]).await;
    let apis: [_; 2] = std::array::from_fn(|_| OneApi::start(&stage.api));
    let backend =
        StreamBackend::new(http(&apis.each_ref().map(|api| api.url.clone())), &stage.api.lifecycle);
    let seqs = Mutex::new(Vec::new());
    let post = async |id: String| {
        let action = Action::Send { client_message_id: id.clone(), text: id, reply_to: None };
        let command = Command { user_id: ann.id, chat_id: chat, action };
        let call = Post { commands: vec![command], impatient: false };
        let receipt = backend.post(call).await.unwrap().results.remove(0).unwrap();
        seqs.lock().push(receipt.seq.0);
    };
    // Every stream stands before the stop.
    for number in 0..CALLERS {
        post(format!("before {number}")).await;
    }
    let begun = |api: &&OneApi| api.streams.load(Ordering::Relaxed) > 0;
    let (used, other): (Vec<_>, Vec<_>) = apis.iter().partition(begun);
    let ([used], [other]) = (&used[..], &other[..]) else { panic!("calls go to one api") };
    let callers = (0..CALLERS).map(async |caller| {
        for number in 0..POSTS {
            post(format!("{caller} {number}")).await;
            if (caller, number) == (0, POSTS / 2) {
                used.life.stop();
            }
        }
    });
    let (_, left) = tokio::join!(join_all(callers), used.life.finish(Duration::from_secs(10)));
    assert_eq!(left, 0, "all of its work has ended");
    assert!(begun(other), "the rest went elsewhere");
    let mut seqs = seqs.into_inner();
    seqs.sort_unstable();
    assert_eq!(seqs.len(), CALLERS + CALLERS * POSTS);
    assert!(seqs.is_sorted_by(|one, next| one + 1 == *next), "each is stored once: {seqs:?}");
}
