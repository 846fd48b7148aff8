//! How sockets open and end as WebSockets, whatever is said on them: a client's close is answered, who
//! only vanishes is no abuse, mistakes have codes of their own, and another site's page is nobody.

use crate::harness::{
    Dial, PASSWORD, Rest, Socket, SocketEvent, System, User, unique, until, within,
};
use protocol::{close::Close, frames::ClientFrame};
use reqwest::{
    Method,
    header::{AUTHORIZATION, COOKIE, ORIGIN, SEC_WEBSOCKET_PROTOCOL},
};
use serde_json::json;
use std::time::Duration;
use tokio_tungstenite::tungstenite::{Bytes, Message, protocol::CloseFrame};

in_both_modes!(
    pings_are_answered_on_every_path,
    a_close_is_answered_on_every_path,
    mistakes_of_a_program_have_their_codes,
    a_page_of_another_origin_is_nobody,
    a_token_may_be_a_subprotocol,
    what_is_no_upgrade_is_told_why,
);
behind_haproxy!(
    a_close_is_answered_on_every_path,
    mistakes_of_a_program_have_their_codes,
    a_token_may_be_a_subprotocol,
);

/// Closes with this code and gives the one that comes back.
async fn closed_with(socket: &mut Socket, code: Option<u16>) -> SocketEvent {
    let frame = code.map(|code| CloseFrame { code: code.into(), reason: "enough".into() });
    socket.say_message(Message::Close(frame)).await;
    within(Duration::from_secs(4), "the answer to a close", async {
        loop {
            match socket.hear().await {
                SocketEvent::Text(_) => {}
                end => return end,
            }
        }
    })
    .await
}

async fn paths(ann: &User) -> Vec<String> {
    let chat = ann.group("notes", &[]).await;
    let own = ["/gateway", "/ws", "/ws/chat"].map(str::to_owned);
    own.into_iter().chain([format!("/ws/{chat}"), format!("/messages/{}", ann.id)]).collect()
}

async fn pings_are_answered_on_every_path(t: System) {
    let ann = t.user("ann").await;
    for path in paths(&ann).await {
        let dial = Dial::new(t.node(0)).at(&path);
        let mut socket =
            dial.header(AUTHORIZATION, format!("Bearer {}", ann.token)).open().await.unwrap();
        socket.expect_pong("one").await;
        if path == "/gateway" {
            socket.hello(None, None).await;
            socket.expect_pong("two").await;
        }
        socket.expect_pong("three").await;
    }
}

async fn a_close_is_answered_on_every_path(t: System) {
    let ann = t.user("ann").await;
    for path in paths(&ann).await {
        for at in [t.node(0), t.front()] {
            for (code, answer) in
                [(Some(1000), 1000), (Some(1001), 1001), (Some(4999), 4999), (None, 1000)]
            {
                let dial =
                    Dial::new(at).at(&path).header(AUTHORIZATION, format!("Bearer {}", ann.token));
                let mut socket = dial.open().await.unwrap();
                if path == "/gateway" && code == Some(1001) {
                    socket.hello(None, None).await;
                }
                let heard = closed_with(&mut socket, code).await;
                assert!(
                    matches!(&heard, SocketEvent::Closed(code, reason) if *code == answer && reason.is_empty()),
                    "{path} closed with {code:?}: {heard:?}"
                );
                assert!(matches!(socket.hear().await, SocketEvent::Gone), "{path}");
            }
        }
    }
}

async fn mistakes_of_a_program_have_their_codes(t: System) {
    let ann = t.user("ann").await;
    for code in [999, 1005, 5000] {
        let heard = closed_with(&mut ann.socket().await, Some(code)).await;
        let SocketEvent::Closed(answer, reason) = heard else { panic!("{code}: {heard:?}") };
        assert_eq!((answer, reason.as_str()), (1002, "protocol_error"), "{code}");
    }
    let mut socket = Dial::new(t.front()).open().await.unwrap();
    socket.say_message(Message::binary(vec![1])).await;
    socket.expect_close(Close::TextOnly).await;
    let mut socket = ann.socket().await;
    for _ in 0..30 {
        socket.say_message(Message::Ping(Bytes::new())).await;
    }
    socket.expect_close(Close::Abuse).await;
}

