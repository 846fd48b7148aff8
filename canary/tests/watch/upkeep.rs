//! What happens once in minutes, days or never: renewed tokens, a new chat, gateways that come and go
//! under the same name. The canary's parts run in the test, with a day of some seconds.

use crate::harness::{Metrics, PASSWORD, PublicApi, cluster, until};
use canary::{
    config::CanaryConfig,
    keeper::AccountKeeper,
    lookup::Gateways,
    watch::{Inputs, Watch},
};
use platform::{lifecycle::Lifecycle, settings::Secret, telemetry::start_metrics};
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::sync::{mpsc, watch};

#[tokio::test]
async fn a_long_life_in_a_minute() {
    let cluster = cluster().await;
    let api = format!("http://{}", cluster.apis()[0].address()).parse().unwrap();
    let mut config = CanaryConfig::new(api, Vec::new(), Secret::new(PASSWORD));
    config.interval = Duration::from_millis(1_500);
    config.rules.late = Duration::from_secs(10);
    config.rules.patience = Duration::from_secs(5);
    config.renew_after = Duration::from_secs(1);
    config.chat_age = Duration::from_secs(15);

    let lifecycle = Lifecycle::new();
    let metrics = start_metrics(canary::METRICS, &lifecycle).unwrap();
    canary::start_gauges();
    let keeper = AccountKeeper::start(config.clone()).await.unwrap();
    let (tell, mut credentials) = watch::channel(keeper.credentials());
    let (complaints, complained) = mpsc::channel(16);
    let (found, gateways) = watch::channel(Gateways::new());
    let begun = Arc::new(AtomicBool::new(false));
    let (known, owner) = (credentials.clone(), lifecycle.clone());
    let inputs = Inputs { credentials: known, gateways, complaints, begun, lifecycle: owner };
    lifecycle.spawn(keeper.run(tell, complained));
    lifecycle.spawn(Watch::run(config, inputs));

    let look = async || Metrics::read(&metrics.render());
    let rounds = async |what: &str, connected: f64| {
        let sent = look().await.of("sends", "acknowledged");
        let passing = |seen: &Metrics| {
            seen.of("sends", "acknowledged") >= sent + 3.0
                && seen.get("canary_connections") == connected
                && seen.get("canary_gateways") == connected
        };
        until(what, &look, passing).await
    };
    let nodes: Vec<_> = cluster.gateways().iter().map(|node| node.address()).collect();
    let all = |nodes: &[std::net::SocketAddr]| {
        nodes.iter().map(|at| (*at, at.to_string())).collect::<Gateways>()
    };
    found.send_replace(all(&nodes[..1]));
    rounds("one gateway", 1.0).await;
    found.send_replace(all(&nodes));
    rounds("another one", 2.0).await;
    found.send_replace(all(&nodes[1..]));
    rounds("the first one to leave", 1.0).await;
    found.send_replace(all(&nodes));
    let seen = rounds("both again", 2.0).await;
    // One gateway's connections were opened twice; renewing tokens opens none.
    assert_eq!((seen.of("connects", "ok"), seen.of("connects", "failed")), (6.0, 0.0));

    let rest = PublicApi::sign_in(&cluster, "canary_a").await;
    let first = credentials.borrow_and_update().clone();
    for _ in 0..2 {
        let chat = credentials.borrow().chat;
        let waiting = credentials.wait_for(|now| now.chat != chat);
        tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
        rounds("rounds in the new chat", 2.0).await;
    }
    let now = credentials.borrow().clone();
    assert_ne!(now.sender.token, first.sender.token, "tokens are renewed");
    assert_eq!(now.sender.session, first.sender.session, "in the same session");
    assert!(!rest.chats().await.contains(&first.chat.0), "the first chat is deleted");
    let seen = rounds("rounds at the end", 2.0).await;
    seen.assert_nothing_lost();
    // Nobody promises a signal: on a machine that is full, a publisher drops one now and then. What this test
    // could lose by a fault of its own are all signals of a renewed token or of a new chat.
    let (delivered, lost) = (seen.of("signals", "delivered"), seen.of("signals", "lost"));
    assert!(lost * 10.0 <= delivered, "{seen:#?}");
    assert_eq!((seen.of("connects", "ok"), seen.of("connects", "failed")), (6.0, 0.0));
    assert_eq!(rest.get("/me/sessions").await.len(), 2, "the canary's and the test's own");

    drop(credentials);
    lifecycle.stop();
    assert_eq!(lifecycle.finish(Duration::from_secs(20)).await, 0);
    assert_eq!(rest.chats().await, Vec::<i64>::new());
    cluster.stop().await.unwrap();
}
