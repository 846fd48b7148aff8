//! Chats whose rows somebody else holds: a batch of an impatient caller is carried out but for them.

use crate::harness::{T, delete, hold, refused, send};
use api::internal::post;
use protocol::{
    calls::{Post, Posted},
    code::Code,
    id::{ChatId, Seq},
};
use std::time::{Duration, Instant};

fn codes(posted: &Posted) -> Vec<Option<Code>> {
    posted.results.iter().map(|result| result.as_ref().err().map(|refusal| refusal.code)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_are_carried_out_at_once() {
    let t = T::postgres().await;
    let ann = t.user("ann").await;
    let [held, free] = [t.group(ann, &[]).await, t.group(ann, &[]).await];
    t.say(ann, held, "before").await;
    let commands = vec![
        send(ann, held, "k1", "one"),
        send(ann, free, "k2", "two"),
        send(ann, ChatId(999), "k3", "nowhere"),
        delete(ann, held, Seq(1)),
        send(ann, free, "k4", ""),
        send(ann, free, "k5", "three"),
    ];
    let impatient = Post { commands, impatient: true };
    let tx = hold(&t, held).await;
    let started = Instant::now();
    let posted = post(&t.api, impatient.clone()).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(450), "{:?}", started.elapsed());
    use Code::{Busy, ChatNotFound, InvalidText};
    let expected = [Some(Busy), None, Some(ChatNotFound), Some(Busy), Some(InvalidText), None];
    assert_eq!(codes(&posted), expected);
    let [run] = &posted.events[..] else { panic!("{posted:?}") };
    assert_eq!(run.parse().unwrap().events.len(), 2, "those of one chat");
    // Nothing but what is held: nothing is done.
    let alone = Post { commands: vec![impatient.commands[0].clone()], impatient: true };
    assert_eq!(codes(&post(&t.api, alone).await.unwrap()), [Some(Busy)]);
    tx.commit().await.unwrap();
    let posted = post(&t.api, impatient).await.unwrap();
    assert_eq!(codes(&posted), [None, None, Some(ChatNotFound), None, Some(InvalidText), None]);
    let repeated = posted.results.iter().flatten().map(|receipt| receipt.repeated);
    assert_eq!(repeated.collect::<Vec<_>>(), [false, true, false, true]);
    assert_eq!((t.head(held).await, t.head(free).await), (Seq(3), Seq(2)));
}

/// A batch that finds a chat held by another batch, as all do, waits its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_for_a_moment_is_waited_for() {
    let t = T::postgres().await;
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let tx = hold(&t, chat).await;
    let commands = vec![send(ann, chat, "k", "hello")];
    let (posted, ()) = tokio::join!(post(&t.api, Post { commands, impatient: true }), async {
        tokio::time::sleep(Duration::from_millis(80)).await;
        tx.commit().await.unwrap();
    });
    assert_eq!(codes(&posted.unwrap()), [None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_patient_wait_or_are_told_to_come_back() {
    let t = T::postgres().await;
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let tx = hold(&t, chat).await;
    let command = send(ann, chat, "k", "hello");
    let waited = post(&t.api, Post::patient(vec![command.clone()])).await;
    assert_eq!(refused(waited).0, 503);
    tx.commit().await.unwrap();
    assert!(t.one(command).await.is_ok());
}
