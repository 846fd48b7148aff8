//! Merges the progress of several agents into one, for the live view: a second is passed on when all agents
//! have reported theirs. The report is not made from this but from whole parts.

use super::message::ProgressUpdate;
use crate::engine::{PartSlice, RunEvent};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What the agents have reported so far.
pub(super) struct MergedProgress {
    agents: Vec<Agent>,
    /// By the end, in milliseconds: seconds that somebody has told, added up.
    seconds: BTreeMap<u64, PartSlice>,
    phase: Option<usize>,
}

#[derive(Clone, Default)]
struct Agent {
    /// The end of its last second, in milliseconds.
    told: u64,
    settling: Option<(u64, u64, u64)>,
    ended: bool,
}

impl MergedProgress {
    pub(super) fn new(agents: usize) -> Self {
        Self { agents: vec![Agent::default(); agents], seconds: BTreeMap::new(), phase: None }
    }

    /// Takes in what an agent reported. Returns the progress of the whole run that follows from it.
    pub(super) fn hear(&mut self, agent: usize, updates: Vec<ProgressUpdate>) -> Vec<RunEvent> {
        let mut said = Vec::new();
        let Some(one) = self.agents.get_mut(agent) else { return said };
        for piece in updates {
            match piece {
                ProgressUpdate::Phase(phase) if self.phase.is_none_or(|last| phase > last) => {
                    self.phase = Some(phase);
                    said.push(RunEvent::Phase(phase));
                }
                ProgressUpdate::Phase(_) => {}
                ProgressUpdate::Second(second) => {
                    let at = (second.at * 1e3).round() as u64;
                    one.told = one.told.max(at);
                    match self.seconds.get_mut(&at) {
                        Some(sum) => {
                            sum.slice.add_parallel(&second.slice);
                            sum.cpu += second.cpu;
                        }
                        None => drop(self.seconds.insert(at, Arc::unwrap_or_clone(second))),
                    }
                }
                ProgressUpdate::Settling { unacked, away, left_ms } => {
                    one.settling = Some((unacked, away, left_ms));
                }
            }
        }
        said
    }

    /// An agent has told everything.
    pub(super) fn ended(&mut self, agent: usize) {
        if let Some(one) = self.agents.get_mut(agent) {
            *one = Agent { ended: true, ..Agent::default() };
        }
    }

    /// What is complete now. Called once a second.
    pub(super) fn complete(&mut self) -> Vec<RunEvent> {
        let behind = self.agents.iter().filter(|one| !one.ended).map(|one| one.told).min();
        let later = match behind {
            Some(all) => self.seconds.split_off(&(all + 1)),
            None => BTreeMap::new(),
        };
        let complete = std::mem::replace(&mut self.seconds, later);
        let seconds = complete.into_values().map(|second| RunEvent::Second(Arc::new(second)));
        let mut said: Vec<RunEvent> = seconds.collect();
        let settling = self.agents.iter_mut().filter_map(|one| one.settling.take());
        let sum = settling.reduce(|a, b| (a.0 + b.0, a.1 + b.1, a.2.max(b.2)));
        said.extend(sum.map(|(unacked, away, left_ms)| RunEvent::Settling {
            unacked,
            away,
            left: Duration::from_millis(left_ms),
        }));
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Count, Op, Slice};

    fn second(at: f64, sent: u64) -> ProgressUpdate {
        let mut slice = Slice { connections: 10, ..Slice::default() };
        slice.counts.insert(Count::Sent, sent);
        slice.latencies.entry(Op::Ack).or_default().record(sent);
        ProgressUpdate::Second(Arc::new(PartSlice { at, seconds: 1.0, slice, cpu: 0.25 }))
    }

    fn seconds(said: Vec<RunEvent>) -> Vec<(f64, u64, u64, u64, f64)> {
        let read = |progress| match progress {
            RunEvent::Second(second) => {
                let slice = &second.slice;
                let acks = slice.latencies[&Op::Ack].0.len();
                (second.at, slice.connections, slice.counts[&Count::Sent], acks, second.cpu)
            }
            other => panic!("{other:?}"),
        };
        said.into_iter().map(read).collect()
    }

    #[test]
    fn a_second_is_told_when_all_have_told_it() {
        let mut live = MergedProgress::new(2);
        live.hear(0, vec![second(1.0, 5), second(2.0, 7)]);
        assert!(live.complete().is_empty());
        live.hear(1, vec![second(1.0, 3)]);
        assert_eq!(seconds(live.complete()), [(1.0, 20, 8, 2, 0.5)]);
        assert!(live.complete().is_empty(), "once");
        live.ended(1);
        assert_eq!(seconds(live.complete()), [(2.0, 10, 7, 1, 0.25)], "who ended holds nobody up");
        live.hear(0, vec![second(3.0, 1)]);
        live.ended(0);
        assert_eq!(seconds(live.complete()).len(), 1);
    }

    #[test]
    fn phases_are_told_once_and_settling_is_the_sum() {
        let mut live = MergedProgress::new(2);
        let phase = |said: Vec<RunEvent>| said.len();
        assert_eq!(
            phase(live.hear(0, vec![ProgressUpdate::Phase(0), ProgressUpdate::Phase(1)])),
            2
        );
        assert_eq!(
            phase(live.hear(1, vec![ProgressUpdate::Phase(0), ProgressUpdate::Phase(1)])),
            0
        );
        let settling = |unacked, left_ms| ProgressUpdate::Settling { unacked, away: 1, left_ms };
        live.hear(0, vec![settling(9, 3_000), settling(4, 2_000)]);
        live.hear(1, vec![settling(3, 1_000)]);
        let said = live.complete();
        let [RunEvent::Settling { unacked: 7, away: 2, left }] = said[..] else {
            panic!("{said:?}")
        };
        assert_eq!(left, Duration::from_secs(2));
        assert!(live.complete().is_empty());
    }
}
