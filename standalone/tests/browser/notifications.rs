//! Somebody who looks elsewhere is told of new messages: as chosen, once, and not of what was read. The browser's own
//! notifications are recorded instead of shown.

use crate::{
    accessibility::check,
    harness::{Browser, Server, Stage},
    writer::Writer,
};
use reqwest::Method;
use serde_json::{Value, json};

const LOBBY: i64 = 1;

/// Records in `told` what is shown, and in `asked` how often the person is asked, who agrees; counts sounds.
const RECORD: &str = "window.told = []; window.asked = 0; window.sounds = 0;\
    window.Notification = class {\
        static permission = 'default';\
        static async requestPermission() { window.asked += 1; return (this.permission = 'granted'); }\
        constructor(title, options) { Object.assign(this, options, { title, closed: false }); window.told.push(this); }\
        close() { this.closed = true; this.onclose?.(); }\
    };\
    const Sound = window.AudioContext;\
    window.AudioContext = class extends Sound { constructor() { super(); window.sounds += 1; } };";
const ELSEWHERE: &str = "document.hasFocus = () => false";
const HERE: &str = "document.hasFocus = () => true; window.dispatchEvent(new Event('focus'))";

#[tokio::test]
async fn somebody_who_looks_elsewhere_is_told_as_chosen() {
    let stage = Stage::alone(["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage
        .tell(async {
            let bob = Writer::register(server, "bob").await;
            ann.open(&server.url()).await;
            ann.register().await;
            ann.click("#enter-lobby").await;
            ann.see("#chat-name", "lobby").await;
            ann.run(RECORD).await;
            nothing_is_asked_before_it_is_wanted(ann).await;
            what_nobody_looks_at_is_told(ann, &bob).await;
            a_click_leads_to_the_chat(ann, &bob).await;
            a_muted_chat_is_silent(ann, &bob).await;
            another_window_that_shows_it_is_enough(server, ann, &bob).await;
        })
        .await;
}

async fn nothing_is_asked_before_it_is_wanted(ann: &Browser) {
    ann.run("Notification.permission = 'denied'").await;
    open_settings(ann).await;
    ann.find("#settings-dialog [name=show]:disabled").await;
    ann.find("#settings-show-hint").await;
    let found = check(ann, "notifications that the browser refuses").await;
    assert!(found.is_empty(), "{}", found.join("\n"));
    ann.run("Notification.permission = 'default'").await;
    open_settings(ann).await;
    ann.find("#settings-dialog [name=text]:disabled").await;
    assert_eq!(ann.run("return window.asked").await, 0);
    ann.click("#settings-dialog [name=show]").await;
    ann.find("#settings-dialog [name=text]:checked:enabled").await;
    assert_eq!(last(ann).await["body"], "You are told of new messages here.");
    ann.click("#settings-dialog [name=sound]").await;
    ann.until("the sound is heard", async || ann.run("return window.sounds").await == 1).await;
    assert_eq!(ann.run("return window.asked").await, 1);
    let found = check(ann, "notifications").await;
    assert!(found.is_empty(), "{}", found.join("\n"));
    ann.click("#settings-dialog header [aria-label=Close]").await;
}

async fn what_nobody_looks_at_is_told(ann: &Browser, bob: &Writer) {
    ann.run(HERE).await;
    bob.say(LOBBY, "before her eyes").await;
    ann.read("before her eyes", 1).await;
    ann.run(ELSEWHERE).await;
    bob.say(LOBBY, "the **first** one").await;
    until_told(ann, "bob: the first one").await;
    bob.say(LOBBY, "the next one").await;
    until_told(ann, "bob: the next one").await;
    let last = last(ann).await;
    assert_eq!([&last["title"], &last["tag"]], ["lobby", "chat 1"]);
    assert_eq!(last["renotify"], false, "the chat goes on");
    assert_eq!(ann.run("return window.sounds").await, 2);
    assert_eq!(all(ann).await[1..], ["bob: the first one", "bob: the next one"]);
    ann.until("title and icon say so", async || {
        ann.run("return [document.title, document.querySelector('link[rel=icon]').href.split('/').at(-1)]").await
            == json!(["(2) Switchboard", "icon-unread.svg"])
    })
    .await;
    ann.run(HERE).await;
    ann.until("it goes once it is read", async || {
        ann.run("return window.told.at(-1).closed && document.title").await == "Switchboard"
    })
    .await;
}

async fn a_click_leads_to_the_chat(ann: &Browser, bob: &Writer) {
    ann.run("location.hash = '#/'").await;
    ann.find("#chat[hidden]").await;
    bob.say(LOBBY, "come here").await;
    until_told(ann, "bob: come here").await;
    ann.run("window.told.at(-1).onclick()").await;
    ann.see("#chat-name", "lobby").await;
    ann.until("it goes", async || ann.run("return window.told.at(-1).closed").await == true).await;
}

async fn a_muted_chat_is_silent(ann: &Browser, bob: &Writer) {
    ann.run(ELSEWHERE).await;
    let mute = |muted: bool| {
        format!(
            "fetch('/chats/1/me', {{ method: 'PATCH', body: '{{\"muted\":{muted}}}',\
             headers: {{ 'Content-Type': 'application/json' }} }})"
        )
    };
    ann.run(&mute(true)).await;
    ann.find("#chat-list [aria-label=Muted]").await;
    bob.say(LOBBY, "not told").await;
    ann.read("not told", 1).await;
    ann.run(&mute(false)).await;
    ann.gone("#chat-list [aria-label=Muted]").await;
    bob.say(LOBBY, "told").await;
    until_told(ann, "bob: told").await;
    assert!(!all(ann).await.contains(&json!("bob: not told")));
}

async fn another_window_that_shows_it_is_enough(server: &Server, ann: &Browser, bob: &Writer) {
    // A chat of its own, or its news and the lobby's might be told as one. What a stranger writes is not shown.
    let me = bob.get("users?query=ann").await["items"][0]["id"].as_i64().unwrap();
    let chat = json!({ "chat_type": "private", "member_ids": [me] });
    let chat = bob.ask(Method::POST, "chats", chat).await["id"].as_i64().unwrap();
    let first = ann.client.window().await.unwrap();
    // Not a tab: the first one stays in sight, so that its timers keep their pace.
    let second = ann.client.new_window(false).await.unwrap().handle;
    ann.client.switch_to_window(second.clone()).await.unwrap();
    ann.open(&format!("{}#/chat/1", server.url())).await;
    ann.read("told", 1).await;
    ann.run(RECORD).await;
    ann.run("Notification.permission = 'granted'").await;
    ann.run(HERE).await;
    // Nobody is told of a message that is read, so none may be marked as read before the first window's moment is over:
    // the mark of the second one waits for a second.
    bob.say(LOBBY, "seen there, too").await;
    bob.say(LOBBY, "seen there").await;
    bob.say(chat, "seen nowhere").await;
    ann.read("seen there", 1).await;
    ann.client.switch_to_window(first).await.unwrap();
    until_told(ann, "@bob wants to write to you.").await;
    let told = all(ann).await;
    let is_told = |text: &Value| text.as_str().is_some_and(|text| text.contains("seen there"));
    assert!(!told.iter().any(is_told), "{told:?}");
    // The second window's mark is told after its moment.
    ann.gone("#chat-list a[href='#/chat/1'] .badge").await;
    ann.client.switch_to_window(second).await.unwrap();
    assert!(all(ann).await.is_empty(), "one window tells of what no window shows");
}

async fn open_settings(ann: &Browser) {
    if ann.count("#settings-dialog[open]").await == 0 {
        ann.click("#account button").await;
        ann.click("#account-menu [data-do=settings]").await;
    }
    ann.click("#settings-dialog [data-section=notifications]").await;
}

async fn until_told(ann: &Browser, body: &str) {
    ann.until(&format!("she is told {body:?}"), async || last(ann).await["body"] == body).await;
}

async fn last(ann: &Browser) -> Value {
    ann.run("const last = window.told.at(-1); return last ? { ...last, onclick: null, onclose: null } : {}").await
}

/// What all notifications have said.
async fn all(ann: &Browser) -> Vec<Value> {
    let all = ann.run("return window.told.map(({ body }) => body)").await;
    all.as_array().unwrap().clone()
}
