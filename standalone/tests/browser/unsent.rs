//! Nothing that is typed is lost: unsent messages and drafts outlast the server and the window, and what cannot be sent
//! is said at once.

use crate::{
    harness::{Browser, Server, Stage},
    writer::Writer,
};
use reqwest::Method;
use serde_json::{Value, json};

const LOBBY: i64 = 1;

#[tokio::test]
async fn unsent_messages_and_drafts_outlast_server_and_window() {
    let stage = Stage::cluster(&[], ["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage.tell(outlast(server, ann)).await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_said_at_once() {
    let stage = Stage::alone(["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage.tell(refused(server, ann)).await;
}

async fn outlast(server: &Server, ann: &Browser) {
    let bob = Writer::register(server, "bob").await;
    ann.open(&server.url()).await;
    ann.register().await;
    ann.click("#enter-lobby").await;
    ann.see("#chat-name", "lobby").await;
    ann.say("sent at once").await;
    ann.find(".message.own [aria-label='Sent']").await;

    // A window of the same person that stays, and hears the same.
    let stays = ann.client.window().await.unwrap();
    let goes = ann.client.new_window(true).await.unwrap().handle;
    ann.client.switch_to_window(goes).await.unwrap();
    ann.open(&format!("{}#/chat/1", server.url())).await;
    ann.read("sent at once", 1).await;
    server.until_each_gateway_holds(1).await;
    ann.excuse_outage();
    server.stop().await;
    ann.find("#banner:not([hidden])").await;
    ann.say("written offline").await;
    ann.say("and another one").await;
    ann.press("#composer-text", "half a sent").await;
    ann.until("the draft is kept", async || kept(ann).await == json!(["half a sent", 2])).await;
    ann.client.close_window().await.unwrap();
    ann.client.switch_to_window(stays.clone()).await.unwrap();
    server.start_again().await;

    // The window that stayed sends what the other one has left.
    for text in ["written offline", "and another one", "sent at once"] {
        ann.read(text, 1).await;
        ann.until("it is stored once", async || bob.count(LOBBY, text).await == 1).await;
    }
    ann.gone(".message.pending").await;

    // The only window goes while the server is down, and comes back when it is up again.
    ann.press("#composer-text", "a draft").await;
    ann.until("the draft is kept", async || kept(ann).await[0] == "a draft").await;
    ann.run("document.getElementById('composer-text').value = ''").await;
    server.stop().await;
    ann.find("#banner:not([hidden])").await;
    ann.say("written before the crash").await;
    ann.press("#composer-text", "once more half a sent").await;
    ann.until("all is kept", async || kept(ann).await == json!(["once more half a sent", 1])).await;
    ann.open("about:blank").await;
    server.start_again().await;
    ann.open(&format!("{}#/chat/1", server.url())).await;
    ann.read("written before the crash", 1).await;
    ann.gone(".message.pending").await;
    ann.until("the draft is back", async || field(ann).await == "once more half a sent").await;
    assert_eq!(bob.count(LOBBY, "written before the crash").await, 1);
    ann.until("nothing waits", async || kept(ann).await[1] == 0).await;

    // Who signs out leaves nothing behind.
    ann.click("#account button").await;
    ann.click("#account-menu [data-do=sign-out]").await;
    ann.find("#sign-in:not([hidden])").await;
    ann.until("all is forgotten", async || kept(ann).await == json!([Value::Null, 0])).await;
}

async fn refused(server: &Server, ann: &Browser) {
    let bob = Writer::register(server, "bob").await;
    ann.open(&server.url()).await;
    ann.register().await;
    ann.click("#enter-lobby").await;
    ann.see("#chat-name", "lobby").await;

    for kind in ["paste", "drop"] {
        ann.run(&format!(
            "const data = new DataTransfer();\
             data.items.add(new File(['x'], 'x.png', {{ type: 'image/png' }}));\
             const Event = '{kind}' === 'paste' ? ClipboardEvent : DragEvent;\
             document.getElementById('composer-text').dispatchEvent(new Event('{kind}',\
                 {{ clipboardData: data, dataTransfer: data, bubbles: true, cancelable: true }}))"
        ))
        .await;
        ann.see(
            "#toast",
            "Pictures and files cannot be sent here yet. Send a link to them instead.",
        )
        .await;
        ann.run("document.getElementById('toast').hidden = true").await;
    }

    let type_many = |count: usize| {
        format!(
            "const field = document.getElementById('composer-text'); field.value = '🎉'.repeat({count});\
             field.dispatchEvent(new Event('input', {{ bubbles: true }}))"
        )
    };
    ann.run(&type_many(3_990)).await;
    ann.see("#composer-count", "10 left").await;
    ann.run(&type_many(4_001)).await;
    ann.see("#composer-count", "1 character too many").await;
    ann.find("#composer-send:disabled").await;
    ann.run(&type_many(0)).await;
    ann.gone("#composer-count:not([hidden])").await;

    // What the server refuses can be changed.
    ann.run(
        "const field = document.getElementById('composer-text'); field.value = 'bad \\u0001 text';\
         field.dispatchEvent(new Event('input', { bubbles: true })); field.form.requestSubmit()",
    )
    .await;
    ann.click(".failed .trouble button:nth-of-type(2)").await;
    ann.gone(".failed").await;
    assert_eq!(field(ann).await, "bad \u{1} text");
    ann.run("document.getElementById('composer-text').value = ''").await;

    // Removed while writing.
    let me = bob.get("users?query=ann").await["items"][0]["id"].as_i64().unwrap();
    let body = json!({ "chat_type": "group", "name": "chess", "member_ids": [me] });
    let chat = bob.ask(Method::POST, "chats", body).await["id"].as_i64().unwrap();
    ann.click(&format!("a[href='#/chat/{chat}']")).await;
    ann.see("#chat-name", "chess").await;
    ann.press("#composer-text", "half a sent").await;
    bob.ask(Method::DELETE, &format!("chats/{chat}/members/{me}"), Value::Null).await;
    ann.see("#notice-title", "You are not in “chess” any more.").await;
    let text = ann.run("return document.querySelector('#notice-dialog textarea').value").await;
    assert_eq!(text, "half a sent");
    ann.click("#notice-dialog .primary").await;

    // Links to chats that she is not in.
    ann.excuse("status of 403");
    ann.open(&format!("{}#/chat/{chat}", server.url())).await;
    ann.see("#visit h2", "You are not in this chat.").await;
    let room = json!({ "chat_type": "room", "name": "tea", "member_ids": [] });
    let room = bob.ask(Method::POST, "chats", room).await["id"].as_i64().unwrap();
    ann.open(&format!("{}#/chat/{room}", server.url())).await;
    ann.see("#visit h2", "You have not joined tea yet.").await;
    ann.click("#visit .primary").await;
    ann.see("#chat-name", "tea").await;
}

/// The kept draft, and how many unsent messages are kept.
async fn kept(ann: &Browser) -> Value {
    let script = "const done = arguments[0];\
        const request = indexedDB.open('switchboard');\
        request.onsuccess = () => {\
            const all = request.result.transaction(['drafts', 'unsent']);\
            const [drafts, unsent] = ['drafts', 'unsent'].map((kind) => all.objectStore(kind).getAll());\
            all.oncomplete = () => { request.result.close(); done([drafts.result[0]?.text ?? null, unsent.result.length]); };\
        }";
    ann.client.execute_async(script, Vec::new()).await.unwrap()
}

async fn field(ann: &Browser) -> Value {
    ann.run("return document.getElementById('composer-text').value").await
}
