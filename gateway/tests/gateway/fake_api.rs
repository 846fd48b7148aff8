//! The api of these tests keeps the contract that the product's own api keeps.

use crate::{
    backend::Backend,
    contract::{self, Stage, User, keeps_the_contract},
    harness::{ANN, Api, BOB, EVE, session, token},
};
use protocol::{
    calls::SessionRefusal,
    chat::ChatType,
    id::{ChatId, UserId},
};
use std::sync::atomic::{AtomicI64, Ordering};

keeps_the_contract!(stage);

struct FakeStage {
    api: Api,
    next_chat: AtomicI64,
}

async fn stage() -> FakeStage {
    FakeStage { api: Api::new(), next_chat: AtomicI64::new(1) }
}

impl Stage for FakeStage {
    fn backend(&self) -> &dyn Backend {
        &*self.api.script
    }

    fn users(&self) -> [User; 3] {
        [ANN, BOB, EVE].map(|id| User { id, session: session(id), token: token(id) })
    }

    async fn make(&self, chat_type: ChatType, members: &[&User]) -> ChatId {
        let chat = ChatId(self.next_chat.fetch_add(1, Ordering::Relaxed));
        let members: Vec<UserId> = members.iter().map(|user| user.id).collect();
        self.api.makes(chat, chat_type, &members);
        chat
    }

    async fn remove(&self, chat: ChatId, _owner: &User, member: &User) {
        self.api.removes(chat, member.id);
    }

    async fn delete(&self, chat: ChatId, _owner: &User) {
        self.api.deletes(chat);
    }

    async fn sign_out(&self, user: &User) {
        self.api.ends(user.id, SessionRefusal::Ended);
    }
}
