//! `events`: whoever was away and applies a range stands where those stand who heard everything.

use crate::harness::{T, actor, both, delete, edit, refused, reply, send};
use api::{
    chats::{manage, membership},
    internal,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use protocol::{
    calls::{Events, Range},
    chat::{Change, Event, MemberChange},
    command::Command,
    id::{ChatId, Seq, UserId},
    limits::{MAX_EVENTS_BYTES, MAX_RANGE_BYTES, MAX_RANGE_EVENTS, MAX_TEXT_CHARS},
    relay::{Channel, ChatPayload},
};
use std::collections::{BTreeMap, BTreeSet};

both!(
    many_ranges_in_one_call,
    ranges_of_what_is_not_there,
    long_absences_come_in_pages,
    answers_are_bounded_in_bytes,
);

#[derive(Clone, Debug)]
enum Step {
    /// A batch: who, which message, what.
    Batch(Vec<(usize, usize, Do)>),
    Add,
    Remove,
    Rename,
}

#[derive(Clone, Copy, Debug)]
enum Do {
    Send,
    Edit,
    Delete,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let what = prop_oneof![3 => Just(Do::Send), 2 => Just(Do::Edit), 1 => Just(Do::Delete)];
    let step = prop_oneof![
        8 => prop::collection::vec((0..2_usize, 0..12_usize, what), 1..5).prop_map(Step::Batch),
        1 => Just(Step::Add),
        1 => Just(Step::Remove),
        1 => Just(Step::Rename),
    ];
    prop::collection::vec(step, 1..16)
}

/// What a device holds of a chat.
#[derive(Clone, Debug, Default, PartialEq)]
struct Device {
    texts: BTreeMap<Seq, String>,
    members: BTreeSet<(Seq, UserId)>,
    present: BTreeSet<UserId>,
    names: BTreeSet<(Seq, String)>,
}

impl Device {
    fn apply(&mut self, event: &Event) {
        match &event.change {
            Change::Message(message) | Change::Edited(message) => {
                self.texts.insert(message.id, message.text.clone());
            }
            Change::Deleted { id, .. } => {
                self.texts.remove(id);
            }
            Change::Member { user, change, .. } => {
                self.members.insert((event.seq, user.id));
                match change {
                    MemberChange::Joined => self.present.insert(user.id),
                    MemberChange::Left | MemberChange::Removed => self.present.remove(&user.id),
                };
            }
            Change::Renamed { name, .. } => {
                self.names.insert((event.seq, name.clone()));
            }
            Change::Owner { .. } => panic!("nobody left"),
            Change::Unknown => panic!("of this version"),
        }
    }
}

async fn catching_up_is_hearing_everything(t: &T, users: [UserId; 3], steps: Vec<Step>) {
    let [ann, bob, cid] = users;
    let chat = t.group(ann, &[bob]).await;
    let mut heard = t.listen(&[Channel::Chat(chat)]).await;
    for (round, step) in steps.into_iter().enumerate() {
        match step {
            Step::Batch(batch) => {
                let head = t.head(chat).await.0;
                let commands: Vec<Command> = batch
                    .into_iter()
                    .enumerate()
                    .map(|(n, (who, back, what))| {
                        let user = [ann, bob][who];
                        // Any place, also of no message, of a deleted one, of somebody else's, of
                        // one sent in this batch.
                        let id = Seq((head + 2 - back as i64).max(1));
                        let text = format!("{round}-{n}");
                        match what {
                            Do::Send => reply(user, chat, &text, &text, None),
                            Do::Edit => edit(user, chat, id, &text),
                            Do::Delete => delete(user, chat, id),
                        }
                    })
                    .collect();
                t.post(commands).await;
            }
            Step::Add => drop(membership::add(&t.api, actor(ann), chat, &[cid]).await.unwrap()),
            Step::Remove => drop(membership::remove(&t.api, actor(ann), chat, cid).await),
            Step::Rename => {
                manage::rename(&t.api, actor(ann), chat, &round.to_string()).await.unwrap();
            }
        }
    }
    let head = t.head(chat).await;
    let mut states = vec![Device::default()];
    while states.len() as i64 <= head.0 {
        let (_, payload) = heard.next().await;
        let ChatPayload::Events(run) = serde_json::from_value(payload).unwrap() else { continue };
        for event in run.events {
            // What is asked for again is told again.
            if event.seq.0 < states.len() as i64 {
                continue;
            }
            assert_eq!(event.seq.0, states.len() as i64, "live runs have no holes");
            let mut state = states.last().unwrap().clone();
            state.apply(&event);
            states.push(state);
        }
    }
    for (after, state) in (0..).map(Seq).zip(&states) {
        for limit in [1, 3, MAX_RANGE_EVENTS] {
            let mut device = state.clone();
            let events = t.events_after(chat, after, limit).await;
            events.iter().for_each(|event| device.apply(event));
            assert_eq!(&device, states.last().unwrap(), "after {after} by {limit}: {events:?}");
        }
    }
}

fn property(start: impl Future<Output = T>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap();
    let (t, users) = runtime.block_on(async {
        let mut t = start.await;
        t.api.config = std::sync::Arc::new(api::config::Config::default());
        let users = t.users(["ann", "bob", "cid"]).await;
        (t, users)
    });
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&steps(), |steps| {
            runtime.block_on(catching_up_is_hearing_everything(&t, users, steps));
            Ok(())
        })
        .unwrap();
    runtime.block_on(t.api.close());
}

#[test]
fn catching_up_is_hearing_everything_sqlite() {
    property(T::sqlite());
}

