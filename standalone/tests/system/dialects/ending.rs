//! Blocked users, ended sessions and removed members lose their windows of every dialect within a second, on
//! every gateway; nobody else is touched.

use super::{Paths, bearer_dial, guest_window, nothing_came};
use crate::harness::{DialectSocket, System, User, within};
use futures_util::future::join_all;
use protocol::{close::Close, id::ChatId};
use serde_json::json;
use std::time::Duration;

in_both_modes!(
    a_blocked_user_is_out_of_every_window,
    an_ended_session_is_out_of_every_window,
    a_removed_member_is_out_of_the_chats_window,
);

/// What the design promises.
const SECOND: Duration = Duration::from_secs(1);

/// A window of every dialect on every gateway, of this session.
async fn windows(t: &System, user: &User, chat: ChatId) -> Vec<DialectSocket> {
    let paths = Paths::of(user, chat);
    let mut windows = Vec::new();
    for node in 0..t.nodes().len() {
        for path in paths.all() {
            windows.push(user.window(node, path).await.among(&[]));
        }
    }
    windows
}

/// All of these close for this reason within a second.
async fn all_out(mut windows: Vec<DialectSocket>, close: Close) {
    let closing = windows.iter_mut().map(|window| window.expect_only_close(close));
    within(SECOND, close.reason(), join_all(closing)).await;
}

/// This token opens none of them any more.
async fn refused_everywhere(t: &System, user: &User, chat: ChatId, close: Close) {
    for node in 0..t.nodes().len() {
        for path in Paths::of(user, chat).all() {
            let mut socket = bearer_dial(t, node, path, &user.token).open().await.unwrap();
            socket.expect_close(close).await;
        }
    }
}

#[tokio::test]
async fn a_gateway_that_stops_sends_every_window_away_to_come_back() {
    let t = System::single(&[("DRAIN_SECONDS", "1")]).await;
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let mut ending = windows(&t, &ann, chat).await;
    ending.push(guest_window(&t, 0, &[]).await);
    t.alone().process.terminate();
    for window in &mut ending {
        window.expect_only_close(Close::Restart).await;
    }
}

async fn a_blocked_user_is_out_of_every_window(t: System) {
    let (admin, ann, bob) = (t.admin().await, t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let again = ann.sign_in_again().await;
    let mut ending = windows(&t, &ann, chat).await;
    ending.extend(windows(&t, &again, chat).await);
    let mut staying = windows(&t, &bob, chat).await;
    let path = format!("/blockuser?username={}", ann.username);
    admin.rest.post(&path, json!({})).await.ok();
    all_out(ending, Close::Blocked).await;
    refused_everywhere(&t, &ann, chat, Close::Blocked).await;
    refused_everywhere(&t, &again, chat, Close::Blocked).await;
    for window in &mut staying {
        nothing_came(window).await;
    }
}

async fn an_ended_session_is_out_of_every_window(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let elsewhere = ann.sign_in_again().await;
    let (ending, mut staying) =
        (windows(&t, &ann, chat).await, windows(&t, &elsewhere, chat).await);
    ann.rest.post("/logout", json!({})).await.ok();
    all_out(ending, Close::SessionEnded).await;
    refused_everywhere(&t, &ann, chat, Close::SessionEnded).await;
    for window in &mut staying {
        nothing_came(window).await;
    }
}

async fn a_removed_member_is_out_of_the_chats_window(t: System) {
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let group = ann.group("team", &[&bob, &cat]).await;
    let path = format!("/ws/{group}");
    let both = async |user: &User| vec![user.window(0, &path).await, user.window(1, &path).await];
    let (mut anns, bobs, cats) = (both(&ann).await, both(&bob).await, both(&cat).await);
    // His other windows are not about this chat.
    let mut lobby = bob.window(1, "/ws").await.among(&[]);
    let mut names = bob.window(0, "/ws/chat").await;

    ann.remove_member(group, &bob).await;
    all_out(bobs, Close::NotAMember).await;
    cat.leave(group).await;
    all_out(cats, Close::NotAMember).await;
    for user in [&bob, &cat] {
        for node in [0, 1] {
            user.window(node, &path).await.expect_only_close(Close::NotAMember).await;
        }
    }
    anns[0].say(json!({ "content": "alone" })).await;
    for window in &mut anns {
        window.expect(json!({ "content": "alone" })).await;
    }
    nothing_came(&mut lobby).await;
    nothing_came(&mut names).await;
    ann.delete_chat(group).await;
    all_out(anns, Close::ChatNotFound).await;
}
