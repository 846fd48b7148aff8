//! Chats whose messages have no ordinals yet: from before there were any, or written to by an older
//! program during an upgrade.

use crate::harness::{T, actor, both, delete, send};
use api::{
    chats::{membership, ordinals::number_one, overview},
    internal,
};
use protocol::{
    calls::{MarkRead, ReadMark},
    id::{ChatId, Seq, UserId},
};

both!(
    what_is_there_is_numbered,
    beside_an_older_program,
    a_long_chat_is_numbered_in_steps,
    many_number_at_once,
    nobody_waits_in_a_circle,
);

async fn unread(t: &T, user: UserId, chat: ChatId) -> i64 {
    let mut conn = t.api.db.home().read().await.unwrap();
    overview::get(&mut conn.link(), user, chat).await.unwrap().view.unread
}

async fn read(t: &T, user_id: UserId, chat_id: ChatId, message_id: Seq) {
    let marks = vec![ReadMark { user_id, chat_id, message_id }];
    internal::mark_read(&t.api, MarkRead { marks }).await.unwrap();
}

async fn number_all(t: &T) -> usize {
    let mut steps = 0;
    while number_one(t.api.db.home()).await.unwrap() {
        steps += 1;
    }
    steps
}

/// As the migration leaves it.
async fn forget(t: &T) {
    t.sql(
        "UPDATE messages SET ordinal = NULL; UPDATE members SET seen = NULL;
         UPDATE chats SET sent_count = 0, sent_seq = 0, newest = 0"
            .to_owned(),
    )
    .await;
}

/// All that is kept of ordinals, as one would count it.
async fn holds(t: &T) {
    let wrong = [
        "SELECT count(*) FROM chats WHERE sent_seq <> last_seq",
        "SELECT count(*) FROM messages m WHERE ordinal IS NULL OR ordinal <> (
             SELECT count(*) FROM messages x WHERE x.chat_id = m.chat_id AND x.id <= m.id)",
        "SELECT count(*) FROM chats c WHERE sent_count <> (
             SELECT count(*) FROM messages x WHERE x.chat_id = c.id)",
        "SELECT count(*) FROM chats c WHERE newest <> COALESCE((
             SELECT MAX(ordinal) FROM messages x WHERE x.chat_id = c.id AND deleted_at IS NULL), 0)",
    ];
    for wrong in wrong {
        assert_eq!(t.number(wrong.to_owned()).await, 0, "{wrong}");
    }
}

async fn what_is_there_is_numbered(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let chat = t.group(ann, &[bob, cid]).await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(t.say(if n == 3 { cid } else { bob }, chat, &n.to_string()).await);
    }
    t.one(delete(bob, chat, ids[9])).await.unwrap();
    t.one(delete(bob, chat, ids[6])).await.unwrap();
    read(&t, ann, chat, ids[5]).await;
    holds(&t).await;
    let counts = async || {
        [unread(&t, ann, chat).await, unread(&t, bob, chat).await, unread(&t, cid, chat).await]
    };
    // One has read to the sixth, one wrote the last, one the fourth; the seventh and tenth are deleted.
    assert_eq!(counts().await, [2, 0, 5]);
    forget(&t).await;
    assert_eq!(counts().await, [2, 0, 4], "others' that are behind the mark");
    let more = t.say(ann, chat, "not numbered").await;
    assert_eq!(
        t.number("SELECT count(*) FROM messages WHERE ordinal IS NULL".to_owned()).await,
        11
    );
    assert!(number_all(&t).await > 0);
    holds(&t).await;
    assert_eq!(counts().await, [0, 1, 7], "whoever wrote has seen what was there");
    read(&t, bob, chat, more).await;
    assert_eq!(counts().await, [0, 0, 7]);
    assert_eq!(number_all(&t).await, 0);
}

