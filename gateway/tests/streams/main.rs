//! What a gateway does with its streams to an api that answers in all the wrong ways, over real sockets. The two ends
//! together are tried with the product's own api (`standalone/src/direct/`).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod fake;

use fake::{FakeApi, answer, backend, bare_head, post, posted};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use gateway::backend::{Backend, Unavailable};
use protocol::{
    limits::MAX_ANSWER_BYTES,
    stream::{FailedBody, FrameKind, MAX_IN_FLIGHT, frame},
};
use tokio::{io::AsyncWriteExt, join};

/// How many streams a gateway has.
const STREAMS: usize = 2;

/// The call was answered with what its message is numbered.
async fn is_answered(backend: &impl Backend, number: i64) {
    let answer = backend.post(post(number)).await.unwrap();
    let expected = posted(&post(number));
    assert_eq!((answer.results, answer.events), (expected.results, expected.events));
}

async fn fails(backend: &impl Backend, number: i64) -> Unavailable {
    backend.post(post(number)).await.unwrap_err()
}

#[tokio::test]
async fn answers_come_in_any_order() {
    let api = FakeApi::start().await;
    let backend = backend(&[api.url()]);
    let calls = async {
        join!(
            is_answered(&backend, 1),
            is_answered(&backend, 2),
            is_answered(&backend, 3),
            is_answered(&backend, 4)
        )
    };
    let serves = async {
        let mut streams = [api.stream().await, api.stream().await];
        for stream in &mut streams {
            let (first, second) = (stream.call().await, stream.call().await);
            stream.answer(&second).await;
            stream.answer(&first).await;
        }
        streams
    };
    let (_, mut streams) = join!(calls, serves);
    // The same streams go on.
    join!(is_answered(&backend, 5), streams[0].answers_next());
    join!(is_answered(&backend, 6), streams[1].answers_next());
}

#[tokio::test]
async fn an_upgrade_names_the_version_and_the_secret() {
    let api = FakeApi::start().await;
    let backend = backend(&[api.url()]);
    let serves = async {
        let asked = api.asked().await;
        for line in [
            "get /internal/stream http/1.1",
            "authorization: bearer the secret of these tests",
            "connection: upgrade",
            "upgrade: switchboard-stream",
            "switchboard-stream-version: 1",
        ] {
            assert!(asked.head.contains(&format!("{line}\r\n")), "{}", asked.head);
        }
        asked.upgraded().await.answers_next().await;
    };
    join!(is_answered(&backend, 1), serves);
}

