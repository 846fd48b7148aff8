//! Puts answers in the order of their frames, for dialects whose answers do not say which frame they answer.
//! Each frame takes a turn; the turns are filled in any order; an answer leaves when all before it have left.
//! Pure: it knows neither frames nor sockets.

use std::collections::VecDeque;

/// An empty queue with a larger capacity is freed, so that a burst does not stay in memory.
const KEEP_TURNS: usize = 16;

/// The turns of one connection: those that were taken and not filled, and the filled ones behind them. The caller
/// bounds how many it takes.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    /// The number of the turn at the front.
    first: u64,
    waiting: VecDeque<TurnState<T>>,
}

/// A turn that must be filled. Filling consumes it, so it is filled once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Turn(u64);

#[derive(Debug)]
enum TurnState<T> {
    Open,
    /// Filled, but an earlier turn is open. `None` if its frame gets no answer.
    Filled(Option<T>),
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { first: 0, waiting: VecDeque::new() }
    }
}

impl<T> Turns<T> {
    /// The next turn.
    pub(crate) fn take(&mut self) -> Turn {
        self.waiting.push_back(TurnState::Open);
        Turn(self.first + self.waiting.len() as u64 - 1)
    }

    /// Fills a turn with an answer, or with `None` if there is none to send. `release` gets the answers that
    /// may leave now, in order.
    pub(crate) fn fill(
        &mut self,
        Turn(number): Turn,
        answer: Option<T>,
        mut release: impl FnMut(T),
    ) {
        let place = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(place) = place.and_then(|at| self.waiting.get_mut(at)) {
            *place = TurnState::Filled(answer);
        }
        while let Some(TurnState::Filled(answer)) =
            self.waiting.pop_front_if(|place| matches!(place, TurnState::Filled(_)))
        {
            self.first += 1;
            answer.into_iter().for_each(&mut release);
        }
        if self.waiting.is_empty() && self.waiting.capacity() > KEEP_TURNS {
            self.waiting = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill(turns: &mut Turns<u32>, turn: Turn, answer: Option<u32>) -> Vec<u32> {
        let mut released = Vec::new();
        turns.fill(turn, answer, |answer| released.push(answer));
        released
    }

    #[test]
    fn an_answer_waits_for_those_before_it() {
        let mut turns = Turns::default();
        let [a, b, c] = [turns.take(), turns.take(), turns.take()];
        assert_eq!(fill(&mut turns, b, Some(2)), [0; 0]);
        assert_eq!(fill(&mut turns, a, Some(1)), [1, 2]);
        let d = turns.take();
        assert_eq!(fill(&mut turns, d, Some(4)), [0; 0]);
        assert_eq!(fill(&mut turns, c, None), [4], "nothing to say is an answer too");
        let e = turns.take();
        assert_eq!(fill(&mut turns, e, Some(5)), [5]);
    }

    #[test]
    fn a_burst_does_not_stay_in_memory() {
        let mut turns = Turns::default();
        let burst: Vec<Turn> = (0..1_000).map(|_| turns.take()).collect();
        burst.into_iter().rev().for_each(|turn| turns.fill(turn, Some(()), |()| {}));
        assert!(turns.waiting.capacity() <= KEEP_TURNS);
    }

    proptest! {
        /// In whatever order turns are taken and filled, and whichever of them with nothing: what
        /// leaves is what was filled in, each once, in the order of the turns, and as early as may be.
        #[test]
        fn everything_leaves_once_and_in_order(
            steps in prop::collection::vec((any::<bool>(), any::<usize>(), any::<bool>()), 0..200),
        ) {
            let mut turns = Turns::default();
            let (mut open, mut said, mut released) = (Vec::new(), Vec::new(), Vec::new());
            let (mut taken, many) = (0u32, steps.len());
            // Behind the steps enough of them to fill what is open then.
            let rest = std::iter::repeat_n((false, 0, true), many);
            for (take, which, says) in steps.into_iter().chain(rest) {
                if take {
                    open.push((taken, turns.take()));
                    taken += 1;
                } else if !open.is_empty() {
                    let (number, turn) = open.remove(which % open.len());
                    turns.fill(turn, says.then_some(number), |answer| released.push(answer));
                    said.extend(says.then_some(number));
                }
                let first_open = open.first().map_or(taken, |(number, _)| *number);
                let mut due: Vec<u32> =
                    said.iter().copied().filter(|number| *number < first_open).collect();
                due.sort_unstable();
                prop_assert_eq!(&released, &due);
            }
            prop_assert!(open.is_empty() && turns.waiting.is_empty());
        }
    }
}
