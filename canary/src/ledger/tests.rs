//! The rules of the verdicts, case by case, and what holds for whatever happens in whatever order.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const RULES: Rules = Rules { late: Duration::from_millis(500), patience: Duration::from_secs(30) };

const CHAT: ChatId = ChatId(5);

fn gateway(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 8100))
}

/// A ledger in which gateway 1 has just sent `m` to 2 and 3, and a clock to move.
struct Case {
    ledger: RoundLedger,
    now: Instant,
}

impl Case {
    fn new() -> Self {
        let now = Instant::now();
        let mut ledger = RoundLedger::new(RULES);
        let verdicts =
            ledger.begin("m".to_owned(), CHAT, gateway(1), [gateway(2), gateway(3)], now);
        assert_eq!(verdicts, []);
        Self { ledger, now }
    }

    fn after(&mut self, milliseconds: u64) -> &mut Self {
        self.now += Duration::from_millis(milliseconds);
        self
    }

    fn message(&mut self, number: u8) -> Vec<RoundVerdict> {
        self.ledger.on_message("m", gateway(number), self.now)
    }

    fn signal(&mut self, number: u8) -> Vec<RoundVerdict> {
        self.ledger.on_signal(gateway(number))
    }

    fn next_round(&mut self) -> Vec<RoundVerdict> {
        self.ledger.begin("n".to_owned(), CHAT, gateway(2), [gateway(1), gateway(3)], self.now)
    }

    fn time(&mut self) -> Vec<RoundVerdict> {
        self.ledger.pass_time(self.now)
    }
}

fn in_time(number: u8, milliseconds: u64) -> RoundVerdict {
    RoundVerdict::Delivered { at: gateway(number), took: Some(Duration::from_millis(milliseconds)) }
}

#[test]
fn a_round_passes_when_all_of_it_has_come() {
    let mut case = Case::new();
    assert_eq!(case.signal(2), [RoundVerdict::SignalDelivered]);
    assert_eq!(case.after(5).message(2), [in_time(2, 5)]);
    assert_eq!(case.ledger.on_ack("m"), [RoundVerdict::Acknowledged]);
    assert_eq!(case.after(495).message(3), [in_time(3, 500)]);
    assert_eq!(case.signal(3), [RoundVerdict::SignalDelivered, RoundVerdict::Passed]);
    assert_eq!(case.after(1).signal(3), [], "nobody waited for another one");
    assert_eq!(case.next_round(), []);
    assert_eq!(case.after(40_000).time().len(), 1, "only the next round's sending has failed");
    assert_eq!(case.ledger.rounds.len(), 1);
}

#[test]
fn late_is_not_lost_and_does_not_pass() {
    let mut case = Case::new();
    case.ledger.on_ack("m");
    case.signal(2);
    case.signal(3);
    case.message(2);
    let took = Duration::from_millis(501);
    assert_eq!(case.after(501).message(3), [RoundVerdict::Late { at: gateway(3), took }]);
    assert_eq!(case.after(60_000).time(), []);
}

#[test]
fn what_never_comes_is_lost_once() {
    let mut case = Case::new();
    case.ledger.on_ack("m");
    case.message(2);
    assert_eq!(case.after(29_999).time(), []);
    assert_eq!(case.after(1).time(), [RoundVerdict::Lost { at: gateway(3) }]);
    assert_eq!(case.after(60_000).time(), []);
    assert_eq!(case.message(3), [], "it was judged");
}

#[test]
fn what_comes_again_is_repeated() {
    let mut case = Case::new();
    case.message(2);
    assert_eq!(case.message(2), [RoundVerdict::Repeated { at: gateway(2) }]);
    assert_eq!(case.ledger.on_message("other", gateway(2), case.now), []);
    assert_eq!(case.message(1), [], "nothing is expected of the sender");
}

