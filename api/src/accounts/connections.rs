//! The open connections of a person, on all gateways, for administrators: seeing and closing them. Nobody keeps a
//! list of them. The gateways are asked over the bus and answer through the presence register; whoever does not
//! answer in time is named. Both are recorded.

use super::whom::Whom;
use crate::{
    audit::{self, AuditAction, AuditEntry},
    error::{Error, Result},
    gateways,
    news::{self, News},
    state::Api,
};
use bytes::Bytes;
use protocol::{
    id::{NodeId, UserId},
    orders::{GatewayAnswer, OpenConnection, OrderPayload},
};
use std::collections::BTreeSet;
use uuid::Uuid;

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
    let gateways = gateways::all(api).await?;
    let mut tx = api.db.home().begin().await?;
    Whom::Id(user).account(tx.link()).await?;
    audit::record(&mut tx, &[entry]).await?;
    let mut news = News::default();
    news.order(order);
    news::commit(api, tx, news).await?;
    gather(api, question, gateways).await
}

/// Waits until all of these have answered, or long enough.
async fn gather(api: &Api, question: Uuid, gateways: BTreeSet<NodeId>) -> Result<Connections> {
    let all_said = |answers: &[Bytes]| {
        let said: BTreeSet<NodeId> = read(answers).map(|answer| answer.node).collect();
        gateways.is_subset(&said)
    };
    let answers = gateways::answers(api, question, all_said).await?;
    let mut silent = gateways.clone();
    let mut found = Vec::new();
    for GatewayAnswer { node, connections } in read(&answers) {
        silent.remove(&node);
        found.extend(connections.into_iter().map(|connection| Connected { node, connection }));
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.connection.since));
    Ok(Connections { found, silent: silent.into_iter().collect() })
}

/// An answer that cannot be read is of a newer gateway, which is named as silent.
fn read(answers: &[Bytes]) -> impl Iterator<Item = GatewayAnswer> {
    answers.iter().filter_map(|answer| serde_json::from_slice(answer).ok())
}
