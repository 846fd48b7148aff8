//! Nothing is up that a server has not confirmed whole, and nothing that is wanted is forgotten, whatever moves,
//! falls or breaks in between.

use super::*;
use proptest::prelude::*;
use protocol::id::ChatId;
use std::{collections::BTreeSet, sync::LazyLock};
use tokio::sync::oneshot::error::TryRecvError;

const SERVERS: [&str; 2] = ["one:1", "two:2"];

fn server(number: usize) -> ServerAddress {
    SERVERS[number].into()
}

fn chat(number: i64) -> Channel {
    Channel::Chat(ChatId(number))
}

/// Chats of even numbers on one server, of odd numbers on the other, or the other way round.
fn halves(turned: bool) -> &'static Placement {
    static HALVES: LazyLock<[Placement; 2]> = LazyLock::new(|| [false, true].map(make_halves));
    &HALVES[usize::from(turned)]
}

fn make_halves(turned: bool) -> Placement {
    let owners: Vec<(std::ops::RangeInclusive<u16>, ServerAddress)> = Partition::all()
        .map(|one| {
            let slot = super::super::names::slot(one);
            (slot..=slot, server(usize::from((one.number().is_multiple_of(2)) == turned)))
        })
        .collect();
    Placement::cluster(&owners)
}

struct Watched {
    wanted: Wanted,
    events: Arc<Mutex<Vec<BusEvent>>>,
}

impl Watched {
    fn new(placement: &Placement) -> Self {
        let events = Arc::<Mutex<Vec<BusEvent>>>::default();
        let heard = Arc::clone(&events);
        let wanted = Wanted::new(NodeId::random(), Arc::new(move |event| heard.lock().push(event)));
        wanted.place(placement);
        Self { wanted, events }
    }

    /// The server is told everything so far, and refuses some.
    fn tell(&self, number: usize, refused: &Partitions) -> Option<Changes> {
        let server = server(number);
        let changes = self.wanted.take(&server).unwrap()?;
        self.wanted.told(&server, &changes.rising, refused);
        Some(changes)
    }

    fn connect(&self, number: usize) -> Vec<Channel> {
        let server = server(number);
        let changes = self.wanted.begin(&server);
        self.wanted.told(&server, &changes.rising, &Partitions::default());
        changes.subscribe.into_iter().filter(|channel| !is_probe(*channel)).collect()
    }

    fn events(&self) -> Vec<BusEvent> {
        std::mem::take(&mut *self.events.lock())
    }
}

fn only(channel: Channel) -> Partitions {
    Partitions::from_iter([channel.partition()])
}

#[test]
fn changes_are_collected_and_the_last_word_on_a_channel_counts() {
    let one = Watched::new(&Placement::one(&server(0)));
    assert!(one.wanted.add(&[chat(1)]).is_empty(), "nothing to wait for while away");
    one.wanted.remove(&[chat(2)]);
    assert_eq!(one.connect(0), [chat(1)]);
    assert_eq!(one.events(), [BusEvent::Up(Partitions::all())]);
    let mut confirmed = one.wanted.add(&[chat(2)]);
    one.wanted.remove(&[chat(1), chat(2)]);
    let mut again = one.wanted.add(&[chat(2)]);
    let changes = one.tell(0, &Partitions::default()).unwrap();
    assert_eq!((changes.subscribe, changes.unsubscribe), (vec![chat(2)], vec![chat(1)]));
    let mut waits = [confirmed.remove(0), again.remove(0)];
    assert!(waits.iter_mut().all(|wait| wait.try_recv().is_err()), "not confirmed yet");
    changes.waiting.into_iter().for_each(|waiting| waiting.send(()).unwrap());
    assert!(waits.iter_mut().all(|wait| wait.try_recv().is_ok()));
    assert!(one.events().is_empty());
}

