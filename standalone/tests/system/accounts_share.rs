//! One account, one share: however many connections it opens, and to however many gateways, it has
//! what one has. Signals are counted instead of told by name where many watch.

use crate::harness::{Dial, Got, Mode, Rest, Socket, SocketEvent, System, User, until, within};
use futures_util::{StreamExt, stream::FuturesUnordered};
use protocol::{
    close::Close,
    frames::{ClientFrame, ServerFrame, Typist},
    id::{ChatId, Seq},
};
use reqwest::Method;
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;

in_both_modes!(
    one_connection_more_closes_the_oldest,
    connections_share_the_accounts_frames,
    where_many_watch_typing_is_counted,
);

/// A connection of an account: 20 on a gateway.
const MOST: usize = 20;
/// Long for what happens at once.
const SOON: Duration = Duration::from_secs(20);

async fn socket_at(user: &User, node: usize) -> Socket {
    let mut socket = Dial::new(user.system().node(node)).open().await.unwrap();
    socket.hello(Some(&user.token), None).await;
    socket
}

async fn sockets_at(user: &User, node: usize, count: usize) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(socket_at(user, node).await);
    }
    sockets
}

fn send(id: String, chat_id: ChatId) -> ClientFrame {
    ClientFrame::Send { id: Some(id), chat_id, text: "hi".to_owned(), reply_to: None }
}

async fn one_connection_more_closes_the_oldest(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let mut others = socket_at(&bob, 0).await;
    let mut sockets = sockets_at(&ann, 0, MOST).await;
    sockets[0].expect_alive().await;
    // A window of an older dialect counts as any other.
    let _window = ann.window(0, &format!("/messages/{}", ann.id)).await;
    sockets[0].expect_close(Close::TooManyConnections).await;
    sockets.push(socket_at(&ann, 0).await);
    sockets[1].expect_close(Close::TooManyConnections).await;
    for socket in &mut sockets[2..] {
        socket.expect_alive().await;
    }
    others.expect_alive().await;
}

#[tokio::test]
async fn over_all_gateways_an_account_has_as_many() {
    let t = System::start(Mode::Cluster).await;
    let ann = t.user("ann").await;
    let mut sockets = sockets_at(&ann, 0, 15).await;
    sockets.extend(sockets_at(&ann, 1, 15).await);
    // Which gateway hears of the other one first decides whose oldest go.
    let mut closed = [false; 30];
    {
        let mut ends: FuturesUnordered<_> =
            sockets.iter_mut().enumerate().map(|(number, socket)| end(number, socket)).collect();
        for _ in 0..10 {
            let ended = within(SOON, "ten to go", ends.next()).await;
            let (number, code, reason) = ended.unwrap();
            assert_eq!((code, reason.as_str()), (1008, "too_many_connections"));
            closed[number] = true;
        }
    }
    for (socket, _) in sockets.iter_mut().zip(closed).filter(|(_, closed)| !closed) {
        socket.expect_alive().await;
    }
}

async fn end(number: usize, socket: &mut Socket) -> (usize, u16, String) {
    loop {
        match socket.hear().await {
            SocketEvent::Text(_) => {}
            SocketEvent::Closed(code, reason) => return (number, code, reason),
            SocketEvent::Gone => panic!("socket {number} ended without a word"),
        }
    }
}

async fn connections_share_the_accounts_frames(t: System) {
    let ann = t.user("ann").await;
    let chat = ann.group("notes", &[]).await;
    let sockets = sockets_at(&ann, 0, MOST).await;
    let started = Instant::now();
    let crowd = sockets.into_iter().enumerate().map(async |(number, mut socket)| {
        for frame in 0..30 {
            socket.say(&send(format!("{number}-{frame}"), chat)).await;
        }
        let (mut acked, mut answered) = (0, 0);
        // Refused frames count too: a socket may be closed for the others' sake.
        while answered < 30 {
            match within(SOON, "an answer", socket.next()).await {
                Got::Frame(frame) => match *frame {
                    ServerFrame::Ack { .. } => (acked, answered) = (acked + 1, answered + 1),
                    ServerFrame::Error { code, retry_after_ms, .. } => {
                        assert_eq!(code, "rate_limited");
                        assert!(retry_after_ms.is_some());
                        answered += 1;
                    }
                    _ => {}
                },
                _ => break,
            }
        }
        acked
    });
    let acked: Vec<usize> = futures_util::future::join_all(crowd).await;
    let acked: usize = acked.iter().sum();
    let share = 200.0 + 50.0 * started.elapsed().as_secs_f64();
    assert!(acked > 0 && acked as f64 <= share, "{acked} of 600, the share was {share}");
}

/// See `Config::account_in_flight` of the gateway.
const IN_FLIGHT: usize = 256;

