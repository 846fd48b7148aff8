use super::*;
use crate::engine::Share;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn scenario(text: &str) -> Scenario {
    toml::from_str(&format!("name = 'x'\npeople = {{ accounts = 7 }}\n{text}")).unwrap()
}

fn schedule(scenario: &Scenario, phase: usize) -> Vec<ScheduledAction> {
    let plan = Plan::new(scenario, Share::default());
    Schedule::new(scenario, &plan, phase).collect()
}

fn count(actions: &[ScheduledAction], what: ActionKind) -> usize {
    actions.iter().filter(|action| action.what == what).count()
}

proptest! {
    #[test]
    fn counts_are_the_integral_of_the_rate_at_every_moment(
        from in 0.0..300.0f64, to in 0.0..300.0f64, seconds in 1u64..20, seed: u64,
    ) {
        let mut scenario = scenario("[[phases]]\nname = 'a'\nduration = '1s'\nconnections = 5");
        (scenario.seed, scenario.phases[0].duration) = (seed >> 1, Duration::from_secs(seconds));
        scenario.phases[0].messages = PhaseRate { from, to };
        let actions = schedule(&scenario, 0);
        let sent: Vec<Duration> =
            actions.iter().filter(|a| a.what == ActionKind::InChat(ChatAction::Message)).map(|a| a.at).collect();
        prop_assert!(sent.is_sorted());
        for quarter in 1..=4 {
            let t = seconds as f64 * f64::from(quarter) / 4.0;
            let so_far = sent.iter().filter(|at| at.as_secs_f64() < t).count() as f64;
            let integral = from * t + (to - from) / seconds as f64 * t * t / 2.0;
            prop_assert!((so_far - integral).abs() <= 1.001, "{so_far} of {integral} at {t}");
        }
    }

    #[test]
    fn the_agents_schedules_are_the_whole_one(of in 1usize..6, seed: u64) {
        let mut scenario = scenario(
            "[[phases]]\nname = 'a'\nduration = '3s'\nconnections = 20\nmessages = 50\nchurn = 3",
        );
        scenario.seed = seed >> 1;
        let whole = schedule(&scenario, 0);
        let parts: Vec<Plan> =
            (0..of).map(|index| Plan::new(&scenario, Share { index, of })).collect();
        for action in whole.iter().filter_map(|action| action.slot) {
            prop_assert_eq!(parts.iter().filter(|plan| plan.has(action)).count(), 1);
        }
        for plan in &parts {
            prop_assert_eq!(&Schedule::new(&scenario, plan, 0).collect::<Vec<_>>(), &whole);
        }
    }
}

#[test]
fn a_seed_decides_everything_and_rates_do_not_disturb_each_other() {
    let text = "[[phases]]\nname = 'a'\nduration = '5s'\nconnections = 9\nmessages = 20";
    let mut one = scenario(&format!("{text}\nedits = 1"));
    let mut other = scenario(&format!("{text}\nedits = 50"));
    let messages = |scenario: &Scenario| {
        schedule(scenario, 0)
            .into_iter()
            .filter(|a| a.what == ActionKind::InChat(ChatAction::Message))
            .collect::<Vec<_>>()
    };
    assert_eq!(schedule(&one, 0), schedule(&one, 0));
    assert_eq!(messages(&one), messages(&other));
    other.seed = 1;
    assert_ne!(messages(&one), messages(&other));
    one.seed = 1;
    assert_eq!(messages(&one), messages(&other));
}

#[test]
fn connections_grow_and_shrink_evenly_and_only_open_ones_act() {
    let scenario = scenario(
        "[[phases]]\nname = 'a'\nduration = '10s'\nconnections = 100\nmessages = 30\n\
         [[phases]]\nname = 'b'\nduration = '10s'\nmessages = 30\nreconnects = 5\nstorm = 0.5\n\
         [[phases]]\nname = 'c'\nduration = '10s'\nconnections = 10\nmessages = 30",
    );
    let mut open = BTreeSet::new();
    let mut by_second = BTreeMap::new();
    for phase in 0..3 {
        for action in schedule(&scenario, phase) {
            let Some(slot) = action.slot else { continue };
            match action.what {
                ActionKind::Open => {
                    assert!(open.insert(slot));
                    *by_second.entry(action.at.as_secs()).or_insert(0) += 1;
                }
                ActionKind::Close => assert!(open.remove(&slot)),
                // The ramp is rounded to whole connections: half a place before or after.
                _ => assert!(open.contains(&slot) || slot <= open.len(), "{action:?}"),
            }
        }
        assert_eq!(open.len(), [100, 100, 10][phase]);
    }
    assert_eq!(by_second, (0..10).map(|second| (second, 10)).collect());
    assert_eq!(open, (0..10).collect());
}

#[test]
fn a_storm_cuts_its_share_at_once_and_brings_it_back_within_a_second() {
    let scenario = scenario(
        "[[phases]]\nname = 'a'\nduration = '1s'\nconnections = 200\n\
         [[phases]]\nname = 'b'\nduration = '1s'\nstorm = 0.25",
    );
    let cut = schedule(&scenario, 1);
    let slots: BTreeSet<_> = cut.iter().map(|action| action.slot.unwrap()).collect();
    assert_eq!((cut.len(), slots.len()), (50, 50));
    let away = |action: &ScheduledAction| match action.what {
        ActionKind::Cut { away } => away,
        other => panic!("{other:?}"),
    };
    assert!(cut.iter().all(|a| a.at == Duration::from_secs(1) && away(a) < Duration::from_secs(1)));
    assert!(cut.iter().map(away).max() > Some(Duration::from_millis(800)));
}

#[test]
fn without_connections_there_is_nobody_to_do_it() {
    let scenario = scenario("[[phases]]\nname = 'a'\nduration = '2s'\nmessages = 10");
    let actions = schedule(&scenario, 0);
    assert_eq!(count(&actions, ActionKind::InChat(ChatAction::Message)), 20);
    assert!(actions.iter().all(|action| action.slot.is_none()));
}

#[test]
fn senders_of_a_closed_loop_are_spread_over_all() {
    let scenario = scenario(
        "[[phases]]\nname = 'a'\nduration = '1s'\nconnections = 100\n\
         [[phases]]\nname = 'b'\nduration = '1s'\nclosed = { senders = 4, window = 8 }",
    );
    let slots: Vec<_> = schedule(&scenario, 1).iter().map(|a| a.slot.unwrap()).collect();
    assert_eq!(slots, [0, 25, 50, 75]);
}

#[test]
fn shares_of_dialects_and_slow_readers_hold_for_any_number() {
    let scenario: Scenario = toml::from_str(
        "name = 'x'\n[people]\naccounts = 7\ndialects = { native = 6, lobby = 3, chat = 1 }\n\
         slow = { share = 0.1, bytes_per_second = 1 }\n\
         [[phases]]\nname = 'a'\nduration = '1s'\nconnections = 1000",
    )
    .unwrap();
    let plan = Plan::new(&scenario, Share::default());
    for slots in [10, 100, 1_000] {
        let of = |dialect| (0..slots).filter(|slot| plan.dialect(*slot) == dialect).count();
        for (dialect, tenths) in [
            (crate::scenario::ClientDialect::Native, 6),
            (crate::scenario::ClientDialect::Lobby, 3),
            (crate::scenario::ClientDialect::Chat, 1),
        ] {
            assert!(of(dialect).abs_diff(slots * tenths / 10) <= 1 + slots / 100, "{dialect:?}");
        }
        assert_eq!((0..slots).filter(|slot| plan.is_slow(*slot)).count(), slots / 10);
    }
}
