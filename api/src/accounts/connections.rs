//! The open connections of a person, on all gateways, for administrators: seeing and closing them. Nobody keeps a
//! list of them. The gateways are asked over the bus and answer through the presence register; whoever does not
//! answer in time is named. Both are recorded.

use super::whom::Whom;
use crate::{
    audit::{self, AuditAction, AuditEntry},
    error::{Error, Result},
    news::{self, News},
    state::Api,
};
use platform::presence::{NodeKind, PresenceError};
use protocol::{
    id::{NodeId, UserId},
    orders::{GatewayAnswer, OpenConnection, OrderPayload},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

/// How long is waited for all gateways. A healthy one answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Longer than any name of a connection: a node's id and a number. What is longer would go to all gateways.
const MAX_NAME_BYTES: usize = 64;

/// A connection, and the gateway that holds it.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The gateway.
    pub node: NodeId,
    /// The connection.
    pub connection: OpenConnection,
}

/// What the gateways answered.
#[derive(Debug, Default)]
pub struct Connections {
    /// The newest first. As many as an account may have on each gateway.
    pub found: Vec<Connected>,
    /// Gateways that report themselves and did not answer.
    pub silent: Vec<NodeId>,
}

/// The open connections of a user. Recorded before the gateways are asked.
pub async fn list(api: &Api, admin: UserId, user: UserId) -> Result<Connections> {
    let question = Uuid::new_v4();
    let order = OrderPayload::Show { question, user_id: user };
    let entry = AuditEntry::of(admin, AuditAction::ReadConnections).on_user(user);
    ask(api, user, entry, question, order).await
}

/// Closes connections of a user: one, by its name, or all. Returns those that were closed. A session goes on: the
/// person may connect again, unless it is ended, too.
pub async fn disconnect(
    api: &Api,
    admin: UserId,
    user: UserId,
    connection: Option<String>,
    reason: &str,
) -> Result<Connections> {
    audit::check_reason(reason)?;
    if connection.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES) {
        return Err(Error::field(
            "connection",
            format!("must have at most {MAX_NAME_BYTES} bytes"),
        ));
    }
    let question = Uuid::new_v4();
    let order = OrderPayload::Disconnect { question, user_id: user, connection };
    let entry = AuditEntry::of(admin, AuditAction::Disconnect).on_user(user).because(reason);
    ask(api, user, entry, question, order).await
}

async fn ask(
    api: &Api,
    user: UserId,
    entry: AuditEntry<'_>,
    question: Uuid,
    order: OrderPayload,
) -> Result<Connections> {
    let nodes = api.presence.nodes().await.map_err(silent)?;
    let gateways = nodes.iter().filter(|report| report.kind == NodeKind::Gateway);
    let gateways: BTreeSet<NodeId> = gateways.map(|report| report.node).collect();
    let mut tx = api.db.begin().await?;
    Whom::Id(user).account(tx.link()).await?;
    audit::record(&mut tx, &[entry]).await?;
    let mut news = News::default();
    news.order(order);
    news::commit(api, tx, news).await?;
    gather(api, question, gateways).await
}

/// Waits until all of these have answered, or long enough.
async fn gather(
    api: &Api,
    question: Uuid,
    mut waited_for: BTreeSet<NodeId>,
) -> Result<Connections> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answers = api.presence.answers(question).await.map_err(silent)?;
        // One that cannot be read is of a newer gateway, which is named as silent.
        let read = |answer: &[u8]| serde_json::from_slice::<GatewayAnswer>(answer).ok();
        let answers: Vec<GatewayAnswer> =
            answers.iter().filter_map(|answer| read(answer)).collect();
        for answer in &answers {
            waited_for.remove(&answer.node);
        }
        if waited_for.is_empty() || Instant::now() >= deadline {
            let of = |GatewayAnswer { node, connections }| {
                connections.into_iter().map(move |connection| Connected { node, connection })
            };
            let mut found: Vec<Connected> = answers.into_iter().flat_map(of).collect();
            found.sort_by_key(|one| std::cmp::Reverse(one.connection.since));
            return Ok(Connections { found, silent: waited_for.into_iter().collect() });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Nobody is guessed to be away.
pub(crate) fn silent(error: PresenceError) -> Error {
    tracing::debug!(%error, "presence does not answer");
    Error {
        detail: "The service cannot ask the gateways right now: Redis does not answer. Try again in a moment."
            .into(),
        ..Error::unavailable()
    }
}