#[tokio::test]
async fn commands_without_an_answer_are_bounded_by_account() {
    let t = System::cluster_with(&[("FRAMES_PER_SECOND", "1000")]).await;
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let (chat, other) = (ann.group("notes", &[]).await, bob.group("notes", &[]).await);
    let mut sockets = sockets_at(&ann, 0, 2).await;
    let mut others = socket_at(&bob, 0).await;
    for api in [0, 1] {
        t.api(api).process().pause();
    }
    let mut refused = 0;
    for (number, socket) in sockets.iter_mut().enumerate() {
        for frame in 0..140 {
            socket.say(&send(format!("{number}-{frame}"), chat)).await;
        }
        // All before this were answered or wait for the api.
        for frame in socket.expect_alive().await {
            if let ServerFrame::Error { code, retry_after_ms, .. } = frame {
                assert_eq!((code.as_str(), retry_after_ms), ("rate_limited", Some(500)));
                refused += 1;
            }
        }
    }
    others.say(&send("mine".to_owned(), other)).await;
    let before = others.expect_alive().await;
    assert!(before.is_empty(), "another account has its own places: {before:?}");
    for api in [0, 1] {
        t.api(api).process().resume();
    }
    assert_eq!(refused, 280 - IN_FLIGHT);
    let mut acked = 0;
    while acked < IN_FLIGHT {
        let acks = sockets.iter_mut().map(|socket| socket.frame()).collect::<FuturesUnordered<_>>();
        let frame = { acks }.next().await.unwrap();
        acked += usize::from(matches!(frame, ServerFrame::Ack { .. }));
    }
    // The places are free again.
    sockets[0].say(&send("again".to_owned(), chat)).await;
    loop {
        if let ServerFrame::Ack { id, .. } = sockets[0].frame().await
            && id.as_deref() == Some("again")
        {
            break;
        }
    }
}

#[tokio::test]
async fn before_hello_the_network_is_limited() {
    let settings = [("TRUSTED_PROXIES", "10.0.0.0/8"), ("MAX_STRANGERS_PER_NETWORK", "3")];
    let t = System::single(&[&settings[..], &[("GUESTS", "true")]].concat()).await;
    let ann = t.user("ann").await;
    let dial = Dial::new(t.front());
    let lobby = dial.clone().at("/ws");
    let mut waiting = [dial.open().await.unwrap(), dial.open().await.unwrap()];
    let guest = lobby.open().await.unwrap();
    for dial in [&dial, &lobby] {
        match dial.open().await {
            Err(tungstenite::Error::Http(answer)) => {
                assert_eq!(answer.status(), 503);
                assert!(answer.headers().contains_key("retry-after"));
            }
            other => panic!("a fourth stranger: {other:?}"),
        }
    }
    // Whoever is known is no stranger any more.
    waiting[0].hello(Some(&ann.token), None).await;
    let mut another = dial.open().await.unwrap();
    another.hello(Some(&ann.token), None).await;
    drop(guest);
    until("the guest's place to be free", async || lobby.open().await.ok()).await;
}

async fn where_many_watch_typing_is_counted(t: System) {
    let ann = t.user("ann").await;
    let mut people = Vec::new();
    for number in 0..6 {
        people.push(t.user(&format!("one{number}")).await);
    }
    let chat = ann.group("crowd", &people.iter().collect::<Vec<_>>()).await;
    let mut typist = socket_at(&people[0], 0).await;
    let mut few = socket_at(&ann, 0).await;
    // Who has a message watches the chat: a signal before that is lost, as it may be.
    let mark = ann.post(chat, "something to read").await;
    for socket in [&mut typist, &mut few] {
        hears(socket, mark).await;
    }
    typist.say(&ClientFrame::Typing { chat_id: chat }).await;
    let of_interest = async |socket: &mut Socket| loop {
        let frame = socket.frame().await;
        if matches!(frame, ServerFrame::Typing { .. } | ServerFrame::Read { .. }) {
            return frame;
        }
    };
    let by_name = of_interest(&mut few).await;
    assert!(matches!(by_name, ServerFrame::Typing { who: Typist::One { user }, .. }
        if user.id == people[0].id));

    let mut crowd = Vec::new();
    for person in &people {
        crowd.extend(sockets_at(person, 0, 17).await);
    }
    let all_here = ann.post(chat, "all here?").await;
    for socket in &mut crowd {
        hears(socket, all_here).await;
    }
    let dropped = watchers_dropped(&t).await;
    typist.say(&ClientFrame::Read { chat_id: chat, message_id: mark }).await;
    // The own devices hear of the mark, in whatever crowd.
    let own = of_interest(&mut crowd[0]).await;
    assert!(matches!(own, ServerFrame::Read { user_id, .. } if user_id == people[0].id));
    within(SOON, "the mark to be left out for the others", async {
        while watchers_dropped(&t).await == dropped {}
    })
    .await;
    typist.say(&ClientFrame::Typing { chat_id: chat }).await;
    let counted = of_interest(&mut few).await;
    assert_eq!(counted, ServerFrame::Typing { chat_id: chat, who: Typist::Many { count: 1 } });
    let another = of_interest(crowd.last_mut().unwrap()).await;
    assert_eq!(another, counted);
}

async fn hears(socket: &mut Socket, message: Seq) {
    while !matches!(socket.frame().await, ServerFrame::Event(it) if it.event.seq == message) {}
}

/// Frames left out because many watch, on all nodes.
async fn watchers_dropped(t: &System) -> u64 {
    let mut sum = 0;
    for admin in t.admin_ports() {
        let rest = Rest::new(format!("http://{admin}"));
        let text =
            rest.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let line = "gateway_dropped_frames_total{reason=\"many_watchers\"} ";
        let counts = text.lines().filter_map(|it| it.strip_prefix(line));
        sum += counts.filter_map(|count| count.parse::<u64>().ok()).sum::<u64>();
    }
    sum
}
