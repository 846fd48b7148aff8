//! Every cursor is answered: with what was missed and `caught_up`, with `resync`, or with
//! `chat_removed`; however many there are, and whatever else is among them.

use super::{PATIENCE, chats, people};
use crate::harness::{Dial, Got, Socket, System, User};
use futures_util::{StreamExt as _, future::join_all, stream};
use protocol::{
    frames::{Resume, ServerFrame},
    id::{ChatId, Seq},
};
use std::collections::{HashMap, HashSet};
use tokio::time::timeout;

in_both_modes!(six_hundred_groups_are_answered, three_thousand_rooms_are_answered);

/// Chats that a connection watches at most.
const PLACES: usize = 400;

/// How a cursor is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    CaughtUp(Seq),
    Resync(Seq),
    Removed,
}

/// What a connection was told about the chats that it resumed.
#[derive(Debug, Default)]
pub struct ResumeAnswers {
    pub answers: HashMap<ChatId, Vec<Answer>>,
    pub events: HashMap<ChatId, Vec<Seq>>,
}

impl ResumeAnswers {
    pub fn on_frame(&mut self, frame: &ServerFrame) {
        let (chat, answer) = match frame {
            ServerFrame::CaughtUp { chat_id, seq } => (chat_id, Answer::CaughtUp(*seq)),
            ServerFrame::Resync { chat_id, seq } => (chat_id, Answer::Resync(*seq)),
            ServerFrame::ChatRemoved { chat_id } => (chat_id, Answer::Removed),
            ServerFrame::Event(event) => {
                let (chat, seq) = (event.chat_id, event.event.seq);
                let unanswered = !self.answers.contains_key(&chat);
                assert!(unanswered, "{seq} of chat {chat} came after its answer");
                return self.events.entry(chat).or_default().push(seq);
            }
            _ => return,
        };
        self.answers.entry(*chat).or_default().push(answer);
    }
}

/// Where a client stopped in many chats, and what is true of them now.
pub struct Past {
    /// Whether they are rooms that the client only watched: what has no place there is removed.
    watched: bool,
    pub epoch: String,
    pub cursors: HashMap<ChatId, Seq>,
    /// Where each chat is; not there: gone, or never was.
    pub heads: HashMap<ChatId, Seq>,
}

impl Past {
    /// The second of these two people has known so many chats from before their first message: groups
    /// of both, or rooms of the first one. Every tenth has a message now.
    pub async fn of(t: &System, kind: &str, count: usize) -> (Self, [User; 2]) {
        let admin = t.admin().await;
        let [ann, bob] = people(&admin, 2).await.try_into().unwrap_or_else(|_| panic!("two"));
        let both = [&ann, &bob];
        let members = if kind == "group" { &both[..] } else { &both[..1] };
        let ids = chats(&admin, kind, members, count).await;
        let posts = ids.iter().step_by(10).map(async |id| (*id, ann.post(*id, "missed").await));
        let written: HashMap<ChatId, Seq> = stream::iter(posts).buffer_unordered(8).collect().await;
        let head = |id: &ChatId| (*id, written.get(id).copied().unwrap_or(Seq::ZERO));
        let mut socket = Dial::new(t.node(0)).open().await.unwrap();
        let ready = socket.hello(Some(&ann.token), None).await;
        let ServerFrame::Ready { epoch, .. } = ready else { unreachable!() };
        let cursors = ids.iter().map(|id| (*id, Seq::ZERO)).collect();
        let (watched, heads) = (kind == "room", ids.iter().map(head).collect());
        (Self { watched, epoch, cursors, heads }, [ann, bob])
    }

    /// Says hello with all of it.
    pub async fn resume(&self, t: &System, node: usize, user: &User) -> Socket {
        let mut socket = Dial::new(t.node(node)).open().await.unwrap();
        let resume = Resume { epoch: self.epoch.clone(), cursors: self.cursors.clone() };
        socket.hello(Some(&user.token), Some(resume)).await;
        socket
    }

    /// Reads until every cursor is answered.
    pub async fn answered(&self, socket: &mut Socket) -> ResumeAnswers {
        let mut told = ResumeAnswers::default();
        let all = self.cursors.len();
        let reading = async {
            while self.cursors.keys().any(|id| !told.answers.contains_key(id)) {
                match socket.next().await {
                    Got::Frame(frame) => told.on_frame(&frame),
                    end => panic!("{} of {all} cursors answered, {end:?}", told.answers.len()),
                }
            }
        };
        let in_time = timeout(PATIENCE, reading).await.is_ok();
        assert!(in_time, "{} of {all} cursors answered", told.answers.len());
        told
    }

    /// Each answer is true, and it is the only one.
    pub fn assert_true(&self, told: &ResumeAnswers) {
        for (id, cursor) in &self.cursors {
            let head = self.heads.get(id);
            let events = told.events.get(id).map(Vec::as_slice).unwrap_or_default();
            let missed: Vec<Seq> =
                head.map_or_else(Vec::new, |head| (cursor.0 + 1..=head.0).map(Seq).collect());
            match (told.answers[id].as_slice(), head) {
                ([Answer::CaughtUp(at)], Some(head)) if at == head => assert_eq!(events, missed),
                ([Answer::Resync(at)], Some(head)) if at == head => assert_eq!(events, []),
                ([Answer::Removed], None) => assert_eq!(events, []),
                ([Answer::Removed], Some(_)) if self.watched => assert_eq!(events, []),
                (answers, head) => panic!("{answers:?} for chat {id}, which is at {head:?}"),
            }
        }
        let kept = |answers: &&Vec<Answer>| matches!(answers[..], [Answer::CaughtUp(_)]);
        let kept = told.answers.values().filter(kept).count();
        assert!(kept >= PLACES, "{kept} are caught up, and there are {PLACES} places");
        let asked: HashSet<&ChatId> = self.cursors.keys().collect();
        let strange = told.answers.keys().find(|id| !asked.contains(id));
        assert_eq!(strange, None, "an answer to no question");
    }
}

/// Some of the chats are deleted meanwhile, and some never were.
async fn cursors_are_answered(t: &System, kind: &str, count: usize) {
    const GONE: usize = 10;
    let (mut past, [ann, bob]) = Past::of(t, kind, count).await;
    let gone: Vec<ChatId> = past.heads.keys().take(GONE).copied().collect();
    join_all(gone.iter().map(|id| ann.delete_chat(*id))).await;
    past.heads.retain(|id, _| !gone.contains(id));
    let made_up = (0..GONE as i64).map(|n| (ChatId(i64::MAX - n), Seq(n)));
    past.cursors.extend(made_up);

    for node in 0..t.nodes().len() {
        let mut socket = past.resume(t, node, &bob).await;
        let mut told = past.answered(&mut socket).await;
        // Whatever is said twice has come by the time a ping is answered.
        socket.expect_alive().await.iter().for_each(|frame| told.on_frame(frame));
        past.assert_true(&told);
    }
}

async fn six_hundred_groups_are_answered(t: System) {
    cursors_are_answered(&t, "group", 600).await;
}

/// As many as a hello has room for.
async fn three_thousand_rooms_are_answered(t: System) {
    cursors_are_answered(&t, "room", 3_000).await;
}
