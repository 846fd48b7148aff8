//! Chats on two PostgreSQL servers that both take writes, of which one is killed under load: the other one's chats see
//! nothing of it, and nothing that was acknowledged is lost or doubled.

use crate::harness::{T, actor, reply, send};
use api::{
    chats::{
        lists, membership,
        messages::{self, MessagesPage},
    },
    internal,
};
use cluster::Postgres;
use platform::problem::Problem;
use protocol::{
    bucket::ChatBucket,
    calls::{Changed, Post},
    chat::{Change, ChatType},
    code::Code,
    command::Command,
    id::{ChatId, Seq, UserId},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};

const SERVERS: usize = 2;

/// A patient test's patience.
const LONG: Duration = Duration::from_secs(60);

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < LONG, "what is waited for does not come");
        sleep(Duration::from_millis(10)).await;
    }
}

/// What a lane has been told is stored.
#[derive(Default)]
struct PostingLane {
    acknowledged: AtomicUsize,
    /// Calls that failed.
    failed: AtomicUsize,
    /// Commands that were not carried out although their call was.
    busy: AtomicUsize,
    stop: AtomicBool,
}

type Stored = BTreeMap<(ChatId, String), Seq>;

impl PostingLane {
    /// Posts to these chats, batch after batch, as gateways do: each command until it is acknowledged. By chat and key,
    /// the message's number.
    async fn run(&self, t: &T, sender: UserId, name: &str, chats: &[ChatId]) -> Stored {
        let mut stored = Stored::new();
        for round in 0.. {
            let key = format!("{name}{round}");
            let command = |chat: &ChatId| {
                let first = stored.get(&(*chat, format!("{name}0"))).copied();
                let answered = first.filter(|_| round % 5 == 4);
                reply(sender, *chat, &key, "under way", answered)
            };
            let mut left: Vec<Command> = chats.iter().map(command).collect();
            while !left.is_empty() {
                let asked = Post { commands: left.clone(), impatient: true };
                let posted = match internal::post(&t.api, asked).await {
                    Ok(posted) => posted,
                    Err(error) => {
                        assert_eq!(Problem::from(error).status.as_u16(), 503);
                        self.failed.fetch_add(1, Ordering::Relaxed);
                        sleep(Duration::from_millis(20)).await;
                        continue;
                    }
                };
                let mut again = Vec::new();
                for (command, result) in left.into_iter().zip(posted.results) {
                    match result {
                        Ok(receipt) => {
                            stored.insert((command.chat_id, key.clone()), receipt.message_id);
                        }
                        Err(refusal) => {
                            assert_eq!(refusal.code, Code::Busy);
                            again.push(command);
                        }
                    }
                }
                self.busy.fetch_add(again.len(), Ordering::Relaxed);
                if !again.is_empty() {
                    sleep(Duration::from_millis(20)).await;
                }
                left = again;
            }
            self.acknowledged.fetch_add(chats.len(), Ordering::Relaxed);
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        stored
    }

    async fn until_more(&self, more: usize) {
        let wanted = self.acknowledged.load(Ordering::Relaxed) + more;
        until(async || self.acknowledged.load(Ordering::Relaxed) >= wanted).await;
    }
}

/// Follows what changed, as gateways do: the newest event of each chat that it was told of. Counts how often the home's
/// answer came without the other server's.
async fn follow(t: &T, stop: &AtomicBool, alone: &AtomicUsize) -> HashMap<ChatId, Seq> {
    let (mut heads, mut asked) = (HashMap::new(), Changed::default());
    loop {
        // Once more after the end.
        let is_last = stop.load(Ordering::Relaxed);
        let found = internal::changed(&t.api, asked.clone()).await.unwrap();
        assert_eq!(found.marks.len(), SERVERS);
        assert!(found.marks[0] >= asked.marks.first().copied().flatten());
        if found.marks[1] == asked.marks.get(1).copied().flatten() {
            alone.fetch_add(1, Ordering::Relaxed);
        }
        heads.extend(found.chats.iter().copied());
        asked = Changed { since: Some(found.now), marks: found.marks };
        if is_last {
            return heads;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_live_on_two_servers_and_one_is_killed_under_load() {
    let (home, other) = tokio::join!(async { Postgres::start().await.unwrap() }, async {
        Postgres::start().await.unwrap()
    });
    let databases = [home.create_database().await, other.create_database().await];
    let t = T::on_servers(&databases.each_ref().map(|database| database.url().to_owned())).await;
    let [ann, bob, cid, dan] = t.users(["ann", "bob", "cid", "dan"]).await;
    let mut chats: [Vec<ChatId>; SERVERS] = Default::default();
    for other in [bob, cid, dan] {
        let chat = t.try_create(ann, ChatType::Private, &[other]).await.unwrap();
        chats[ChatBucket::of(chat).group(SERVERS)].push(chat);
    }
    while chats.iter().any(|chats| chats.len() < 4) {
        let chat = t.group(ann, &[]).await;
        chats[ChatBucket::of(chat).group(SERVERS)].push(chat);
    }
    let everywhere: BTreeSet<ChatId> = chats.iter().flatten().copied().collect();
    let all: Vec<ChatId> = everywhere.iter().copied().collect();
    assert_eq!(everywhere.len(), chats.iter().map(Vec::len).sum::<usize>(), "no id is given twice");

    let lanes: [PostingLane; 3] = Default::default();
    let (stop, told_alone) = (AtomicBool::new(false), AtomicUsize::new(0));
    let traffic = async {
        for lane in &lanes {
            lane.until_more(50).await;
        }
        other.kill().await.unwrap();
        // The other server's chats go on.
        lanes[0].until_more(200).await;
        let noticed = |count: &AtomicUsize| count.load(Ordering::Relaxed) > 0;
        // A batch for both is carried out by half.
        until(async || noticed(&lanes[1].failed) && noticed(&lanes[2].busy)).await;
        until(async || noticed(&told_alone)).await;
        lanes[0].until_more(200).await;
        other.restart().await.unwrap();
        for lane in &lanes[1..] {
            lane.until_more(100).await;
        }
        lanes.iter().for_each(|lane| lane.stop.store(true, Ordering::Relaxed));
    };
    let posting = async {
        let ran = tokio::join!(
            lanes[0].run(&t, ann, "a", &chats[0]),
            lanes[1].run(&t, ann, "b", &chats[1]),
            lanes[2].run(&t, ann, "c", &all),
            traffic
        );
        stop.store(true, Ordering::Relaxed);
        ran
    };
    let ((first, second, both, ()), heads) = tokio::join!(posting, follow(&t, &stop, &told_alone));
    let noticed = [&lanes[0].failed, &lanes[0].busy];
    let noticed = noticed.map(|count| count.load(Ordering::Relaxed));
    assert_eq!(noticed, [0, 0], "nobody here noticed");

    // All that was acknowledged is there, once, without holes; whoever comes back finds it.
    let mut acknowledged: BTreeMap<ChatId, HashMap<String, Seq>> = BTreeMap::new();
    for ((chat, key), seq) in first.into_iter().chain(second).chain(both) {
        acknowledged.entry(chat).or_default().insert(key, seq);
    }
    for (chat, mut keys) in acknowledged {
        let events = t.events_after(chat, Seq(0), 200).await;
        let seqs: Vec<i64> = events.iter().map(|event| event.seq.0).collect();
        let head = *seqs.last().unwrap();
        assert_eq!(seqs, (1..=head).collect::<Vec<_>>(), "{chat}");
        assert_eq!(heads.get(&chat), Some(&Seq(head)), "{chat}: `changed` tells of all");
        for event in events {
            let Change::Message(message) = event.change else { continue };
            let key = message.client_message_id.unwrap();
            assert_eq!(keys.remove(&key), Some(message.id), "{chat} {key}");
        }
        assert!(keys.is_empty(), "{chat} has lost {keys:?}");
        let page = MessagesPage { limit: 20, ..Default::default() };
        let newest = messages::list(&t.api, ann, chat, page).await.unwrap();
        assert_eq!(newest.len(), 20);
        assert_eq!(newest[0].sender.username, "ann", "the copy of people names them");
    }
    let listed = lists::list_all(&t.api.db, ann, None, 50).await.unwrap();
    assert_eq!(listed.iter().map(|chat| chat.view.id).collect::<BTreeSet<_>>(), everywhere);

    // What happens to a person is known everywhere, also on the server that was away meanwhile.
    for group in chats.iter().map(|chats| *chats.last().unwrap()) {
        membership::add(&t.api, actor(ann), group, &[dan]).await.unwrap();
    }
    t.sql(format!("UPDATE users SET blocked_at = 1 WHERE id = {dan}")).await;
    for group in chats.iter().map(|chats| *chats.last().unwrap()) {
        let mut tries = 0;
        until(async || {
            tries += 1;
            let said = t.one(send(dan, group, &format!("late {tries}"), "hello")).await;
            said.is_err_and(|refusal| refusal.code == Code::Blocked)
        })
        .await;
    }
}
