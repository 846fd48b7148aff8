//! The reports and answers in Redis. Keys: `nodes`, a set of `{kind}:{node}`, dead ones included until somebody
//! looks; `node:{kind}:{node}`, a report as JSON, under the lease; `answers:{question}`, a list.

use super::{RedisPresence, millis};
use crate::presence::{
    PresenceError,
    nodes::{ANSWERS_STAY, MAX_NODES, NodeKind, NodeReport},
};
use bytes::Bytes;
use redis::AsyncCommands;
use uuid::Uuid;

const NODES: &str = "nodes";

impl RedisPresence {
    pub(in crate::presence) async fn report(
        &self,
        report: &NodeReport,
    ) -> Result<(), PresenceError> {
        let kind = match report.kind {
            NodeKind::Api => "api",
            NodeKind::Gateway => "gateway",
        };
        let name = format!("{kind}:{}", report.node);
        // A report of numbers and names always serializes.
        let json = serde_json::to_vec(report).unwrap_or_default();
        let lease = millis(self.0.config.lease);
        self.0
            .in_time(async {
                let mut connection = self.0.state.connection().await?;
                redis::pipe()
                    .pset_ex(self.node(&name), json, lease)
                    .sadd(self.0.state.key(NODES), &name)
                    .exec_async(&mut connection)
                    .await?;
                Ok(())
            })
            .await
    }

    pub(in crate::presence) async fn nodes(&self) -> Result<Vec<NodeReport>, PresenceError> {
        self.0
            .look_up(async {
                let mut connection = self.0.state.connection().await?;
                let mut names: Vec<String> = connection.smembers(self.0.state.key(NODES)).await?;
                names.truncate(MAX_NODES);
                if names.is_empty() {
                    return Ok(Vec::new());
                }
                let keys: Vec<String> = names.iter().map(|name| self.node(name)).collect();
                let reports: Vec<Option<Vec<u8>>> = connection.mget(&keys).await?;
                let dead: Vec<&String> = (names.iter().zip(&reports))
                    .filter(|(_, report)| report.is_none())
                    .map(|(name, _)| name)
                    .collect();
                if !dead.is_empty() {
                    connection.srem::<_, _, ()>(self.0.state.key(NODES), dead).await?;
                }
                // One that this version cannot read is of another one, whose apis can.
                let read = |json: Vec<u8>| serde_json::from_slice(&json).ok();
                Ok(reports.into_iter().flatten().filter_map(read).collect())
            })
            .await
    }

    pub(in crate::presence) async fn answer(
        &self,
        question: Uuid,
        answer: Bytes,
    ) -> Result<(), PresenceError> {
        self.0
            .in_time(async {
                let mut connection = self.0.state.connection().await?;
                let key = self.answers_key(question);
                redis::pipe()
                    .atomic()
                    .rpush(&key, answer.as_ref())
                    .pexpire(&key, i64::try_from(millis(ANSWERS_STAY)).unwrap_or(i64::MAX))
                    .exec_async(&mut connection)
                    .await?;
                Ok(())
            })
            .await
    }

    pub(in crate::presence) async fn answers(
        &self,
        question: Uuid,
    ) -> Result<Vec<Bytes>, PresenceError> {
        self.0
            .look_up(async {
                let mut connection = self.0.state.connection().await?;
                let most = isize::try_from(MAX_NODES).unwrap_or(isize::MAX);
                let answers: Vec<Vec<u8>> =
                    connection.lrange(self.answers_key(question), 0, most - 1).await?;
                Ok(answers.into_iter().map(Bytes::from).collect())
            })
            .await
    }

    fn node(&self, name: &str) -> String {
        self.0.state.key(&format!("node:{name}"))
    }

    fn answers_key(&self, question: Uuid) -> String {
        self.0.state.key(&format!("answers:{question}"))
    }
}
