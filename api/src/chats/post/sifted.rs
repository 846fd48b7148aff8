//! The commands of a batch of which some are refused before the others are looked at. Why is for the callers
//! to know.

use super::plan::Decision;
use crate::error::{Error, Result};
use protocol::{command::Command, refusal::Refusal};

/// Commands, those that passed a check apart from those that did not.
pub(super) struct Sifted<'a> {
    passed: Vec<&'a Command>,
    /// Each with its place among all commands, in their order.
    refused: Vec<(usize, Refusal)>,
}

impl<'a> Sifted<'a> {
    pub(super) fn new(
        commands: impl IntoIterator<Item = &'a Command>,
        check: impl Fn(&Command) -> Result<(), Refusal>,
    ) -> Self {
        let mut sifted = Self { passed: Vec::new(), refused: Vec::new() };
        for (place, command) in commands.into_iter().enumerate() {
            match check(command) {
                Ok(()) => sifted.passed.push(command),
                Err(refusal) => sifted.refused.push((place, refusal)),
            }
        }
        sifted
    }

    /// Those that are still to be decided.
    pub(super) fn passed(&self) -> &[&'a Command] {
        &self.passed
    }

    /// The decisions on all commands, in their order, from those on the [`passed`](Self::passed) ones. An
    /// error when there is not one for each: no command may get another one's answer.
    pub(super) fn join(self, decided: Vec<Decision>) -> Result<Vec<Decision>> {
        if decided.len() != self.passed.len() {
            tracing::error!(
                commands = self.passed.len(),
                decisions = decided.len(),
                "a batch was not decided whole"
            );
            return Err(Error::internal());
        }
        let mut all = decided;
        // Their places grow, so each finds everything before it in place.
        for (place, refusal) in self.refused {
            all.insert(place, Err(refusal));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{
        code::Code,
        command::{Action, Receipt},
        id::{ChatId, Seq, UserId},
        time::Timestamp,
    };

    fn command(chat: i64) -> Command {
        let action = Action::Delete { message_id: Seq(1) };
        Command { user_id: UserId(1), chat_id: ChatId(chat), action }
    }

    fn receipt(seq: i64) -> Receipt {
        Receipt { message_id: Seq(1), seq: Seq(seq), timestamp: Timestamp(0), repeated: false }
    }

    fn odd_chats(command: &Command) -> Result<(), Refusal> {
        if command.chat_id.0 % 2 == 1 { Ok(()) } else { Err(Code::Busy.into()) }
    }

    #[test]
    fn every_command_gets_its_own_answer() {
        let commands = [2, 1, 4, 6, 3, 8].map(command);
        let sifted = Sifted::new(&commands, odd_chats);
        let passed =
            |commands: &[&Command]| commands.iter().map(|c| c.chat_id.0).collect::<Vec<_>>();
        assert_eq!(passed(sifted.passed()), [1, 3]);
        let all = sifted.join(vec![Ok(receipt(1)), Ok(receipt(3))]).unwrap();
        let seqs: Vec<_> =
            all.into_iter().map(|one| one.ok().map(|receipt| receipt.seq.0)).collect();
        assert_eq!(seqs, [None, Some(1), None, None, Some(3), None]);
    }

    #[test]
    fn too_few_answers_are_an_error() {
        let commands = [1, 3].map(command);
        assert!(Sifted::new(&commands, odd_chats).join(vec![Ok(receipt(1))]).is_err());
    }
}