#[test]
fn catching_up_is_hearing_everything_postgres() {
    property(T::postgres());
}

async fn many_ranges_in_one_call(t: T) {
    let ann = t.user("ann").await;
    let [one, two] = [t.group(ann, &[]).await, t.group(ann, &[]).await];
    for n in 0..5 {
        t.say(ann, one, &format!("one {n}")).await;
        t.say(ann, two, &format!("two {n}")).await;
    }
    let range = |chat_id, after| Range { chat_id, after: Seq(after) };
    let ranges =
        vec![range(two, 3), range(ChatId(999), 0), range(one, 0), range(two, 5), range(two, 0)];
    let found = internal::events(&t.api, Events { ranges }).await.unwrap().ranges;
    let seqs: Vec<Option<Vec<i64>>> = found
        .iter()
        .map(|range| range.as_ref().map(|r| r.events.iter().map(|event| event.seq.0).collect()))
        .collect();
    let all = vec![1, 2, 3, 4, 5];
    assert_eq!(seqs, [Some(vec![4, 5]), None, Some(all.clone()), Some(vec![]), Some(all)]);
    let ranges = vec![range(one, 0); 201];
    assert_eq!(refused(internal::events(&t.api, Events { ranges }).await).0, 422);
}

async fn ranges_of_what_is_not_there(t: T) {
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    t.say(ann, chat, "one").await;
    let ranges = vec![Range { chat_id: chat, after: Seq(50) }];
    let found =
        internal::events(&t.api, Events { ranges }).await.unwrap().ranges.pop().unwrap().unwrap();
    assert_eq!((found.events.len(), found.upto, found.head), (0, Seq(1), Seq(1)));
    manage::delete(&t.api, actor(ann), chat).await.unwrap();
    let ranges = vec![Range { chat_id: chat, after: Seq(0) }];
    assert!(internal::events(&t.api, Events { ranges }).await.unwrap().ranges[0].is_none());
}

/// Also when almost every place in between is empty, because one message was edited all the time.
async fn long_absences_come_in_pages(t: T) {
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    t.say(ann, chat, "first").await;
    for round in 0..3 {
        let edits = (0..150).map(|n| edit(ann, chat, Seq(1), &format!("{round}-{n}"))).collect();
        t.post(edits).await;
    }
    t.say(ann, chat, "last").await;
    let ranges = vec![Range { chat_id: chat, after: Seq(1) }];
    let found =
        internal::events(&t.api, Events { ranges }).await.unwrap().ranges.pop().unwrap().unwrap();
    assert_eq!((found.events.len(), found.upto, found.head), (0, Seq(201), Seq(452)));
    let events = t.events_after(chat, Seq(1), MAX_RANGE_EVENTS).await;
    let seqs: Vec<i64> = events.iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, [451, 452]);
}

/// Whatever is in the texts, and however many ranges are asked for; and everything comes, page by page.
async fn answers_are_bounded_in_bytes(t: T) {
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    for (text, times) in [("\"", 40), ("😀", 40), ("x", 20)] {
        let text = text.repeat(MAX_TEXT_CHARS);
        let posts = (0..times).map(|n| send(ann, chat, &format!("{text:.1}{n}"), &text)).collect();
        t.post(posts).await;
    }
    t.post((1..=20).map(|n| edit(ann, chat, Seq(n), &"\\".repeat(MAX_TEXT_CHARS))).collect()).await;
    t.post((21..=30).map(|n| delete(ann, chat, Seq(n))).collect()).await;
    // Of many, the first pages are enough.
    for (asked, pages) in [(1, 130), (3, 130), (200, 3)] {
        // All start elsewhere, so that some ranges begin with changes of what lies before them.
        let mut afters: Vec<i64> = (0..asked).map(|n| n % 130).collect();
        let mut seen: Vec<Vec<i64>> = vec![Vec::new(); afters.len()];
        for _ in 0..pages {
            let range = |after: &i64| Range { chat_id: chat, after: Seq(*after) };
            let ranges = afters.iter().map(range).collect();
            let found = internal::events(&t.api, Events { ranges }).await.unwrap();
            assert!(serde_json::to_string(&found).unwrap().len() < MAX_EVENTS_BYTES + 100_000);
            for ((after, seen), found) in afters.iter_mut().zip(&mut seen).zip(found.ranges) {
                let found = found.unwrap();
                let bytes = serde_json::to_string(&found.events).unwrap().len();
                assert!(bytes <= MAX_RANGE_BYTES || found.events.len() == 1, "{bytes}");
                assert!(found.upto > Seq(*after) || found.upto == found.head, "it gets on");
                let inside = |event: &Event| event.seq.0 > *after && event.seq <= found.upto;
                assert!(found.events.iter().all(inside));
                seen.extend(found.events.iter().map(|event| event.seq.0));
                *after = found.upto.0;
            }
            if afters.iter().all(|after| *after == 130) {
                break;
            }
        }
        let starts = (0..asked).map(|n| n % 130);
        assert!(asked == 200 || afters.iter().all(|after| *after == 130), "{afters:?}");
        for ((start, seen), upto) in starts.zip(seen).zip(afters) {
            // Whoever was after a message sees its change; who goes through the pages, too.
            let expected: Vec<i64> = (start + 1..=upto).collect();
            let missing: Vec<&i64> = expected.iter().filter(|seq| !seen.contains(seq)).collect();
            let superseded = |seq: &i64| (101..=130).contains(seq);
            assert!(seen.is_sorted() && missing.into_iter().all(superseded), "{start}: {seen:?}");
        }
    }
}
