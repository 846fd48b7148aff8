use super::*;
use crate::{dialect::Window, hub::conn::outbox::OutboxBatch};
use futures_util::FutureExt;
use proptest::prelude::*;
use protocol::chat::UserRef;
use std::sync::atomic::{AtomicU64, Ordering};

const ANN: UserId = UserId(1);

fn users(config: &Config) -> Users {
    Users::new(config)
}

fn try_register(users: &Users, user: UserId) -> Result<(Arc<Conn>, Arrival), Close> {
    register_with(users, user, session(user.0))
}

/// A session by its number.
fn session(number: i64) -> SessionId {
    SessionId(uuid::Uuid::from_u128(number.unsigned_abs().into()))
}

fn register_with(
    users: &Users,
    user: UserId,
    session: SessionId,
) -> Result<(Arc<Conn>, Arrival), Close> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let owner = Owner::User { user: UserRef::registered(user, "ann"), session };
    users.register(owner, |owner, account| {
        let id = ConnId(NEXT.fetch_add(1, Ordering::Relaxed));
        Conn::new(id, owner, Window::Native, 10_000).of(account)
    })
}

fn register(users: &Users) -> Arc<Conn> {
    try_register(users, ANN).unwrap().0
}

fn closing(conn: &Conn) -> Option<Close> {
    let taken: OutboxBatch = conn.outbox.take().now_or_never().unwrap_or_default();
    taken.closing
}

fn chats(ids: std::ops::Range<i64>) -> Vec<ChatId> {
    ids.map(ChatId).collect()
}

