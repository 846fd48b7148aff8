//! The members of a large room: a page of them at first, more when asked for, and anybody by a part of the name. A
//! thousand accounts would take a minute, so the page is told of them by a script in the place of the server.

use crate::{
    accessibility::check,
    harness::{Browser, Server, Stage},
    reading::enter_lobby,
    writer::Writer,
};
use serde_json::json;

/// Answers for the list of the lobby's members, and counts how often. A block, or the page would have the old `fetch`.
const MANY: &str = "{
    const { fetch } = window;
    const person = (n) => ({ id: 1000 + n, username: `person${n}`, name: '', avatar: '', role: 'member', status: 'offline', last_read: 0 });
    const people = [...Array.from({ length: 1200 }, (_, n) => person(n)), { ...person(1200), name: 'Zoe Last', status: 'online' }];
    window.asked = 0;
    window.fetch = (path, options) => {
        if (!path.startsWith('/chats/1/members')) return fetch(path, options);
        window.asked += 1;
        const asked = new URL(path, location).searchParams;
        const left = people.filter(({ id }) => id > Number(asked.get('after') ?? 0));
        const items = left.slice(0, Number(asked.get('limit')));
        return Promise.resolve(Response.json({ items, next: items.length < left.length ? items.at(-1).id : null }));
    };
}";

#[tokio::test]
async fn anybody_is_found_among_many_members() {
    let stage = Stage::alone(["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage.tell(story(server, ann)).await;
}

async fn story(server: &Server, ann: &Browser) {
    Writer::register(server, "bob").await.say(1, "who is here?").await;
    enter_lobby(server, ann).await;
    ann.click("#chat-details").await;
    ann.until("both are there", async || members(ann).await == 2).await;
    assert_eq!(
        ann.count("#details-dialog .members > .field:not([hidden])").await,
        0,
        "two are found at a glance"
    );

    ann.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": MANY })).await;
    ann.client.refresh().await.unwrap();
    ann.click("#chat-details").await;
    ann.until("a page of them is there", async || members(ann).await == 50).await;
    ann.run("window.asked = 0").await;
    ann.press("#details-find", "zoe").await;
    ann.see("#details-members small", "@person1200 · Online").await;
    assert_eq!(members(ann).await, 1);
    assert_eq!(ann.run("return window.asked").await, json!(3), "large pages, and none twice");
    let found = check(ann, "members that are looked for").await;
    assert!(found.is_empty(), "{}", found.join("\n"));
    ann.press("#details-find", "x").await;
    ann.see("#details-dialog .members > .hint", "Nobody found for “zoex”.").await;

    ann.run("const field = document.getElementById('details-find'); field.value = ''; field.dispatchEvent(new Event('input'))").await;
    ann.until("a page of them is drawn", async || members(ann).await == 50).await;
    ann.click("#details-dialog .members > button").await;
    ann.until("one more is drawn", async || members(ann).await == 100).await;
}

async fn members(ann: &Browser) -> usize {
    ann.count("#details-members li").await
}
