//! Chats on several servers, which are databases of one PostgreSQL server here: a person finds all of them, wherever
//! they are, and a database that has another place than the settings say is refused.

use crate::harness::{T, actor, admin, send};
use api::{
    audit::{AuditFilter, servers},
    chats::{
        bans, blocklist,
        directory::{self, DirectoryQuery},
        lists, manage, membership,
        messages::{self, MessagesPage},
    },
    db::{CheckPlaces, Databases, Db, DbConfig, Dividing, PlaceError},
    internal,
};
use cluster::{Postgres, TestDatabase};
use platform::settings::Secret;
use protocol::{
    bucket::ChatBucket,
    calls::{Changed, Open, OpenSession, Shows},
    chat::ChatType,
    code::Code,
    id::{ChatId, Seq, UserId},
};
use std::{collections::BTreeSet, time::Duration};

async fn places(count: usize) -> Vec<TestDatabase> {
    let server = Postgres::shared().await.unwrap();
    let mut places = Vec::new();
    for _ in 0..count {
        places.push(server.create_database().await);
    }
    places
}

fn urls(places: &[TestDatabase]) -> Vec<String> {
    places.iter().map(|place| place.url().to_owned()).collect()
}

async fn connect(urls: &[String], check: CheckPlaces) -> Databases {
    let others = Secret::new(urls[1..].join(" \n"));
    Databases::connect(&urls[0], Some(&others), check, &DbConfig::default()).await.unwrap()
}

async fn number(db: &Db, sql: String) -> i64 {
    let Db::Postgres(pool, ..) = db else { panic!("not PostgreSQL") };
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(pool).await.unwrap()
}

