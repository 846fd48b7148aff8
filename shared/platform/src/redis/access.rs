//! How the servers of one URL are entered: user, password, database and certificates, at any address.

use redis::{
    ConnectionAddr, ConnectionInfo, ProtocolVersion,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use std::time::Duration;

/// What a URL says of all its servers. Never printed.
#[derive(Clone)]
pub(super) struct RedisAccess(Box<ConnectionInfo>);

impl RedisAccess {
    /// `like` has any address, which says whether servers are asked by TLS, and with which certificates.
    pub(super) fn new(like: ConnectionInfo) -> Self {
        // A peer that vanished without a word: noticed by the kernel when idle (10 s + 3 probes of
        // 5 s) and when something is on its way (10 s); PING is usually faster.
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(10))
            .with_interval(Duration::from_secs(5))
            .with_retries(3);
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(keepalive)
            .set_user_timeout(Duration::from_secs(10));
        // Push messages, which subscriptions next to ordinary commands need, came with RESP3.
        // What the library is called would be one more command to allow.
        let login = like.redis_settings().clone();
        let login = login.set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
        Self(Box::new(like.set_redis_settings(login).set_tcp_settings(tcp)))
    }

    /// The server at this address.
    pub(super) fn at(&self, host: &str, port: u16) -> ConnectionInfo {
        ConnectionInfo::clone(&self.0).set_addr(at(self.0.addr(), host, port))
    }

    /// The server at the address that was given.
    pub(super) fn there(self) -> ConnectionInfo {
        *self.0
    }
}

/// Another address, asked in the same way.
pub(super) fn at(like: &ConnectionAddr, host: &str, port: u16) -> ConnectionAddr {
    let mut address = like.clone();
    if let ConnectionAddr::Tcp(its_host, its_port)
    | ConnectionAddr::TcpTls { host: its_host, port: its_port, .. } = &mut address
    {
        host.clone_into(its_host);
        *its_port = port;
    }
    address
}
