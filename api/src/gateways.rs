//! Questions of administrators to the gateways: asked over the bus, answered through the presence register. A gateway
//! that does not answer in time is named, and nobody guesses for it.

use crate::{
    error::{Error, Result},
    news::{self, News},
    state::Api,
};
use bytes::Bytes;
use platform::{
    presence::{NodeKind, PresenceError},
    settings::SettingInForce,
};
use protocol::{code::Code, id::NodeId, orders::OrderPayload};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

/// How long an answer is waited for. A healthy gateway answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// The gateways that report themselves.
pub(crate) async fn all(api: &Api) -> Result<BTreeSet<NodeId>> {
    let nodes = api.presence.nodes().await.map_err(silent)?;
    let gateways = nodes.iter().filter(|report| report.kind == NodeKind::Gateway);
    Ok(gateways.map(|report| report.node).collect())
}

/// The answers to a question, once there are `enough` or the wait was long enough.
pub(crate) async fn answers(
    api: &Api,
    question: Uuid,
    enough: impl Fn(&[Bytes]) -> bool,
) -> Result<Vec<Bytes>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answers = api.presence.answers(question).await.map_err(silent)?;
        if enough(&answers) || Instant::now() >= deadline {
            return Ok(answers);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The settings of a gateway, secrets masked.
pub(crate) async fn settings(api: &Api, node: NodeId) -> Result<Vec<SettingInForce>> {
    let gateways = all(api).await?;
    if !gateways.contains(&node) {
        return Err(Error {
            detail: "No gateway of this name is running.".into(),
            ..Code::NotFound.into()
        });
    }
    let question = Uuid::new_v4();
    let mut news = News::default();
    news.order(OrderPayload::Settings { question, node });
    news::publish(api, news);
    let answers = answers(api, question, |answers| !answers.is_empty()).await?;
    let settings = answers.first().and_then(|answer| serde_json::from_slice(answer).ok());
    settings.ok_or_else(|| Error {
        detail: "The gateway did not say what it is set to. Is it of an older version?".into(),
        ..Error::unavailable()
    })
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
