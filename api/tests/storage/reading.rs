//! Messages in pages.

use crate::harness::{T, both, delete, refused};
use api::chats::messages::{Page, get, history, list};
use shared::id::{ChatId, Seq};

both!(cursors_both_ways, history_by_offset, only_for_whoever_may_enter);

fn texts(messages: &[shared::chat::Message]) -> Vec<&str> {
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
        let page = Page { after: after.map(Seq), before: before.map(Seq), limit };
        list(&t.api, ann, chat, page).await.unwrap()
    };
    assert_eq!(texts(&page(None, None, 3).await), ["3", "5", "6"], "the newest, oldest first");
    assert_eq!(texts(&page(Some(0), None, 3).await), ["1", "2", "3"]);
    assert_eq!(texts(&page(Some(3), None, 3).await), ["5", "6"]);
    assert_eq!(texts(&page(None, Some(5), 2).await), ["2", "3"]);
    assert_eq!(texts(&page(Some(1), Some(5), 9).await), ["2", "3"]);
    assert!(page(Some(99), None, 3).await.is_empty());
    let mut conn = t.api.db.read().await.unwrap();
    assert!(get(&mut conn.link(), chat, Seq(4)).await.unwrap().is_none());
    assert_eq!(get(&mut conn.link(), chat, Seq(5)).await.unwrap().unwrap().text, "5");
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

async fn only_for_whoever_may_enter(t: T) {
    let [ann, eve] = t.users(["ann", "eve"]).await;
    let [chat, room] = [t.group(ann, &[]).await, t.room(ann).await];
    let page = Page { limit: 1, ..Page::default() };
    assert_eq!(refused(list(&t.api, eve, chat, page).await), (403, "not_a_member"));
    assert_eq!(refused(history(&t.api, eve, chat, 0, 1).await), (403, "not_a_member"));
    assert_eq!(refused(list(&t.api, eve, ChatId(999), page).await), (404, "chat_not_found"));
    assert!(list(&t.api, eve, room, page).await.unwrap().is_empty());
}
