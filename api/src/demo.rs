//! Demo data: four users with a public password, a private chat and a group with conversations to look
//! at. Made by the services that everybody's data is made by. What is there already stays as it is, so
//! running it again changes nothing; what somebody removed is made again.

use crate::{
    accounts::{
        Actor, input,
        register::{NewAccount, candidates, insert},
    },
    chats::{create, peers, post},
    db::{DbError, execute, fetch_one, fetch_optional},
    error::{Error, Result},
    news::{self, News},
    state::Api,
};
use platform::settings::Secret;
use protocol::{
    account::Role,
    bucket::ChatBucket,
    calls::{Pair, Peer, Peers, Post},
    chat::ChatType,
    code::Code,
    command::{Action, Command},
    id::{ChatId, UserId},
    refusal::Refusal,
    relay::UserPayload,
};
use std::{collections::BTreeSet, fmt};

const PASSWORD: &str = "password123";

/// Email and display name. The usernames are made from the emails, as when registering.
const PEOPLE: [(&str, &str); 4] = [
    ("alice@example.com", "Alice"),
    ("bob@example.com", "Bob"),
    ("charlie@example.com", "Charlie"),
    ("david@example.com", "David"),
];

const GROUP: &str = "Project team";

/// The row of `meta` that holds the group's id, which its name and members cannot tell: both may change.
const GROUP_KEY: &str = "demo_group";

/// The sender's place in [`PEOPLE`], and the text.
type DemoLine = (usize, &'static str);

const PRIVATE_TALK: [DemoLine; 10] = [
    (0, "Hi Bob! Have you seen the new chat yet?"),
    (1, "Hi! Yes, I have just signed in. It looks good."),
    (0, "Yesterday I went from phone to laptop mid-sentence, and nothing was lost."),
    (1, "Nice. And does no message come twice?"),
    (0, "No, each exactly once. I checked."),
    (1, "Then shall we all move here, the whole team?"),
    (0, "Let's do it. I'll make a group and add Charlie and David."),
    (1, "Great. We have a call on Friday, we can talk about it then."),
    (0, "Deal. Please bring the list of questions."),
    (1, "I will. See you on Friday!"),
];

const GROUP_TALK: [DemoLine; 15] = [
    (0, "Hello everybody! This is our new group. From now on we discuss the project here."),
    (1, "Hi! At last everything is in one place."),
    (2, "Good morning! Does it keep old messages?"),
    (3, "Yes, you can scroll back to the very first one."),
    (0, "This week: the designs by Wednesday, and on Friday we show them to the customer."),
    (1, "The server side is finished, only tests are left."),
    (2, "I'll send the designs of the home page tonight."),
    (3, "I'll write the documentation. I'll start with the chapter on installing it."),
    (0, "Super. Who can proofread the texts for the website?"),
    (2, "I can, tomorrow after lunch."),
    (1, "And I'll look at how it all works on a slow network."),
    (3, "Good idea. That is what I have on the train."),
    (0, "Then let's meet on Thursday at ten, for half an hour."),
    (1, "Works for me."),
    (2, "For me too. See you on Thursday!"),
];

/// What exists now. Shown to the operator, it says how to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demo {
    /// All four, in the order in which they were made.
    pub people: Vec<Person>,
    /// Of the first two.
    pub private: ChatId,
    /// Of all four.
    pub group: ChatId,
}

/// One of the demo's accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The account's.
    pub id: UserId,
    /// What it signs in with.
    pub username: String,
    /// At a reserved domain: no mail can reach anybody.
    pub email: &'static str,
    /// Now; otherwise the account was there and has whatever password it had.
    pub made: bool,
}

/// Makes what is missing. Any number may do so at once. An error says what stood in the way, such as
/// a blocked account; what was made before it stays.
pub async fn make(api: &Api) -> Result<Demo> {
    let mut people = Vec::with_capacity(PEOPLE.len());
    for (email, name) in PEOPLE {
        people.push(person(api, email, name).await?);
    }
    let private = private_chat(api, &people).await?;
    let group = group(api, &people).await?;
    post(api, private, &people, &PRIVATE_TALK).await?;
    post(api, group, &people, &GROUP_TALK).await?;
    Ok(Demo { people, private, group })
}