#[tokio::test(start_paused = true)]
async fn one_connection_more_ends_the_oldest() {
    let users = users(&Config::default());
    let conns: Vec<_> = (0..23).map(|_| register(&users)).collect();
    let closed: Vec<_> = conns.iter().map(|conn| closing(conn)).collect();
    assert_eq!(closed[..3], [Some(Close::TooManyConnections); 3]);
    assert_eq!(closed[3..], [None; 20]);
    assert!(try_register(&users, UserId(2)).is_ok(), "others are not concerned");
    // What is elsewhere counts, and the newest one stays whatever there is.
    users.on_elsewhere(ANN, 15);
    let open = |conns: &[Arc<Conn>]| conns.iter().filter(|conn| closing(conn).is_none()).count();
    assert_eq!(open(&conns), 5);
    users.on_elsewhere(ANN, 2_000);
    assert_eq!((open(&conns), closing(&conns[22])), (1, None));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_closes_its_connections_alone() {
    let users = users(&Config::default());
    let [first, second, other] = [7, 7, 8]
        .map(|number| register_with(&users, ANN, session(number)).map(|(conn, _)| conn).unwrap());
    let mut sessions = users.sessions();
    sessions.sort_unstable();
    assert_eq!(sessions, [(ANN, session(7)), (ANN, session(8))]);
    users.unregister(&first);
    assert_eq!(users.sessions().len(), 2, "another connection of it is open");
    let ended = |number| EndedSessions {
        sessions: vec![session(number), session(9)],
        reason: EndReason::SignedOut,
    };
    users.end_sessions(&ended(7));
    assert_eq!((closing(&second), closing(&other)), (Some(Close::SessionEnded), None));
    users.unregister(&second);
    assert_eq!(users.sessions(), [(ANN, session(8))]);
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_brings_nothing_and_leaving_gives_nothing_back() {
    let config = Config::default();
    let users = users(&config);
    for _ in 0..config.account.openings.burst {
        let conn = register(&users);
        users.unregister(&conn);
    }
    for _ in 0..3 {
        assert_eq!(try_register(&users, ANN).unwrap_err(), Close::Abuse);
        // Longer than the grace: the user is gone for others, its account is remembered.
        tokio::time::advance(config.presence.grace).await;
        users.take_departed();
        for _ in 0..config.presence.grace.as_secs() {
            let conn = register(&users);
            users.unregister(&conn);
        }
    }
    tokio::time::advance(full_after(&config)).await;
    users.take_departed();
    assert!(users.inner.lock().users.is_empty());
    assert!(users.inner.lock().leaving.is_empty() && users.inner.lock().left.is_empty());
}

#[tokio::test(start_paused = true)]
async fn all_connections_of_an_account_share_one_allowance() {
    let config = Config::default();
    let users = users(&config);
    let conns: Vec<_> = (0..20).map(|_| register(&users)).collect();
    let now = Duration::from_secs(1);
    let take =
        |conn: &Arc<Conn>| conn.account.allowance().frames.try_take(&config.account.frames, now, 1);
    let taken = conns.iter().cycle().take(10_000).filter(|conn| take(conn).is_ok()).count();
    assert_eq!(taken, 200);
    let other = try_register(&users, UserId(2)).unwrap().0;
    assert!(take(&other).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_same_chats_hear_of_coming_and_going() {
    let config = Config::default();
    let users = users(&config);
    let native = register(&users);
    assert_eq!(users.take_unstated(), [], "nobody knows yet");
    users.mark_present(ANN, &chats(0..30));
    let window = register(&users);
    users.mark_present(ANN, &chats(20..90));
    let here = |sockets, chats| vec![Here { user: ANN, sockets, chats }];
    assert_eq!(users.take_unstated(), here(2, chats(0..50)), "as many as there is room for");
    users.stop_telling(ANN, ChatId(7));
    users.unregister(&native);
    let told: Vec<ChatId> = chats(0..50).into_iter().filter(|chat| *chat != ChatId(7)).collect();
    let news = users.take_unstated();
    assert_eq!(news, here(1, told.clone()));
    users.put_back(&news);
    assert_eq!(users.take_unstated(), news);
    users.unregister(&window);
    assert!(users.take_departed().is_empty());
    tokio::time::advance(config.presence.grace).await;
    let departed = users.take_departed();
    assert!(
        matches!(&departed[..], [Departed { user: ANN, present: true, chats }] if *chats == told)
    );
    assert!(!users.is_present(ANN));
    assert_eq!(users.take_unstated(), [], "whoever is gone is no news");
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_within_the_grace_never_left() {
    let config = Config::default();
    let users = users(&config);
    let first = register(&users);
    users.mark_present(ANN, &chats(0..2));
    users.unregister(&first);
    tokio::time::advance(config.presence.grace / 2).await;
    let (second, arrival) = try_register(&users, ANN).unwrap();
    assert_eq!(arrival, Arrival::Another);
    tokio::time::advance(config.presence.grace).await;
    assert!(users.take_departed().is_empty());
    users.unregister(&second);
    tokio::time::advance(config.presence.grace).await;
    assert_eq!(users.take_departed().len(), 1);
    assert_eq!(try_register(&users, ANN).unwrap().1, Arrival::First, "its channel was let go");
}

proptest! {
    /// However connections of some accounts come and go: no account has more than it may, and each
    /// user's departure is told once for each time it went.
    #[test]
    fn an_account_never_has_more_than_its_share(
        steps in prop::collection::vec((0..3i64, any::<prop::sample::Index>(), 0..4u8), 1..300),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
            let mut config = Config::default();
            config.account.connections = 3;
            let users = users(&config);
            let mut open: Vec<Arc<Conn>> = Vec::new();
            for (user, place, step) in steps {
                let user = UserId(user);
                match step {
                    0 | 1 => open.extend(try_register(&users, user).ok().map(|(conn, _)| conn)),
                    2 if !open.is_empty() => {
                        let conn = open.swap_remove(place.index(open.len()));
                        users.unregister(&conn);
                    }
                    _ => tokio::time::advance(Duration::from_secs(3)).await,
                }
                for gone in users.take_departed() {
                    let still = open.iter().any(|conn| conn.user_id() == Some(gone.user));
                    prop_assert!(!still);
                }
                for conn in open.iter().filter(|conn| closing(conn).is_some()).cloned().collect::<Vec<_>>() {
                    open.retain(|other| other.id != conn.id);
                    users.unregister(&conn);
                }
                for user in (0..3).map(UserId) {
                    let mine = open.iter().filter(|conn| conn.user_id() == Some(user)).count();
                    prop_assert!(mine <= 3);
                    prop_assert_eq!(users.of_user(user).len(), mine);
                }
            }
            Ok(())
        })?;
    }
}
