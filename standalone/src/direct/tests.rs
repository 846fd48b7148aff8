//! The api keeps the contract that the gateway's own tests rely on, in one process, by HTTP and by streams. And an api
//! that stops loses no call by stream.

#[path = "../../../gateway/tests/gateway/contract.rs"]
mod contract;
mod odd_gateways;
mod stopping;

use super::Direct;
use api::{
    Api, Parts,
    accounts::{Actor, bulk, sessions},
    auth::tokens::{Tokens, generate_pem},
    chats::{
        create::{self, NewChat},
        manage, membership,
    },
    config::Config,
    db::{Db, DbConfig},
};
use axum::{Router, http::StatusCode, routing::post};
use contract::{Stage, User, keeps_the_contract};
use gateway::backend::{Backend, http::HttpBackend, stream::StreamBackend};
use platform::{
    bus::Bus,
    lifecycle::Lifecycle,
    limit::{Limiter, LimiterConfig},
    presence::Presence,
    serve::{self, ServeConfig},
    settings::{Secret, ServerUrl},
};
use protocol::{
    account::Role,
    chat::ChatType,
    id::{ChatId, UserId},
    time::Timestamp,
};
use std::net::SocketAddr;

mod in_one_process {
    use super::*;

    keeps_the_contract!(stage);

    async fn stage() -> SqliteStage {
        SqliteStage::new(|api| Box::new(Direct(api.clone()))).await
    }
}

mod by_http {
    use super::*;

    keeps_the_contract!(stage);

    async fn stage() -> SqliteStage {
        SqliteStage::new(|api| Box::new(http(&[serves(api, api::internal_router(api.clone()))])))
            .await
    }
}

mod by_streams {
    use super::*;

    keeps_the_contract!(stage);

    async fn stage() -> SqliteStage {
        SqliteStage::new(|api| {
            let streams = http(&[serves(api, by_streams_alone(api))]);
            Box::new(StreamBackend::new(streams, &api.lifecycle))
        })
        .await
    }
}

const SECRET: &str = "the internal secret of these tests";

/// Starts an internal listener of this api with these routes. Returns its address.
fn serves(api: &Api, app: Router) -> ServerUrl {
    let listener = serve::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let config = ServeConfig { name: "internal", ..ServeConfig::default() };
    let lifecycle = api.lifecycle.clone();
    api.lifecycle.spawn(serve::serve(listener, app, config, lifecycle));
    url
}

/// An api that takes no posts by HTTP, so that what is answered was asked by a stream.
fn by_streams_alone(api: &Api) -> Router {
    let gone = post(|| async { StatusCode::GONE });
    Router::new().route("/internal/post", gone).fallback_service(api::internal_router(api.clone()))
}

fn http(apis: &[ServerUrl]) -> HttpBackend {
    HttpBackend::new(apis.iter(), &Secret::new(SECRET)).unwrap()
}

struct SqliteStage {
    api: Api,
    backend: Box<dyn Backend>,
    users: [User; 3],
    /// Where the database lies.
    _folder: tempfile::TempDir,
}

impl SqliteStage {
    async fn new(backend: impl FnOnce(&Api) -> Box<dyn Backend>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("data.db").display());
        let db = Db::connect(&url, &DbConfig::default()).await.unwrap();
        db.migrate().await.unwrap();
        let parts = Parts {
            people: db.apart(&DbConfig::default()).into(),
            db: db.into(),
            bus: Bus::local(),
            presence: Presence::local(),
            limiter: Limiter::local(LimiterConfig::default()),
            tokens: Tokens::from_pem(generate_pem().unwrap().reveal()).unwrap(),
        };
        let internal_tokens = vec![Secret::new(SECRET)];
        let config = Config { guests: true, internal_tokens, ..Config::default() };
        let api = api::start(parts, config, &Lifecycle::new()).await.unwrap();
        let users = users(&api).await;
        Self { backend: backend(&api), api, users, _folder: folder }
    }
}

/// Made in bulk, because hashing passwords takes long.
async fn users(api: &Api) -> [User; 3] {
    let range = bulk::NameRange { prefix: "user".to_owned(), from: 1, count: 3 };
    let accounts = bulk::create(api, UserId(0), &range).await.unwrap();
    let user = |account: bulk::BulkAccount| {
        let token = account.access_token;
        let claims = api.tokens.verifier().verify(&token, Timestamp::now()).unwrap();
        User { id: account.id, session: claims.sid, token }
    };
    accounts.into_iter().map(user).collect::<Vec<_>>().try_into().unwrap()
}

fn actor(user: &User) -> Actor {
    Actor { user_id: user.id, role: Role::User }
}

impl Stage for SqliteStage {
    fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    fn users(&self) -> [User; 3] {
        self.users.clone()
    }

    async fn make(&self, chat_type: ChatType, members: &[&User]) -> ChatId {
        let name = Some("a chat".to_owned());
        let (owner, others) = members.split_first().unwrap();
        let member_ids = others.iter().map(|user| user.id).collect();
        let new = NewChat { chat_type, name, member_ids };
        create::create(&self.api, actor(owner), new).await.unwrap().view.id
    }

    async fn remove(&self, chat: ChatId, owner: &User, member: &User) {
        membership::remove(&self.api, actor(owner), chat, member.id).await.unwrap();
    }

    async fn delete(&self, chat: ChatId, owner: &User) {
        manage::delete(&self.api, actor(owner), chat).await.unwrap();
    }

    async fn sign_out(&self, user: &User) {
        assert!(sessions::end(&self.api, user.id, user.session).await.unwrap());
    }
}
