//! Clients of every pace. A slow one gets everything and harms nobody, itself least: its other chats
//! stay live. Many that come back at once are no harm either.

use super::{PATIENCE, assert_has_all, chats, long, people};
use crate::harness::{
    Dial, Got, Socket, System, User,
    want::{caught_up, message},
    within,
};
use futures_util::{StreamExt as _, future::join_all, stream};
use protocol::{
    chat::Change,
    frames::ServerFrame,
    id::{ChatId, Seq},
};

in_both_modes!(a_slow_reader_gets_everything, fifty_come_back_at_once);

/// Messages of 16 KB: with what the slow one reads meanwhile, two MiB more than the kernel and any
/// queue take for a client.
const BUSY: usize = 450;
/// It reads one message for so many that are sent.
const SLOWER: usize = 10;

async fn a_slow_reader_gets_everything(t: System) {
    let admin = t.admin().await;
    let [ann, eve] = people(&admin, 2).await.try_into().unwrap_or_else(|_| panic!("two"));
    let busy = chats(&admin, "group", &[&ann, &eve], 1).await[0];
    let other = chats(&admin, "group", &[&ann, &eve], 1).await[0];
    // Large enough to read at a pace, too small to take in for her what she does not read.
    let mut slow = Dial::new(t.node(0)).receive_buffer(64 * 1024).open().await.unwrap();
    let ready = slow.hello(Some(&eve.token), None).await;
    let ServerFrame::Ready { chats, .. } = ready else { unreachable!() };
    assert!(chats.iter().filter(|chat| chat.seq == Seq::ZERO).count() >= 2, "{chats:?}");

    let mut heard = ArrivalOrder { busy, other, seqs: Vec::new(), other_at: None };
    let posts = (0..BUSY).map(async |number| ann.post(busy, &long(number, "😀", 4000)).await);
    let mut posts = stream::iter(posts).buffered(8);
    let mut sent = 0;
    while posts.next().await.is_some() {
        sent += 1;
        if sent % SLOWER == 0 {
            heard.next(&mut slow).await;
        }
    }
    ann.post(other, "are you there?").await;
    while heard.seqs.len() < BUSY || heard.other_at.is_none() {
        heard.next(&mut slow).await;
    }
    slow.expect_alive().await.iter().for_each(|frame| heard.on_frame(frame));
    assert_eq!(heard.seqs, (1..=BUSY as i64).collect::<Vec<_>>());
    assert!(
        heard.other_at < Some(BUSY),
        "the other chat waited until all of the busy one was read"
    );
    assert_eq!(eve.texts(busy).await.len(), BUSY);
}

/// What the slow one has.
struct ArrivalOrder {
    busy: ChatId,
    other: ChatId,
    /// Of the busy chat.
    seqs: Vec<i64>,
    /// How much of the busy chat it had when the message of the other came.
    other_at: Option<usize>,
}

impl ArrivalOrder {
    /// Reads up to the next message.
    async fn next(&mut self, socket: &mut Socket) {
        let reading = async {
            let before = (self.seqs.len(), self.other_at);
            while before == (self.seqs.len(), self.other_at) {
                match socket.next().await {
                    Got::Frame(frame) => self.on_frame(&frame),
                    end => panic!("closed after {} messages: {end:?}", self.seqs.len()),
                }
            }
        };
        within(PATIENCE, "a message", reading).await;
    }

    fn on_frame(&mut self, frame: &ServerFrame) {
        let ServerFrame::Event(event) = frame else { return };
        match &event.event.change {
            Change::Message(_) if event.chat_id == self.busy => {
                self.seqs.push(event.event.seq.0);
            }
            Change::Message(_) if event.chat_id == self.other => {
                assert_eq!(self.other_at.replace(self.seqs.len()), None, "twice");
            }
            other => panic!("{other:?} in {}", event.chat_id),
        }
    }
}

const CROWD: usize = 50;
/// More than the server keeps in memory for those who come back soon.
const MISSED: usize = 300;

async fn fifty_come_back_at_once(t: System) {
    let admin = t.admin().await;
    let all = people(&admin, CROWD + 4).await;
    let (crowd, rest) = all.split_at(CROWD);
    let [ann, bob, dan, eve] = rest else { panic!("four more") };
    let members: Vec<&User> = crowd.iter().chain([ann, bob]).collect();
    let room = chats(&admin, "room", &members, 1).await[0];
    let elsewhere = chats(&admin, "group", &[dan, eve], 1).await[0];
    let mut devices =
        join_all(crowd.iter().zip(0..).map(|(user, node)| user.connect_to(node))).await;
    let before = devices[0].track.cursors[&room];
    devices.iter_mut().for_each(|device| device.go_offline());

    let mut senders = [ann.connect_to(0).await, bob.connect_to(1).await];
    for sender in &mut senders {
        let texts = (0..MISSED / 2).map(|number| format!("{number} of {MISSED}"));
        sender.submit_all(room, texts).await;
        while sender.track.in_flight() > 0 {
            sender.pump().await;
        }
    }
    let last = Seq(before.0 + MISSED as i64);
    let (mut dans, mut eves) = (dan.connect_to(0).await, eve.connect_to(1).await);
    let coming = join_all(devices.iter_mut().map(async |device| {
        device.come_back().await;
        assert_eq!(device.expect(caught_up(room)).await, last);
    }));
    let meanwhile = async {
        dans.send(elsewhere, "what a storm").await;
        eves.expect(message("what a storm")).await;
    };
    tokio::join!(coming, meanwhile);
    let wanted: Vec<i64> = (before.0 + 1..=last.0).collect();
    for device in &devices {
        assert_eq!(device.track.seqs(room), wanted, "{}", device.user.username);
    }
    assert_has_all(&devices[0], room, before).await;
}
