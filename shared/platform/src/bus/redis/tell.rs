//! Tells a server which channels a connection wants, and holds its answers against what it was told.
//!
//! In a cluster each channel has a command of its own, in pipelines: the redis crate (1.8) expects one answer to a
//! command that the server answers once for each channel. It also takes an unsubscription that nobody asked for as the
//! answer to whatever waits for one, and then all later answers come one too early. So every answer must be the one
//! that belongs to its question. If it is not, the connection is of no more use.

use super::{super::Partitions, lost::Lost, names::Naming, pushes::Pushes};
use protocol::relay::Channel;
use redis::{
    Cmd, Pipeline, PushKind, ServerError, ServerErrorKind, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
};

/// One connection, and how channels are called on its server.
pub(super) struct Teller<'a> {
    pub(super) connection: MultiplexedConnection,
    pub(super) naming: Naming,
    pub(super) pushes: &'a Pushes,
    /// Channels that are told at once.
    pub(super) batch: usize,
}

impl Teller<'_> {
    /// Subscribes to the channels once the server has confirmed that it dropped the others. Returns the partitions
    /// that it does not have, or not now.
    pub(super) async fn tell(
        &mut self,
        subscribe: &[Channel],
        unsubscribe: &[Channel],
    ) -> Result<Partitions, Lost> {
        let mut refused = Partitions::default();
        for channels in unsubscribe.chunks(self.batch) {
            match self.naming {
                Naming::Plain => self.connection.unsubscribe(&self.names(channels)[..]).await?,
                Naming::Tagged => {
                    self.pushes.expect_parting(channels);
                    self.each("SUNSUBSCRIBE", &PushKind::SUnsubscribe, channels, &mut refused)
                        .await?;
                    self.pushes.end_parting();
                }
            }
        }
        for channels in subscribe.chunks(self.batch) {
            match self.naming {
                Naming::Plain => self.connection.subscribe(&self.names(channels)[..]).await?,
                Naming::Tagged => {
                    self.each("SSUBSCRIBE", &PushKind::SSubscribe, channels, &mut refused).await?;
                }
            }
        }
        Ok(refused)
    }

    fn names(&self, channels: &[Channel]) -> Vec<String> {
        channels.iter().map(|channel| self.naming.name(*channel)).collect()
    }

    async fn each(
        &mut self,
        command: &str,
        answer: &PushKind,
        channels: &[Channel],
        refused: &mut Partitions,
    ) -> Result<(), Lost> {
        let names = self.names(channels);
        let mut pipeline = Pipeline::with_capacity(names.len());
        for name in &names {
            pipeline.cmd(command).arg(name);
        }
        let answers = self.connection.req_packed_commands(&pipeline, 0, names.len()).await?;
        for ((channel, name), value) in channels.iter().zip(&names).zip(answers) {
            match value {
                Value::Push { kind, data } if kind == *answer => match data.first() {
                    Some(Value::BulkString(told)) if told == name.as_bytes() => {}
                    _ => return Err(Lost::Confused),
                },
                Value::ServerError(error) if is_elsewhere(&error) => {
                    refused.insert(channel.partition());
                }
                Value::ServerError(error) => return Err(Lost::Redis(error.into())),
                _ => return Err(Lost::Confused),
            }
        }
        Ok(())
    }

    /// Proves that the server answers.
    pub(super) async fn ping(&mut self) -> Result<(), Lost> {
        match Cmd::new().arg("PING").query_async(&mut self.connection).await? {
            Value::SimpleString(pong) if pong == "PONG" => Ok(()),
            _ => Err(Lost::Confused),
        }
    }
}

/// Whether the server said that it does not have the slot, or that nobody has it now.
pub(super) fn is_elsewhere(error: &ServerError) -> bool {
    use ServerErrorKind::{Ask, ClusterDown, MasterDown, Moved, TryAgain};
    matches!(error.kind(), Some(Moved | Ask | TryAgain | ClusterDown | MasterDown))
}
