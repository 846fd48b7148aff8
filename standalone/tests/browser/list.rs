//! The list of chats of somebody who has 260: all of them are reached, named and kept true, and one sets something for
//! each of them.

use crate::harness::{Browser, Server, Stage};
use fantoccini::key::Key;
use serde_json::{Value, json};

const CHATS: usize = 260;

#[tokio::test]
async fn somebody_with_260_chats_finds_every_one() {
    let stage = Stage::cluster(&[], ["ann", "bob"]).await;
    let (server, [ann, bob]) = (&stage.server, &stage.people);
    stage.tell(story(server, ann, bob)).await;
}

async fn story(server: &Server, ann: &Browser, bob: &Browser) {
    for person in [ann, bob] {
        person.open(&server.url()).await;
        person.register().await;
        person.find("#app:not([hidden])").await;
    }
    server.until_each_gateway_holds(1).await;
    ask(bob, "PATCH", "/me", json!({"name": "Боб Бобров"})).await;
    let bob_id = ask(bob, "GET", "/me", Value::Null).await["id"].clone();
    let quiet = ask(
        ann,
        "POST",
        "/chats",
        json!({"chat_type": "group", "name": "the first", "member_ids": [bob_id]}),
    )
    .await;
    let quiet = quiet["id"].as_i64().unwrap();
    // In parts: a script may not run for long.
    for first in (1..CHATS).step_by(20) {
        make_teams(ann, first, CHATS.min(first + 20)).await;
    }
    // Bob joins by his own will, and hears of her.
    ask(bob, "POST", &format!("/chats/{quiet}/join"), json!({})).await;

    every_chat_is_reached(ann, quiet).await;
    the_list_tells_what_was_said(ann, bob, quiet).await;
    names_are_found(ann).await;
    one_sets_something_for_a_chat(ann, bob, quiet).await;
}

