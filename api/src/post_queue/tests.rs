//! The queue without a database.

use super::*;
use protocol::id::UserId;

const CONFIG: PostQueueConfig = PostQueueConfig {
    writers: 1,
    max_batch: 3,
    max_batch_bytes: 100_000,
    max_calls: 5,
    max_bytes: 1_000_000,
    patience: Duration::from_millis(20),
    apart_for: Duration::from_secs(3_600),
};

fn send(chat: i64, text: &str) -> Command {
    let (client_message_id, text) = ("key".to_owned(), text.to_owned());
    let action = Action::Send { client_message_id, text, reply_to: None };
    Command { user_id: UserId(1), chat_id: ChatId(chat), action }
}

fn join(queue: &PostQueue, chats: &[i64]) -> Option<Queued> {
    let commands: Vec<Command> = chats.iter().map(|chat| send(*chat, "hello")).collect();
    queue.join(&commands.iter().collect::<Vec<_>>())
}

/// The chats of the next batch, by call.
fn next(writer: &mut QueueWriter) -> Option<Vec<Vec<i64>>> {
    let chats = |call: QueuedPost| call.commands.iter().map(|one| one.chat_id.0).collect();
    Some(writer.next()?.into_iter().map(chats).collect())
}

#[test]
fn what_waits_is_the_next_batch_within_its_bounds() {
    let queue = PostQueue::new(CONFIG);
    let mut writer = join(&queue, &[1]).unwrap().writer.unwrap();
    assert_eq!(next(&mut writer), Some(vec![vec![1]]));
    for chats in [&[2][..], &[3], &[4, 5], &[6, 7, 8, 9], &[10]] {
        assert!(join(&queue, chats).unwrap().writer.is_none(), "one writes already");
    }
    let batches =
        [vec![vec![2], vec![3]], vec![vec![4, 5]], vec![vec![6, 7, 8, 9]], vec![vec![10]]];
    for batch in batches {
        assert_eq!(next(&mut writer), Some(batch));
    }
    assert_eq!(next(&mut writer), None);
    assert!(join(&queue, &[11]).unwrap().writer.is_some(), "nobody writes any more");
}

#[test]
fn long_texts_are_fewer_in_a_batch() {
    let queue = PostQueue::new(CONFIG);
    let long = send(1, &"x".repeat(60_000));
    let mut writer = queue.join(&[&long]).unwrap().writer.unwrap();
    queue.join(&[&long]).unwrap();
    assert_eq!(next(&mut writer).unwrap().len(), 1);
    assert_eq!(next(&mut writer).unwrap().len(), 1);
}

#[test]
fn when_too_many_wait_the_next_goes_alone() {
    for config in [
        CONFIG,
        PostQueueConfig { max_calls: 1_000, max_bytes: 5 * bytes(&send(1, "hello")), ..CONFIG },
    ] {
        let queue = PostQueue::new(config);
        let mut writer = join(&queue, &[1]).unwrap().writer.unwrap();
        assert!((0..4).all(|_| join(&queue, &[1]).is_some()) && join(&queue, &[1]).is_none());
        writer.next();
        assert!((0..3).all(|_| join(&queue, &[1]).is_some()) && join(&queue, &[1]).is_none());
        while writer.next().is_some() {}
        assert_eq!(queue.state.lock().bytes, 0);
    }
}

#[test]
fn nobody_waits_for_a_writer_that_panicked() {
    let queue = PostQueue::new(CONFIG);
    let Queued { end: mut first, writer } = join(&queue, &[1]).unwrap();
    let mut writer = writer.unwrap();
    let batch = writer.next();
    let mut second = join(&queue, &[2]).unwrap().end;
    drop((batch, writer));
    for end in [&mut first, &mut second] {
        assert!(matches!(end.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    }
    let mut writer = join(&queue, &[3]).unwrap().writer.unwrap();
    assert_eq!(next(&mut writer), Some(vec![vec![3]]));
}

#[test]
fn calls_for_a_chat_that_is_held_go_alone() {
    let queue = PostQueue::new(CONFIG);
    queue.keep_apart([ChatId(1), ChatId(2)]);
    assert!(join(&queue, &[3, 1]).is_none());
    let mut writer = join(&queue, &[3]).unwrap().writer.unwrap();
    let mut waited = join(&queue, &[5]).unwrap().end;
    queue.keep_apart([ChatId(5)]);
    assert_eq!(next(&mut writer), Some(vec![vec![3]]), "also those that wait");
    assert!(matches!(waited.try_recv(), Ok(Ok(PostEnd::Alone))));
    queue.found_free(&[&send(1, "")]);
    assert!(join(&queue, &[3, 1]).is_some() && join(&queue, &[2]).is_none());
    assert!(!queue.are_busy(&[&send(2, "")]));
    queue.found_busy(&HashSet::from([ChatId(2)]));
    queue.keep_apart([ChatId(2)]);
    assert!(queue.are_busy(&[&send(3, ""), &send(2, "")]) && !queue.are_busy(&[&send(3, "")]));
    let queue = PostQueue::new(PostQueueConfig { apart_for: Duration::ZERO, ..CONFIG });
    queue.keep_apart([ChatId(1)]);
    assert!(join(&queue, &[1]).is_some(), "it is over");
}

#[test]
fn chats_that_were_held_long_ago_are_forgotten() {
    let queue = PostQueue::new(PostQueueConfig { apart_for: Duration::ZERO, ..CONFIG });
    for chat in 0..100 {
        queue.found_busy(&HashSet::from([ChatId(2 * chat)]));
        queue.keep_apart([ChatId(2 * chat + 1)]);
        assert!(queue.state.lock().apart.len() <= 2, "{chat}");
    }
}