async fn a_page_of_another_origin_is_nobody(t: System) {
    let ann = t.user("ann").await;
    let body = json!({ "username": ann.username, "password": PASSWORD });
    let cookie = t.rest().post("/login", body).await.headers["set-cookie"].clone();
    let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
    let evil = |path: &str| Dial::new(t.front()).at(path).header(ORIGIN, "https://evil.example");
    for path in paths(&ann).await {
        let mut guest = evil(&path).open().await.unwrap();
        let mut victim = evil(&path).header(COOKIE, &cookie).open().await.unwrap();
        for socket in [&mut guest, &mut victim] {
            if path == "/gateway" {
                socket.say(&ClientFrame::hello(None, None)).await;
            }
            socket.expect_close(Close::WrongOrigin).await;
        }
        // Its own token it may use, whatever cookie the browser adds.
        let own = evil(&path).header(COOKIE, &cookie);
        let token = match path.as_str() {
            "/gateway" => {
                own.open().await.unwrap().hello(Some(&ann.token), None).await;
                continue;
            }
            _ => format!("token={}", ann.token),
        };
        let mut own = own.query(&token).open().await.unwrap();
        assert!(
            matches!(closed_with(&mut own, None).await, SocketEvent::Closed(1000, _)),
            "{path}"
        );
    }
}

async fn a_token_may_be_a_subprotocol(t: System) {
    let ann = t.user("ann").await;
    let offer = |offer: String| Dial::new(t.front()).header(SEC_WEBSOCKET_PROTOCOL, offer);
    // The client refuses an upgrade that names none of what it offered, as browsers do.
    let mut socket = offer(format!("switchboard, bearer.{}", ann.token)).open().await.unwrap();
    socket.hello(None, None).await;
    let mut socket = offer("other, switchboard".to_owned()).open().await.unwrap();
    socket.hello(Some(&ann.token), None).await;
    offer("other".to_owned()).open().await.expect_err("nothing that it offered");
    assert!(t.logs_with(&ann.token).is_empty(), "a token reached {:?}", t.logs_with(&ann.token));
}

async fn what_is_no_upgrade_is_told_why(t: System) {
    let ask = async |version: &str, key: &str| {
        let request = Rest::new(format!("http://{}", t.node(0))).request(Method::GET, "/gateway");
        let request = request.header("connection", "upgrade").header("upgrade", "websocket");
        let request = request.header("sec-websocket-version", version);
        // Not the REST document's business.
        request.header("sec-websocket-key", key).send().await.unwrap()
    };
    let other_version = ask("12", "dGhlIHNhbXBsZSBub25jZQ==").await;
    assert_eq!(other_version.status(), 426);
    assert_eq!(other_version.headers()["sec-websocket-version"], "13");
    for key in ["", "short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZXM="] {
        let answer = ask("13", key).await;
        assert_eq!(answer.status(), 400, "{key}");
        assert!(answer.text().await.unwrap().contains("bad_websocket_key"), "{key}");
    }
    // RFC 6455's own example, whose last bits stand for nothing.
    assert_eq!(ask("13", "AQIDBAUGBwgJCgsMDQ4PEC==").await.status(), 101);
}

/// Phones lose their network, and programs are killed.
#[tokio::test]
async fn who_vanishes_is_no_abuse() {
    let t = System::single(&[]).await;
    let ann = t.user("ann").await;
    let ended = async |reason: &str| -> u64 {
        let line = format!("gateway_closes_total{{reason=\"{reason}\"}} ");
        let rest = Rest::new(format!("http://{}", t.admin_ports()[0]));
        let metrics = rest.request(Method::GET, "/metrics").send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let value = metrics.lines().find_map(|it| it.strip_prefix(&line).map(str::to_owned));
        value.expect("the metric").parse().unwrap()
    };
    for _ in 0..5 {
        drop(ann.socket().await);
        drop(Dial::new(t.front()).open().await.unwrap());
    }
    until("all to be counted", async || (ended("bye").await == 10).then_some(())).await;
    assert_eq!(ended("abuse").await + ended("protocol_error").await, 0);
}

/// From our own page a guest is welcome where guests are.
#[tokio::test]
async fn a_guest_comes_from_our_own_page_or_from_none() {
    let t = System::single(&[]).await;
    let own = format!("http://{}", t.front());
    let dial = || Dial::new(t.front()).at("/ws");
    for dial in [dial(), dial().header(ORIGIN, own)] {
        let mut socket = dial.open().await.unwrap();
        let name = unique("gus");
        let said = json!({ "type": "chat_message", "username": name, "message": "hi" });
        socket.say_text(said.to_string()).await;
        let SocketEvent::Text(heard) =
            within(Duration::from_secs(10), "a frame", socket.hear()).await
        else {
            panic!("closed")
        };
        assert!(heard.contains(&name), "{heard}");
    }
}
