//! Nodes of two versions side by side read each other's bodies.

use super::*;
use crate::{chat::Change, code::Code, relay::EndReason};

#[test]
fn what_a_newer_api_says_beside_the_rest_is_no_harm_to_the_rest() {
    let posted: Posted = serde_json::from_str(
        r#"{"results":[{"Err":{"code":"moon_is_full","message":"Not tonight."}},
                {"Ok":{"message_id":2,"seq":2,"timestamp":"2023-11-14T22:13:20.007Z"}}],
            "events":[{"chat_id":1,"published_ms":5,"events":[
                {"seq":1,"type":"reaction","id":1,"emoji":"x","by":{"id":3}},
                {"seq":2,"type":"deleted","id":2,"by":3,"timestamp":"2023-11-14T22:13:20.007Z"}]}]}"#,
    )
    .unwrap();
    let refusal = posted.results[0].as_ref().unwrap_err();
    assert_eq!((refusal.code, refusal.message.as_str()), (Code::Unknown, "Not tonight."));
    assert!(posted.results[1].is_ok());
    let run = posted.events[0].parse().unwrap();
    let [unknown, deleted] = &run.events[..] else { panic!("{posted:?}") };
    assert_eq!((unknown.seq, &unknown.change), (Seq(1), &Change::Unknown));
    assert!(matches!(deleted.change, Change::Deleted { id: Seq(2), .. }));
    assert_eq!(serde_json::to_string(unknown).unwrap(), r#"{"seq":1,"type":"unknown"}"#);
    let refused: SessionRefusal = serde_json::from_str(r#""asleep""#).unwrap();
    assert_eq!(refused, SessionRefusal::Ended);
    let ended = r#"{"sessions":[],"reason":"asleep"}"#;
    let ended: EndedSessions = serde_json::from_str(ended).unwrap();
    assert_eq!(ended.reason, EndReason::SignedOut);
}

#[test]
fn nodes_of_two_versions_read_each_other() {
    let old: ChangedFound = serde_json::from_str(
        r#"{"now":"2023-11-14T22:13:20.007Z","chats":[],"deleted":[],"joined":[],"parted":[],
            "woken":[{"user_id":3,"chat_id":4}],"ended":[],"truncated":true}"#,
    )
    .unwrap();
    assert_eq!(old.woken[0].after.min(Seq(7)), Seq(7), "from the chat's end");
    assert_eq!(old.cut(), Cut::ALL);
    let new = Woken { user_id: UserId(3), chat_id: ChatId(4), after: Seq(5) };
    let new = serde_json::to_string(&new).unwrap();
    assert!(serde_json::from_str::<UserChat>(&new).is_ok(), "as an older gateway reads it");
    let session = r#"{"user_id":1,"session_id":"019adf3c-5f0a-7c1e-9a51-2f6f0c9f4f11"}"#;
    let session: OpenSession = serde_json::from_str(session).unwrap();
    assert_eq!(session.shows, Shows::All);
    let post: Post = serde_json::from_str(r#"{"commands":[]}"#).unwrap();
    assert!(!post.impatient, "an older gateway does not know `busy`");
}
