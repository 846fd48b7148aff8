//! Two people chat, and a restart of the server between them loses nothing.

use crate::harness::{Browser, Server, Stage};
use fantoccini::key::Key;
use serde_json::json;

#[tokio::test]
async fn two_people_chat_and_a_restart_of_one_process_loses_nothing() {
    two_people_chat(Stage::alone(["ann", "bob"]).await).await;
}

#[tokio::test]
async fn two_people_chat_over_two_gateways_and_a_restart_of_all_loses_nothing() {
    two_people_chat(Stage::cluster(&[], ["ann", "bob"]).await).await;
}

async fn two_people_chat(stage: Stage<2>) {
    let (server, [ann, bob]) = (&stage.server, &stage.people);
    stage.tell(story(server, ann, bob)).await;
}

async fn story(server: &Server, ann: &Browser, bob: &Browser) {
    for person in [ann, bob] {
        person.open(&server.url()).await;
        person.register().await;
        person.click("#enter-lobby").await;
        person.see("#chat-name", "lobby").await;
    }
    server.until_each_gateway_holds(1).await;

    ann.say("hello from ann").await;
    bob.read("hello from ann", 1).await;
    bob.say("hello from bob").await;
    ann.read("hello from bob", 1).await;

    bob.press("#composer-text", "b").await;
    ann.see("#typing", "bob is typing…").await;
    bob.press("#composer-text", &char::from(Key::Backspace).to_string()).await;

    ann.click("#new-chat").await;
    ann.press("#new-people", "bob").await;
    ann.click("#new-dialog .person[aria-label='Chat with bob']").await;
    ann.see("#chat-name", "bob").await;
    ann.see("#chat-state", "@bob · Online").await;
    ann.say("only for bob").await;
    bob.see("#chat-list .badge", "1").await;
    bob.click("#chat-list a:has(.badge)").await;
    bob.read("only for bob", 1).await;
    ann.find(".message.own [aria-label='Seen']").await;

    // Bob has not answered yet: what she puts him into besides is an invitation.
    bob.see("#invitation strong", "@ann wants to write to you.").await;
    ann.click("#new-chat").await;
    ann.click("#new-dialog label:has([value=group])").await;
    ann.press("#new-name", "chess").await;
    ann.press("#new-people", "bob").await;
    ann.click("#new-dialog .person[aria-label='Add bob']").await;
    ann.click("#new-dialog [type=submit]").await;
    ann.see("#chat-name", "chess").await;
    bob.click("#invitation-list a").await;
    bob.see("#invitation strong", "@ann invites you to this chat.").await;
    bob.click("#invitation .primary").await;
    bob.gone("#invitation:not([hidden])").await;
    // Back to the two of them: neither where they are nor the lobby.
    let private = "#chat-list a:not([aria-current]):not([href='#/chat/1'])";
    bob.click(private).await;
    ann.click(private).await;

    for person in [ann, bob] {
        person.run("window.sameAsBefore = true").await;
    }
    for person in [ann, bob] {
        person.excuse_outage();
    }
    server.stop().await;
    ann.find("#banner:not([hidden])").await;
    ann.say("written while nobody listened").await;
    ann.find(".message.pending").await;
    server.start_again().await;
    bob.read("written while nobody listened", 1).await;
    ann.gone(".message.pending").await;
    ann.gone("#banner:not([hidden])").await;
    bob.say("back again").await;
    ann.read("back again", 1).await;
    ann.read("only for bob", 1).await;
    ann.read("written while nobody listened", 1).await;
    for person in [ann, bob] {
        let same = person.run("return window.sameAsBefore === true").await;
        assert_eq!(same, json!(true), "{} was reloaded", person.name);
    }

    // The session is in the cookie, the history in the database: nothing is lost with the page.
    ann.client.refresh().await.unwrap();
    ann.see("#chat-name", "bob").await;
    ann.read("back again", 1).await;
    ann.click("#chat-list a[href='#/chat/1']").await;
    ann.read("hello from ann", 1).await;
    ann.read("hello from bob", 1).await;

    bob.click("#account button").await;
    bob.click("#account-menu [data-do=sign-out]").await;
    bob.find("#sign-in:not([hidden])").await;
    ann.click("#chat-list li:not(:has([aria-current])) a").await;
    ann.see("#chat-state", "@bob · Offline").await;
}
