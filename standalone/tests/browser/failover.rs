//! One of two gateways dies under two people: who was there goes on over the other one.

use crate::harness::{Browser, Server, Stage};
use serde_json::json;

#[tokio::test]
async fn a_gateway_dies_and_its_people_chat_on() {
    let stage = Stage::cluster(&[], ["ann", "bob"]).await;
    let (server, [ann, bob]) = (&stage.server, &stage.people);
    stage.tell(story(server, ann, bob)).await;
}

async fn story(server: &Server, ann: &Browser, bob: &Browser) {
    for person in [ann, bob] {
        person.open(&server.url()).await;
        person.register().await;
        person.click("#enter-lobby").await;
        person.see("#chat-name", "lobby").await;
        person.run("window.sameAsBefore = true").await;
    }
    server.until_each_gateway_holds(1).await;
    ann.say("from one gateway").await;
    bob.read("from one gateway", 1).await;
    bob.say("from the other").await;
    ann.read("from the other", 1).await;

    server.lose_a_gateway(2).await;
    for person in [ann, bob] {
        person.say(&format!("{} is still here", person.name)).await;
    }
    for person in [ann, bob] {
        for text in ["from one gateway", "from the other", "ann is still here", "bob is still here"]
        {
            person.read(text, 1).await;
        }
        person.gone(".message.pending").await;
        person.gone("#banner:not([hidden])").await;
        person.see("#chat-state", "2 members · 2 online").await;
        let same = person.run("return window.sameAsBefore === true").await;
        assert_eq!(same, json!(true), "{} was reloaded", person.name);
    }
}
