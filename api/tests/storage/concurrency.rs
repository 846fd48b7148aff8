//! Many batches at once, overlapping in chats: no number twice, none left out, nobody waits for ever.

use crate::harness::{T, actor, both, delete, edit, send};
use api::{
    chats::membership,
    internal::{mark_read, open},
};
use futures_util::future::join_all;
use protocol::{
    calls::{MarkRead, Open, OpenSession, ReadMark, Shows},
    command::Command,
    id::{ChatId, Seq, UserId},
};
use std::collections::{BTreeSet, HashMap};

both!(numbers_have_no_holes, everything_at_once);

const TASKS: usize = 8;
const ROUNDS: usize = 15;

/// A batch over all chats, each task in another order.
fn batch(user: UserId, chats: &[ChatId], task: usize, round: usize) -> Vec<Command> {
    let mut commands: Vec<Command> = (0..2 * chats.len())
        .map(|n| {
            send(
                user,
                chats[(task + n * (task % 2 * 2 + 1)) % chats.len()],
                &format!("{round}-{n}"),
                "hi",
            )
        })
        .collect();
    commands.rotate_left(round % 3);
    commands
}

async fn numbers_have_no_holes(t: T) {
    let users = t.users(["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7"]).await;
    let mut chats = Vec::new();
    for _ in 0..5 {
        chats.push(t.room(users[0]).await);
    }
    let (t, chats) = (&t, &chats);
    let tasks = users.iter().enumerate().take(TASKS).map(|(task, user)| async move {
        let mut seqs = Vec::new();
        for round in 0..ROUNDS {
            let commands = batch(*user, chats, task, round);
            // The same batch twice at once, as after a lost reply.
            let (first, second) = tokio::join!(t.post(commands.clone()), t.post(commands.clone()));
            assert_eq!(first.results, second.results);
            for (command, result) in commands.iter().zip(first.results) {
                seqs.push((command.chat_id, result.unwrap().seq));
            }
        }
        seqs
    });
    let mut by_chat: HashMap<ChatId, BTreeSet<Seq>> = HashMap::new();
    for (chat, seq) in join_all(tasks).await.into_iter().flatten() {
        assert!(by_chat.entry(chat).or_default().insert(seq), "{seq} twice in {chat}");
    }
    for chat in chats {
        let expected: BTreeSet<Seq> = (1..=t.head(*chat).await.0).map(Seq).collect();
        assert_eq!(by_chat[chat], expected, "acknowledged numbers of {chat}");
        let stored: BTreeSet<Seq> =
            t.events_after(*chat, Seq(0), 200).await.iter().map(|event| event.seq).collect();
        assert_eq!(stored, expected, "stored numbers of {chat}");
    }
    assert_eq!(
        by_chat.values().map(BTreeSet::len).sum::<usize>(),
        TASKS * ROUNDS * 2 * chats.len()
    );
}

/// Every kind of writer on the same few rows.
async fn everything_at_once(t: T) {
    let users = t.users(["u0", "u1", "u2", "u3"]).await;
    let [owner, others @ ..] = users;
    let mut chats = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..4 {
        chats.push(t.group(owner, &others).await);
    }
    for user_id in users {
        sessions.push(OpenSession {
            user_id,
            session_id: t.session(user_id).await,
            shows: Shows::All,
        });
    }
    let (t, chats, sessions) = (&t, &chats, &sessions);
    let writers = users.iter().enumerate().map(|(task, user)| async move {
        for round in 0..ROUNDS {
            let mut commands = batch(*user, chats, task, round);
            commands.push(edit(*user, chats[round % 4], Seq(1), "mine?"));
            commands.push(delete(*user, chats[(round + 1) % 4], Seq(2)));
            t.post(commands).await;
        }
    });
    let readers = users.iter().enumerate().map(|(task, _)| async move {
        for round in 0..ROUNDS as i64 {
            let mut marks: Vec<ReadMark> = chats
                .iter()
                .flat_map(|chat| {
                    users.map(|user_id| ReadMark {
                        user_id,
                        chat_id: *chat,
                        message_id: Seq(round),
                    })
                })
                .collect();
            marks.rotate_left(task * 3);
            mark_read(&t.api, MarkRead { marks }).await.unwrap();
        }
    });
    let openers = [1, 2, 3].map(|live_chats| async move {
        for round in 0..ROUNDS {
            let mut sessions = sessions.clone();
            sessions.rotate_left(round % 4);
            let opened = open(&t.api, Open { sessions, live_chats }).await.unwrap();
            assert!(opened.sessions.iter().all(Result::is_ok));
        }
    });
    let managing = async {
        for round in 0..ROUNDS {
            let (chat, user) = (chats[round % 4], others[round % 3]);
            membership::remove(&t.api, actor(owner), chat, user).await.unwrap();
            membership::add(&t.api, actor(owner), chat, &[user]).await.unwrap();
        }
    };
    tokio::join!(join_all(writers), join_all(readers), join_all(openers), managing);
    for chat in chats {
        let places = t.events_after(*chat, Seq(0), 200).await.len();
        assert!(places > 0 && t.head(*chat).await.0 >= places as i64);
    }
}
