//! Messages in pages.

use crate::harness::{T, both, delete, refused};
use api::chats::messages::{MAX_OFFSET, MessagesPage, get, history, list};
use protocol::id::{ChatId, Seq};

both!(
    around_a_message,
    cursors_both_ways,
    history_by_offset,
    offsets_reach_so_far_from_either_end,
    only_for_whoever_may_enter,
);

fn texts(messages: &[protocol::chat::Message]) -> Vec<&str> {
    messages.iter().map(|message| message.text.as_str()).collect()
}

async fn cursors_both_ways(t: T) {
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    for n in 1..=6 {
        t.say(ann, chat, &n.to_string()).await;
    }
    t.one(delete(ann, chat, Seq(4))).await.unwrap();
    let page = async |after: Option<i64>, before: Option<i64>, limit| {
        let (after, before) = (after.map(Seq), before.map(Seq));
        let page = MessagesPage { after, before, limit, ..Default::default() };
        list(&t.api, ann, chat, page).await.unwrap()
    };
    assert_eq!(texts(&page(None, None, 3).await), ["3", "5", "6"], "the newest, oldest first");
    assert_eq!(texts(&page(Some(0), None, 3).await), ["1", "2", "3"]);
    assert_eq!(texts(&page(Some(3), None, 3).await), ["5", "6"]);
    assert_eq!(texts(&page(None, Some(5), 2).await), ["2", "3"]);
    assert_eq!(texts(&page(Some(1), Some(5), 9).await), ["2", "3"]);
    assert!(page(Some(99), None, 3).await.is_empty());
    let mut conn = t.api.db.home().read().await.unwrap();
    assert!(get(&mut conn.link(), chat, Seq(4)).await.unwrap().is_none());
    assert_eq!(get(&mut conn.link(), chat, Seq(5)).await.unwrap().unwrap().text, "5");
}

async fn around_a_message(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let (chat, other) = (t.group(ann, &[]).await, t.group(ann, &[]).await);
    for n in 1..=9 {
        t.say(ann, chat, &n.to_string()).await;
        t.say(ann, other, "not this chat's").await;
    }
    t.one(delete(ann, chat, Seq(4))).await.unwrap();
    let page = async |around: i64, limit| {
        let page = MessagesPage { around: Some(Seq(around)), limit, ..Default::default() };
        list(&t.api, ann, chat, page).await.unwrap()
    };
    assert_eq!(texts(&page(5, 4).await), ["3", "5", "6", "7"]);
    assert_eq!(texts(&page(5, 5).await), ["2", "3", "5", "6", "7"], "the odd one is before");
    assert_eq!(texts(&page(5, 1).await), ["5"]);
    assert_eq!(texts(&page(4, 4).await), ["2", "3", "5", "6"], "its place, although it is deleted");
    assert_eq!(
        texts(&page(1, 4).await),
        ["1", "2", "3"],
        "nothing in the place of what is not there"
    );
    assert_eq!(texts(&page(9, 4).await), ["8", "9"]);
    assert_eq!(texts(&page(0, 4).await), ["1", "2"]);
    assert_eq!(texts(&page(i64::MAX, 4).await), ["8", "9"]);
    let page = MessagesPage { around: Some(Seq(5)), limit: 4, ..Default::default() };
    assert_eq!(refused(list(&t.api, bob, chat, page).await), (403, "not_a_member"));
}

async fn history_by_offset(t: T) {
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    for n in 1..=5 {
        t.say(ann, chat, &n.to_string()).await;
    }
    t.one(delete(ann, chat, Seq(1))).await.unwrap();
    let (page, total) = history(&t.api, ann, chat, 1, 2).await.unwrap();
    assert_eq!((texts(&page), total), (vec!["3", "4"], 4));
    let (page, total) = history(&t.api, ann, chat, 99, 2).await.unwrap();
    assert_eq!((page.len(), total), (0, 4));
}

/// What lies between is walked over: not more of it than this, but in the lobby it is counted.
async fn offsets_reach_so_far_from_either_end(t: T) {
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let count = 2 * MAX_OFFSET + 110;
    // Every tenth is deleted.
    let all = count * 10 / 9;
    for chat in [chat, ChatId::LOBBY] {
        t.sql(format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {all})
             INSERT INTO messages
                 (chat_id, id, seq, sender_id, client_message_id, text, created_at, deleted_at)
             SELECT {chat}, i, i, {ann}, i, i, 0, CASE WHEN i % 10 = 0 THEN 1 END FROM n;
             UPDATE chats SET last_seq = {all}, message_count = {count} WHERE id = {chat}"
        ))
        .await;
    }
    t.sql(
        "INSERT INTO stretches (chat_id, stretch, message_count)
         SELECT chat_id, id / 4096, count(*) FROM messages WHERE chat_id = 1 AND deleted_at IS NULL
         GROUP BY chat_id, id / 4096"
            .to_owned(),
    )
    .await;
    // The number of a message by how many are before it.
    let text = |before: i64| (before + before / 9 + 1).to_string();
    let page = |chat, offset| history(&t.api, ann, chat, offset, 100);
    for offset in [0, MAX_OFFSET, MAX_OFFSET + 10, count - 100, count - 3] {
        let (found, total) = page(chat, offset).await.unwrap();
        let expected: Vec<String> = (offset..count.min(offset + 100)).map(text).collect();
        assert_eq!((texts(&found), total), (expected.iter().map(String::as_str).collect(), count));
    }
    for offset in [count, count + 1, i64::MAX] {
        assert!(page(chat, offset).await.unwrap().0.is_empty());
    }
    assert_eq!(refused(page(chat, MAX_OFFSET + 1).await), (422, "validation_failed"));
    assert_eq!(refused(page(chat, MAX_OFFSET + 9).await), (422, "validation_failed"));
    let (found, _) = page(ChatId::LOBBY, MAX_OFFSET + 5).await.unwrap();
    assert_eq!((found.len(), found[0].text.as_str()), (100, text(MAX_OFFSET + 5).as_str()));
}

async fn only_for_whoever_may_enter(t: T) {
    let [ann, eve] = t.users(["ann", "eve"]).await;
    let [chat, room] = [t.group(ann, &[]).await, t.room(ann).await];
    let page = MessagesPage { limit: 1, ..MessagesPage::default() };
    assert_eq!(refused(list(&t.api, eve, chat, page).await), (403, "not_a_member"));
    assert_eq!(refused(history(&t.api, eve, chat, 0, 1).await), (403, "not_a_member"));
    assert_eq!(refused(list(&t.api, eve, ChatId(999), page).await), (404, "chat_not_found"));
    assert!(list(&t.api, eve, room, page).await.unwrap().is_empty());
}
