//! Makes streams: upgrades a new connection to an api. It does not decide when a stream is needed.

use super::connection::StreamClient;
use crate::backend::{
    Unavailable,
    apis::{ApiTurn, Apis, connector},
};
use http_body_util::Empty;
use hyper::{
    Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONNECTION, UPGRADE},
    http::{HeaderName, HeaderValue},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use platform::{lifecycle::Lifecycle, serve::take_over};
use protocol::stream::{PATH, PROTOCOL, VERSION, VERSION_HEADER};
use std::{fmt::Display, sync::Arc};

/// Makes streams to the apis.
pub(super) struct Opener {
    apis: Arc<Apis>,
    client: Client<HttpConnector, Empty<Bytes>>,
    lifecycle: Lifecycle,
}

impl Opener {
    pub(super) fn new(apis: Arc<Apis>, lifecycle: Lifecycle) -> Self {
        // Each stream has a new connection, for which a name with several addresses is looked up anew.
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector());
        Self { apis, client, lifecycle }
    }

    /// A new stream to the api; `None` if it has no streams of this version.
    pub(super) async fn open(
        &self,
        turn: ApiTurn,
    ) -> Result<Option<Arc<StreamClient>>, Unavailable> {
        let opened = self.upgrade(turn).await;
        let result = match &opened {
            Ok(Some(_)) => "opened",
            Ok(None) => "refused",
            Err(_) => "failed",
        };
        metrics::counter!("gateway_stream_openings_total", "result" => result).increment(1);
        opened
    }

    async fn upgrade(&self, turn: ApiTurn) -> Result<Option<Arc<StreamClient>>, Unavailable> {
        let failed = |why: &dyn Display| Unavailable::NotAnswered(format!("{PATH}: {why}"));
        let request = Request::get(format!("{}{PATH}", self.apis.base(turn)))
            .header(AUTHORIZATION, self.apis.authorization.clone())
            .header(CONNECTION, HeaderValue::from_static("upgrade"))
            .header(UPGRADE, HeaderValue::from_static(PROTOCOL))
            .header(HeaderName::from_static(VERSION_HEADER), HeaderValue::from_static(VERSION))
            .body(Empty::new())
            .map_err(|error| failed(&error))?;
        let response = self.client.request(request).await.map_err(|error| failed(&error))?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            // What else is wrong, such as the secret, the call by HTTP will find, too.
            tracing::info!(%status, "the api has no streams for this gateway: going on by HTTP");
            return Ok(None);
        }
        let (socket, read_ahead) = take_over(hyper::upgrade::on(response))
            .await
            .ok_or_else(|| failed(&"the upgrade ended"))?;
        let (connection, reader) =
            StreamClient::new(socket, &read_ahead, Arc::clone(&self.apis), turn);
        let connection = Arc::new(connection);
        self.lifecycle.spawn_background(Arc::clone(&connection).run(reader));
        Ok(Some(connection))
    }
}
