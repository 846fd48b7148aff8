//! `subscribe` with `after`, the one frame by which a client fills a hole, says the whole truth,
//! whatever the connection watches already; and who unsubscribes is left alone.

use super::{PATIENCE, chats};
use crate::harness::{Dial, Got, Socket, System, User, want};
use futures_util::future::join_all;
use protocol::{
    frames::{ClientFrame, Resume, ServerFrame},
    id::{ChatId, Seq},
};
use std::time::Duration;
use tokio::time::timeout;

in_both_modes!(
    what_is_watched_is_sent_again_when_asked_for,
    three_questions_at_once_bring_everything_once,
);

const MESSAGES: i64 = 40;

/// A room with forty messages, somebody else's.
async fn room(t: &System) -> (User, ChatId) {
    let ann = t.user("ann").await;
    let room = ann.room("square").await;
    for number in 1..=MESSAGES {
        ann.post(room, &format!("number {number}")).await;
    }
    (ann, room)
}

fn subscribe(chat_id: ChatId, number: usize) -> ClientFrame {
    ClientFrame::Subscribe { id: Some(number.to_string()), chat_id, after: Some(Seq::ZERO) }
}

/// What one connection hears of a room after questions for all of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct SubscriptionLog {
    subscribed: usize,
    /// Every event's place, in the order of arrival.
    events: Vec<i64>,
    caught_up: Vec<Seq>,
}

impl SubscriptionLog {
    /// Reads until so many catch-ups are over; what has come when they are not is as telling.
    async fn read(socket: &mut Socket, room: ChatId, questions: usize) -> Self {
        let mut heard = Self::default();
        let reading = async {
            while heard.caught_up.len() < questions {
                match socket.next().await {
                    Got::Frame(frame) => heard.on_frame(&frame, room),
                    end => panic!("{end:?}"),
                }
            }
        };
        let _ = timeout(PATIENCE, reading).await;
        // Whatever is said twice has come by the time a ping is answered.
        let late = socket.expect_alive().await;
        late.iter().for_each(|frame| heard.on_frame(frame, room));
        heard
    }

    fn on_frame(&mut self, frame: &ServerFrame, room: ChatId) {
        match frame {
            ServerFrame::Subscribed { chat, .. } if chat.id == room => self.subscribed += 1,
            ServerFrame::Event(event) if event.chat_id == room => {
                assert!(self.subscribed > 0, "an event before its subscription was confirmed");
                self.events.push(event.event.seq.0);
            }
            ServerFrame::CaughtUp { chat_id, seq } if *chat_id == room => {
                self.caught_up.push(*seq);
            }
            ServerFrame::Resync { chat_id, .. } | ServerFrame::ChatRemoved { chat_id }
                if *chat_id == room =>
            {
                panic!("instead of the events came {frame:?}");
            }
            ServerFrame::Error { .. } => panic!("refused: {frame:?}"),
            _ => {}
        }
    }

    fn expected(questions: usize, last: i64) -> Self {
        Self {
            subscribed: questions,
            events: (1..=last).collect(),
            caught_up: vec![Seq(last); questions],
        }
    }
}

async fn what_is_watched_is_sent_again_when_asked_for(t: System) {
    let (_ann, room) = room(&t).await;
    let bob = t.user("bob").await;
    bob.join(room).await;
    let last = bob.chat(room).await["seq"].as_i64().unwrap();
    for node in 0..t.nodes().len() {
        let mut socket = Dial::new(t.node(node)).open().await.unwrap();
        let ready = socket.hello(Some(&bob.token), None).await;
        let ServerFrame::Ready { chats, .. } = ready else { unreachable!() };
        // Live, after its end.
        assert!(chats.iter().any(|chat| chat.id == room && chat.seq.0 == last), "{chats:?}");
        socket.expect_alive().await;
        socket.say(&subscribe(room, 0)).await;
        assert_eq!(
            SubscriptionLog::read(&mut socket, room, 1).await,
            SubscriptionLog::expected(1, last)
        );
    }
}

/// Chats that are caught up first, so that the questions have to wait together.
const BEFORE: usize = 24;

async fn three_questions_at_once_bring_everything_once(t: System) {
    let (ann, room) = room(&t).await;
    let (member, stranger) = (t.user("bob").await, t.user("eve").await);
    member.join(room).await;
    let last = ann.chat(room).await["seq"].as_i64().unwrap();
    let admin = t.admin().await;
    let groups = chats(&admin, "group", &[&ann, &member, &stranger], BEFORE).await;
    join_all(groups.iter().map(|group| ann.post(*group, "missed"))).await;
    // She watches all of it from its end on: nothing earlier is in the server's memory.
    let mut anns = Dial::new(t.node(1)).open().await.unwrap();
    let ready = anns.hello(Some(&ann.token), None).await;
    let ServerFrame::Ready { epoch, .. } = ready else { unreachable!() };
    anns.expect_alive().await;

    for user in [&stranger, &member] {
        let cursors = groups.iter().map(|group| (*group, Seq::ZERO)).collect();
        let resume = Some(Resume { epoch: epoch.clone(), cursors });
        let hello = ClientFrame::hello(Some(user.token.clone()), resume);
        let frames = [hello].into_iter().chain((0..3).map(|number| subscribe(room, number)));
        let mut socket = Dial::new(t.node(1)).open().await.unwrap();
        socket.say_all(frames.map(|frame| serde_json::to_string(&frame).unwrap())).await;
        let heard = SubscriptionLog::read(&mut socket, room, 3).await;
        assert_eq!(heard, SubscriptionLog::expected(3, last), "{}", user.username);
    }
}

/// Longer than the server goes on comparing memberships with the api after a change: a few seconds
/// of overlap and the interval, several times.
const REPEATS: Duration = Duration::from_secs(15);

#[tokio::test]
async fn who_unsubscribes_from_a_new_chat_is_left_alone() {
    let t = System::single(&[]).await;
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let mut phone = bob.connect().await;
    let chat = ann.group("team", &[&bob]).await;
    phone.expect(want::chat(chat)).await;
    phone.unsubscribe(chat).await;
    let mut put_back = Vec::new();
    let reading = async {
        loop {
            let frame = phone.pump().await;
            put_back.extend(want::chat(chat).of(&frame).map(|chat| chat.seq));
        }
    };
    let _: Result<(), _> = timeout(REPEATS, reading).await;
    assert!(put_back.is_empty(), "it is put back: {put_back:?}");
    // It is only as the client wished: asked for again it is there.
    let after = phone.subscribe(chat, None).await.unwrap().seq;
    ann.post(chat, "again").await;
    assert!(phone.expect(want::message("again")).await.id > after);
}
