//! `post`: what is stored once, refused, numbered and published.

use crate::harness::{T, both, delete, edit, reply, send};
use protocol::{
    chat::{Change, ChatType, Event},
    code::Code,
    command::{Action, Command},
    id::{ChatId, Seq},
    refusal::Refusal,
    relay::{Channel, ChatEvents},
};

both!(
    a_repeat_is_stored_once,
    a_repeat_tells_once_more,
    an_edit_that_is_sent_again_undoes_no_later_one,
    a_key_belongs_to_one_text,
    refusals_leave_the_others_alone,
    edits_and_deletions,
    a_batch_may_edit_what_it_sends,
    who_may_delete,
    replies,
    what_is_committed_is_published,
    counters_follow,
);

fn code<V: std::fmt::Debug>(result: Result<V, Refusal>) -> Code {
    result.unwrap_err().code
}

async fn a_repeat_is_stored_once(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    let first = t.one(send(ann, chat, "k1", "hello")).await.unwrap();
    assert_eq!((first.message_id, first.seq), (Seq(1), Seq(1)));
    let again = t.post(vec![send(ann, chat, "k1", "hello"), send(ann, chat, "k2", "more")]).await;
    assert_eq!(again.results[0], Ok(first));
    assert_eq!(again.results[1].as_ref().unwrap().seq, Seq(2));
    let seqs: Vec<_> = again.events.iter().map(|run| run.events[0].seq).collect();
    assert_eq!(seqs, [Seq(1), Seq(2)], "what is repeated, by itself, and what is new");
    // Within one batch, too.
    let twice = t.post(vec![send(bob, chat, "k1", "mine"), send(bob, chat, "k1", "mine")]).await;
    assert_eq!(twice.results[0], twice.results[1]);
    assert_eq!(t.head(chat).await, Seq(3));
    // Committed is committed, also for somebody who has left since.
    api::chats::membership::leave(&t.api, crate::harness::actor(bob), chat).await.unwrap();
    assert_eq!(t.one(send(bob, chat, "k1", "mine")).await, twice.results[0]);
    assert_eq!(code(t.one(send(bob, chat, "k9", "mine")).await), Code::NotAMember);
    let new = send(ann, chat, "k10", "new");
    assert!(!t.repeats(new.clone()).await);
    assert!(t.repeats(new).await);
}

/// Perhaps nobody was told the first time: the process may have died between its commit and that.
async fn a_repeat_tells_once_more(t: T) {
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let (message, edit) = (send(ann, chat, "k", "one"), edit(ann, chat, Seq(1), "two"));
    let delete = delete(ann, chat, Seq(1));
    let mut heard = t.listen(&[Channel::Chat(chat)]).await;
    // What is told of the message each time that this is asked for: its place, and what.
    let mut told = async |command: &Command| {
        let posted = t.post(vec![command.clone()]).await;
        let [run] = &posted.events[..] else { panic!("{posted:?}") };
        let (_, payload) = heard.next().await;
        let told: ChatEvents = serde_json::from_value(payload.clone()).unwrap();
        assert_eq!(told, *run, "the bus and the caller hear the same");
        let [event] = &run.events[..] else { panic!("{run:?}") };
        let text = payload["events"][0]["text"].as_str().map(str::to_owned);
        (event.seq.0, payload["events"][0]["type"].as_str().unwrap().to_owned(), text)
    };
    let event =
        |seq, kind: &str, text: Option<&str>| (seq, kind.to_owned(), text.map(str::to_owned));
    for _ in 0..2 {
        assert_eq!(told(&message).await, event(1, "message", Some("one")));
    }
    for _ in 0..2 {
        assert_eq!(told(&edit).await, event(2, "edited", Some("two")));
    }
    assert_eq!(told(&message).await, event(1, "message", Some("two")), "as a catch-up shows it");
    for _ in 0..2 {
        assert_eq!(told(&delete).await, event(3, "deleted", None));
    }
    assert_eq!(told(&message).await, event(1, "deleted", None));
    assert_eq!(t.head(chat).await, Seq(3), "nothing of it was done twice");
    // Twice in one batch it is one event.
    let twice = t.post(vec![send(ann, chat, "l", "x"), send(ann, chat, "l", "x")]).await;
    assert_eq!(twice.events.iter().map(|run| run.events.len()).collect::<Vec<_>>(), [1]);
}

