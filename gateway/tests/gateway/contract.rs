//! What a gateway may expect of every [`Backend`], written once. It is tried on the api of this crate's tests,
//! so that what they prove is true, and on the product's own api in one process, by HTTP and by streams
//! (`standalone/src/direct/`). It holds no more than all can promise: rights, limits and what the database does are proved with the api.

use gateway::backend::Backend;
use platform::token::Verifier;
use protocol::{
    calls::{
        Dormant, Events, Guests, MarkRead, Open, OpenSession, Post, Posted, Range, ReadMark,
        SessionRefusal, Shows, UserChat, View,
    },
    chat::{Change, ChatType, ChatView, Message},
    code::Code,
    command::{Action, Command, Receipt},
    id::{ChatId, Seq, SessionId, UserId},
    refusal::Refusal,
    time::Timestamp,
};

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    pub session: SessionId,
    pub token: String,
}

/// A backend with three users, and what its calls cannot do: other people's acts.
pub trait Stage {
    fn backend(&self) -> &dyn Backend;
    fn users(&self) -> [User; 3];
    /// A group or a room of these users; the first one is its owner.
    async fn make(&self, chat_type: ChatType, members: &[&User]) -> ChatId;
    async fn remove(&self, chat: ChatId, owner: &User, member: &User);
    async fn delete(&self, chat: ChatId, owner: &User);
    async fn sign_out(&self, user: &User);
}

/// Makes a test of each part of the contract; `$stage` is an async function that makes a fresh stage.
macro_rules! keeps_the_contract {
    ($stage:path) => {
        keeps_the_contract!($stage:
            a_batch_is_answered_in_order,
            a_repeat_changes_nothing_and_has_the_first_ones_receipt,
            who_may_not_is_told_why,
            a_range_is_in_order_and_pages_reach_the_head,
            a_view_is_of_the_present,
            sessions_open_with_their_chats_as_long_as_they_stand,
            members_are_woken_and_nobody_else,
            read_marks_are_never_refused,
            a_guests_name_keeps_its_id,
            tokens_verify_with_the_public_keys,
        );
    };
    ($stage:path: $($part:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $part() {
            contract::$part(&$stage().await).await;
        }
    )*};
}
pub(crate) use keeps_the_contract;

/// No such chat anywhere.
const NOWHERE: ChatId = ChatId(1_000_000);

pub async fn a_batch_is_answered_in_order(stage: &impl Stage) {
    let [ann, bob, eve] = stage.users();
    let chat = stage.make(ChatType::Group, &[&ann, &bob]).await;
    let other = stage.make(ChatType::Group, &[&ann]).await;
    let start = view(stage, &ann, chat).await.unwrap().seq;
    let posted = post(
        stage,
        vec![
            send(&ann, chat, "a", "one"),
            send(&eve, chat, "b", "two"),
            send(&ann, other, "c", "three"),
            send(&bob, chat, "d", "four"),
        ],
    )
    .await;
    let [Ok(first), Err(stranger), Ok(elsewhere), Ok(last)] = &posted.results[..] else {
        panic!("{posted:?}")
    };
    assert_eq!(stranger.code, Code::NotAMember);
    assert_eq!((first.seq, last.seq), (start.next(), start.next().next()), "no number is left out");
    for receipt in [first, elsewhere, last] {
        assert_eq!((receipt.message_id, receipt.repeated), (receipt.seq, false));
    }
    // The answer brings the events, so that the caller need not wait for the bus.
    assert_eq!(texts(&posted, chat), [(first.seq, "one".into()), (last.seq, "four".into())]);
    assert_eq!(texts(&posted, other), [(elsewhere.seq, "three".into())]);
    assert!(post(stage, Vec::new()).await.results.is_empty());
}

pub async fn a_repeat_changes_nothing_and_has_the_first_ones_receipt(stage: &impl Stage) {
    let [ann, bob, _] = stage.users();
    let chat = stage.make(ChatType::Group, &[&ann, &bob]).await;
    let say = |user: &User, text: &str| send(user, chat, "a", text);
    let posted = post(stage, vec![say(&ann, "hi"), say(&ann, "hi"), say(&bob, "hi")]).await;
    let receipts: Vec<Receipt> = posted.results.into_iter().map(Result::unwrap).collect();
    let [first, repeat, another] = receipts[..] else { panic!("{receipts:?}") };
    assert_eq!(repeat, Receipt { repeated: true, ..first }, "in one batch");
    assert_eq!((another.seq, another.repeated), (first.seq.next(), false), "another sender's id");
    let posted = post(stage, vec![say(&ann, "hi")]).await;
    assert_eq!(posted.results, [Ok(repeat)], "in a later one");
    assert_eq!(texts(&posted, chat), [(first.seq, "hi".into())], "perhaps nobody heard of it");
    let refused = only(post(stage, vec![say(&ann, "something else")]).await.results);
    assert_eq!(refused.unwrap_err().code, Code::ClientMessageIdReused);
    assert_eq!(view(stage, &ann, chat).await.unwrap().seq, another.seq);
}

