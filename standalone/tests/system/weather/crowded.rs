//! More chats than a connection holds: it hears of every one all the same, and stays open.

use super::{
    PATIENCE,
    cursors::{Answer, Past},
};
use crate::harness::{Got, Socket, System, User};
use futures_util::future::join_all;
use protocol::{
    frames::{ClientFrame, ServerFrame},
    id::{ChatId, Seq},
};
use std::collections::{HashMap, HashSet};
use tokio::time::timeout;

in_both_modes!(who_has_more_chats_than_fit_hears_of_each);

const GROUPS: usize = 600;
/// Written to at once, and how often: more than the server frees by itself meanwhile.
const WRITTEN: usize = 20;
const ROUNDS: usize = 4;

async fn who_has_more_chats_than_fit_hears_of_each(t: System) {
    let (past, [ann, bob]) = Past::of(&t, "group", GROUPS).await;
    let mut socket = past.resume(&t, 0, &bob).await;
    let told = past.answered(&mut socket).await;
    past.assert_true(&told);
    let live = |id: &ChatId| matches!(told.answers[id][..], [Answer::CaughtUp(_)]);
    // Those that found no place come first.
    let mut quiet: Vec<ChatId> = past.heads.keys().copied().collect();
    quiet.sort_by_key(live);
    for written in quiet.chunks(WRITTEN).take(ROUNDS) {
        let posts = join_all(written.iter().map(|id| ann.post(*id, "are you there?"))).await;
        let posts = written.iter().copied().zip(posts).collect();
        hear_of(&mut socket, &bob, posts).await;
    }
    socket.expect_alive().await;
}

/// Reads until it has each of these messages: as an event; or, where it is told that the chat is live
/// after it, by asking for what is before.
async fn hear_of(socket: &mut Socket, who: &User, mut posts: HashMap<ChatId, Seq>) {
    let all = posts.len();
    let mut asked = HashSet::new();
    let reading = async {
        while !posts.is_empty() {
            let frame = match socket.next().await {
                Got::Frame(frame) => *frame,
                end => panic!("{} has {} of {all} to hear of: {end:?}", who.username, posts.len()),
            };
            match frame {
                ServerFrame::Event(event) => {
                    posts.retain(|chat, seq| (*chat, *seq) != (event.chat_id, event.event.seq));
                }
                ServerFrame::Chat { chat } => {
                    let Some(seq) = posts.get(&chat.id).copied() else { continue };
                    if chat.seq >= seq && asked.insert(chat.id) {
                        let (id, after) = (Some(chat.id.to_string()), Some(Seq(seq.0 - 1)));
                        let chat_id = chat.id;
                        socket.say(&ClientFrame::Subscribe { id, chat_id, after }).await;
                    }
                }
                ServerFrame::Error { .. } => panic!("{} asked: {frame:?}", who.username),
                _ => {}
            }
        }
    };
    let in_time = timeout(PATIENCE, reading).await.is_ok();
    assert!(in_time, "{} heard nothing of {} of {all} messages", who.username, posts.len());
}