async fn an_edit_that_is_sent_again_undoes_no_later_one(t: T) {
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let id = t.say(ann, chat, "a").await;
    let edit = |client_edit_id: &str, text: &str| {
        let (text, client_edit_id) = (text.to_owned(), Some(client_edit_id.to_owned()));
        let action = Action::Edit { message_id: id, text, client_edit_id };
        Command { user_id: ann, chat_id: chat, action }
    };
    let first = t.one(edit("1", "b")).await.unwrap();
    t.one(edit("2", "c")).await.unwrap();
    assert_eq!(t.one(edit("1", "b")).await, Ok(first), "the answer that was lost");
    assert!(t.repeats(edit("1", "b")).await);
    let texts = async || {
        let events = t.events_after(chat, Seq(0), 200).await;
        let text = |event: &Event| match &event.change {
            Change::Message(message) => message.text.clone(),
            other => panic!("{other:?}"),
        };
        events.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!((texts().await, t.head(chat).await), (vec!["c".to_owned()], Seq(3)));
    // A client that counts its edits anew in each connection means another one.
    assert!(!t.repeats(edit("1", "d")).await);
    // One that is not named is made again.
    assert!(!t.repeats(crate::harness::edit(ann, chat, id, "b")).await);
    // In one batch, too.
    t.post(vec![edit("5", "x"), edit("6", "y"), edit("5", "x")]).await;
    assert_eq!((texts().await, t.head(chat).await), (vec!["y".to_owned()], Seq(7)));
}

async fn a_key_belongs_to_one_text(t: T) {
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let sent = t.one(send(ann, chat, "k", "one")).await.unwrap();
    assert_eq!(code(t.one(send(ann, chat, "k", "two")).await), Code::ClientMessageIdReused);
    let other = reply(ann, chat, "k", "one", Some(Seq(1)));
    assert_eq!(code(t.one(other).await), Code::ClientMessageIdReused);
    let batch = t.post(vec![send(ann, chat, "l", "a"), send(ann, chat, "l", "b")]).await;
    assert_eq!(code(batch.results[1].clone()), Code::ClientMessageIdReused);
    // After an edit nobody knows the first text any more: the retry of the original is a repeat.
    t.one(edit(ann, chat, sent.message_id, "edited")).await.unwrap();
    assert_eq!(t.one(send(ann, chat, "k", "one")).await, Ok(sent));
    t.one(delete(ann, chat, sent.message_id)).await.unwrap();
    assert_eq!(t.one(send(ann, chat, "k", "one")).await, Ok(sent));
}

async fn refusals_leave_the_others_alone(t: T) {
    let [ann, bob, eve] = t.users(["ann", "bob", "eve"]).await;
    let chat = t.group(ann, &[bob]).await;
    t.sql(format!("UPDATE users SET blocked_at = 1 WHERE id = {bob}")).await;
    let long = "x".repeat(4_001);
    let posted = t
        .post(vec![
            send(ann, chat, "1", "first"),
            send(eve, chat, "2", "not mine"),
            send(bob, chat, "3", "blocked"),
            send(ann, ChatId(999), "4", "nowhere"),
            send(ann, chat, "5", " \n "),
            send(ann, chat, "6", "nul\0"),
            send(ann, chat, "7", &long),
            send(ann, chat, "", "no key"),
            send(ann, chat, "8\u{7}", "bad key"),
            reply(ann, chat, "9", "to nothing", Some(Seq(77))),
            edit(ann, chat, Seq(77), "nothing"),
            delete(ann, chat, Seq(77)),
            send(protocol::id::UserId(999), chat, "10", "nobody"),
            send(eve, ChatId(1), "11", "anybody may talk in the lobby"),
            send(ann, chat, "12", "last"),
        ])
        .await;
    let codes: Vec<_> =
        posted.results.iter().map(|result| result.as_ref().err().map(|r| r.code)).collect();
    assert_eq!(
        codes,
        [
            None,
            Some(Code::NotAMember),
            Some(Code::Blocked),
            Some(Code::ChatNotFound),
            Some(Code::InvalidText),
            Some(Code::InvalidText),
            Some(Code::InvalidText),
            Some(Code::InvalidClientMessageId),
            Some(Code::InvalidClientMessageId),
            Some(Code::InvalidReplyTo),
            Some(Code::MessageNotFound),
            Some(Code::MessageNotFound),
            Some(Code::Blocked),
            None,
            None,
        ]
    );
    assert_eq!(t.head(chat).await, Seq(2));
    let all_refused = t.post(vec![send(ann, chat, "", "x")]).await;
    assert_eq!(all_refused.events.len(), 0);
    assert!(t.post(Vec::new()).await.results.is_empty());
}

async fn edits_and_deletions(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    let id = t.say(bob, chat, "one").await;
    assert_eq!(code(t.one(edit(ann, chat, id, "two")).await), Code::NotYours);
    let edited = t.one(edit(bob, chat, id, "two")).await.unwrap();
    assert_eq!((edited.message_id, edited.seq), (id, Seq(2)));
    let same = t.one(edit(bob, chat, id, "two")).await.unwrap();
    assert_eq!(same, edited, "the text it has already makes no event");
    let gone = t.one(delete(bob, chat, id)).await.unwrap();
    assert_eq!(gone.seq, Seq(3));
    assert_eq!(t.one(delete(bob, chat, id)).await.unwrap(), gone);
    assert_eq!(code(t.one(edit(bob, chat, id, "three")).await), Code::MessageNotFound);
    assert_eq!(t.head(chat).await, Seq(3));
    let texts = format!("SELECT count(*) FROM messages WHERE chat_id = {chat} AND text <> ''");
    assert_eq!(t.number(texts).await, 0, "what is deleted is not kept");
}

async fn a_batch_may_edit_what_it_sends(t: T) {
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let posted = t
        .post(vec![
            send(ann, chat, "a", "first"),
            edit(ann, chat, Seq(1), "second"),
            reply(ann, chat, "b", "answer", Some(Seq(1))),
            delete(ann, chat, Seq(3)),
            edit(ann, chat, Seq(1), "third"),
            send(ann, chat, "a", "first"),
        ])
        .await;
    let seqs: Vec<i64> = posted.results.iter().map(|r| r.as_ref().unwrap().seq.0).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 1]);
    let kinds: Vec<&str> = posted.events[0]
        .events
        .iter()
        .map(|event| match &event.change {
            Change::Message(message) => message.text.as_str(),
            Change::Edited(message) => message.text.as_str(),
            Change::Deleted { .. } => "gone",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["first", "second", "answer", "gone", "third"]);
    let events = t.events_after(chat, Seq(0), 200).await;
    assert!(
        matches!(&events[0].change, Change::Message(m) if m.text == "third" && m.edited_at.is_some())
    );
    assert!(matches!(&events[1].change, Change::Deleted { id: Seq(3), .. }));
    assert_eq!(events.len(), 2);
}