#[test]
fn a_lost_connection_releases_those_who_wait_and_takes_only_its_share_down() {
    let both = Watched::new(halves(false));
    let channels: Vec<Channel> = (1..=20).map(chat).collect();
    both.wanted.add(&channels);
    let told: BTreeSet<String> =
        [both.connect(0), both.connect(1)].concat().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 20);
    both.events();
    let mut waits = both.wanted.add(&channels);
    assert_eq!(waits.len(), 2, "one for each server");
    assert!(both.wanted.lost(&server(0)));
    let [BusEvent::Down(down)] = &both.events()[..] else { panic!() };
    assert_eq!((down.len(), both.wanted.down()), (512, down.clone()));
    let ended = waits.iter_mut().map(|wait| wait.try_recv() == Err(TryRecvError::Closed));
    assert_eq!(ended.filter(|ended| *ended).count(), 1);
    assert!(!both.wanted.lost(&server(0)), "down already");
    both.connect(0);
    assert!(both.wanted.down().is_empty());
}

#[test]
fn what_moves_is_down_until_its_new_server_knows_it() {
    let both = Watched::new(halves(false));
    both.wanted.add(&[chat(1)]);
    both.connect(0);
    both.connect(1);
    both.events();
    both.wanted.place(halves(true));
    assert_eq!(both.events(), [BusEvent::Down(Partitions::all())]);
    let new = usize::from(chat(1).partition().number().is_multiple_of(2));
    let changes = both.tell(new, &Partitions::default()).unwrap();
    assert!(changes.subscribe.contains(&chat(1)));
    assert!(both.wanted.hears(chat(1).partition()));
    let changes = both.tell(1 - new, &Partitions::default()).unwrap();
    assert!(!changes.subscribe.contains(&chat(1)) && !changes.unsubscribe.contains(&chat(1)));
    assert!(both.wanted.down().is_empty());
}

#[test]
fn what_a_server_refuses_is_down_and_tried_again() {
    let one = Watched::new(&Placement::one(&server(0)));
    one.connect(0);
    one.events();
    one.wanted.add(&[chat(1), chat(2)]);
    one.tell(0, &only(chat(1)));
    assert_eq!(one.events(), [BusEvent::Down(only(chat(1)))]);
    one.wanted.fell(&server(0), &only(chat(2)));
    assert_eq!(one.events(), [BusEvent::Down(only(chat(2)))]);
    assert!(one.tell(0, &Partitions::default()).is_none(), "not before the pause");
    one.wanted.retry(&server(0));
    let changes = one.tell(0, &only(chat(2))).unwrap();
    assert!(changes.subscribe.contains(&chat(1)) && changes.subscribe.contains(&chat(2)));
    assert_eq!(one.events(), [BusEvent::Up(only(chat(1)))]);
}

/// The confirmation of what was told before a partition fell, or moved away and back, says nothing about it.
#[test]
fn an_old_confirmation_raises_nothing() {
    let both = Watched::new(halves(false));
    let number = usize::from(!chat(1).partition().number().is_multiple_of(2));
    let home = server(number);
    both.wanted.add(&[chat(1)]);
    let first = both.wanted.begin(&home);
    both.wanted.fell(&home, &only(chat(1)));
    both.wanted.told(&home, &first.rising, &Partitions::default());
    assert!(!both.wanted.hears(chat(1).partition()));
    let again = both.wanted.begin(&home);
    both.wanted.place(halves(true));
    both.wanted.place(halves(false));
    both.wanted.told(&home, &again.rising, &Partitions::default());
    assert!(!both.wanted.hears(chat(1).partition()), "it is told once more");
    assert!(both.tell(number, &Partitions::default()).unwrap().subscribe.contains(&chat(1)));
    assert!(both.wanted.hears(chat(1).partition()));
}

#[test]
fn a_doubted_channel_is_told_again_and_many_of_them_condemn_the_connection() {
    let one = Watched::new(&Placement::one(&server(0)));
    let now = Instant::now();
    let channels: Vec<Channel> = (1..=25).map(chat).collect();
    one.wanted.add(&channels);
    one.wanted.doubt(&channels[..1], now);
    one.connect(0);
    assert!(one.tell(0, &Partitions::default()).is_none(), "down: no doubt");
    one.wanted.doubt(&[channels[0], chat(99)], now);
    assert_eq!(one.tell(0, &Partitions::default()).unwrap().subscribe, [channels[0]]);
    let condemned = |now| {
        one.wanted.doubt(&channels, now);
        one.wanted.take(&server(0)).is_err()
    };
    assert!(condemned(now));
    assert!(!condemned(now + std::time::Duration::from_secs(10)), "not again so soon");
    assert!(condemned(now + std::time::Duration::from_secs(60)));
}