#[test]
fn signals_have_until_the_next_round() {
    let mut case = Case::new();
    case.ledger.on_ack("m");
    case.message(2);
    case.message(3);
    case.signal(3);
    assert_eq!(case.after(5_000).next_round(), [RoundVerdict::SignalLost { at: gateway(2) }]);
    assert_eq!(case.signal(2), [], "gateway 2 sends now");
    assert_eq!(case.time(), [], "a round with a lost signal does not pass");
}

#[test]
fn nobody_promised_a_message_without_acknowledgement() {
    let mut case = Case::new();
    assert_eq!(case.after(30_000).time(), [RoundVerdict::SendFailed { from: gateway(1) }]);

    let mut case = Case::new();
    assert_eq!(case.ledger.on_refusal("m"), Some(RoundVerdict::SendFailed { from: gateway(1) }));
    assert_eq!(case.ledger.on_refusal("m"), None);
    assert_eq!(case.after(60_000).time(), []);

    let mut case = Case::new();
    case.message(2);
    let verdicts =
        [RoundVerdict::SendFailed { from: gateway(1) }, RoundVerdict::Lost { at: gateway(3) }];
    assert_eq!(case.after(30_000).time(), verdicts, "who was shown it proves that it is stored");
}

#[test]
fn a_listener_that_comes_back_must_be_given_what_it_missed() {
    let mut case = Case::new();
    case.ledger.on_ack("m");
    case.signal(2);
    case.message(2);
    case.ledger.on_listener_away(gateway(3));
    assert_eq!(case.after(29_000).time(), []);
    case.ledger.on_listener_back(gateway(3), case.now);
    assert_eq!(case.after(1_000).time(), [], "it has only just come back");
    let delivered = RoundVerdict::Delivered { at: gateway(3), took: None };
    let mut twin = Case { ledger: RoundLedger::new(RULES), now: case.now };
    std::mem::swap(&mut twin.ledger, &mut case.ledger);
    assert_eq!(twin.message(3), [delivered, RoundVerdict::Passed], "not timed, its signal excused");

    let mut case = Case::new();
    case.ledger.on_ack("m");
    case.message(2);
    case.ledger.on_listener_away(gateway(3));
    case.ledger.on_listener_back(gateway(3), case.now);
    assert_eq!(case.after(30_000).time(), [RoundVerdict::Lost { at: gateway(3) }]);
}

#[test]
fn a_listener_that_stays_away_or_leaves_is_not_asked() {
    let mut case = Case::new();
    case.ledger.on_ack("m");
    case.signal(2);
    case.message(2);
    case.ledger.on_listener_away(gateway(3));
    assert_eq!(case.after(59_999).time(), []);
    assert_eq!(case.after(1).time(), [RoundVerdict::Passed], "of all who were there");

    let mut case = Case::new();
    case.ledger.on_ack("m");
    case.signal(2);
    case.message(2);
    assert_eq!(case.ledger.excuse(gateway(3)), [RoundVerdict::Passed]);

    let mut case = Case::new();
    case.ledger.on_ack("m");
    case.ledger.excuse(gateway(2));
    case.ledger.excuse(gateway(3));
    assert_eq!(case.after(60_000).time(), [], "nothing was proved");
}