pub async fn who_may_not_is_told_why(stage: &impl Stage) {
    let [ann, bob, eve] = stage.users();
    let (group, room) = (
        stage.make(ChatType::Group, &[&ann, &bob]).await,
        stage.make(ChatType::Room, &[&ann]).await,
    );
    let deleted = stage.make(ChatType::Group, &[&ann]).await;
    stage.remove(group, &ann, &bob).await;
    stage.delete(deleted, &ann).await;
    let watch = |user: &User, chat_id| UserChat { user_id: user.id, chat_id };
    for (user, chat, to_watch, to_post) in [
        (&ann, group, None, None),
        (&ann, room, None, None),
        (&bob, group, Some(Code::NotAMember), Some(Code::NotAMember)),
        (&eve, group, Some(Code::NotAMember), Some(Code::NotAMember)),
        (&eve, room, None, None),
        (&ann, deleted, Some(Code::ChatNotFound), Some(Code::ChatNotFound)),
        (&ann, NOWHERE, Some(Code::ChatNotFound), Some(Code::ChatNotFound)),
    ] {
        let viewed = stage.backend().view(View { chats: vec![watch(user, chat)] }).await.unwrap();
        assert_eq!(code(only(viewed.chats)), to_watch, "{user:?} watches {chat}");
        let posted = post(stage, vec![send(user, chat, "a", "hi")]).await;
        assert_eq!(code(only(posted.results)), to_post, "{user:?} posts to {chat}");
    }
    let message_id = Seq(1_000);
    for action in [
        Action::Edit { message_id, text: "hi".into(), client_edit_id: None },
        Action::Delete { message_id },
    ] {
        let command = Command { user_id: ann.id, chat_id: group, action };
        let posted = post(stage, vec![command]).await;
        assert_eq!(code(only(posted.results)), Some(Code::MessageNotFound));
    }
}

pub async fn a_range_is_in_order_and_pages_reach_the_head(stage: &impl Stage) {
    let [ann, ..] = stage.users();
    let chat = stage.make(ChatType::Group, &[&ann]).await;
    let start = view(stage, &ann, chat).await.unwrap().seq;
    let sends = (0..25).map(|number| send(&ann, chat, &number.to_string(), &number.to_string()));
    let head = post(stage, sends.collect()).await.results.pop().unwrap().unwrap().seq;
    let range = |chat_id, after| Range { chat_id, after };
    let (mut after, mut seen) = (start, Vec::new());
    while after < head {
        let ranges = vec![range(NOWHERE, Seq::ZERO), range(chat, after), range(chat, head)];
        let found = stage.backend().events(Events { ranges }).await.unwrap().ranges;
        let [None, Some(page), Some(rest)] = &found[..] else { panic!("{found:?}") };
        assert!(page.events.is_sorted_by(|a, b| a.seq < b.seq), "{page:?}");
        assert!(page.events.iter().all(|event| after < event.seq && event.seq <= page.upto));
        assert!(after < page.upto && page.upto <= page.head, "{page:?}");
        assert_eq!((page.head, rest.head, rest.upto, rest.events.len()), (head, head, head, 0));
        seen.extend(page.events.iter().map(|event| event.seq));
        after = page.upto;
    }
    let all: Vec<Seq> = (start.0 + 1..=head.0).map(Seq).collect();
    assert_eq!(seen, all, "each once");
}

pub async fn a_view_is_of_the_present(stage: &impl Stage) {
    let [ann, bob, eve] = stage.users();
    let group = stage.make(ChatType::Group, &[&ann, &bob]).await;
    let room = stage.make(ChatType::Room, &[&ann]).await;
    let before = view(stage, &bob, group).await.unwrap();
    assert_eq!((before.id, before.chat_type), (group, ChatType::Group));
    post(stage, vec![send(&ann, group, "a", "hi")]).await;
    let watch = |user: &User, chat_id| UserChat { user_id: user.id, chat_id };
    // Nobody's id, as a guest's connection has it: who may watch rooms.
    let guest = UserChat { user_id: UserId::default(), chat_id: room };
    let chats = vec![watch(&bob, group), watch(&eve, group), watch(&bob, room), guest];
    let viewed = stage.backend().view(View { chats }).await.unwrap().chats;
    let [Ok(group), Err(_), Ok(room), Ok(guests)] = &viewed[..] else { panic!("{viewed:?}") };
    assert_eq!(group.seq, before.seq.next());
    assert_eq!((room.chat_type, guests.id), (ChatType::Room, room.id));
}

