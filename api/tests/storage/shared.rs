//! Calls of several callers that share a transaction: nobody can tell, and nobody pays for another one's chats.

use crate::harness::{T, hold, reply, send, somebody_waits};
use api::{PostQueues, config::PostQueueConfig, internal};
use futures_util::future::{self, join_all};
use protocol::{
    calls::{Post, Posted},
    chat::Change,
    code::Code,
    command::Command,
    id::{ChatId, Seq, UserId},
    relay::Channel,
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use tokio::sync::Barrier;

/// One whose only writer waits for as long as it takes.
async fn one_patient_writer() -> T {
    let mut t = T::postgres().await;
    let patience = Duration::from_secs(60);
    let config = PostQueueConfig { writers: 1, patience, ..PostQueueConfig::default() };
    t.api.posts = PostQueues::new(&t.api.db, config);
    t
}

/// Posts these calls while the only writer is busy; their answers.
async fn post_together(t: &T, ann: UserId, calls: Vec<Vec<Command>>) -> Vec<Posted> {
    let busy = t.group(ann, &[]).await;
    let held = hold(t, busy).await;
    let mut first =
        Box::pin(internal::post(&t.api, Post::patient(vec![send(ann, busy, "k", "hello")])));
    assert!(futures_util::poll!(&mut first).is_pending());
    somebody_waits(t).await;
    let others = calls
        .into_iter()
        .map(|commands| internal::post(&t.api, Post { commands, impatient: true }));
    let mut others = Box::pin(join_all(others));
    // Now all of them are in the queue.
    assert!(futures_util::poll!(&mut others).is_pending());
    held.commit().await.unwrap();
    let (first, others) = future::join(first, others).await;
    first.unwrap();
    others.into_iter().map(Result::unwrap).collect()
}

/// The most chats that one transaction wrote.
async fn together(t: &T) -> i64 {
    t.number("SELECT MAX(cardinality(chats))::BIGINT FROM changes".to_owned()).await
}

/// The chat, number, text and key of each event of an answer.
fn events(posted: &Posted) -> Vec<(ChatId, i64, String, String)> {
    let mut events = Vec::new();
    for run in posted.events.iter().map(|run| run.parse().unwrap()) {
        for event in run.events {
            let Change::Message(message) = event.change else { panic!("no message") };
            let key = message.client_message_id.unwrap();
            events.push((run.chat_id, event.seq.0, message.text, key));
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_caller_gets_its_own_part() {
    let t = one_patient_writer().await;
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let (one, two) = (t.group(ann, &[bob]).await, t.group(ann, &[bob]).await);
    let mut heard = t.listen(&[Channel::Chat(one)]).await;
    let calls = vec![
        vec![send(ann, two, "k1", "a"), send(ann, one, "k1", "b"), send(ann, one, "k2", "c")],
        vec![send(bob, one, "k1", "d")],
        vec![send(ann, one, "k3", "e"), send(bob, two, "k1", "f")],
    ];
    let posted = post_together(&t, ann, calls).await;
    assert_eq!(together(&t).await, 2);
    let made = |chat, seq, text: &str, key: &str| (chat, seq, text.to_owned(), key.to_owned());
    let own = [made(one, 1, "b", "k1"), made(one, 2, "c", "k2"), made(two, 1, "a", "k1")];
    assert_eq!(events(&posted[0]), own);
    assert_eq!(events(&posted[1]), [made(one, 3, "d", "k1")]);
    assert_eq!(events(&posted[2]), [made(one, 4, "e", "k3"), made(two, 2, "f", "k1")]);
    let seqs = |posted: &Posted| -> Vec<i64> {
        posted.results.iter().map(|result| result.as_ref().unwrap().seq.0).collect()
    };
    assert_eq!(posted.iter().map(seqs).collect::<Vec<_>>(), [vec![1, 1, 2], vec![3], vec![4, 2]]);
    let (_, run) = heard.next().await;
    assert_eq!(run["events"].as_array().unwrap().len(), 4, "gateways hear it at once");
}

/// A repeat and a stranger: everybody goes alone, and nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_odd_about_one_call_is_its_own_business() {
    let t = one_patient_writer().await;
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let (one, two) = (t.group(ann, &[]).await, t.group(ann, &[]).await);
    t.one(send(ann, one, "k1", "before")).await.unwrap();
    let calls = vec![
        vec![send(ann, two, "k1", "hello")],
        vec![send(bob, two, "k1", "let me in")],
        vec![send(ann, one, "k1", "before")],
        vec![reply(ann, one, "k2", "not plain", Some(Seq(1)))],
        vec![send(ann, two, "k2", "hello"), send(ann, two, "k3", "")],
    ];
    let posted = post_together(&t, ann, calls).await;
    let codes = |posted: &Posted| -> Vec<_> {
        posted
            .results
            .iter()
            .map(|result| result.as_ref().map(|done| done.repeated).map_err(|no| no.code))
            .collect()
    };
    let codes: Vec<_> = posted.iter().map(codes).collect();
    let expected = [
        vec![Ok(false)],
        vec![Err(Code::NotAMember)],
        vec![Ok(true)],
        vec![Ok(false)],
        vec![Ok(false), Err(Code::InvalidText)],
    ];
    assert_eq!(codes, expected);
    assert_eq!((t.head(one).await, t.head(two).await), (Seq(2), Seq(2)));
}

/// What the database cannot take fails alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_refuses_fails_alone() {
    let t = one_patient_writer().await;
    let ann = t.user("ann").await;
    let (one, two) = (t.group(ann, &[]).await, t.group(ann, &[]).await);
    t.sql(format!("ALTER TABLE messages ADD CHECK (chat_id <> {two} OR text <> 'poison')")).await;
    let held = hold(&t, one).await;
    let call =
        |chat, key, text| internal::post(&t.api, Post::patient(vec![send(ann, chat, key, text)]));
    let mut first = Box::pin(call(one, "k1", "hello"));
    assert!(futures_util::poll!(&mut first).is_pending());
    somebody_waits(&t).await;
    let mut others = Box::pin(future::join(call(one, "k2", "hello"), call(two, "k1", "poison")));
    assert!(futures_util::poll!(&mut others).is_pending());
    held.commit().await.unwrap();
    let (first, (second, poison)) = future::join(first, others).await;
    first.unwrap();
    second.unwrap();
    assert_eq!(poison.unwrap_err().code, Code::Internal);
    assert_eq!((t.head(one).await, t.head(two).await), (Seq(2), Seq(0)));
}

/// Ten gateways, and a chat that somebody holds: those who write there are told that it is busy, the others do not
/// wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_chat_delays_nobody_else() {
    const GATEWAYS: usize = 10;
    const PATIENCE: Duration = Duration::from_secs(2);
    let mut t = T::postgres().await;
    let (patience, apart_for) = (PATIENCE, Duration::from_secs(3_600));
    let config = PostQueueConfig { patience, apart_for, ..PostQueueConfig::default() };
    t.api.posts = PostQueues::new(&t.api.db, config);
    let ann = t.user("ann").await;
    let slow = t.group(ann, &[]).await;
    let mut chats = Vec::new();
    for _ in 0..GATEWAYS {
        chats.push(t.group(ann, &[]).await);
    }
    let held = hold(&t, slow).await;
    let (over, all_told) = (AtomicBool::new(false), Barrier::new(GATEWAYS + 1));
    let post = async |chat, key: String| {
        let commands = vec![send(ann, chat, &key, "hello")];
        let posted = internal::post(&t.api, Post { commands, impatient: true }).await.unwrap();
        posted.results[0].as_ref().map(drop).map_err(|refusal| refusal.code)
    };
    let stuck = async |gateway: usize| {
        assert_eq!(post(slow, format!("k{gateway}")).await, Err(Code::Busy));
        all_told.wait().await;
        while !over.load(Ordering::Relaxed) {
            assert_eq!(post(slow, format!("k{gateway}")).await, Err(Code::Busy));
            // A lane leaves the chat alone for as long.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let free = async |chat: ChatId| {
        for call in 0..10 {
            assert_eq!(post(chat, format!("k{call}")).await, Ok(()));
        }
    };
    let all_free = async {
        all_told.wait().await;
        let begun = Instant::now();
        join_all(chats.into_iter().map(free)).await;
        over.store(true, Ordering::Relaxed);
        begun.elapsed()
    };
    let (took, _) = future::join(all_free, join_all((0..GATEWAYS).map(stuck))).await;
    held.commit().await.unwrap();
    // All calls of a gateway together take less than one that waits for the chat.
    assert!(took < PATIENCE, "{took:?}");
}

/// Also when the process is stopping: it finishes what waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_stored_although_its_caller_is_gone() {
    let t = one_patient_writer().await;
    let ann = t.user("ann").await;
    let (busy, chat) = (t.group(ann, &[]).await, t.group(ann, &[]).await);
    let mut heard = t.listen(&[Channel::Chat(chat)]).await;
    let held = hold(&t, busy).await;
    for chat in [busy, chat] {
        let call = internal::post(&t.api, Post::patient(vec![send(ann, chat, "k", "hello")]));
        assert!(futures_util::poll!(Box::pin(call)).is_pending());
        somebody_waits(&t).await;
    }
    t.api.lifecycle.stop();
    held.commit().await.unwrap();
    assert_eq!(t.api.lifecycle.finish(Duration::from_secs(30)).await, 0);
    assert_eq!((t.head(busy).await, t.head(chat).await), (Seq(1), Seq(1)));
    assert_eq!(heard.next().await.1["events"][0]["text"], "hello");
}
