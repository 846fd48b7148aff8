//! Reading: a chat with thousands of unread messages opens where reading begins and comes to rest; whoever reads far
//! back keeps the place; a quote leads to its message.

use crate::{
    harness::{Browser, Server, Stage},
    writer::Writer,
};
use reqwest::Method;
use serde_json::{Value, json};

const LOBBY: i64 = 1;

#[tokio::test]
async fn five_thousand_unread_messages_come_to_rest() {
    let stage = Stage::cluster(&[], ["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage.tell(unread(server, ann)).await;
}

#[tokio::test]
async fn far_back_the_place_is_kept_whatever_arrives() {
    let stage = Stage::cluster(&[], ["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage.tell(far_back(server, ann)).await;
}

#[tokio::test]
async fn a_quote_leads_to_its_message() {
    let stage = Stage::alone(["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage.tell(quotes(server, ann)).await;
}

async fn unread(server: &Server, ann: &Browser) {
    let bob = Writer::register(server, "bob").await;
    bob.say(LOBBY, "read long ago").await;
    enter_lobby(server, ann).await;
    ann.read("read long ago", 1).await;
    ann.open("about:blank").await;
    bob.say_many(LOBBY, 5_000).await;

    ann.open(&format!("{}#/chat/1", server.url())).await;
    // What is in sight at once counts as read.
    let few = 4_900..5_000;
    ann.until("the bar counts", async || news(ann).await.is_some_and(|left| few.contains(&left)))
        .await;
    let left = news(ann).await.unwrap();
    let first = first_after(&bob, "read long ago").await;
    assert_eq!(
        top_message_below_line(ann).await,
        json!(first),
        "the line stands before the first unread one"
    );
    let before = place(ann).await;
    assert!(in_sight(ann, first).await, "reading begins at the first unread message");

    // She does nothing, and somebody writes.
    for n in 0..20 {
        bob.say(LOBBY, &format!("live {n}")).await;
        ann.until("one more is counted", async || news(ann).await == Some(left + n + 1)).await;
        assert_kept(ann, &before, "the text stays where it is").await;
    }
    let (pages, bytes) = asked(ann).await;
    assert!(pages <= 2 && bytes < 64 * 1024, "{pages} pages, {bytes} bytes");

    // A page for a gesture; and what was in sight counts as read.
    scroll(ann, "log.scrollHeight").await;
    ann.until("a page more", async || asked(ann).await.0 == pages + 1).await;
    ann.until("the count goes down", async || news(ann).await < Some(left - 10)).await;
    let view = bob.get("chats/1").await;
    assert!(view["seq"].as_i64() > Some(5_000), "{view}");
    assert_eq!(asked(ann).await.0, pages + 1, "no page because of a page");

    ann.click("#news button:last-of-type").await;
    ann.gone("#news:not([hidden])").await;
    ann.gone("#chat-list .badge").await;
    ann.click("#pill").await;
    ann.read("live 19", 1).await;
    ann.gone("#pill:not([hidden])").await;
}

async fn far_back(server: &Server, ann: &Browser) {
    let bob = Writer::register(server, "bob").await;
    bob.say_many(LOBBY, 2_500).await;
    enter_lobby(server, ann).await;
    ann.gone("#pill:not([hidden])").await;
    let newest = newest(ann).await;
    let mut pages = asked(ann).await.0;
    while oldest(ann).await > newest - 2_000 {
        scroll(ann, "0").await;
        pages += 1;
        ann.until("a page more", async || asked(ann).await.0 == pages && !loads(ann).await).await;
        assert_in_a_row(ann).await;
    }
    let before = place(ann).await;
    // Each is on the page before the next one is written: no two are drawn together.
    for n in 0..30 {
        bob.say(LOBBY, &format!("live {n}")).await;
        let many = if n == 0 { "" } else { "s" };
        ann.see("#pill", &format!("{} new message{many}", n + 1)).await;
        assert_kept(ann, &before, "the place is kept").await;
    }
    assert_eq!(asked(ann).await.0, pages, "nothing was asked for");

    // Forward again, over the edge where the newer ones were dropped.
    for _ in 0..3 {
        scroll(ann, "log.scrollHeight").await;
        let before = place(ann).await;
        pages += 1;
        ann.until("a page more", async || asked(ann).await.0 == pages && !loads(ann).await).await;
        assert_in_a_row(ann).await;
        assert_kept(ann, &before, "the place is kept when the edge is reached").await;
    }
    ann.click("#pill").await;
    ann.read("live 29", 1).await;
    assert_in_a_row(ann).await;
    // What she writes stands at the end, and is there once.
    scroll(ann, "0").await;
    ann.say("from far back").await;
    ann.read("from far back", 1).await;
    ann.gone(".message.pending").await;
    ann.gone("#pill:not([hidden])").await;
    assert_eq!(bob.count(LOBBY, "from far back").await, 1);
}

async fn quotes(server: &Server, ann: &Browser) {
    let bob = Writer::register(server, "bob").await;
    let [quoted, deleted] =
        [bob.say(LOBBY, "what is quoted").await, bob.say(LOBBY, "what is deleted").await];
    bob.say_many(LOBBY, 400).await;
    bob.reply(LOBBY, "about it", quoted).await;
    bob.reply(LOBBY, "about nothing", deleted).await;
    bob.ask(Method::DELETE, &format!("chats/{LOBBY}/messages/{deleted}"), Value::Null).await;
    enter_lobby(server, ann).await;
    ann.read("about nothing", 1).await;

    ann.see(".message:last-child p.quote", "A deleted message").await;
    ann.click(".message:nth-last-child(2) .quote").await;
    ann.read("what is quoted", 1).await;
    ann.find(&format!("[data-id='{quoted}'].flash")).await;
    assert!(in_sight(ann, quoted).await);
    let focused = ann.run("return Number(document.activeElement.dataset.id)").await;
    assert_eq!(focused, json!(quoted));
    ann.click("#pill").await;
    ann.read("about it", 1).await;
}

pub(crate) async fn enter_lobby(server: &Server, ann: &Browser) {
    ann.open(&server.url()).await;
    ann.register().await;
    ann.click("#enter-lobby").await;
    ann.see("#chat-name", "lobby").await;
    ann.find("#items .message").await;
}

/// How many new messages the bar counts.
async fn news(ann: &Browser) -> Option<i64> {
    let script = "return document.querySelector('#news:not([hidden]) strong')?.textContent ?? ''";
    let text = ann.run(script).await;
    text.as_str()?.strip_suffix(" new messages")?.replace(',', "").parse().ok()
}

/// The id of the message that follows the one with this text.
async fn first_after(bob: &Writer, text: &str) -> i64 {
    let page = bob.get("chats/1/messages?after=0&limit=2").await;
    assert_eq!(page[0]["text"], text);
    page[1]["id"].as_i64().unwrap()
}

async fn top_message_below_line(ann: &Browser) -> Value {
    ann.run("return Number(document.querySelector('.new-line ~ .message').dataset.id)").await
}

/// Scrolls as a hand does: the page has not moved itself.
pub(crate) async fn scroll(ann: &Browser, to: &str) {
    ann.run(&format!("const log = document.getElementById('log'); log.scrollTop = {to}")).await;
}

/// Pages of messages that were asked for, and their bytes.
pub(crate) async fn asked(ann: &Browser) -> (u64, u64) {
    let script = "const pages = performance.getEntriesByType('resource').filter(({ name }) => name.includes('/chats/1/messages'));\
        return [pages.length, pages.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)]";
    serde_json::from_value(ann.run(script).await).unwrap()
}

pub(crate) async fn loads(ann: &Browser) -> bool {
    let script = "return /Loading/.test(document.getElementById('log').textContent)";
    ann.run(script).await == json!(true)
}

/// The first message in sight and how far it is from the top.
async fn place(ann: &Browser) -> (String, f64) {
    let place = ann
        .run(
            "const { top } = document.getElementById('log').getBoundingClientRect();\
             const rows = [...document.querySelectorAll('#items .message')];\
             const first = rows.find((row) => row.getBoundingClientRect().bottom > top + 2);\
             return [first.dataset.id, first.getBoundingClientRect().top - top]",
        )
        .await;
    serde_json::from_value(place).unwrap()
}

/// Rows are fractions of a pixel high, and a log scrolls by whole ones.
async fn assert_kept(ann: &Browser, before: &(String, f64), why: &str) {
    let now = place(ann).await;
    assert!(
        now.0 == before.0 && (now.1 - before.1).abs() <= 1.0,
        "{why}: {before:?}, then {now:?}"
    );
}

async fn in_sight(ann: &Browser, id: i64) -> bool {
    let script = format!(
        "const log = document.getElementById('log').getBoundingClientRect();\
         const row = document.querySelector('[data-id=\"{id}\"]').getBoundingClientRect();\
         return row.top >= log.top && row.bottom <= log.bottom"
    );
    ann.run(&script).await == json!(true)
}

async fn ids(ann: &Browser) -> Vec<i64> {
    let script = "return [...document.querySelectorAll('#items .message')].map((row) => Number(row.dataset.id))";
    serde_json::from_value(ann.run(script).await).unwrap()
}

async fn oldest(ann: &Browser) -> i64 {
    ids(ann).await[0]
}

async fn newest(ann: &Browser) -> i64 {
    *ids(ann).await.last().unwrap()
}

/// Nobody deletes anything here, so the ids on the screen have no holes; and there are not many of them.
async fn assert_in_a_row(ann: &Browser) {
    let ids = ids(ann).await;
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ids:?}");
    assert!(ids.len() <= 300, "{} messages are drawn", ids.len());
}