#[test]
fn ten_thousand_doubted_channels_cost_a_connection_and_then_one_command_each() {
    let one = Watched::new(&Placement::one(&server(0)));
    let channels: Vec<Channel> = (1..=10_000).map(chat).collect();
    one.wanted.add(&channels);
    assert_eq!(one.connect(0).len(), channels.len());
    let now = Instant::now();
    let doubt_for = |seconds: std::ops::Range<u64>| {
        for second in seconds {
            one.wanted.doubt(&channels, now + std::time::Duration::from_secs(second));
        }
    };
    doubt_for(0..5);
    assert!(one.wanted.take(&server(0)).is_err(), "the connection is given up");
    one.wanted.lost(&server(0));
    assert_eq!(one.connect(0).len(), channels.len());
    assert!(one.tell(0, &Partitions::default()).is_none(), "it begins with all of them");
    // Then it is the publishers, and nothing piles up.
    doubt_for(5..25);
    let told = one.tell(0, &Partitions::default()).unwrap().subscribe;
    assert_eq!(told.len(), channels.len());
    assert!(one.tell(0, &Partitions::default()).is_none());
}

/// A server as the test plays it: it knows what it was told.
#[derive(Default)]
struct Played {
    connected: bool,
    knows: HashSet<Channel>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any order of wishes, moves, losses and refusals: what is up is known whole to the server that has it, events
    /// alternate, and in the end everything is up.
    #[test]
    fn nothing_is_up_that_is_not_known(steps in prop::collection::vec((0..8u8, 0..2usize, 1..12i64), 1..60)) {
        let both = Watched::new(halves(false));
        let mut servers = [Played::default(), Played::default()];
        let mut up = Partitions::default();
        let mut turned = false;
        for (step, number, id) in steps.into_iter().chain([(3, 0, 1), (3, 1, 1), (5, 0, 1), (5, 1, 1), (4, 0, 1), (4, 1, 1)]) {
            let address = server(number);
            let played = &mut servers[number];
            match step {
                0 => drop(both.wanted.add(&[chat(id)])),
                1 => both.wanted.remove(&[chat(id)]),
                2 => {
                    both.wanted.lost(&address);
                    *played = Played::default();
                }
                3 if !played.connected => {
                    *played = Played { connected: true, knows: both.connect(number).into_iter().collect() };
                }
                4 => if played.connected && let Some(changes) = both.tell(number, &Partitions::default()) {
                    for gone in &changes.unsubscribe {
                        played.knows.remove(gone);
                    }
                    played.knows.extend(changes.subscribe);
                },
                5 if played.connected => both.wanted.retry(&address),
                6 if played.connected => {
                    played.knows.retain(|channel| channel.partition() != chat(id).partition());
                    both.wanted.fell(&address, &only(chat(id)));
                }
                7 => {
                    turned = !turned;
                    both.wanted.place(halves(turned));
                    // A server drops what it no longer has.
                    let placement = halves(turned);
                    for (number, played) in servers.iter_mut().enumerate() {
                        played.knows.retain(|one| placement.server(one.partition()) == Some(&server(number)));
                    }
                }
                _ => {}
            }
            for event in both.events() {
                match event {
                    BusEvent::Up(more) => prop_assert!(more.iter().all(|one| up.insert(one))),
                    BusEvent::Down(less) => prop_assert!(less.iter().all(|one| up.remove(one))),
                    BusEvent::Message { .. } => {}
                }
            }
            let state = both.wanted.state.lock();
            prop_assert_eq!(&state.up, &up);
            for partition in up.iter() {
                let home = state.placement.server(partition).cloned();
                let home = (0..2).find(|number| Some(server(*number)) == home).unwrap();
                let told = state.shares.get(&server(home)).unwrap();
                prop_assert!(servers[home].connected);
                for channel in state.channels[place(partition)].iter().filter(|one| !is_probe(**one)) {
                    let known = servers[home].knows.contains(channel) || told.changed.contains(channel);
                    prop_assert!(known, "{} is up and not known", channel);
                }
            }
        }
        prop_assert!(up.is_all(), "all is up in the end: {:?}", both.wanted.down());
    }
}
