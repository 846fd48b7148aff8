//! What administrators ask of all gateways: who is connected, closing connections, and telling everybody something.

use crate::hub::{
    Hub,
    conn::{Conn, Owner, outbox::DropPolicy},
};
use bytes::Bytes;
use protocol::{
    close::Close,
    frames::ServerFrame,
    id::UserId,
    orders::{Announced, Announcement, GatewayAnswer, OpenConnection, OrderPayload},
    time::Timestamp,
};
use serde::Serialize;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

/// So many connections are told of an announcement together, and then the others get on: each of them wakes up.
const TOGETHER: usize = 500;

/// The pause after that: 50,000 connections hear of it within a second.
const PAUSE: Duration = Duration::from_millis(10);

impl Hub {
    /// Carries out what an administrator wants.
    pub(crate) fn on_order(self: &Arc<Self>, order: OrderPayload) {
        match order {
            OrderPayload::Show { question, user_id } => {
                let shown = self.users.of_user(user_id);
                self.answer(question, &shown);
            }
            OrderPayload::Disconnect { question, user_id, connection } => {
                let closed = self.disconnect(user_id, connection.as_deref());
                self.answer(question, &closed);
            }
            OrderPayload::Settings { question, node } if node == self.node => {
                self.reply(question, &self.config.settings);
            }
            OrderPayload::Settings { .. } => {}
            OrderPayload::Announced(announced) => self.on_announced(announced),
            OrderPayload::Unknown => {}
        }
    }

    fn disconnect(&self, user: UserId, connection: Option<&str>) -> Vec<Arc<Conn>> {
        let mut conns = self.users.of_user(user);
        conns.retain(|conn| connection.is_none_or(|name| self.name_of(conn) == name));
        for conn in &conns {
            conn.outbox.close(Close::Disconnected);
        }
        conns
    }

    fn answer(self: &Arc<Self>, question: Uuid, conns: &[Arc<Conn>]) {
        let connections = conns.iter().filter_map(|conn| self.describe(conn)).collect();
        self.reply(question, &GatewayAnswer { node: self.node, connections });
    }

    fn reply(&self, question: Uuid, answer: &impl Serialize) {
        // Ids, times and names always serialize.
        let answer = Bytes::from(serde_json::to_vec(answer).unwrap_or_default());
        let presence = self.presence.clone();
        self.lifecycle.spawn_background(async move {
            if let Err(error) = presence.answer(question, answer).await {
                tracing::debug!(%error, "cannot answer an administrator");
            }
        });
    }

    fn describe(&self, conn: &Conn) -> Option<OpenConnection> {
        let Owner::User { session, .. } = &conn.owner else { return None };
        Some(OpenConnection {
            id: self.name_of(conn),
            session_id: *session,
            since: conn.since,
            dialect: conn.window.dialect().name().to_owned(),
            network: conn.network.map(masked).unwrap_or_default(),
        })
    }

    /// The connection's name in `ready`, in logs and for administrators.
    pub(crate) fn name_of(&self, conn: &Conn) -> String {
        format!("{}.{}", self.node, conn.id.0)
    }

