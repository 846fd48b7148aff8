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

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::ChatId;
    use redis::{AsyncConnectionConfig, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    const CHATS: [Channel; 2] = [Channel::Chat(ChatId(1)), Channel::Chat(ChatId(2))];

    /// What telling comes to if the server gives these answers to as many commands.
    async fn told(subscribe: bool, answers: [&str; 2]) -> Result<Partitions, Lost> {
        let (client, mut server) = duplex(4096);
        let info: ConnectionInfo = "redis://server".into_connection_info().unwrap();
        let login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let login = login.set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(Duration::from_secs(1)))
            .set_push_sender(|_| Ok::<(), ()>(()));
        let playing = async {
            let mut bytes = [0; 4096];
            assert!(server.read(&mut bytes).await.unwrap() > 0, "HELLO");
            server.write_all(b"%1\r\n+proto\r\n:3\r\n").await.unwrap();
            assert!(server.read(&mut bytes).await.unwrap() > 0, "both commands, in one pipeline");
            server.write_all(answers.concat().as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        };
        let telling = async {
            let connecting = MultiplexedConnection::new_with_config(&login, client, config);
            let (connection, driver) = connecting.await.unwrap();
            let pushes = Pushes::default();
            let mut teller =
                Teller { connection, naming: Naming::Tagged, pushes: &pushes, batch: 500 };
            let (wanted, gone) =
                if subscribe { (&CHATS[..], &[][..]) } else { (&[][..], &CHATS[..]) };
            tokio::select! {
                result = teller.tell(wanted, gone) => result,
                () = driver => panic!("the connection is over"),
            }
        };
        tokio::select! {
            result = telling => result,
            () = playing => unreachable!(),
        }
    }

    fn push(kind: &str, channel: Channel) -> String {
        let name = Naming::Tagged.name(channel);
        format!(">3\r\n${}\r\n{kind}\r\n${}\r\n{name}\r\n:1\r\n", kind.len(), name.len())
    }

    #[tokio::test]
    async fn what_a_server_does_not_have_is_refused_and_the_rest_is_not() {
        let [one, two] = CHATS.map(|chat| push("ssubscribe", chat));
        assert_eq!(told(true, [&one, &two]).await.unwrap(), Partitions::default());
        for refusal in ["MOVED 1 elsewhere:1", "ASK 1 elsewhere:1", "TRYAGAIN x", "CLUSTERDOWN x"] {
            let refused = told(true, [&one, &format!("-{refusal}\r\n")]).await.unwrap();
            assert_eq!(refused, Partitions::from_iter([CHATS[1].partition()]), "{refusal}");
        }
        let refused = told(true, [&one, "-NOPERM no\r\n"]).await;
        assert!(matches!(refused, Err(Lost::Redis(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn an_answer_to_another_question_ends_the_connection() {
        let [one, two] = CHATS.map(|chat| push("ssubscribe", chat));
        let [gone_one, gone_two] = CHATS.map(|chat| push("sunsubscribe", chat));
        assert_eq!(told(false, [&gone_one, &gone_two]).await.unwrap(), Partitions::default());
        // Exchanged; of another kind; none at all; and one that nobody asked for, as if a slot had moved.
        for (subscribe, answers) in [
            (true, [&*two, &*one]),
            (true, [&*one, "+PONG\r\n"]),
            (true, [&*gone_two, &*one]),
            (false, [&*gone_two, &*gone_one]),
            (false, [&*gone_one, &*two]),
        ] {
            let told = told(subscribe, answers).await;
            assert!(matches!(told, Err(Lost::Confused)), "{answers:?}: {told:?}");
        }
    }
}