async fn beside_an_older_program(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let chat = t.room(ann).await;
    membership::join(&t.api, actor(bob), chat).await.unwrap();
    t.say(ann, chat, "one").await;
    // Somebody joins, and somebody writes, by a program that knows of no ordinals.
    t.sql(format!(
        "INSERT INTO members (chat_id, user_id, joined_at, last_read) VALUES ({chat}, {cid}, 0, 1);
         INSERT INTO messages (chat_id, id, seq, sender_id, client_message_id, text, created_at)
         VALUES ({chat}, 2, 2, {ann}, 'k', 'two', 0);
         UPDATE chats SET last_seq = 2, message_count = 2 WHERE id = {chat}"
    ))
    .await;
    assert_eq!([unread(&t, bob, chat).await, unread(&t, cid, chat).await], [2, 1]);
    // Marks count at once, and are kept when it is numbered.
    read(&t, bob, chat, Seq(1)).await;
    assert_eq!(unread(&t, bob, chat).await, 1);
    assert_eq!(t.say(ann, chat, "three").await, Seq(3));
    number_all(&t).await;
    holds(&t).await;
    assert_eq!([unread(&t, bob, chat).await, unread(&t, cid, chat).await], [2, 2]);
    t.say(bob, chat, "four").await;
    holds(&t).await;
    assert_eq!([unread(&t, bob, chat).await, unread(&t, cid, chat).await], [0, 3]);
}

async fn a_long_chat_is_numbered_in_steps(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    let texts: Vec<String> = (0..1_100).map(|n| n.to_string()).collect();
    for part in texts.chunks(100) {
        t.post(part.iter().map(|n| send(bob, chat, n, n)).collect()).await;
    }
    forget(&t).await;
    assert_eq!(unread(&t, ann, chat).await, 100, "counted up to 100 until then");
    assert_eq!(number_all(&t).await, 2);
    holds(&t).await;
    assert_eq!(unread(&t, ann, chat).await, 1_100);
    read(&t, ann, chat, Seq(1_060)).await;
    assert_eq!(unread(&t, ann, chat).await, 40);
}

async fn many_number_at_once(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let mut chats = Vec::new();
    for _ in 0..5 {
        let chat = t.group(ann, &[bob]).await;
        for n in 0..10 {
            t.say(bob, chat, &n.to_string()).await;
        }
        chats.push(chat);
    }
    forget(&t).await;
    let writing = async {
        for n in 0..20 {
            t.post(chats.iter().map(|chat| send(ann, *chat, &n.to_string(), "more")).collect())
                .await;
        }
    };
    tokio::join!(number_all(&t), number_all(&t), writing);
    number_all(&t).await;
    holds(&t).await;
    for chat in chats {
        assert_eq!(unread(&t, ann, chat).await, 0);
    }
}

/// Members' rows are locked in one order, whoever locks several: PostgreSQL would end one of two who do
/// not, after a second.
async fn nobody_waits_in_a_circle(t: T) {
    let users = t.users(["ann", "bob", "cid", "dan"]).await;
    let mut chats = Vec::new();
    for _ in 0..4 {
        chats.push(t.group(users[0], &users[1..]).await);
    }
    let pairs = || chats.iter().flat_map(|chat| users.iter().map(move |user| (*chat, *user)));
    let writing = async {
        for n in 0..60 {
            let key = n.to_string();
            t.post(pairs().map(|(chat, user)| send(user, chat, &key, "more")).collect()).await;
        }
    };
    let marking = async |backwards: bool| {
        for n in 0..200 {
            let mark = |(chat_id, user_id)| ReadMark { user_id, chat_id, message_id: Seq(n) };
            let mut marks: Vec<ReadMark> = pairs().map(mark).collect();
            if backwards {
                marks.reverse();
            }
            internal::mark_read(&t.api, MarkRead { marks }).await.unwrap();
        }
    };
    tokio::join!(writing, marking(false), marking(true));
    holds(&t).await;
}
