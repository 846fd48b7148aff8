//! Lanes against an api that does as it is told.

use super::*;
use parking_lot::Mutex;
use proptest::prelude::*;
use protocol::id::ChatId;
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};
use tokio::sync::Semaphore;

const CONFIG: LaneConfig = LaneConfig {
    max_batch: 3,
    max_batch_bytes: 100,
    max_items: 10,
    max_bytes: 1_000,
    at_once: 1,
    give_up_after: Duration::from_secs(5),
    slow_after: Duration::from_millis(50),
    busy_pause: Duration::from_millis(50),
    first_retry: Duration::from_millis(50),
    longest_retry: Duration::from_secs(1),
};

/// A number in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ask(u32, i64);

impl Request for Ask {
    fn bytes(&self) -> usize {
        1
    }

    fn chat(&self) -> Option<ChatId> {
        Some(ChatId(self.1))
    }
}

type Batches = Arc<Mutex<Vec<Vec<u32>>>>;
type Answered = Result<Vec<Reply<u32>>, Unavailable>;

/// A lane whose calls wait for a permit each; the batches it saw.
fn lane_of(
    config: LaneConfig,
    answer: impl Fn(&[Ask], usize) -> Answered + Send + Sync + 'static,
) -> (Lane<Ask, u32>, Arc<Semaphore>, Batches) {
    let gate = Arc::new(Semaphore::new(0));
    let seen = Batches::default();
    let (open, log, answer) = (Arc::clone(&gate), Arc::clone(&seen), Arc::new(answer));
    let call: Call<Ask, u32> = Box::new(move |batch, _| {
        let (open, log, answer) = (Arc::clone(&open), Arc::clone(&log), Arc::clone(&answer));
        Box::pin(async move {
            open.acquire().await.unwrap().forget();
            let calls = {
                let mut log = log.lock();
                log.push(batch.iter().map(|ask| ask.0).collect());
                log.len()
            };
            answer(&batch, calls)
        })
    });
    (Lane::start("test", config, call, &Lifecycle::new()), gate, seen)
}

fn ten_times(batch: &[Ask]) -> Answered {
    Ok(batch.iter().map(|ask| Reply::Answer(ask.0 * 10)).collect())
}

fn down() -> Unavailable {
    Unavailable::NotAnswered("down".to_owned())
}

fn too_long() -> Unavailable {
    Unavailable::Refused("too long".to_owned())
}

type Answers = mpsc::Receiver<(u32, Result<u32, Unavailable>)>;

/// Submits these and returns where their answers come, in the order in which they come.
fn submit(lane: &Lane<Ask, u32>, asks: impl IntoIterator<Item = Ask>) -> Answers {
    let (sender, answers) = mpsc::channel(1_000);
    for ask in asks {
        let sender = sender.clone();
        let done = Box::new(move |answer| sender.try_send((ask.0, answer)).unwrap());
        lane.submit(ask, done).unwrap();
    }
    answers
}

