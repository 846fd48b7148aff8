//! Events that whoever delivers them writes to a real socket at once, in turn with the connection's task.

use super::*;
use crate::{
    config::Config,
    hub::conn::outbox::queue::BURST,
    wire::{credit::Credit, socket::Socket},
};
use proptest::prelude::*;
use tokio::{
    io::AsyncReadExt,
    net::{TcpSocket, TcpStream},
    task::yield_now,
};
use tokio_tungstenite::tungstenite::Bytes;

/// Shorter than any test, where the kernel has space.
const PATIENCE: Duration = Duration::from_secs(20);

/// So little that the kernel soon has no space.
const KERNEL_BYTES: u32 = 4 * 1024;

/// An outbox of this size with its socket, and the client's end.
async fn open(max_bytes: usize) -> (Outbox, TcpStream) {
    let listener = TcpSocket::new_v4().unwrap();
    listener.set_send_buffer_size(KERNEL_BYTES).unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(1).unwrap();
    let client = TcpSocket::new_v4().unwrap();
    client.set_recv_buffer_size(KERNEL_BYTES).unwrap();
    let client = client.connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, address) = listener.accept().await.unwrap();
    // As after the upgrade's answer: the runtime knows that the kernel has space.
    server.writable().await.unwrap();
    let loan = Credit::new(50_000, 50_000).loan(address.ip());
    let socket = Socket::new(server, &Bytes::new(), &Config::default(), loan);
    let outbox = Outbox::new(max_bytes, true);
    outbox.put_output(socket.output);
    (outbox, client)
}

/// What a connection's task does until it closes.
async fn task(outbox: &Outbox, patience: Duration) -> Result<(), Close> {
    loop {
        let OutboxBatch { mut frames, closing, .. } = outbox.take().await;
        let mut output = outbox.take_output().unwrap();
        let written = output.write(&mut frames, patience).await;
        outbox.put_output(output);
        written?;
        if closing.is_some() {
            drop(outbox.take_output());
            return Ok(());
        }
    }
}

/// Delivers one event at this time.
fn deliver(outbox: &Outbox, text: &str, now: Instant) -> Pushed {
    outbox.push_events([(Some(text.into()), None)].into_iter(), Writer::Deliverer(now))
}

async fn read(client: &mut TcpStream, text: &str) {
    let expected = Frame::from(text);
    let mut got = vec![0; expected.size()];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(got, expected.wire(), "{text}");
}

/// Polls the wait of the connection's task once. Returns what it took, and counts its later wake-ups.
fn poll(outbox: &Outbox, wakes: &Arc<Wakes>) -> Option<OutboxBatch> {
    let waker = Waker::from(Arc::clone(wakes));
    let mut taken = Box::pin(outbox.take());
    match taken.as_mut().poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(batch) => Some(batch),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn an_event_alone_is_written_at_once_and_a_burst_is_joined() {
    let (outbox, mut client) = open(10_000).await;
    let wakes = Arc::new(Wakes::default());
    let woken = || wakes.0.load(Ordering::Relaxed);
    let start = Instant::now();
    assert!(poll(&outbox, &wakes).is_none());
    assert_eq!(deliver(&outbox, "first", start), Pushed { taken: 1, shown: 1, full: false });
    read(&mut client, "first").await;
    assert_eq!(woken(), 0);

    for n in 0..9 {
        deliver(&outbox, &n.to_string(), start + BURST / 10 * n);
    }
    assert_eq!(woken(), 1);
    let taken = poll(&outbox, &wakes).unwrap();
    assert_eq!(taken.frames.len(), 9, "one write takes all of them");
    let later = start + BURST * 2;
    deliver(&outbox, "behind", later);
    let behind = poll(&outbox, &wakes).unwrap();
    assert_eq!(behind.frames, ["behind"].map(Frame::from), "those nine were being written");

    assert!(poll(&outbox, &wakes).is_none());
    deliver(&outbox, "alone again", later);
    read(&mut client, "alone again").await;
    assert_eq!(woken(), 1);
}

#[tokio::test]
async fn answers_marks_and_what_the_task_is_to_write_are_left_to_the_task() {
    let (outbox, mut client) = open(10_000).await;
    let wakes = Arc::new(Wakes::default());
    let now = Instant::now();
    outbox.push("answer".into(), DropPolicy::Durable);
    deliver(&outbox, "behind it", now);
    let marked = (Some("marked".into()), Some((ChatId(1), Seq(1))));
    let taken = poll(&outbox, &wakes).unwrap();
    assert_eq!(taken.frames, ["answer", "behind it"].map(Frame::from));
    assert!(poll(&outbox, &wakes).is_none());
    outbox.push_events([marked].into_iter(), Writer::Deliverer(now));
    let taken = poll(&outbox, &wakes).unwrap();
    assert_eq!((taken.frames.len(), taken.reads.len()), (1, 1));
    assert!(poll(&outbox, &wakes).is_none());
    outbox.push_events([(Some("task".into()), None)].into_iter(), Writer::Task);
    assert_eq!(poll(&outbox, &wakes).unwrap().frames.len(), 1);
    assert!(poll(&outbox, &wakes).is_none());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 2);

    let output = outbox.take_output().unwrap();
    deliver(&outbox, "while it writes", now);
    outbox.put_output(output);
    assert_eq!(poll(&outbox, &wakes).unwrap().frames.len(), 1);
    assert!(poll(&outbox, &wakes).is_none());
    deliver(&outbox, "written", now);
    read(&mut client, "written").await;
}