#[test]
fn a_sender_whose_connection_ends_sends_again() {
    let mut case = Case::new();
    assert!(case.ledger.on_sender_away(gateway(2)).is_empty());
    assert_eq!(case.ledger.on_sender_away(gateway(1)), ["m"]);
    assert_eq!(case.ledger.open_send("m"), Some((CHAT, gateway(1))));
    case.after(9_000);
    case.ledger.on_sent_again("m", gateway(2), case.now);
    assert_eq!(case.next_round(), [], "its signals may have been lost with the connection");
    case.ledger.on_ack("m");
    let delivered = |number| RoundVerdict::Delivered { at: gateway(number), took: None };
    assert_eq!(case.after(600).message(2), [delivered(2)]);
    assert_eq!(case.message(3), [delivered(3), RoundVerdict::Passed]);
    assert_eq!(case.ledger.open_send("m"), None);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(u8),
    Ack(usize),
    Refuse(usize),
    Message(usize, u8),
    Signal(u8),
    Away(u8),
    Back(u8),
    SenderAway(u8),
    Again(usize, u8),
    Excuse(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (round, who) = (0..12_usize, 0..4_u8);
    prop_oneof![
        1 => who.clone().prop_map(Step::Begin),
        1 => round.clone().prop_map(Step::Ack),
        1 => round.clone().prop_map(Step::Refuse),
        4 => (round.clone(), who.clone()).prop_map(|(round, who)| Step::Message(round, who)),
        2 => who.clone().prop_map(Step::Signal),
        1 => who.clone().prop_map(Step::Away),
        1 => who.clone().prop_map(Step::Back),
        1 => who.clone().prop_map(Step::SenderAway),
        1 => (round, who.clone()).prop_map(|(round, who)| Step::Again(round, who)),
        1 => who.prop_map(Step::Excuse),
        2 => (0..20_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_books_balance(steps in prop::collection::vec(step(), 0..120)) {
        let mut ledger = RoundLedger::new(RULES);
        let mut now = Instant::now();
        let (mut begun, mut asked, mut arrivals) = (0, 0, HashMap::<_, usize>::new());
        let mut all = Vec::new();
        for step in steps.into_iter().chain([Step::Wait(60_000), Step::Begin(0), Step::Wait(60_000)]) {
            all.extend(match step {
                Step::Begin(from) => {
                    let others = (0..4).filter(|number| *number != from).map(gateway);
                    (begun, asked) = (begun + 1, asked + 3);
                    ledger.begin((begun - 1).to_string(), CHAT, gateway(from), others, now)
                }
                Step::Ack(round) => ledger.on_ack(&round.to_string()),
                Step::Refuse(round) => ledger.on_refusal(&round.to_string()).into_iter().collect(),
                Step::Message(round, who) => {
                    *arrivals.entry((round, who)).or_default() += 1;
                    ledger.on_message(&round.to_string(), gateway(who), now)
                }
                Step::Signal(who) => ledger.on_signal(gateway(who)),
                Step::Away(who) => { ledger.on_listener_away(gateway(who)); Vec::new() }
                Step::Back(who) => { ledger.on_listener_back(gateway(who), now); Vec::new() }
                Step::SenderAway(who) => { ledger.on_sender_away(gateway(who)); Vec::new() }
                Step::Again(round, who) => {
                    ledger.on_sent_again(&round.to_string(), gateway(who), now);
                    Vec::new()
                }
                Step::Excuse(who) => ledger.excuse(gateway(who)),
                Step::Wait(milliseconds) => {
                    now += Duration::from_millis(milliseconds);
                    ledger.pass_time(now)
                }
            });
        }
        let count = |wanted: fn(&RoundVerdict) -> bool| all.iter().filter(|one| wanted(one)).count();
        let judged = count(|one| matches!(one, RoundVerdict::Delivered { .. } | RoundVerdict::Late { .. } | RoundVerdict::Lost { .. }));
        prop_assert!(judged <= asked, "each delivery is judged at most once");
        let signals = count(|one| matches!(one, RoundVerdict::SignalDelivered | RoundVerdict::SignalLost { .. }));
        prop_assert!(signals <= asked);
        let sends = count(|one| matches!(one, RoundVerdict::Acknowledged | RoundVerdict::SendFailed { .. }));
        prop_assert_eq!(sends, begun, "each sending is judged once");
        let again: usize = arrivals.values().map(|times| times - 1).sum();
        let repeated = count(|one| matches!(one, RoundVerdict::Repeated { .. }));
        prop_assert!(repeated <= again);
        let passed = count(|one| *one == RoundVerdict::Passed);
        let acknowledged = count(|one| *one == RoundVerdict::Acknowledged);
        prop_assert!(passed <= acknowledged);
        let delivered = count(|one| matches!(one, RoundVerdict::Delivered { .. }));
        prop_assert!(passed <= delivered);
        prop_assert_eq!(ledger.rounds.len(), 1, "nothing but the newest round is kept");
    }
}
