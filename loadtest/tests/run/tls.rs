//! A deployment behind TLS, as a balancer that ends it: the sockets and REST of a run go through it.

use super::{adds_up, prepared};
use loadtest::{
    engine::{self, RunOptions},
    prepare::{self, LoadTarget, Preparation},
    scenario::Scenario,
    trust::Trust,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// Members of slow and cut connections, too: a frame may be cut anywhere, and TLS has records.
const SCENARIO: &str = r#"
name = "tls"
seed = 9
thresholds = ["errors==0", "lost==0", "acked>40", "resume.count>0", "history.count>0"]

[people]
accounts = 12

[[chats]]
kind = "group"
count = 2
members = 6

[[phases]]
name = "connect"
duration = "500ms"
connections = 12
warmup = true

[[phases]]
name = "talk"
duration = "2s"
messages = 40
bytes = { min = 64, max = 4000 }
history = 4
reconnects = 3
"#;

/// Ends TLS before `to`, on a port of its own, with a certificate that only its owner trusts.
struct TlsFront {
    url: String,
    certificate: String,
    connections: JoinSet<()>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl TlsFront {
    async fn new() -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self {
            url: format!("https://{}", listener.local_addr().unwrap()),
            certificate: cert.pem(),
            connections: JoinSet::new(),
            listener,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    }

    /// Never ends.
    async fn serve(&mut self, to: SocketAddr) {
        loop {
            let (client, _) = self.listener.accept().await.unwrap();
            let acceptor = self.acceptor.clone();
            self.connections.spawn(async move {
                // Who does not trust the certificate hangs up here.
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(to).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    }
}

pub(super) async fn a_run_over_tls_adds_up(plain: &LoadTarget) {
    let to: SocketAddr = plain.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut front = TlsFront::new().await;
    let trust = Trust::only(&front.certificate).unwrap();
    let target = LoadTarget { url: front.url.clone(), trust, admin: plain.admin.clone() };
    let run = async {
        a_strange_certificate_is_refused(&target).await;
        let options =
            RunOptions { trust: target.trust.clone(), ..prepared(SCENARIO, "tls", &target).await };
        engine::run(&options, Arc::new(|_| {})).await.unwrap()
    };
    let report = tokio::select! {
        report = run => report,
        () = front.serve(to) => unreachable!(),
    };
    adds_up(&report);
    assert_eq!(report.environment.server.as_deref(), Some(env!("CARGO_PKG_VERSION")));
}

async fn a_strange_certificate_is_refused(target: &LoadTarget) {
    let strange = LoadTarget { trust: Trust::default(), ..target.clone() };
    let scenario: Scenario = toml::from_str(SCENARIO).unwrap();
    let plan = Preparation { scenario: &scenario, target: &strange, run: "no", accounts: None };
    let why = prepare::prepare(plan, &|_| ()).await.unwrap_err().to_string();
    assert!(why.contains("--ca-file") && why.contains(&target.url), "{why}");
}