#[tokio::test]
async fn the_task_ends_what_the_kernel_did_not_take() {
    let (outbox, mut client) = open(10_000).await;
    let large = "x".repeat(300_000);
    assert_eq!(deliver(&outbox, &large, Instant::now()).shown, 1);
    let used = outbox.0.lock().queue.used();
    assert!((1..300_000).contains(&used), "{used} are left");
    let reading = async { tokio::time::timeout(PATIENCE, read(&mut client, &large)).await };
    tokio::select! {
        read = reading => read.expect("all of it comes"),
        ended = task(&outbox, PATIENCE) => panic!("{ended:?}"),
    }
}

#[tokio::test]
async fn what_the_kernel_does_not_take_fills_the_outbox_and_the_client_is_slow() {
    let (outbox, _client) = open(20_000).await;
    let wakes = Arc::new(Wakes::default());
    assert!(poll(&outbox, &wakes).is_none());
    let (mut now, text) = (Instant::now(), "x".repeat(1_000));
    let mut written = 0;
    while !deliver(&outbox, &text, now).full {
        now += BURST;
        written += 1;
        let used = outbox.0.lock().queue.used();
        assert!(used <= 20_000, "{used} after {written}");
    }
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "the task waits for the kernel");
    assert!(!outbox.has_space());
    let slow = task(&outbox, Duration::from_millis(50)).await;
    assert_eq!(slow, Err(Close::SlowConsumer));
}

#[tokio::test]
async fn a_client_that_went_away_is_noticed_by_the_task() {
    let (outbox, client) = open(20_000).await;
    client.set_zero_linger().unwrap();
    drop(client);
    let mut now = Instant::now();
    let delivering = async {
        while !outbox.is_closing() {
            deliver(&outbox, "anybody there?", now);
            now += BURST;
            yield_now().await;
        }
    };
    tokio::select! {
        ended = task(&outbox, PATIENCE) => assert_eq!(ended, Err(Close::ByPeer)),
        () = delivering => unreachable!("nobody orders it to close"),
        () = tokio::time::sleep(PATIENCE) => panic!("not noticed"),
    }
}

/// What happens to an outbox.
#[derive(Clone, Debug)]
enum Step {
    /// Events of these sizes, so many tenths of a burst after the last ones.
    Events(Vec<usize>, u32),
    Answer(usize),
    /// The others get their turn.
    Turn,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![9 => 1usize..400, 1 => 400usize..9_000];
    let events = prop::collection::vec(size.clone(), 1..4);
    let step = prop_oneof![
        4 => (events, 0u32..30).prop_map(|(sizes, gap)| Step::Events(sizes, gap)),
        1 => size.prop_map(Step::Answer),
        3 => Just(Step::Turn),
    ];
    prop::collection::vec(step, 1..120)
}

/// Reads to the end, so many bytes at once and so many turns apart, again and again.
async fn read_all(mut client: TcpStream, stalls: &[(usize, u8)]) -> Vec<u8> {
    let mut got = Vec::new();
    let mut buffer = vec![0; 10_000];
    for &(bytes, turns) in stalls.iter().cycle() {
        for _ in 0..turns {
            yield_now().await;
        }
        match client.read(&mut buffer[..bytes]).await.unwrap() {
            0 => break,
            read => got.extend_from_slice(&buffer[..read]),
        }
    }
    got
}

/// Runs these steps. Returns the frames that found space and the bytes that the client read.
async fn run(steps: Vec<Step>, stalls: Vec<(usize, u8)>) -> (Vec<u8>, Vec<u8>) {
    let (outbox, client) = open(30_000).await;
    let delivering = async {
        let (mut now, mut count, mut expected) = (Instant::now(), 0, Vec::new());
        let mut frame = |size: usize| {
            count += 1;
            Frame::from(format!("{count}{}", "x".repeat(size)).as_str())
        };
        for step in steps {
            match step {
                Step::Events(sizes, gap) => {
                    now += BURST / 10 * gap;
                    let frames: Vec<Frame> = sizes.into_iter().map(&mut frame).collect();
                    let events = frames.iter().map(|frame| (Some(frame.clone()), None));
                    let taken = outbox.push_events(events, Writer::Deliverer(now)).taken;
                    expected.extend(frames[..taken].iter().flat_map(Frame::wire));
                }
                Step::Answer(size) => {
                    let answer = frame(size);
                    // Too many answers would close it.
                    if outbox.0.lock().queue.used() + answer.size() < 60_000 {
                        expected.extend_from_slice(answer.wire());
                        outbox.push(answer, DropPolicy::Durable);
                    }
                }
                Step::Turn => yield_now().await,
            }
        }
        outbox.close(Close::Restart);
        expected
    };
    let all =
        async { tokio::join!(delivering, task(&outbox, PATIENCE), read_all(client, &stalls)) };
    let (expected, written, got) = tokio::time::timeout(PATIENCE, all).await.unwrap();
    written.unwrap();
    (expected, got)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the client stalls and whoever writes: it reads every frame that found space, whole and in order.
    #[test]
    fn a_client_reads_all_in_order_whoever_writes(
        steps in steps(),
        stalls in prop::collection::vec((1usize..10_000, 0u8..20), 1..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (expected, got) = runtime.block_on(run(steps, stalls));
        prop_assert!(expected == got, "{} bytes of {}", got.len(), expected.len());
    }
}
