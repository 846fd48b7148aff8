//! A finger on the page: what rests on a message or on a chat of the list opens what can be done with it.

use crate::harness::{Browser, Server, Stage};
use fantoccini::{
    Locator,
    actions::{InputSource, PointerAction, TouchActions},
};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than the page takes for a resting finger.
const REST: Duration = Duration::from_millis(800);
const TAP: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_resting_finger_opens_what_can_be_done() {
    let stage = Stage::alone(["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage.tell(story(server, ann)).await;
}

async fn story(server: &Server, ann: &Browser) {
    ann.open(&server.url()).await;
    ann.register().await;
    ann.click("#enter-lobby").await;
    ann.say("hello").await;
    ann.find(".message.own [aria-label='Sent']").await;

    touch(ann, ".message.own .bubble", TAP).await;
    ann.find(".message.own .actions").await;
    assert_eq!(ann.count(".chat-menu").await, 0, "a tap is no rest");

    touch(ann, ".message.own .bubble", REST).await;
    // The finger is gone, and the menu is there.
    ann.see(".chat-menu:popover-open", "Reply\nCopy text\nSelect text\nEdit\nDelete").await;
    ann.click(".chat-menu button:nth-of-type(3)").await;
    // The text can be selected as long as it is, and no finger opens the menu instead.
    ann.until("the text is selected", async || selected(ann).await == "hello").await;
    touch(ann, ".message.own .bubble", REST).await;
    assert_eq!(ann.count(".chat-menu").await, 0, "a finger on a selection is the browser's");
    ann.run("document.getSelection().removeAllRanges()").await;
    ann.gone(".message.selects").await;

    touch(ann, ".message.own .bubble", REST).await;
    ann.click(".chat-menu button:nth-of-type(4)").await;
    ann.gone(".chat-menu").await;
    ann.see("#context b", "Editing your message").await;

    touch(ann, "#chat-list .entry", REST).await;
    ann.see(".chat-menu:popover-open button:nth-of-type(2)", "Pin").await;
    touch(ann, "#chat-name", TAP).await;
    ann.gone(".chat-menu").await;

    // What points along the line points to the other side where one writes from right to left.
    ann.run("document.documentElement.dir = 'rtl'").await;
    let mirrored =
        "return getComputedStyle(document.querySelector('#composer-send .icon')).transform";
    assert_eq!(ann.run(mirrored).await, json!("matrix(-1, 0, 0, 1, 0, 0)"));
}

async fn selected(ann: &Browser) -> Value {
    ann.run("return document.getSelection().toString()").await
}

/// A finger is laid on an element and lifted after a while.
async fn touch(ann: &Browser, selector: &str, duration: Duration) {
    ann.find(selector).await;
    let element = ann.client.find(Locator::Css(selector)).await.unwrap();
    let lay = PointerAction::MoveToElement { element, duration: None, x: 0., y: 0. };
    let finger = TouchActions::new("finger".to_owned())
        .then(lay)
        .then(PointerAction::Down { button: 0 })
        .then(PointerAction::Pause { duration })
        .then(PointerAction::Up { button: 0 });
    ann.client.perform_actions(finger).await.unwrap();
}
