//! One more gateway, whose way to Redis can be cut without a word while all others keep theirs: what
//! a network does that drops packets. The load balancer does not know it; the canary does.

use cluster::{Cluster, Process, Program, free_port};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub struct Apart {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    _process: Process,
    listener: TcpListener,
    redis: SocketAddr,
    open: watch::Sender<bool>,
}

impl Apart {
    /// Starts it; it is ready some time after [`Apart::relay`] runs. `token` is the secret that the
    /// cluster's apis know.
    pub async fn start(cluster: &Cluster, token: &str) -> Self {
        let free = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (address, admin) = (free(), free());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let apis: Vec<String> =
            cluster.state().apis.into_iter().map(|api| api.internal_url).collect();
        let binary = cluster.binaries().join("gateway");
        let program = Program::new("gateway-apart", binary, cluster.logs())
            .env("LISTEN", address)
            .env("ADMIN_LISTEN", admin)
            .env("API_URL", apis.join(","))
            .env("INTERNAL_TOKEN", token)
            .env("REDIS_URL", format!("redis://{}", listener.local_addr().unwrap()));
        Self {
            address,
            admin,
            _process: Process::start(program).unwrap(),
            listener,
            redis: SocketAddr::from(([127, 0, 0, 1], cluster.redis().port())),
            open: watch::Sender::new(true),
        }
    }

    /// Nothing passes from now on, in neither direction; connections stand, and new ones are taken.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// What was held back passes, and all that comes.
    pub fn heal(&self) {
        self.open.send_replace(true);
    }

    /// Carries what the gateway and Redis say to each other. Never ends.
    pub async fn relay(&self) {
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    connections.extend(accepted.ok().map(|(near, _)| self.carry(near)));
                }
                Some(()) = connections.next() => {}
            }
        }
    }

    async fn carry(&self, near: TcpStream) {
        let Ok(far) = TcpStream::connect(self.redis).await else { return };
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::select! {
            () = self.copy(near_in, far_out) => {}
            () = self.copy(far_in, near_out) => {}
        }
    }

    async fn copy(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut open = self.open.subscribe();
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let passes = open.wait_for(|open| *open).await.is_ok();
            if !passes || to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }
}
