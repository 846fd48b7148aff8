//! Opens a WebSocket: the token, the TCP connection, the handshake.

use super::{ConnectedDevice, Device, dialect};
use crate::client::{
    account::RenewError,
    wire::{WireError, connect, shake_hands},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// From the first packet to `ready`. In a storm of thousands a server may take its time; a client
/// that gives up sooner only adds to it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

/// The kernel's receive buffer of a client that reads slowly: small, so that the server notices.
const SLOW_RECEIVE_BYTES: u32 = 16 << 10;

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum OpenError {
    Left,
    NoToken(RenewError),
    Failed(WireError),
}

impl From<WireError> for OpenError {
    fn from(error: WireError) -> Self {
        Self::Failed(error)
    }
}

impl Device {
    /// Opens a connection. `refused` is the number of a pass that the server called expired; `due` the
    /// moment that this was meant to begin at.
    pub(super) async fn open(
        &mut self,
        refused: Option<u32>,
        due: Instant,
    ) -> Result<Box<ConnectedDevice<'_>>, OpenError> {
        let inbox = Arc::clone(&self.inbox);
        tokio::select! {
            opened = self.try_open(refused, due) => opened,
            () = inbox.leaving() => Err(OpenError::Left),
        }
    }

    async fn try_open(
        &mut self,
        refused: Option<u32>,
        due: Instant,
    ) -> Result<Box<ConnectedDevice<'_>>, OpenError> {
        let mut pass = self.spec.account.pass().await;
        if refused == Some(pass.number) || pass.renew_from() <= Instant::now() {
            let renewed = self.spec.account.renewed(pass.number, &self.worker.rest).await;
            pass = renewed.map_err(OpenError::NoToken)?;
        }
        let (to, from) = self.worker.next_ends();
        let receive = self.spec.read_bytes_per_second.map(|_| SLOW_RECEIVE_BYTES);
        let until = Instant::now() + OPEN_TIMEOUT;
        let greets = dialect::greets(self.dialect());
        let opening = async {
            let stream = connect(to, from, receive, self.worker.tls.as_ref()).await?;
            let token = (!greets).then(|| pass.token.reveal());
            let path = self.spec.window.path(self.me());
            shake_hands(stream, &self.worker.authority, &path, token).await
        };
        let line = timeout_at(until, opening).await.unwrap_or(Err(WireError::Timeout))?;
        // Boxed, because the task would otherwise hold it twice: before it runs and while it does.
        Ok(Box::new(ConnectedDevice::new(self, line, &pass, due, until)))
    }
}
