//! One chat taken as far as it gets, against an api that says what the test says.

use super::super::*;
use crate::{
    backend::scripted::Scripted,
    config::Config,
    dialect::Window,
    hub::conn::join::Cause,
    testing::{chat, connect, gateway, taken, watch},
};
use parking_lot::Mutex;
use protocol::{
    calls::Viewed,
    chat::{ChatType, ChatView},
    id::{Seq, UserId},
};

fn group() -> ChatView {
    chat(ChatId(1), ChatType::Group, Seq::ZERO)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_ahead_waits_longer_each_time() {
    let gateway = gateway(&Arc::new(Scripted::default()), Config::default());
    let other = connect(&gateway, UserId(2), Window::Native);
    watch(&gateway, &other.conn, &group());
    let conn = connect(&gateway, UserId(1), Window::Native).conn.clone();
    let ahead = Join::at_end(&group(), conn.access_version(), Cause::Opened).resume_at(Seq(5));
    let (mut next, mut pauses) = (ahead, Vec::new());
    for _ in 0..8 {
        next = match join(Arc::clone(&gateway.hub), Arc::clone(&conn), next).await {
            JoinStep::Later(join, pause) => {
                pauses.push(pause.as_millis());
                join
            }
            done @ JoinStep::Done(_) => panic!("{done:?}"),
        };
    }
    assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1_000, 1_000]);
}

/// A user who loses the right to watch a chat before joining it is told so once: by the answer to a
/// `subscribe`, else by `chat_removed`.
#[tokio::test(start_paused = true)]
async fn a_refusal_answers_the_frame_that_asked() {
    let backend = Arc::new(Scripted::default());
    backend.view.says(|call| {
        let refused = |_| Err(Code::NotAMember.into());
        Ok(Viewed { chats: call.chats.iter().map(refused).collect() })
    });
    let gateway = gateway(&backend, Config::default());
    let guard = connect(&gateway, UserId(1), Window::Native);
    let conn = &guard.conn;
    for subscribes in [true, false] {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&answers);
        let mut refused = Join::at_end(&group(), conn.access_version(), Cause::Subscribed);
        if subscribes {
            let reply = Box::new(move |frame: &ServerFrame| log.lock().push(frame.clone()));
            let id = Some("s".to_owned());
            let subscription = Subscription { id, chat: group(), resync: false, reply };
            refused.announce = Some(Announce::Subscribed(Box::new(subscription)));
        }
        conn.revoke();
        let step = join(Arc::clone(&gateway.hub), Arc::clone(conn), refused).await;
        assert!(matches!(step, JoinStep::Done(ChatId(1))), "{step:?}");
        let answers = answers.lock();
        let codes: Vec<_> = answers
            .iter()
            .map(|frame| match frame {
                ServerFrame::Error { id, code, .. } => (id.as_deref(), code.as_str()),
                other => panic!("{other:?}"),
            })
            .collect();
        let frames = taken(conn).frames;
        let removed: Vec<&str> = frames.iter().map(|frame| frame.text()).collect();
        if subscribes {
            assert_eq!((codes, removed), (vec![(Some("s"), "not_a_member")], vec![]));
        } else {
            let frame = r#"{"type":"chat_removed","chat_id":1}"#;
            assert_eq!((codes, removed), (vec![], vec![frame]));
        }
    }
}