pub async fn sessions_open_with_their_chats_as_long_as_they_stand(stage: &impl Stage) {
    let [ann, bob, eve] = stage.users();
    let group = stage.make(ChatType::Group, &[&ann, &bob]).await;
    post(stage, vec![send(&ann, group, "a", "hi")]).await;
    let seq = view(stage, &ann, group).await.unwrap().seq;
    stage.sign_out(&eve).await;
    let open = async |shows| {
        let session =
            |user: &User| OpenSession { user_id: user.id, session_id: user.session, shows };
        let sessions = [&ann, &eve, &bob].map(session).to_vec();
        stage.backend().open(Open { sessions, live_chats: 50 }).await.unwrap()
    };
    let opened = open(Shows::All).await;
    let [Ok(anns), Err(SessionRefusal::Ended), Ok(bobs)] = &opened.sessions[..] else {
        panic!("{opened:?}")
    };
    assert_eq!((anns.user.id, bobs.user.id), (ann.id, bob.id));
    for view in [anns, bobs] {
        let heads: Vec<Seq> =
            view.chats.iter().filter(|chat| chat.id == group).map(|chat| chat.seq).collect();
        assert_eq!(heads, [seq]);
    }
    let again = open(Shows::Nothing).await;
    assert_eq!(again.epoch, opened.epoch, "one database");
    assert!(again.sessions[0].as_ref().unwrap().chats.is_empty());
}

pub async fn members_are_woken_and_nobody_else(stage: &impl Stage) {
    let [ann, bob, _] = stage.users();
    let chat_id = stage.make(ChatType::Group, &[&ann]).await;
    let pair = |user: &User, chat_id| UserChat { user_id: user.id, chat_id };
    let chats = vec![pair(&bob, chat_id), pair(&ann, chat_id), pair(&ann, NOWHERE)];
    let marked = stage.backend().dormant(Dormant { chats }).await.unwrap();
    assert_eq!(marked.members, [false, true, false]);
}

pub async fn read_marks_are_never_refused(stage: &impl Stage) {
    let [ann, bob, _] = stage.users();
    let chat = stage.make(ChatType::Group, &[&ann]).await;
    let mark =
        |user: &User, chat_id, message_id| ReadMark { user_id: user.id, chat_id, message_id };
    let beyond = Seq(1_000);
    let marks =
        vec![mark(&ann, chat, beyond), mark(&bob, chat, beyond), mark(&ann, NOWHERE, beyond)];
    assert_eq!(stage.backend().mark_read(MarkRead { marks }).await, Ok(()));
}

pub async fn a_guests_name_keeps_its_id(stage: &impl Stage) {
    let names = ["Zoe", "Yan", "Zoe"].map(str::to_owned).to_vec();
    let found = stage.backend().guests(Guests { names }).await.unwrap().guests;
    let [Ok(zoe), Ok(yan), Ok(again)] = &found[..] else { panic!("{found:?}") };
    assert!(zoe == again && zoe.id != yan.id, "{found:?}");
    assert!(zoe.guest && yan.guest);
    assert_eq!((zoe.username.as_str(), yan.username.as_str()), ("Zoe", "Yan"));
}

pub async fn tokens_verify_with_the_public_keys(stage: &impl Stage) {
    let verifier = Verifier::new();
    verifier.replace(&stage.backend().jwks().await.unwrap()).unwrap();
    for user in stage.users() {
        let claims = verifier.verify(&user.token, Timestamp::now()).unwrap();
        assert_eq!((claims.sub, claims.sid), (user.id, user.session));
    }
}

fn send(user: &User, chat_id: ChatId, id: &str, text: &str) -> Command {
    let (client_message_id, text) = (id.to_owned(), text.to_owned());
    let action = Action::Send { client_message_id, text, reply_to: None };
    Command { user_id: user.id, chat_id, action }
}

async fn post(stage: &impl Stage, commands: Vec<Command>) -> Posted {
    stage.backend().post(Post { commands, impatient: true }).await.unwrap()
}

async fn view(stage: &impl Stage, user: &User, chat_id: ChatId) -> Result<ChatView, Refusal> {
    let chats = vec![UserChat { user_id: user.id, chat_id }];
    only(stage.backend().view(View { chats }).await.unwrap().chats)
}

/// The messages of a chat that an answer brings.
fn texts(posted: &Posted, chat: ChatId) -> Vec<(Seq, String)> {
    let runs = posted.events.iter().map(|run| run.parse().unwrap());
    let text = |event: protocol::chat::Event| match event.change {
        Change::Message(Message { text, .. }) => (event.seq, text),
        other => panic!("{other:?}"),
    };
    runs.filter(|run| run.chat_id == chat).flat_map(|run| run.events).map(text).collect()
}

/// The answer to the only question.
fn only<T>(mut answers: Vec<T>) -> T {
    assert_eq!(answers.len(), 1);
    answers.pop().unwrap()
}

fn code<T>(result: Result<T, Refusal>) -> Option<Code> {
    result.err().map(|refusal| refusal.code)
}