/// Groups of `owner` with these people, until each server has some.
async fn groups(t: &T, owner: UserId, others: &[UserId], each: usize) -> Vec<ChatId> {
    let servers = t.api.db.each().len();
    let mut made = Vec::new();
    let count = |made: &[ChatId], server| {
        made.iter().filter(|chat| ChatBucket::of(**chat).group(servers) == server).count()
    };
    while (0..servers).any(|server| count(&made, server) < each) {
        made.push(t.group(owner, others).await);
    }
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_finds_its_chats_on_all_servers() {
    let places = places(4).await;
    let t = T::on_servers(&urls(&places)).await;
    // They are at home only, and a message names its sender all the same.
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let first = t.group(ann, &[bob]).await;
    membership::join(&t.api, actor(bob), first).await.unwrap();
    let mut chats = groups(&t, ann, &[bob], 2).await;
    for other in [bob, cid] {
        chats.push(t.try_create(ann, ChatType::Private, &[other]).await.unwrap());
    }
    chats.push(first);
    for db in t.api.db.each() {
        let invited = "SELECT count(*) FROM members WHERE invited_by IS NOT NULL";
        let strangers = number(db, format!("{invited} AND user_id = {bob}")).await;
        assert_eq!(strangers, 0, "whom one knows by a chat on one server is a stranger on none");
        let foreign =
            number(db, "SELECT count(*) FROM chats WHERE deleted_at = 1".to_owned()).await;
        assert_eq!(foreign, i64::from(!std::ptr::eq(db, t.api.db.of(ChatId::LOBBY))));
    }
    // A batch for all servers: each command has its own answer.
    let said = |chat: &ChatId| send(ann, *chat, "one", &format!("to {chat}"));
    let posted = t.post(chats.iter().map(said).collect()).await;
    for (chat, receipt) in chats.iter().zip(&posted.results) {
        let page = MessagesPage { limit: 1, ..Default::default() };
        let newest = messages::list(&t.api, ann, *chat, page).await.unwrap();
        assert_eq!(newest[0].text, format!("to {chat}"));
        assert_eq!(newest[0].id, receipt.as_ref().unwrap().message_id);
        let sender = &newest[0].sender;
        assert_eq!((&*sender.username, sender.name.as_deref()), ("ann", Some("The ann")));
    }

    // Lists, in the order of what happened.
    for chat in &chats {
        t.say(ann, *chat, "again").await;
        // Times are milliseconds.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let newest_first: Vec<ChatId> = chats.iter().rev().copied().collect();
    let (mut listed, mut before) = (Vec::new(), None);
    loop {
        let page = lists::list_all(&t.api.db, ann, before, 3).await.unwrap();
        listed.extend(page.iter().map(|chat| chat.view.id));
        before = listed.last().copied();
        if page.len() < 3 {
            break;
        }
    }
    assert_eq!(listed, newest_first);

    // What a new connection holds live, and what is dormant for it.
    let session_id = t.session(ann).await;
    let session = OpenSession { session_id, user_id: ann, shows: Shows::All };
    let asked = Open { sessions: vec![session], live_chats: 5 };
    let opened = internal::open(&t.api, asked).await.unwrap();
    let live = opened.sessions.into_iter().next().unwrap().unwrap().chats;
    assert_eq!(live.iter().map(|chat| chat.id).collect::<Vec<_>>(), newest_first[..5]);
    let mut dormant = 0;
    for db in t.api.db.each() {
        let marks = "SELECT count(*) FROM members WHERE dormant";
        dormant += number(db, format!("{marks} AND user_id = {ann}")).await;
    }
    assert_eq!(dormant, chats.len() as i64 - 5);

    // What changed lately, each server from its own time on; and for gateways that know of one time only.
    let before = internal::changed(&t.api, Changed::default()).await.unwrap();
    assert_eq!(before.marks.len(), 4);
    let told =
        |found: &[(ChatId, Seq)]| found.iter().map(|(chat, _)| *chat).collect::<BTreeSet<_>>();
    assert!(told(&before.chats).is_superset(&chats.iter().copied().collect()));
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    let settled = internal::changed(&t.api, Changed::default()).await.unwrap();
    t.say(ann, chats[0], "news").await;
    t.say(ann, chats[1], "news").await;
    let news = BTreeSet::from([chats[0], chats[1]]);
    let since = Changed { since: Some(settled.now), marks: settled.marks };
    assert!(told(&internal::changed(&t.api, since).await.unwrap().chats).is_superset(&news));
    let since = Changed { since: Some(settled.now), ..Changed::default() };
    assert!(told(&internal::changed(&t.api, since).await.unwrap().chats).is_superset(&news));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_and_blocklists_reach_all_servers() {
    let places = places(4).await;
    let t = T::on_servers(&urls(&places)).await;
    let [ann, bob, root] = t.users(["ann", "bob", "root"]).await;
    t.sql(format!("UPDATE users SET role = 'admin' WHERE id = {root}")).await;
    // Within a second or so.
    for db in t.api.db.each() {
        let copied = || number(db, "SELECT count(*) FROM users WHERE role = 'admin'".to_owned());
        while copied().await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let mut rooms = Vec::new();
    for _ in 0..12 {
        rooms.push(t.room(ann).await);
    }
    // The directory of rooms, the list of all chats, and the log, page after page.
    let all: BTreeSet<ChatId> = rooms.iter().copied().chain([ChatId::LOBBY]).collect();
    let (mut found, mut after) = (Vec::new(), ChatId(0));
    loop {
        let page = lists::all_rooms(&t.api.db, bob, "", after, 2).await.unwrap();
        found.extend(page.items.iter().map(|room| room.view.id));
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(found, all.iter().copied().collect::<Vec<_>>());
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let query = DirectoryQuery { text: "", kind: None, owner: None, before, limit: 2 };
        let page = directory::list_all(&t.api.db, query).await.unwrap();
        found.extend(page.chats.iter().map(|chat| chat.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(found, all.iter().rev().copied().collect::<Vec<_>>());
    for room in &rooms {
        manage::rename(&t.api, admin(root), *room, "renamed").await.unwrap();
        bans::ban(&t.api, admin(root), *room, bob, None, "noise").await.unwrap();
    }
    let (mut log, mut before) = (Vec::new(), None);
    loop {
        let page = servers::list_all(&t.api.db, AuditFilter::default(), before, 5).await.unwrap();
        log.extend(page.entries);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(log.len(), 2 * rooms.len());
    assert!(log.is_sorted_by(|newer, older| newer.at >= older.at));
    assert_eq!(log.iter().map(|entry| entry.id).collect::<BTreeSet<_>>().len(), log.len());
    assert!(log.iter().all(|entry| entry.actor.as_ref().is_some_and(|by| by.username == "root")));

    // Who is on a list of those whom somebody does not want to hear from is refused everywhere.
    let private = t.try_create(ann, ChatType::Private, &[bob]).await.unwrap();
    for group in groups(&t, ann, &[bob], 1).await {
        assert!(lists::list_all(&t.api.db, bob, None, 50).await.unwrap().len() > 1, "{group}");
    }
    blocklist::block(&t.api, actor(bob), ann).await.unwrap();
    let left = lists::list_all(&t.api.db, bob, None, 50).await.unwrap();
    let left: Vec<ChatId> = left.iter().map(|chat| chat.view.id).collect();
    assert_eq!(left, [private], "bob has left what ann has invited him to");
    let said = t.one(send(ann, private, "silenced", "hello")).await;
    assert_eq!(said.unwrap_err().code, Code::BlockedByRecipient);
    for _ in 0..6 {
        let refused = t.try_create(ann, ChatType::Group, &[bob]).await.unwrap_err();
        assert_eq!(refused.code, Code::BlockedByRecipient);
    }
    blocklist::unblock(&t.api, actor(bob), ann).await.unwrap();
    t.one(send(ann, private, "heard", "hello")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_place_is_refused() {
    let places = places(2).await;
    let mut urls = urls(&places);
    let t = T::on_servers(&urls).await;
    // A chat whose bucket another server has, whichever program makes it.
    let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
    let foreign = "INSERT INTO chats (id, chat_type, name, created_at, changed_at)
        VALUES (4096 * 7 + 1, 'group', '', 0, 0)";
    let refused = sqlx::query(foreign).execute(pool).await.unwrap_err();
    assert!(refused.to_string().contains("chats_own_bucket"), "{refused}");
    // The home alone, and the two in another order.
    let alone: Databases = Db::connect(&urls[0], &DbConfig::default()).await.unwrap().into();
    assert!(matches!(alone.check_places().await, Err(PlaceError::Wrong { .. })));
    urls.reverse();
    let swapped = connect(&urls, CheckPlaces::Yes).await;
    assert!(swapped.home().read().await.is_err(), "no connection leads to the wrong place");
    let four = [&urls[..], &[urls[0].clone(), urls[1].clone()]].concat();
    assert!(connect(&four, CheckPlaces::Yes).await.home().read().await.is_err());
    let three = Secret::new(format!("{} {}", urls[0], urls[1]));
    let config = DbConfig::default();
    let odd = Databases::connect(&urls[0], Some(&three), CheckPlaces::Yes, &config).await;
    assert!(odd.is_err(), "three servers cannot become six without moving half of the rest");
}

/// As `docs/sharding.md` says: the second server comes from a copy of the first one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_with_chats_becomes_two_and_then_four() {
    let server = Postgres::shared().await.unwrap();
    let home = server.create_database().await;
    let t = T::unwatched_at(home.url()).await;
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let mut chats = Vec::new();
    for _ in 0..9 {
        chats.push(t.group(ann, &[bob]).await);
    }
    // A private chat from before buckets lies where its id says.
    let private = t.try_create(ann, ChatType::Private, &[cid]).await.unwrap();
    let stray = ChatId(private.0 + 1);
    t.sql(format!(
        "BEGIN; SET CONSTRAINTS ALL DEFERRED;
         INSERT INTO chats (id, chat_type, name, pair_key, created_by, created_at, changed_at, member_count)
             SELECT {stray}, chat_type, name, NULL, created_by, created_at, changed_at, member_count
             FROM chats WHERE id = {private};
         UPDATE members SET chat_id = {stray} WHERE chat_id = {private};
         UPDATE chats a SET pair_key = NULL WHERE id = {private};
         UPDATE chats SET pair_key = '{ann}:{cid}' WHERE id = {stray};
         DELETE FROM chats WHERE id = {private}; COMMIT"
    ))
    .await;
    chats.push(stray);
    for chat in &chats {
        t.say(ann, *chat, "before").await;
    }
    manage::rename(&t.api, admin(ann), chats[0], "renamed").await.unwrap();
    let log = AuditFilter::default();
    let logged = servers::list_all(&t.api.db, log, None, 50).await.unwrap().entries.len();
    t.api.close().await;
    drop(t);

    let mut all = vec![home];
    for count in [2, 4] {
        let half = all.len();
        for from in 0..half {
            let copy = server.create_copy(&all[from]).await;
            all.push(copy);
        }
        assert_eq!(all.len(), count);
        let urls = urls(&all);
        let db = connect(&urls, CheckPlaces::No).await;
        assert!(matches!(db.divide(Dividing::NewOnes).await, Err(PlaceError::Undivided)));
        // A message that only one of the two has: the copy is older than that.
        let last = *chats.last().unwrap();
        let holder = db.of(last);
        let Db::Postgres(pool, ..) = holder else { panic!("not PostgreSQL") };
        let write =
            |by: i64| format!("UPDATE chats SET last_seq = last_seq + {by} WHERE id = {last}");
        sqlx::query(sqlx::AssertSqlSafe(write(1))).execute(pool).await.unwrap();
        assert!(matches!(db.divide(Dividing::Copied).await, Err(PlaceError::NotCopied { .. })));
        sqlx::query(sqlx::AssertSqlSafe(write(-1))).execute(pool).await.unwrap();
        db.divide(Dividing::Copied).await.unwrap();
        db.close().await;

        let t = T::on_servers(&urls).await;
        let listed = lists::list_all(&t.api.db, ann, None, 50).await.unwrap();
        let mut found: Vec<ChatId> = listed.iter().map(|chat| chat.view.id).collect();
        found.sort_unstable();
        let mut known = chats.clone();
        known.sort_unstable();
        assert_eq!(found, known, "each once");
        for (place, db) in t.api.db.each().iter().enumerate() {
            let living = "SELECT count(*) FROM chats WHERE deleted_at IS NULL";
            let foreign = number(db, format!("{living} AND id % {count} <> {place}")).await;
            assert_eq!(foreign, 0);
            let secrets = "SELECT count(*) FROM users WHERE password_hash <> ''";
            assert!(place == 0 || number(db, secrets.to_owned()).await == 0);
        }
        for chat in &chats {
            let page = MessagesPage { limit: 50, ..Default::default() };
            let before = messages::list(&t.api, ann, *chat, page).await.unwrap().len();
            t.say(ann, *chat, "after").await;
            assert_eq!(messages::list(&t.api, ann, *chat, page).await.unwrap().len(), before + 1);
        }
        // The pair keeps its chat, wherever it is.
        let refused = t.try_create(cid, ChatType::Private, &[ann]).await.unwrap_err();
        assert_eq!((refused.code, refused.chat_id), (Code::PrivateChatExists, Some(stray)));
        // Nothing that happened before is told twice; ids are not given twice.
        let entries = servers::list_all(&t.api.db, log, None, 50).await.unwrap().entries;
        assert_eq!(entries.len(), logged);
        chats.push(t.group(ann, &[]).await);
        assert_eq!(chats.iter().collect::<BTreeSet<_>>().len(), chats.len());
        t.say(ann, *chats.last().unwrap(), "new").await;
        t.api.close().await;
    }
}