/// Groups of these numbers, of whoever is signed in there.
async fn make_teams(person: &Browser, first: usize, end: usize) {
    let script = "const [first, end, done] = arguments;
        (async () => {
            for (let n = first; n < end; n += 1) {
                const body = JSON.stringify({ chat_type: 'group', name: `team ${n}` });
                await fetch('/chats', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
            }
        })().then(() => done(true), (error) => done(String(error)))";
    let made = person.client.execute_async(script, vec![json!(first), json!(end)]).await;
    assert_eq!(made.unwrap(), json!(true));
}

/// A request of the person who is signed in there.
async fn ask(person: &Browser, method: &str, path: &str, body: Value) -> Value {
    let script = "const [method, path, body, done] = arguments;
        fetch(path, { method, headers: { 'Content-Type': 'application/json' }, body: body && JSON.stringify(body) })
            .then((answer) => answer.json()).then(done, (error) => done(String(error)))";
    let arguments = vec![json!(method), json!(path), body];
    person.client.execute_async(script, arguments).await.unwrap()
}

async fn every_chat_is_reached(ann: &Browser, quiet: i64) {
    ann.client.refresh().await.unwrap();
    ann.find("#chat-list a").await;
    let first = format!("#chat-list a[href='#/chat/{quiet}']");
    // What else changed within seconds comes by itself, so the rows at the beginning say nothing of pages.
    assert_eq!(pages_asked(ann).await, 0);
    // The chat that was quiet longest is behind the end of what `ready` tells.
    ann.until("the list goes on", async || {
        ann.run("document.getElementById('list-scroll').scrollTo(0, 1e6)").await;
        ann.count("#chat-list a").await == CHATS && pages_asked(ann).await == 1
    })
    .await;
    ann.click(&first).await;
    ann.see("#chat-name", "the first").await;
    // By its address, too.
    ann.client.refresh().await.unwrap();
    ann.see("#chat-name", "the first").await;
    ann.excuse(
        "/chats/999999 - Failed to load resource: the server responded with a status of 404",
    );
    ann.run("location.hash = '#/chat/999999'").await;
    ann.find("#visit:not([hidden])").await;
    ann.run("location.hash = '#/'").await;
    ann.find("#app[data-screen=list]").await;
}

/// How many pages of the list the page has asked for since it was loaded.
async fn pages_asked(person: &Browser) -> u64 {
    let script = "return performance.getEntriesByType('resource')\
        .filter(({ name }) => name.includes('/chats?limit=')).length";
    person.run(script).await.as_u64().unwrap()
}

async fn the_list_tells_what_was_said(ann: &Browser, bob: &Browser, quiet: i64) {
    // He has accepted behind the page's back.
    bob.client.refresh().await.unwrap();
    bob.click(&format!("#chat-list a[href='#/chat/{quiet}']")).await;
    bob.see("#chat-name", "the first").await;
    bob.say("hello from bob").await;
    // The quiet chat woke, and stands at the top with what was said.
    ann.see("#chat-list li:first-child .preview", "Боб Бобров: hello from bob").await;
    ann.see("#chat-list li:first-child .badge", "1").await;
    ann.client.refresh().await.unwrap();
    ann.see("#chat-list li:first-child .preview", "Боб Бобров: hello from bob").await;
    ann.find("#chat-list li:first-child time").await;
    ann.click("#chat-list li:first-child a").await;
    ann.read("hello from bob", 1).await;
    // One name and one face, in the bubble as in the list of members.
    ann.see("#items .sender", "Боб Бобров").await;
    ann.click("#chat-details").await;
    ann.find("#details-members .person").await;
    let faces = ann
        .run(
            "const face = (element) => [...element.classList].find((name) => name.startsWith('hue-'));
             const member = [...document.querySelectorAll('#details-members .person')]
                 .find((person) => person.textContent.includes('@bob'));
             return [face(document.querySelector('#items .avatar')), face(member.querySelector('.avatar'))]",
        )
        .await;
    assert!(faces[0].is_string() && faces[0] == faces[1], "{faces}");
    ann.click("#details-dialog header button").await;
    // Writing here is reading, on her other window, too.
    bob.say("are you there?").await;
    ann.read("are you there?", 1).await;
    ann.say("yes").await;
    bob.see("#chat-list li:first-child .preview", "ann: yes").await;
}

async fn names_are_found(ann: &Browser) {
    ann.press("#list-filter", "team 13").await;
    ann.until("only the teams 13 are there", async || ann.count("#chat-list a").await == 11).await;
    ann.press("#list-filter", &char::from(Key::Escape).to_string()).await;
    ann.press("#list-filter", "бров").await;
    ann.see("#people-list .name", "Боб Бобров").await;
    ann.click("#people-list button").await;
    ann.see("#chat-name", "Боб Бобров").await;
    ann.see("#chat-state", "@bob · Online").await;
    ann.find("#chat-list li:first-child .dot.on").await;
}

async fn one_sets_something_for_a_chat(ann: &Browser, bob: &Browser, quiet: i64) {
    let row = format!("#chat-list a[href='#/chat/{quiet}']");
    // By keyboard: the menu of the row that has the focus.
    ann.run(&format!("document.querySelector(\"{row}\").focus()")).await;
    let menu = "document.activeElement.dispatchEvent(new MouseEvent('contextmenu', { bubbles: true, cancelable: true }))";
    ann.run(menu).await;
    ann.see(".chat-menu button:focus", "Mark as unread").await;
    ann.press(".chat-menu button:focus", &char::from(Key::Enter).to_string()).await;
    ann.find(&format!("{row} .badge.empty")).await;
    choose(ann, &row, "Pin").await;
    ann.find(&format!("#chat-list li:first-child a[href='#/chat/{quiet}']")).await;
    choose(ann, &row, "Mute").await;
    ann.find(&format!("{row} [aria-label=Muted]")).await;
    bob.say("anybody?").await;
    ann.find(&format!("{row} .badge.quiet")).await;
    let title = ann.client.title().await.unwrap();
    assert_eq!(title, "Switchboard", "a muted chat calls for no attention");
    choose(ann, &row, "Unmute").await;
    choose(ann, &row, "Archive").await;
    ann.gone(&row).await;
    ann.see("#archived-count", "1").await;
    ann.click("#archived-toggle").await;
    ann.find(&format!("#archived-list a[href='#/chat/{quiet}']")).await;
    // All of it is kept.
    ann.client.refresh().await.unwrap();
    ann.see("#archived-count", "1").await;
    ann.gone(&row).await;
    bob.say("so long").await;
    ann.find(&format!("#chat-list li:first-child a[href='#/chat/{quiet}']")).await;
    ann.find("#archived[hidden]").await;
}

/// Opens the menu of a row and takes an offer.
async fn choose(ann: &Browser, row: &str, offer: &str) {
    let open = format!(
        "const row = document.querySelector(\"{row}\");
         row.dispatchEvent(new MouseEvent('contextmenu', {{ bubbles: true, cancelable: true, clientX: 50, clientY: 200 }}));
         const offers = [...document.querySelectorAll('.chat-menu button')];
         offers.find((offer) => offer.textContent === '{offer}').click()"
    );
    ann.run(&open).await;
    ann.gone(".chat-menu").await;
}
