//! Nodes come and go: open sockets stay, new ones find the new nodes.

use super::{
    contract::start,
    node::{FakeNode, Manner::Serves, open},
    until, with_both_kinds,
};
use crate::BalancerKind;

with_both_kinds!(open_sockets_survive_a_change_of_nodes, it_ends_with_its_port_free);

async fn open_sockets_survive_a_change_of_nodes(kind: BalancerKind) {
    let first = FakeNode::start("first", Serves).await;
    let second = FakeNode::start("second", Serves).await;
    let balancer = start(kind, &[&first], &[&first]).await;
    let mut socket = open(balancer.address()).await;
    assert_eq!(socket.node(), "first");

    for (now, name) in [(&second, "second"), (&first, "first"), (&second, "second")] {
        balancer.set_nodes(&[now.address], &[now.address]).await.unwrap();
        let mut newest = None;
        until("the change", async || {
            let opened = open(balancer.address()).await;
            let changed = opened.node() == name;
            newest = Some(opened);
            changed
        })
        .await;
        assert!(newest.unwrap().echoes().await);
        assert!(socket.echoes().await, "the oldest socket is still open");
    }
}

async fn it_ends_with_its_port_free(kind: BalancerKind) {
    let node = FakeNode::start("node", Serves).await;
    let balancer = start(kind, &[&node], &[&node]).await;
    let mut socket = open(balancer.address()).await;
    balancer.stop().await.unwrap();
    socket.ended().await;
    assert!(tokio::net::TcpStream::connect(balancer.address()).await.is_err());
}

/// nginx does not ask nodes whether they are ready: a gateway that drains refuses it by itself.
#[tokio::test]
async fn a_gateway_that_is_not_ready_gets_no_new_sockets_and_keeps_its_own() {
    let leaving = FakeNode::start("leaving", Serves).await;
    let staying = FakeNode::start("staying", Serves).await;
    let balancer = start(BalancerKind::Haproxy, &[&leaving, &staying], &[&staying]).await;
    let mut sockets = Vec::new();
    while !sockets.iter().any(|socket: &super::node::Answer| socket.node() == "leaving") {
        sockets.push(open(balancer.address()).await);
    }
    // It would be the first choice for as long as it counts: the other one has more.
    for _ in 0..10 {
        sockets.push(open(balancer.address()).await);
    }
    leaving.drain();
    until("two checks", async || {
        let before = leaving.heard().len();
        for _ in 0..10 {
            open(balancer.address()).await;
        }
        leaving.heard().len() == before
    })
    .await;
    for socket in &mut sockets {
        assert!(socket.echoes().await, "{socket:?}");
    }
}
