//! Random executions of a sound server pass, in one process and in two, and whatever single thing is
//! then changed in what one device was sent is found.

use super::{
    server::{DEVICES, Happening, Server, Step},
    *,
};
use proptest::{prelude::*, sample::Index};
use protocol::{
    chat::{Change, Event},
    frames::ChatEvent,
};
use std::collections::HashSet;

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => Just(Happening::Post),
        3 => (0..64_usize).prop_map(Happening::Edit),
        1 => (0..64_usize).prop_map(Happening::Delete),
        1 => Just(Happening::Join),
        2 => (0..DEVICES).prop_map(Happening::Cut),
        3 => (0..DEVICES, any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(device, pages, resync)| Happening::Return { device, pages, resync }),
        1 => Just(Happening::Deaf),
        1 => Just(Happening::Heal),
    ]
}

/// What the checker says of what these devices were sent, each odd one in another process.
fn judge(server: &Server, sent: &[Vec<Step>]) -> Verdict {
    let mut record = Record::default();
    for process in 0..2 {
        let ledger = Ledger::new(LedgerLimits::default());
        // Each process knows of the acknowledgements that its own devices got.
        for event in server.events.iter().skip(process).step_by(2) {
            if !matches!(event.change, Change::Member { .. }) {
                ledger.acked(&ReportedEvent::from(&ChatEvent {
                    chat_id: CHAT,
                    event: event.clone(),
                }));
            }
        }
        let mut known: HashSet<String> = HashSet::new();
        for (number, steps) in sent.iter().enumerate().filter(|(number, _)| number % 2 == process) {
            let mut log = ledger.log(format!("device {number}"));
            log.watch(CHAT, Seq::ZERO);
            steps.iter().for_each(|step| take(step, &mut log, &mut known));
        }
        let json = serde_json::to_string(&ledger.record()).unwrap();
        record.merge(serde_json::from_str(&json).unwrap());
    }
    let mut stored = StoredChats::default();
    stored.chat(CHAT, Seq::ZERO);
    for (id, row) in server.messages.iter().filter(|(_, row)| !row.gone) {
        let key = format!("key {id}");
        stored.add(
            CHAT,
            &HistoryMessage { id: Seq(*id), sender: UserId(3), key: &key, text: &row.text },
        );
    }
    record.check(&stored)
}

/// A device takes a step, by the fast path where it may.
fn take(step: &Step, log: &mut Log, known: &mut HashSet<String>) {
    match step {
        Step::Heard(event) => {
            let bytes = serde_json::to_string(event).unwrap();
            if known.contains(&bytes) {
                log.on_event_again(event.chat_id, event.event.seq);
            } else if log.on_event(&ReportedEvent::from(event)) {
                known.insert(bytes);
            }
        }
        Step::Away => log.away(),
        Step::CatchingUp => log.catching_up(),
        Step::CaughtUp(seq) => log.caught_up(CHAT, *seq),
        Step::Resync(seq) => log.resync(CHAT, *seq),
    }
}

/// Something that goes wrong with a frame.
#[derive(Clone, Copy, Debug)]
enum Mutation {
    Drop,
    Repeat,
    Swap,
    Alter,
}

/// Applies a mutation to a frame of a device, where that is a fault. The count of faults that has to
/// tell of it.
fn mutate(
    server: &Server,
    steps: &mut Vec<Step>,
    mutation: Mutation,
    at: Index,
) -> Option<fn(&Verdict) -> u64> {
    let frames: Vec<usize> =
        (0..steps.len()).filter(|at| matches!(steps[*at], Step::Heard(_))).collect();
    let at = *frames.get(at.index(frames.len().max(1)))?;
    let Step::Heard(event) = steps[at].clone() else { return None };
    match mutation {
        Mutation::Drop => {
            let excused = matches!(steps.get(at + 1..), Some(rest) if resyncs_first(rest));
            if excused || !matters(server, steps, &event.event) {
                return None;
            }
            steps.remove(at);
            Some(|verdict| verdict.lost)
        }
        Mutation::Repeat => {
            steps.insert(at, Step::Heard(event));
            Some(|verdict| verdict.repeated)
        }
        Mutation::Swap => {
            if !matches!(steps.get(at + 1), Some(Step::Heard(_))) {
                return None;
            }
            steps.swap(at, at + 1);
            Some(|verdict| verdict.reordered)
        }
        Mutation::Alter => {
            let Step::Heard(ChatEvent { event, .. }) = &mut steps[at] else { return None };
            let (Change::Message(message) | Change::Edited(message)) = &mut event.change else {
                return None;
            };
            message.text.push('!');
            Some(|verdict| verdict.altered)
        }
    }
}

/// Whether the device is told, before it hears anything more, that it cannot be caught up.
fn resyncs_first(rest: &[Step]) -> bool {
    let decisive =
        |step: &&Step| matches!(step, Step::Heard(_) | Step::Resync(_) | Step::CaughtUp(_));
    matches!(rest.iter().find(decisive), Some(Step::Resync(_)))
}

/// Whether a device that does not get this event ends up with less: not when the message is gone
/// anyhow, or changed again, or was shown to it in its latest state at first.
fn matters(server: &Server, steps: &[Step], event: &Event) -> bool {
    let id = match &event.change {
        Change::Message(message) => return !server.messages[&message.id.0].gone,
        Change::Edited(message) => message.id,
        Change::Deleted { id, .. } => *id,
        _ => return true,
    };
    let row = &server.messages[&id.0];
    let first = steps.iter().find_map(|step| match step {
        Step::Heard(ChatEvent { event, .. }) if event.seq == id => Some(&event.change),
        _ => None,
    });
    let first_is_older = match first {
        Some(Change::Message(message)) => row.gone || message.text != row.text,
        _ => false,
    };
    event.seq.0 == row.seq && event.seq != id && first_is_older
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_sound_execution_passes(happenings in prop::collection::vec(happening(), 0..60)) {
        let server = Server::after(&happenings);
        let sent: Vec<Vec<Step>> = server.devices.iter().map(|device| device.steps.clone()).collect();
        let verdict = judge(&server, &sent);
        prop_assert!(verdict.is_sound(), "{verdict:?}");
        let heard = sent.iter().flatten().filter(|step| matches!(step, Step::Heard(_))).count();
        prop_assert_eq!(verdict.delivered, heard as u64);
        prop_assert_eq!(verdict.stored, verdict.acked - verdict.deleted);
    }

    #[test]
    fn any_single_change_of_what_a_device_is_sent_is_found(
        happenings in prop::collection::vec(happening(), 5..60),
        device in 0..DEVICES,
        at in any::<Index>(),
        mutation in prop_oneof![
            Just(Mutation::Drop), Just(Mutation::Repeat), Just(Mutation::Swap), Just(Mutation::Alter)
        ],
    ) {
        let server = Server::after(&happenings);
        let mut sent: Vec<Vec<Step>> = server.devices.iter().map(|device| device.steps.clone()).collect();
        if let Some(count) = mutate(&server, &mut sent[device], mutation, at) {
            let verdict = judge(&server, &sent);
            // More than one, where the message that was dropped stood for an edit of it as well.
            let found = count(&verdict);
            prop_assert!(found > 0, "{mutation:?} in {:?}: {verdict:?}", sent[device]);
        }
    }
}
