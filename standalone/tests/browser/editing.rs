//! Changing a message is as safe as writing one, and a quote says who and what it is about.

use crate::{
    harness::{Browser, Server, Stage},
    writer::Writer,
};
use fantoccini::key::Key;

const LOBBY: i64 = 1;

#[tokio::test]
async fn a_change_of_a_message_outlasts_a_reload_and_another_chat() {
    let stage = Stage::alone(["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage.tell(change(server, ann)).await;
}

#[tokio::test]
async fn a_quote_of_a_message_that_is_not_there_says_who_and_what() {
    let stage = Stage::alone(["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage.tell(quote(server, ann)).await;
}

async fn change(server: &Server, ann: &Browser) {
    let bob = Writer::register(server, "bob").await;
    ann.open(&server.url()).await;
    ann.register().await;
    ann.click("#enter-lobby").await;
    ann.say("a mistkae").await;
    ann.find(".message.own [aria-label='Sent']").await;
    let answered = bob.say(LOBBY, "an answer").await;
    ann.read("an answer", 1).await;

    // A reply is begun, then the message before is changed first.
    ann.run(&format!("document.querySelector('[data-id=\"{answered}\"]').focus()")).await;
    ann.click(&format!("[data-id='{answered}'] .actions [aria-label=Reply]")).await;
    ann.find("#context:not([hidden])").await;
    ann.press("#composer-text", &char::from(Key::Up).to_string()).await;
    ann.see("#context b", "Editing your message").await;
    let backspaces: String = std::iter::repeat_n(char::from(Key::Backspace), 4).collect();
    ann.press("#composer-text", &format!("{backspaces}take")).await;
    ann.until("it is kept", async || kept(ann).await == "a mistake").await;
    ann.client.refresh().await.unwrap();
    is_changing(ann).await;
    ann.run("location.hash = '#/'").await;
    ann.see("#chat-list .preview", "Draft: a mistake").await;
    ann.click("#chat-list .entry").await;
    is_changing(ann).await;
    ann.press("#composer-text", &char::from(Key::Enter).to_string()).await;
    ann.read("a mistake", 1).await;
    ann.read("a mistkae", 0).await;
    // The reply is still begun.
    ann.see("#context b", "Replying to bob").await;

    // What the server refuses goes back.
    ann.press("#composer-text", &char::from(Key::Escape).to_string()).await;
    ann.press("#composer-text", &char::from(Key::Up).to_string()).await;
    ann.run(
        "const field = document.getElementById('composer-text'); field.value = 'bad \\u0001 text';\
         field.dispatchEvent(new Event('input', { bubbles: true })); field.form.requestSubmit()",
    )
    .await;
    ann.find("#toast:not([hidden])").await;
    ann.see("#context b", "Editing your message").await;
    assert_eq!(field(ann).await, "bad \u{1} text");
}

async fn is_changing(ann: &Browser) {
    ann.see("#context b", "Editing your message").await;
    ann.see("#context span", "a mistkae").await;
    assert_eq!(field(ann).await, "a mistake");
}

async fn quote(server: &Server, ann: &Browser) {
    let bob = Writer::register(server, "bob").await;
    let first = bob.say(LOBBY, "the **oldest** one").await;
    let gone = bob.say(LOBBY, "a deleted one").await;
    bob.say_many(LOBBY, 150).await;
    bob.reply(LOBBY, "to the oldest", first).await;
    bob.reply(LOBBY, "to a deleted one", gone).await;
    bob.ask(reqwest::Method::DELETE, &format!("chats/1/messages/{gone}"), serde_json::Value::Null)
        .await;
    ann.open(&server.url()).await;
    ann.register().await;
    ann.click("#enter-lobby").await;
    ann.read("to the oldest", 1).await;
    ann.see("button.quote", "bob\nthe oldest one").await;
    ann.see("p.quote", "A deleted message").await;
    let asked = "return performance.getEntriesByType('resource')\
        .filter(({ name }) => name.includes('limit=1&')).length";
    assert_eq!(ann.run(asked).await, 2, "each once");
    bob.reply(LOBBY, "once more", first).await;
    ann.until("the new quote says it, too", async || ann.count("button.quote b").await == 2).await;
    assert_eq!(ann.run(asked).await, 2, "it is known");
}

/// The kept text of a change.
async fn kept(ann: &Browser) -> serde_json::Value {
    let script = "const done = arguments[0];\
        const request = indexedDB.open('switchboard');\
        request.onsuccess = () => {\
            const all = request.result.transaction('drafts').objectStore('drafts').getAll();\
            all.onsuccess = () => { request.result.close(); done(all.result[0]?.edit?.text ?? null); };\
        }";
    ann.client.execute_async(script, Vec::new()).await.unwrap()
}

async fn field(ann: &Browser) -> serde_json::Value {
    ann.run("return document.getElementById('composer-text').value").await
}
