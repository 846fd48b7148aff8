//! Coordinator and agents over real sockets, without a deployment behind them.

use crate::{
    cast::Cast,
    engine::RunOptions,
    scenario::{People, Phase, Scenario},
};

/// A run of one silent second of nobody.
pub(super) fn small(run: &str) -> RunOptions {
    let scenario = Scenario {
        name: "small".to_owned(),
        description: String::new(),
        seed: 7,
        people: People { accounts: 0, dialects: <_>::default(), slow: None },
        chats: Vec::new(),
        phases: Vec::new(),
        faults: Vec::new(),
        thresholds: Vec::new(),
    };
    RunOptions::new(scenario, Cast::default(), "http://127.0.0.1:9", run)
}