    /// Remembers the newest announcement and tells all connections. What is older than what is known changes nothing.
    pub(crate) fn on_announced(self: &Arc<Self>, new: Announced) {
        {
            let mut known = self.announced.lock();
            if !new.follows(&known) {
                return;
            }
            known.clone_from(&new);
        }
        let frame = ServerFrame::Announcement { announcement: new.announcement };
        let hub = Arc::clone(self);
        self.lifecycle.spawn_background(async move {
            for some in hub.users.all().chunks(TOGETHER) {
                for conn in some {
                    conn.send(&frame, DropPolicy::Durable);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    /// Sends `ready` as `make` makes it with the announcement that is in force. A connection that opens while one is
    /// made hears of it in `ready` and once more after it.
    pub(crate) fn greet(
        &self,
        conn: &Conn,
        make: impl FnOnce(Option<Announcement>) -> ServerFrame,
    ) {
        let known = self.announced.lock().announcement.clone();
        let in_force = known.filter(|announcement| {
            announcement.ends_at.is_none_or(|ends_at| ends_at > Timestamp::now())
        });
        conn.greet(&make(in_force));
    }
}

/// The network of an address, as far as it may be told: some hundred customers of a provider.
fn masked(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{}/24", Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::scripted::Scripted,
        config::Config,
        dialect::Window,
        testing::{connect, gateway_in, taken},
        wire::frame::Frame,
    };
    use platform::presence::Presence;
    use protocol::id::{ChatId, Seq};

    fn announced(revision: i64, text: Option<&str>) -> Announced {
        let announcement = text.map(|text| Announcement {
            id: revision,
            text: text.to_owned(),
            made_at: Timestamp(0),
            ends_at: None,
        });
        Announced { revision, announcement }
    }

    #[test]
    fn addresses_are_told_as_networks() {
        for (address, network) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2::a", "2001:db8:1::/48"),
        ] {
            assert_eq!(masked(address.parse().unwrap()), network);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_hears_once_of_what_is_newer() {
        let gateway =
            gateway_in(Presence::local(), &Arc::new(Scripted::default()), Config::default());
        let hub = &gateway.hub;
        let open = connect(&gateway, UserId(1), Window::Native);
        let older = connect(&gateway, UserId(2), Window::Lobby);
        for (revision, text, told) in [
            (5, Some("tonight"), 1),
            (5, Some("tonight"), 0),
            (4, None, 0),
            (5, None, 1),
            (5, Some("tonight"), 0),
            (6, Some("again"), 1),
        ] {
            hub.on_announced(announced(revision, text));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(taken(&open.conn).frames.len(), told, "{revision} {text:?}");
        }
        assert!(taken(&older.conn).frames.is_empty(), "an older family has no words for it");
        hub.greet(&open.conn, |found| {
            assert_eq!(found.unwrap().text, "again");
            ServerFrame::Announcement { announcement: None }
        });
    }

    #[tokio::test]
    async fn ready_comes_before_what_happened_while_the_connection_opened() {
        let gateway =
            gateway_in(Presence::local(), &Arc::new(Scripted::default()), Config::default());
        let opening = connect(&gateway, UserId(1), Window::Native);
        gateway.hub.tell_own_read(UserId(1), ChatId(7), Seq(3));
        gateway.hub.greet(&opening.conn, |_| ServerFrame::ChatRemoved { chat_id: ChatId(9) });
        let frames = taken(&opening.conn).frames;
        let told: Vec<&str> = frames.iter().map(Frame::text).collect();
        assert!(told[0].contains("chat_removed") && told[1].contains("read"), "{told:?}");
    }

    #[tokio::test]
    async fn a_users_connections_are_shown_and_closed() {
        let presence = Presence::local();
        let gateway = gateway_in(presence.clone(), &Arc::default(), Config::default());
        let hub = &gateway.hub;
        let one = connect(&gateway, UserId(1), Window::Native);
        let other = connect(&gateway, UserId(1), Window::Names);
        let _bob = connect(&gateway, UserId(2), Window::Native);
        let user_id = UserId(1);
        let name = hub.name_of(&one.conn);
        for (order, answered) in [
            (OrderPayload::Show { question: Uuid::from_u128(1), user_id }, 2),
            (OrderPayload::Show { question: Uuid::from_u128(2), user_id: UserId(9) }, 0),
            (
                OrderPayload::Disconnect {
                    question: Uuid::from_u128(3),
                    user_id,
                    connection: Some(name),
                },
                1,
            ),
        ] {
            let (OrderPayload::Show { question, .. } | OrderPayload::Disconnect { question, .. }) =
                order.clone()
            else {
                unreachable!()
            };
            hub.on_order(order);
            let answer = loop {
                match presence.answers(question).await.unwrap().pop() {
                    Some(answer) => break answer,
                    None => tokio::task::yield_now().await,
                }
            };
            let answer: GatewayAnswer = serde_json::from_slice(&answer).unwrap();
            assert_eq!((answer.node, answer.connections.len()), (hub.node, answered));
        }
        assert_eq!(taken(&one.conn).closing, Some(Close::Disconnected));
        assert_eq!(taken(&other.conn).closing, None);
    }
}
