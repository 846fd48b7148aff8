//! Whatever a socket waits for, it is served and hears that it is to close. Here it waits for apis
//! that are frozen: connected, and silent.

use crate::harness::{Dial, Rest, Socket, System, User, until, within};
use protocol::{
    close::Close,
    frames::{ClientFrame, ServerFrame},
    id::ChatId,
    relay::{Channel, ControlPayload, EndReason, EndedSessions},
};
use reqwest::{Method, header::AUTHORIZATION};
use serde_json::json;
use std::time::Duration;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

/// What the design promises to whoever is out.
const SECOND: Duration = Duration::from_secs(1);

fn freeze(t: &System) {
    [0, 1].iter().for_each(|number| t.api(*number).process().pause());
}

/// Says on the bus, as an api would, that this session is over.
async fn end_session(t: &System, session: &str) {
    let sessions = vec![session.parse().unwrap()];
    let ended = ControlPayload::Ended(EndedSessions { sessions, reason: EndReason::SignedOut });
    let (channel, payload) = (Channel::Control.to_string(), serde_json::to_string(&ended).unwrap());
    let mut redis = TcpStream::connect(("127.0.0.1", t.redis().port())).await.unwrap();
    let mut command = format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{channel}\r\n", channel.len());
    command += &format!("${}\r\n{payload}\r\n", payload.len());
    redis.write_all(command.as_bytes()).await.unwrap();
    redis.shutdown().await.unwrap();
}

async fn session_of(user: &User) -> String {
    user.rest.get("/me/sessions").await.ok()[0]["id"].as_str().unwrap().to_owned()
}

/// The connections that a gateway knows the clients of, those that are opening included.
async fn connections(t: &System) -> Option<f64> {
    let rest = Rest::new(format!("http://{}", t.gateway(0).admin()));
    let text = rest.request(Method::GET, "/metrics").send().await.ok()?.text().await.ok()?;
    let line = text.lines().find(|line| line.starts_with("gateway_connections "))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// A socket that has said hello to a gateway whose apis do not answer.
async fn opening(t: &System, user: &User) -> Socket {
    let mut socket = Dial::new(t.node(0)).open().await.unwrap();
    let token = Some(user.token.clone());
    socket.say(&ClientFrame::hello(token, None)).await;
    socket
}

/// It has read what was sent to it before, and answers.
async fn is_served(socket: &mut Socket) -> Vec<ServerFrame> {
    within(SECOND, "a socket to be served", socket.expect_alive()).await
}

#[tokio::test]
async fn a_session_that_ends_closes_what_waits_for_an_api() {
    let t = System::own_cluster().await;
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let (team, room) = (ann.group("team", &[&bob]).await, bob.room("square").await);
    let session = session_of(&ann).await;
    let dial = |path: &str| {
        Dial::new(t.node(0)).at(path).header(AUTHORIZATION, format!("Bearer {}", ann.token))
    };
    let native = async |user: &User| {
        let mut socket = Dial::new(t.node(0)).open().await.unwrap();
        socket.hello(Some(&user.token), None).await;
        socket
    };
    let mut idle = native(&ann).await;
    let mut asking = native(&ann).await;
    let mut flooding = native(&ann).await;
    let mut names = dial("/ws/chat").open().await.unwrap();
    let mut bobs = native(&bob).await;

    freeze(&t);
    let subscribe =
        |id: &str| ClientFrame::Subscribe { id: Some(id.to_owned()), chat_id: room, after: None };
    asking.say(&subscribe("s")).await;
    is_served(&mut asking).await;
    // What others say is shown meanwhile.
    bobs.say(&ClientFrame::Typing { chat_id: team }).await;
    is_served(&mut bobs).await;
    let came = is_served(&mut asking).await;
    let typing = |frame: &ServerFrame| matches!(frame, ServerFrame::Typing { .. });
    assert!(came.iter().any(typing), "{came:?}");
    // More than a connection may wait for at once: what it sends then is left unread.
    for number in 0..100 {
        flooding.say(&subscribe(&number.to_string())).await;
        let to_bob = json!({ "username_to": bob.username, "message": "hi" });
        names.say_text(to_bob.to_string()).await;
    }
    let mut hello = opening(&t, &ann).await;
    let mut upgrades = JoinSet::new();
    for path in ["/ws", "/ws/chat"] {
        let dial = dial(path);
        upgrades.spawn(async move {
            dial.open().await.unwrap().expect_close(Close::SessionEnded).await;
        });
    }
    until("eight to be known", async || (connections(&t).await == Some(8.0)).then_some(())).await;

    end_session(&t, &session).await;
    within(SECOND, "all of the session to close", async {
        for socket in [&mut idle, &mut asking, &mut flooding, &mut names, &mut hello] {
            socket.expect_close(Close::SessionEnded).await;
        }
        upgrades.join_all().await;
    })
    .await;
    is_served(&mut bobs).await;
}

#[tokio::test]
async fn a_gateway_that_stops_does_not_wait_for_an_api_that_is_silent() {
    let t = System::own_cluster().await;
    let ann = t.user("ann").await;
    let mut asking = Dial::new(t.node(0)).open().await.unwrap();
    asking.hello(Some(&ann.token), None).await;
    freeze(&t);
    let (id, chat_id) = (Some("s".to_owned()), ChatId(1));
    asking.say(&ClientFrame::Subscribe { id, chat_id, after: None }).await;
    is_served(&mut asking).await;
    let mut hello = opening(&t, &ann).await;
    until("both to be known", async || (connections(&t).await == Some(2.0)).then_some(())).await;

    t.gateway(0).process().terminate();
    // The farewell's two seconds, two for what is on its way, and one.
    within(Duration::from_secs(5), "both to be sent on", async {
        hello.expect_close(Close::Restart).await;
        asking.expect_close(Close::Restart).await;
    })
    .await;
    drop((hello, asking));
    assert_eq!(t.gateway(0).process().wait(Duration::from_secs(5)).await.unwrap(), 0);
}