async fn person(api: &Api, email: &'static str, name: &str) -> Result<Person> {
    if let Some(found) = find(api, email).await? {
        return Ok(found);
    }
    let hash = api.passwords.hash(Secret::new(PASSWORD)).await?;
    for username in candidates(email) {
        let account = NewAccount {
            username: &username,
            email: Some(email),
            name,
            role: Role::User,
            password_hash: &hash,
        };
        let mut tx = api.db.home().begin().await?;
        if let Some(id) = insert(&mut tx, &account).await? {
            tx.commit().await?;
            return Ok(Person { id, username, email, made: true });
        }
        tx.rollback().await?;
        // Another process that does the same may have been first.
        if let Some(found) = find(api, email).await? {
            return Ok(found);
        }
    }
    Err(stopped(format!("no username is free for {email}")))
}

async fn find(api: &Api, email: &'static str) -> Result<Option<Person>, DbError> {
    let mut conn = api.db.home().read().await?;
    let row: Option<(i64, String)> = fetch_optional!(
        conn,
        "SELECT id, username FROM users WHERE email_key = $1",
        input::key(email)
    )?;
    Ok(row.map(|(id, username)| Person { id: UserId(id), username, email, made: false }))
}

async fn private_chat(api: &Api, people: &[Person]) -> Result<ChatId> {
    let [alice, bob, ..] = people else { return Err(Error::internal()) };
    let pair = Pair { user_id: alice.id, peer: Peer::Id(bob.id) };
    let found = peers::peers(api, Peers { pairs: vec![pair] }).await?.chats.pop();
    found.ok_or_else(Error::internal)?.map_err(refused)
}

/// The first of `people` owns it. Runs at the same time wait for each other at the row of `meta`.
async fn group(api: &Api, people: &[Person]) -> Result<ChatId> {
    let members: Vec<i64> = people.iter().map(|person| person.id.0).collect();
    let owner = people.first().ok_or_else(Error::internal)?.id;
    let mut tx = api.db.home().begin().await?;
    let (known,): (String,) = fetch_one!(
        tx,
        "INSERT INTO meta (key, value) VALUES ($1, '')
         ON CONFLICT (key) DO UPDATE SET value = meta.value RETURNING value",
        GROUP_KEY
    )?;
    if let Ok(id) = known.parse::<i64>() {
        let (there,): (i64,) =
            fetch_one!(tx, "SELECT COUNT(*) FROM chats WHERE id = $1 AND deleted_at IS NULL", id)?;
        if there > 0 {
            tx.rollback().await?;
            return Ok(ChatId(id));
        }
    }
    // At home, as the row that says which one it is.
    let bucket = ChatBucket::drawn(0);
    let row = create::Row {
        bucket,
        kind: ChatType::Group,
        name: GROUP,
        pair: None,
        members: &members,
        invited: &BTreeSet::new(),
    };
    let actor = Actor { user_id: owner, role: Role::User };
    let chat = create::insert(&mut tx, actor, row).await?;
    execute!(tx, "UPDATE meta SET value = $2 WHERE key = $1", GROUP_KEY, chat.to_string())?;
    let mut news = News::default();
    for person in people {
        news.for_user(person.id, UserPayload::Added { chat_id: chat });
    }
    news::commit(api, tx, news).await?;
    Ok(chat)
}

/// In one batch, so all of it or nothing. Posted before: found by its client message ids, whatever
/// has become of the messages.
async fn post(api: &Api, chat_id: ChatId, people: &[Person], talk: &[DemoLine]) -> Result<()> {
    let commands = talk.iter().enumerate().filter_map(|(place, (sender, text))| {
        let action = Action::Send {
            client_message_id: format!("switchboard-demo-{}", place + 1),
            text: (*text).to_owned(),
            reply_to: None,
        };
        Some(Command { user_id: people.get(*sender)?.id, chat_id, action })
    });
    let posted = post::post(api, &Post::patient(commands.collect())).await?;
    posted.results.into_iter().try_for_each(|result| result.map(drop).map_err(refused))
}

fn refused(refusal: Refusal) -> Error {
    stopped(refusal.message)
}

fn stopped(why: String) -> Error {
    let detail = format!("The demo data cannot be made: {why}");
    Error::new(Code::DemoRefused, detail)
}

impl fmt::Display for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The demo data is there. Sign in as one of these:")?;
        for Person { username, email, made, .. } in &self.people {
            let password = match made {
                true => PASSWORD,
                false => "(was there before; its password was not changed)",
            };
            writeln!(f, "username: {username}  email: {email}  password: {password}")?;
        }
        writeln!(f, "Private chat: {}  group: {}", self.private, self.group)?;
        write!(f, "These passwords are public. Use them only to try things out.")
    }
}