async fn who_may_delete(t: T) {
    let [ann, bob, cid, root, eve] = t.users(["ann", "bob", "cid", "root", "eve"]).await;
    t.sql(format!("UPDATE users SET role = 'admin' WHERE id = {root}")).await;
    let chat = t.group(ann, &[bob, cid]).await;
    let id = t.say(bob, chat, "hm").await;
    let other = t.say(bob, chat, "hm hm").await;
    assert_eq!(code(t.one(delete(cid, chat, id)).await), Code::NotYours);
    assert_eq!(code(t.one(delete(eve, chat, id)).await), Code::NotAMember);
    assert_eq!(t.one(delete(ann, chat, id)).await.unwrap().seq, Seq(3), "the owner");
    assert_eq!(t.one(delete(root, chat, other)).await.unwrap().seq, Seq(4), "an administrator");
    assert_eq!(code(t.one(send(root, chat, "k", "hi")).await), Code::NotAMember);
}

async fn replies(t: T) {
    let ann = t.user("ann").await;
    let [chat, other] = [t.group(ann, &[]).await, t.group(ann, &[]).await];
    let id = t.say(ann, chat, "question").await;
    let answer = t.one(reply(ann, chat, "r", "answer", Some(id))).await.unwrap();
    let events = t.events_after(chat, Seq(1), 200).await;
    let Change::Message(message) = &events[0].change else { panic!("{events:?}") };
    assert_eq!((message.id, message.reply_to), (answer.message_id, Some(id)));
    let elsewhere = reply(ann, other, "r", "answer", Some(id));
    assert_eq!(code(t.one(elsewhere).await), Code::InvalidReplyTo);
}

async fn what_is_committed_is_published(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let [one, two] = [t.group(ann, &[bob]).await, t.group(ann, &[bob]).await];
    t.sql(format!("UPDATE members SET dormant = TRUE WHERE user_id = {bob} AND chat_id = {two}"))
        .await;
    let channels = [Channel::Chat(one), Channel::Chat(two), Channel::User(bob)];
    let mut heard = t.listen(&channels).await;
    let posted = t
        .post(vec![send(ann, two, "a", "x"), send(ann, one, "b", "y"), send(ann, two, "c", "z")])
        .await;
    for run in &posted.events {
        let (channel, payload) = heard.next().await;
        assert_eq!(channel, Channel::Chat(run.chat_id));
        let told: ChatEvents = serde_json::from_value(payload).unwrap();
        assert_eq!(told, *run, "as it is answered");
    }
    let wake = serde_json::json!({"kind": "wake", "chat_id": two, "after": 0});
    heard.expect(Channel::User(bob), wake).await;
    // In one batch, too, a repeat is told by itself, before what is new.
    t.post(vec![send(ann, one, "d", "next"), send(ann, one, "b", "y")]).await;
    for text in ["y", "next"] {
        let (_, payload) = heard.next().await;
        assert_eq!(payload["events"].as_array().unwrap().len(), 1);
        assert_eq!(payload["events"][0]["text"], text);
        assert_eq!(payload["events"][0]["sender"]["username"], "ann");
    }
}

async fn counters_follow(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.try_create(ann, ChatType::Private, &[bob]).await.unwrap();
    let id = t.say(ann, chat, "one").await;
    t.say(bob, chat, "two").await;
    t.one(edit(ann, chat, id, "edited")).await.unwrap();
    t.one(delete(ann, chat, id)).await.unwrap();
    let count = format!("SELECT message_count FROM chats WHERE id = {chat}");
    assert_eq!(t.number(count).await, 1);
    assert_eq!(t.head(chat).await, Seq(4));
}