async fn all(mut told: Answers) -> Vec<(u32, Result<u32, Unavailable>)> {
    let mut all = Vec::new();
    while let Some(one) = told.recv().await {
        all.push(one);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn what_arrives_during_a_call_is_the_next_batch() {
    let (lane, gate, seen) = lane_of(CONFIG, |batch, _| ten_times(batch));
    let first = lane.request(Ask(1, 1));
    tokio::pin!(first);
    assert!(futures_util::poll!(&mut first).is_pending());
    tokio::task::yield_now().await;
    let mut told = submit(&lane, (2..=6).map(|n| Ask(n, 1)));
    gate.add_permits(9);
    assert_eq!(first.await, Ok(10));
    for n in 2..=6 {
        assert_eq!(told.recv().await, Some((n, Ok(n * 10))));
    }
    assert_eq!(*seen.lock(), [vec![1], vec![2, 3, 4], vec![5, 6]]);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_answer_is_repeated_as_it_was() {
    let (lane, gate, seen) =
        lane_of(CONFIG, |batch, calls| if calls <= 2 { Err(down()) } else { ten_times(batch) });
    gate.add_permits(9);
    assert_eq!(lane.request(Ask(7, 1)).await, Ok(70));
    assert_eq!(*seen.lock(), [vec![7], vec![7], vec![7]]);
}

/// Also one whose secret is wrong: smaller calls would not get around that.
#[tokio::test(start_paused = true)]
async fn after_a_while_the_items_fail_and_a_batch_was_never_taken_apart() {
    let wrong = Unavailable::status(401, "wrong secret".to_owned());
    let told = wrong.clone();
    let (lane, gate, seen) = lane_of(CONFIG, move |_, _| Err(told.clone()));
    gate.add_permits(1_000);
    let failed = all(submit(&lane, (1..=6).map(|n| Ask(n, 1)))).await;
    assert_eq!(failed, (1..=6).map(|n| (n, Err(wrong.clone()))).collect::<Vec<_>>());
    let seen = seen.lock();
    assert!(seen.iter().all(|batch| batch.len() == 3) && seen.len() < 40, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_refuses_by_number_and_by_bytes() {
    for (config, fit) in [(CONFIG, 10), (LaneConfig { max_bytes: 7, ..CONFIG }, 7)] {
        let (lane, gate, _) = lane_of(config, |batch, _| ten_times(batch));
        let (sender, mut answers) = mpsc::channel(30);
        let submit = || {
            let sender = sender.clone();
            lane.submit(Ask(1, 1), Box::new(move |_| sender.try_send(()).unwrap())).is_ok()
        };
        assert_eq!((0..30).filter(|_| submit()).count(), fit);
        tokio::task::yield_now().await;
        assert!(!submit(), "what is asked counts until it is answered");
        gate.add_permits(100);
        for _ in 0..fit {
            answers.recv().await.unwrap();
        }
        assert!(submit(), "there is room again");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_fails_alone_and_the_others_keep_their_order() {
    let config = LaneConfig { max_batch: 200, max_batch_bytes: 1_000, max_items: 200, ..CONFIG };
    let bad = [17, 170];
    let (lane, gate, seen) = lane_of(config, move |batch, _| {
        if batch.iter().any(|ask| bad.contains(&ask.0)) {
            Err(too_long())
        } else {
            ten_times(batch)
        }
    });
    gate.add_permits(1_000);
    let told = all(submit(&lane, (0..200).map(|n| Ask(n, 1)))).await;
    let expected =
        (0..200).map(|n| (n, if bad.contains(&n) { Err(too_long()) } else { Ok(n * 10) }));
    assert_eq!(told, expected.collect::<Vec<_>>());
    assert!(seen.lock().len() <= 2 * 2 * 8, "{:?}", seen.lock());
}

#[tokio::test(start_paused = true)]
async fn an_api_that_refuses_everything_is_not_asked_for_ever() {
    let config = LaneConfig { max_batch: 200, max_batch_bytes: 1_000, max_items: 200, ..CONFIG };
    for answer in [Err(too_long()), Ok(Vec::new())] {
        let (lane, gate, seen) = lane_of(config, move |_, _| answer.clone());
        gate.add_permits(1_000);
        let told = all(submit(&lane, (0..200).map(|n| Ask(n, 1)))).await;
        assert!(told.len() == 200 && told.iter().all(|(_, answer)| answer.is_err()));
        assert!(seen.lock().len() <= 50, "{} calls", seen.lock().len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_question_leaves_room_for_others() {
    let config = LaneConfig { at_once: 4, max_batch: 1, ..CONFIG };
    let call = call(|batch: Vec<Ask>| async move {
        if batch[0].0 == 0 {
            std::future::pending::<()>().await;
        }
        Ok(vec![batch[0].0 * 10])
    });
    let lane = Lane::start("test", config, call, &Lifecycle::new());
    let mut told = submit(&lane, [0, 1, 2, 3, 4, 5].map(|n| Ask(n, 1)));
    let mut seen = Vec::new();
    for _ in 1..=5 {
        seen.push(told.recv().await.unwrap().0);
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_during_a_call_that_is_not_slow_is_one_call() {
    let config = LaneConfig { at_once: 4, max_batch: 10, ..CONFIG };
    let batches = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&batches);
    let call = call(move |batch: Vec<Ask>| {
        let numbers: Vec<u32> = batch.iter().map(|ask| ask.0).collect();
        log.lock().push(numbers.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok(numbers.into_iter().map(|number| number * 10).collect())
        }
    });
    let lane = Lane::start("test", config, call, &Lifecycle::new());
    let mut told = Vec::new();
    for number in 0..4 {
        told.push(submit(&lane, [Ask(number, 1)]));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for mut told in told {
        told.recv().await.unwrap().1.unwrap();
    }
    assert_eq!(*batches.lock(), [vec![0], vec![1, 2, 3]]);
}

/// An api where some chats are held until a certain time.
fn held(until: BTreeMap<i64, Duration>) -> impl Fn(&[Ask], usize) -> Answered {
    let started = Instant::now();
    move |batch, _| {
        let held = |ask: &Ask| until.get(&ask.1).is_some_and(|until| started.elapsed() < *until);
        let reply = |ask: &Ask| if held(ask) { Reply::Busy } else { Reply::Answer(ask.0 * 10) };
        Ok(batch.iter().map(reply).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_chat_delays_its_own_only() {
    let until = BTreeMap::from([(2, Duration::from_secs(3)), (3, Duration::from_secs(60))]);
    let (lane, gate, _) = lane_of(LaneConfig { max_items: 100, ..CONFIG }, held(until));
    gate.add_permits(10_000);
    let started = Instant::now();
    // Commands for a held chat come before, during and after its first try.
    let mut told = submit(&lane, (0..30).map(|n| Ask(n, i64::from(n) % 3 + 1)));
    for n in (0..30).step_by(3) {
        assert_eq!(told.recv().await, Some((n, Ok(n * 10))));
    }
    assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
    for n in (1..30).step_by(3) {
        assert_eq!(told.recv().await, Some((n, Ok(n * 10))));
    }
    assert!(started.elapsed() < Duration::from_millis(3_500), "{:?}", started.elapsed());
    for n in (2..30).step_by(3) {
        let (number, answer) = told.recv().await.unwrap();
        assert_eq!((number, answer.is_err()), (n, true), "held for too long");
    }
    // It is the lane's again.
    assert_eq!(lane.request(Ask(5, 2)).await, Ok(50));
}

proptest! {
    /// Whatever is refused, busy or not answered for a while: each item is answered once, and what is
    /// answered well is in order within its chat.
    #[test]
    fn nothing_is_lost_doubled_or_swapped(
        chats in prop::collection::vec(0i64..4, 1..40),
        bad in prop::collection::hash_set(0u32..40, 0..4),
        held_ms in prop::collection::vec(0u64..2_000, 4),
        failing in prop::collection::hash_set(1usize..30, 0..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let until = (0..).zip(held_ms).map(|(chat, ms)| (chat, Duration::from_millis(ms)));
            let answer = held(until.collect());
            let refuse = bad.clone();
            let config = LaneConfig { max_items: 100, max_batch: 8, ..CONFIG };
            let (lane, gate, _) = lane_of(config, move |batch, calls| {
                if failing.contains(&calls) {
                    return Err(down());
                }
                if batch.iter().any(|ask| refuse.contains(&ask.0)) {
                    return Err(too_long());
                }
                answer(batch, calls)
            });
            gate.add_permits(100_000);
            let asks: Vec<Ask> = (0..).zip(&chats).map(|(n, chat)| Ask(n, *chat)).collect();
            let told = all(submit(&lane, asks.clone())).await;
            let numbers: HashSet<u32> = told.iter().map(|(number, _)| *number).collect();
            assert_eq!((told.len(), numbers.len()), (asks.len(), asks.len()));
            for chat in 0..4 {
                let of_chat = |number: &u32| asks[*number as usize].1 == chat;
                let good = told.iter().filter(|(_, answer)| answer.is_ok()).map(|(n, _)| *n);
                let good: Vec<u32> = good.filter(of_chat).collect();
                assert!(good.is_sorted(), "{good:?}");
                let expected = asks.iter().filter(|ask| ask.1 == chat && !bad.contains(&ask.0));
                assert_eq!(good.len(), expected.count(), "the good ones are answered");
            }
        });
    }
}
