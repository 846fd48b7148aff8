//! Users who may not be here any more are out: at once while the bus tells, with the next poll when it does not.

use crate::harness::{ANN, BOB, GROUP, Mode, Node, Phone, ROOM, TEAM, hello, session};
use protocol::{
    calls::{ChangedFound, SessionRefusal, UserChat},
    chat::ChatType,
    relay::{Channel, ChatPayload, EndReason, EndedSessions, UserPayload},
};
use std::time::Duration;

/// Two members of a group and of a room.
async fn two() -> (Node, Phone, Phone) {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.makes(ROOM, ChatType::Room, &[ANN, BOB]);
    let (ann, bob) = (t.connect(ANN).await, t.connect(BOB).await);
    (t, ann, bob)
}

const GROUP_OF_ANN: UserChat = UserChat { user_id: ANN, chat_id: GROUP };

#[tokio::test(start_paused = true)]
async fn a_removed_member_hears_so_and_nothing_more() {
    let (t, mut ann, mut bob) = two().await;
    let mut laptop = t.connect(ANN).await;
    t.tells_user(ANN, &UserPayload::Removed { chat_id: GROUP, banned: false });
    ann.expect(["removed 1"]).await;
    t.posts(GROUP, "of the others");
    t.posts(ROOM, "of everybody");
    bob.expect_in_any_order(["1#1 of the others", "3#1 of everybody"]).await;
    ann.expect(["3#1 of everybody"]).await;
    ann.expect_nothing().await;
    laptop.expect(["removed 1", "3#1 of everybody"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_who_leaves_a_room_or_is_banned_watches_it_no_more() {
    for banned in [true, false] {
        let (t, mut ann, mut bob) = two().await;
        t.tells_user(ANN, &UserPayload::Removed { chat_id: ROOM, banned });
        ann.expect(["removed 3"]).await;
        t.posts(ROOM, "hi");
        bob.expect(["3#1 hi"]).await;
        ann.expect_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn sockets_close_with_their_session() {
    for (reason, close) in [
        (EndReason::Blocked, "close 1008 blocked"),
        (EndReason::SignedOut, "close 1008 session_ended"),
        (EndReason::PasswordChanged, "close 1008 session_ended"),
        (EndReason::TokenReuse, "close 1008 session_ended"),
    ] {
        let (t, mut ann, mut bob) = two().await;
        let mut laptop = t.connect(ANN).await;
        t.ends_session(ANN, reason);
        ann.expect([close]).await;
        laptop.expect([close]).await;
        bob.expect_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_chat_is_gone_for_everybody() {
    let (t, mut ann, mut bob) = two().await;
    t.publishes(Channel::Chat(GROUP), &ChatPayload::ChatDeleted);
    ann.expect(["removed 1"]).await;
    bob.expect(["removed 1"]).await;
    t.posts(ROOM, "hi");
    ann.expect(["3#1 hi"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_removed_while_joining_does_not_come_in() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    t.api.set("open", Mode::Holds);
    let mut ann = t.dial().await;
    ann.say(&hello(ANN, None)).await;
    t.settles().await;
    t.api.removes(GROUP, ANN);
    t.tells_user(ANN, &UserPayload::Removed { chat_id: GROUP, banned: false });
    t.settles().await;
    t.api.set("open", Mode::Answers);
    ann.expect(["ready 1@0", "removed 1"]).await;
    t.posts(GROUP, "not hers");
    t.settles().await;
    ann.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn losing_another_chat_while_joining_costs_a_second_look() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    t.api.set("open", Mode::Holds);
    let mut ann = t.dial().await;
    ann.say(&hello(ANN, None)).await;
    t.settles().await;
    t.tells_user(ANN, &UserPayload::Removed { chat_id: TEAM, banned: false });
    t.settles().await;
    t.api.set("open", Mode::Answers);
    ann.expect(["ready 1@0"]).await;
    t.settles().await;
    assert_eq!(t.api.take_calls("view"), ["1 for 1"]);
    t.posts(GROUP, "hi");
    ann.expect(["1#1 hi"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_poll_finds_members_who_are_none_any_more() {
    let (t, mut ann, mut bob) = two().await;
    let parted = vec![GROUP_OF_ANN];
    t.finds(ChangedFound { parted, ..ChangedFound::default() }).await;
    ann.expect(["removed 1"]).await;
    let banned = vec![UserChat { user_id: BOB, chat_id: ROOM }];
    t.finds(ChangedFound { banned, ..ChangedFound::default() }).await;
    bob.expect(["removed 3"]).await;
    t.posts(GROUP, "hi");
    bob.expect(["1#1 hi"]).await;
    t.settles().await;
    ann.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_poll_finds_sessions_that_ended_and_chats_that_were_deleted() {
    let (t, mut ann, mut bob) = two().await;
    let deleted = vec![GROUP];
    t.finds(ChangedFound { deleted, ..ChangedFound::default() }).await;
    ann.expect(["removed 1"]).await;
    bob.expect(["removed 1"]).await;
    let ended = vec![EndedSessions { sessions: vec![session(ANN)], reason: EndReason::Blocked }];
    t.finds(ChangedFound { ended, ..ChangedFound::default() }).await;
    ann.expect(["close 1008 blocked"]).await;
    bob.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_poll_left_out_is_looked_up_session_by_session_and_member_by_member() {
    let (t, mut ann, mut bob) = two().await;
    t.api.ends(ANN, SessionRefusal::Blocked);
    t.api.removes(GROUP, BOB);
    t.finds(ChangedFound { truncated: true, ..ChangedFound::default() }).await;
    t.passes(Duration::from_secs(1)).await;
    ann.expect(["close 1008 blocked"]).await;
    bob.expect(["removed 1"]).await;
    bob.expect_nothing().await;
}
