//! A client that reads nothing at all: it harms nobody, and it is closed when it has taken nothing for
//! the write time-out; not before, because until then nobody can tell it from a slow one.

use super::{PATIENCE, assert_has_all, chats, long, people};
use crate::harness::{Dial, Got, Mode, Rest, System, within};
use futures_util::{StreamExt as _, stream};
use protocol::{close::Close, id::Seq};
use reqwest::Method;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Messages of 16 KB: more than any queue for one connection and the kernel's buffers take.
const MESSAGES: usize = 450;

/// `write_timeout` of the gateway's configuration.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// Both at once: most of it is the wait for the time-out.
#[tokio::test]
async fn a_client_that_does_not_read_harms_nobody() {
    let (single, cluster) = tokio::join!(System::start(Mode::Single), System::start(Mode::Cluster));
    tokio::join!(one_does_not_read(&single), one_does_not_read(&cluster));
}

async fn one_does_not_read(t: &System) {
    let admin = t.admin().await;
    let [ann, eve] = people(&admin, 2).await.try_into().unwrap_or_else(|_| panic!("two"));
    let chat = chats(&admin, "group", &[&ann, &eve], 1).await[0];
    let mut stuck = Dial::new(t.node(0)).receive_buffer(4096).open().await.unwrap();
    stuck.hello(Some(&eve.token), None).await;
    let mut watcher = eve.connect_to(0).await;
    let (closed, start) = (slow_consumers(t).await, Instant::now());

    let posts = (0..MESSAGES).map(async |number| ann.post(chat, &long(number, "😀", 4000)).await);
    let posting = stream::iter(posts).buffered(8).count();
    let watching = async {
        while watcher.track.cursors[&chat] < Seq(MESSAGES as i64) {
            watcher.pump().await;
        }
    };
    within(2 * PATIENCE, "everything to arrive", async { tokio::join!(posting, watching) }).await;
    assert_has_all(&watcher, chat, Seq::ZERO).await;
    within(PATIENCE, "the stuck client to be closed", async {
        while slow_consumers(t).await == closed {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let after = start.elapsed();
    assert!(after >= WRITE_TIMEOUT, "closed {after:?} after the first message");
    assert_eq!(slow_consumers(t).await, closed + 1, "nobody else is closed");
    watcher.expect_none(crate::harness::want::resync(chat)).await;

    // What is in the kernel's buffers may still come, and a last word if there was room for it.
    let end = within(PATIENCE, "the end", async {
        loop {
            match stuck.next().await {
                Got::Frame(_) => {}
                end => return end,
            }
        }
    })
    .await;
    let expected = match &end {
        Got::Closed(code, reason) => {
            (*code, reason.as_str()) == (Close::SlowConsumer.code(), Close::SlowConsumer.reason())
        }
        end => matches!(end, Got::Gone),
    };
    assert!(expected, "{end:?}");
}

/// How many clients the first gateway has closed for not reading.
async fn slow_consumers(t: &System) -> u64 {
    let request =
        Rest::new(format!("http://{}", t.admin_ports()[0])).request(Method::GET, "/metrics");
    let text = request.send().await.unwrap().text().await.unwrap();
    let name = format!("gateway_closes_total{{reason=\"{}\"}} ", Close::SlowConsumer.reason());
    let value = text.lines().find_map(|line| line.strip_prefix(&name)).expect("the metric");
    value.parse().unwrap()
}