#[tokio::test]
async fn an_api_without_streams_of_this_version_is_called_by_http() {
    for status in ["404 Not Found", "405 Method Not Allowed", "426 Upgrade Required"] {
        let api = FakeApi::start().await;
        let backend = backend(&[api.url()]);
        let serves = async {
            let mut posts = FuturesUnordered::new();
            let mut upgrades = 0;
            loop {
                tokio::select! {
                    mut asked = api.asked() => match asked.is_upgrade() {
                        true => {
                            upgrades += 1;
                            assert!(upgrades <= STREAMS, "an old api is not asked each time");
                            asked.answer(status, "").await;
                        }
                        false => posts.push(asked.answer_posts()),
                    },
                    Some(()) = posts.next() => {}
                }
            }
        };
        let calls = async {
            for number in 0..10 {
                is_answered(&backend, number).await;
            }
        };
        tokio::select! {
            () = calls => {}
            () = serves => {}
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_no_answer() {
    let api = FakeApi::start().await;
    let backend = backend(&[api.url()]);
    let serves = async {
        let mut upgrade = api.asked().await;
        assert!(upgrade.is_upgrade());
        upgrade.answer("401 Unauthorized", "").await;
        api.asked().await.answer("401 Unauthorized", "").await;
    };
    let (error, ()) = join!(fails(&backend, 1), serves);
    assert!(matches!(error, Unavailable::NotAnswered(_)), "{error}");
}

#[tokio::test]
async fn a_stream_that_is_cut_fails_its_calls_and_the_next_one_is_new() {
    let api = FakeApi::start().await;
    let backend = backend(&[api.url()]);
    // Anywhere in a frame, and between two.
    for cut in [0, 1, 12, 13, 20] {
        let serves = async {
            let mut stream = api.stream().await;
            let (call, body) = stream.call().await;
            stream.writer.write(&answer(call, &body)[..cut]).await.unwrap();
        };
        let (error, ()) = join!(fails(&backend, 1), serves);
        assert!(matches!(error, Unavailable::NotAnswered(_)), "{cut}: {error}");
    }
    let serves = async { api.stream().await.answers_next().await };
    join!(is_answered(&backend, 1), serves);
}

#[tokio::test]
async fn a_stream_that_stalls_is_given_up() {
    let api = FakeApi::start().await;
    let backend = backend(&[api.url()]);
    let serves = async {
        let mut stream = api.stream().await;
        stream.call().await;
        // From here on time passes only while nobody has anything to do.
        tokio::time::pause();
        stream.expect_end().await;
    };
    let (error, ()) = join!(fails(&backend, 1), serves);
    assert!(matches!(error, Unavailable::NotAnswered(_)), "{error}");
    tokio::time::resume();
    for number in [2, 3] {
        let serves = async { api.stream().await.answers_next().await };
        join!(is_answered(&backend, number), serves);
    }
}

#[tokio::test]
async fn a_slow_call_alone_does_not_cost_the_stream() {
    let api = FakeApi::start().await;
    let backend = backend(&[api.url()]);
    // One after the other, so that it is known whose turn is next.
    let begins = async || {
        let mut stream = api.stream().await;
        stream.answers_next().await;
        stream
    };
    let ((), mut one) = join!(is_answered(&backend, 1), begins());
    let ((), mut other) = join!(is_answered(&backend, 2), begins());
    let serves = async {
        let slow = one.call().await;
        let quick = async { join!(is_answered(&backend, 4), is_answered(&backend, 5)) };
        join!(quick, other.answers_next(), one.answers_next());
        tokio::time::pause();
        slow
    };
    let (error, slow) = join!(fails(&backend, 3), serves);
    assert!(matches!(error, Unavailable::NotAnswered(_)), "{error}");
    tokio::time::resume();
    // An answer that nobody waits for any more is passed over.
    one.answer(&slow).await;
    join!(is_answered(&backend, 6), other.answers_next());
    join!(is_answered(&backend, 7), one.answers_next());
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_and_ends_the_stream() {
    let api = FakeApi::start().await;
    let backend = backend(&[api.url()]);
    let serves = async {
        let mut stream = api.stream().await;
        let (call, _) = stream.call().await;
        let too_long = u32::try_from(MAX_ANSWER_BYTES + 1).unwrap();
        stream.writer.write(&bare_head(FrameKind::Posted, call, too_long)).await.unwrap();
        stream.expect_end().await;
    };
    let (error, ()) = join!(fails(&backend, 1), serves);
    assert!(matches!(error, Unavailable::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_failure_is_what_its_status_says() {
    let api = FakeApi::start().await;
    let backend = backend(&[api.url()]);
    for (status, refused) in [(400, true), (413, true), (500, false), (503, false)] {
        let serves = async {
            let mut stream = api.stream().await;
            let (call, _) = stream.call().await;
            let failed = FailedBody { status, why: "no" };
            stream.writer.write(&frame(FrameKind::Failed, call, &failed).unwrap()).await.unwrap();
        };
        let (error, ()) = join!(fails(&backend, 1), serves);
        assert_eq!(matches!(error, Unavailable::Refused(_)), refused, "{status}: {error}");
    }
    // What is no frame at all.
    let serves = async {
        let mut asked = api.asked().await;
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: switchboard-stream\r\n\r\n";
        asked.socket.write_all(format!("{head}HTTP/1.1 400").as_bytes()).await.unwrap();
    };
    let (error, ()) = join!(fails(&backend, 1), serves);
    assert!(matches!(error, Unavailable::NotAnswered(_)), "{error}");
}

#[tokio::test]
async fn after_a_goodbye_calls_are_answered_and_the_next_ones_go_elsewhere() {
    let apis = [FakeApi::start().await, FakeApi::start().await];
    let backend = backend(&apis.each_ref().map(FakeApi::url));
    let serves = async {
        let (stays, (goes, mut stream)) = tokio::select! {
            stream = apis[0].stream() => (1, (0, stream)),
            stream = apis[1].stream() => (0, (1, stream)),
        };
        let call = stream.call().await;
        stream.says_goodbye().await;
        stream.answer(&call).await;
        stream.expect_end().await;
        (stays, goes)
    };
    let (_, (stays, goes)) = join!(is_answered(&backend, 1), serves);
    for number in [2, 3] {
        let serves = async { apis[stays].stream().await.answers_next().await };
        join!(is_answered(&backend, number), serves);
    }
    assert!(apis[goes].asked().now_or_never().is_none());
}

#[tokio::test]
async fn a_stream_has_so_many_calls_and_the_others_wait() {
    let api = FakeApi::start().await;
    let backend = backend(&[api.url()]);
    let most = STREAMS * MAX_IN_FLIGHT;
    let mut calls: FuturesUnordered<_> =
        (0..).take(most + 2).map(|n| is_answered(&backend, n)).collect();
    let serves = async {
        let mut streams = [api.stream().await, api.stream().await];
        for stream in &mut streams {
            let mut taken = Vec::new();
            for _ in 0..MAX_IN_FLIGHT {
                taken.push(stream.call().await);
            }
            assert!(stream.reader.read().now_or_never().is_none(), "one more has to wait");
            stream.answer(&taken[0]).await;
            taken.push(stream.call().await);
            for call in &taken[1..] {
                stream.answer(call).await;
            }
        }
        streams
    };
    let all = async { while calls.next().await.is_some() {} };
    join!(all, serves);
}
