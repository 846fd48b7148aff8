//! The api in one process keeps the contract that the gateway's own tests rely on.

#[path = "../../../gateway/tests/gateway/contract.rs"]
mod contract;

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
use contract::{Stage, User, keeps_the_contract};
use gateway::backend::Backend;
use platform::{
    bus::Bus,
    lifecycle::Lifecycle,
    limit::{Limiter, LimiterConfig},
    presence::Presence,
};
use protocol::{
    account::Role,
    chat::ChatType,
    id::{ChatId, UserId},
    time::Timestamp,
};

keeps_the_contract!(stage);

struct SqliteStage {
    direct: Direct,
    users: [User; 3],
    /// Where the database lies.
    _folder: tempfile::TempDir,
}

async fn stage() -> SqliteStage {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("data.db").display());
    let db = Db::connect(&url, &DbConfig::default()).await.unwrap();
    db.migrate().await.unwrap();
    let parts = Parts {
        people: db.apart(&DbConfig::default()),
        db,
        bus: Bus::local(),
        presence: Presence::local(),
        limiter: Limiter::local(LimiterConfig::default()),
        tokens: Tokens::from_pem(generate_pem().unwrap().reveal()).unwrap(),
    };
    let config = Config { guests: true, ..Config::default() };
    let api = api::start(parts, config, &Lifecycle::new()).await.unwrap();
    let users = users(&api).await;
    SqliteStage { direct: Direct(api), users, _folder: folder }
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
        &self.direct
    }

    fn users(&self) -> [User; 3] {
        self.users.clone()
    }

    async fn make(&self, chat_type: ChatType, members: &[&User]) -> ChatId {
        let name = Some("a chat".to_owned());
        let (owner, others) = members.split_first().unwrap();
        let member_ids = others.iter().map(|user| user.id).collect();
        let new = NewChat { chat_type, name, member_ids };
        create::create(&self.direct.0, actor(owner), new).await.unwrap().view.id
    }

    async fn remove(&self, chat: ChatId, owner: &User, member: &User) {
        membership::remove(&self.direct.0, actor(owner), chat, member.id).await.unwrap();
    }

    async fn delete(&self, chat: ChatId, owner: &User) {
        manage::delete(&self.direct.0, actor(owner), chat).await.unwrap();
    }

    async fn sign_out(&self, user: &User) {
        assert!(sessions::end(&self.direct.0, user.id, user.session).await.unwrap());
    }
}
