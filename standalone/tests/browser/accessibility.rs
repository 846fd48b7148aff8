//! Every part of the page that a person meets, checked by axe-core for what WCAG 2.2 AA asks and a program can see. What
//! only people can judge, such as a sensible order of the focus, it does not know.

use crate::{
    chrome::{Screen, Theme},
    harness::{Browser, Server, Stage},
};
use fantoccini::key::Key;
use std::{fs, path::Path};

#[tokio::test]
async fn nothing_keeps_people_from_using_the_page() {
    let stage = Stage::alone(["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage.tell(look_round(server, ann)).await;
}

async fn look_round(server: &Server, ann: &Browser) {
    let mut found = Vec::new();
    ann.open(&server.url()).await;
    ann.find("#sign-in-name").await;
    found.extend(check(ann, "signing in").await);
    ann.register().await;
    ann.find("#room-list .entry").await;
    found.extend(check(ann, "the list").await);
    ann.click("#room-list .entry").await;
    for text in ["Hello, **lobby**", "https://example.com/a_b", "🎉"] {
        ann.say(text).await;
    }
    ann.find("#items .message:not(.pending):nth-last-child(1)").await;
    found.extend(check(ann, "a chat").await);
    ann.click("#chat-details").await;
    ann.find("#details-members li").await;
    found.extend(check(ann, "the details").await);
    ann.click("#details-dialog header button").await;
    ann.click("#new-chat").await;
    found.extend(check(ann, "a new chat").await);
    ann.click("#new-dialog header button").await;
    ann.press("body", "?").await;
    ann.find("#shortcuts-dialog[open]").await;
    found.extend(check(ann, "the shortcuts").await);
    ann.click("#shortcuts-dialog header button").await;
    ann.press("body", &format!("{}k", char::from(Key::Control))).await;
    ann.find("#go-to-found [role=option]").await;
    found.extend(check(ann, "going anywhere").await);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What axe-core finds in what is in sight, on a wide screen and a phone, in the light and in the dark.
pub(crate) async fn check(browser: &Browser, sight: &str) -> Vec<String> {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/test-tools/node_modules/axe-core/axe.min.js");
    let axe = fs::read_to_string(&axe)
        .unwrap_or_else(|_| panic!("{} is missing: run scripts/install-test-tools", axe.display()));
    let mut found = Vec::new();
    // The last one is how stories go on.
    for (screen, theme) in [
        (Screen::Phone, Theme::Light),
        (Screen::Phone, Theme::Dark),
        (Screen::Desk, Theme::Dark),
        (Screen::Desk, Theme::Light),
    ] {
        browser.look(screen, theme).await;
        if browser.run("return typeof axe").await == "undefined" {
            browser.run(&axe).await;
        }
        let script = "const done = arguments[0];
            const runOnly = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
            const short = ({ id, help, nodes }) =>
                `${id}: ${help}: ${nodes.map((node) => `${node.html} (${node.failureSummary})`).join('; ')}`;
            axe.run(document, { runOnly }).then(({ violations }) => done(violations.map(short)));";
        let here = browser.client.execute_async(script, Vec::new()).await.unwrap();
        let here: Vec<String> = serde_json::from_value(here).unwrap();
        found.extend(here.into_iter().map(|one| format!("{sight}, {screen:?}, {theme:?}: {one}")));
    }
    found
}
