//! For tests: a gateway without sockets, its connections and their chats.

use crate::{
    backend::{Backend, scripted::Scripted},
    config::Config,
    connection::opening::ConnGuard,
    dialect::Window,
    hub::{
        conn::{
            Conn, Owner,
            join::{Cause, Join},
            outbox::OutboxBatch,
        },
        local_chat::Attached,
    },
    settings::ClientArgs,
    state::{Deps, Gateway},
};
use futures_util::FutureExt;
use platform::{
    bus::Bus,
    lifecycle::Lifecycle,
    limit::{Limiter, LimiterConfig},
    presence::Presence,
};
use protocol::{
    chat::{ChatSettings, ChatType, ChatView, UserRef},
    id::{ChatId, NodeId, Seq, SessionId, UserId},
};
use std::sync::Arc;

/// A gateway on this api, with a presence register of its own.
pub(crate) fn gateway(backend: &Arc<Scripted>, config: Config) -> Arc<Gateway> {
    gateway_in(Presence::local(), backend, config)
}

/// A gateway on this api that shares this presence register.
pub(crate) fn gateway_in(
    presence: Presence,
    backend: &Arc<Scripted>,
    config: Config,
) -> Arc<Gateway> {
    let backend: Arc<dyn Backend> = Arc::<Scripted>::clone(backend);
    let deps = Deps {
        node: NodeId::random(),
        backend,
        bus: Bus::local(),
        presence,
        limiter: Limiter::local(LimiterConfig::default()),
        lifecycle: Lifecycle::new(),
    };
    #[derive(clap::Parser)]
    struct Args {
        #[command(flatten)]
        client: ClientArgs,
    }
    let args = <Args as clap::Parser>::parse_from(["gateway"]);
    Gateway::start(deps, config, &args.client)
}

/// A connection of this user, with a session of its own.
pub(crate) fn connect(gateway: &Arc<Gateway>, user: UserId, window: Window) -> ConnGuard {
    let session = SessionId(uuid::Uuid::from_u128(user.0.unsigned_abs().into()));
    let user = UserRef::registered(user, format!("user {user}"));
    ConnGuard::new(gateway, window, Owner::User { user, session }, None).unwrap().0
}

/// A chat that has got as far as this.
pub(crate) fn chat(id: ChatId, chat_type: ChatType, seq: Seq) -> ChatView {
    let name = "a chat".to_owned();
    ChatView {
        id,
        name,
        chat_type,
        seq,
        last_read: Seq::ZERO,
        unread: 0,
        invited_by: None,
        last_message: None,
        peer: None,
        member_count: 2,
        settings: ChatSettings::default(),
    }
}

/// Has a connection watch a chat from its end on.
pub(crate) fn watch(gateway: &Gateway, conn: &Arc<Conn>, chat: &ChatView) {
    let mut join = Join::at_end(chat, conn.access_version(), Cause::Opened);
    let attached = gateway.hub.attach(conn, &mut join);
    assert!(matches!(attached, Attached::Live), "{attached:?}");
}

/// What waits for a connection's task.
pub(crate) fn taken(conn: &Conn) -> OutboxBatch {
    conn.outbox.take().now_or_never().unwrap_or_default()
}
