//! A connection's life, from the handshake to its end. Each time the task wakes, it looks at the clock once,
//! handles everything it read, then its orders, then the timer. `incoming` handles frames, `outgoing` handles
//! orders.

use super::{Device, Disconnection, Pass, dialect};
use crate::{
    client::{
        account::RenewError,
        dialect::ClientMessage,
        order::DeviceState,
        wire::{Opcode, WireError, WireFrame, WireStream, close_frame, parse, put},
        worker::{READ_BYTES, ReadBuffers},
    },
    measure::Count,
    recorder::Counters,
};
use rand::RngExt;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Full reads of one connection in a row; then the others have their turn.
const READS_AT_ONCE: usize = 4;

/// How often a slow reader reads.
const SLOW_TICK: Duration = Duration::from_millis(100);

/// When a server that says nothing about it would ping.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// What a renewal that failed waits at least before the next one.
const RENEW_AGAIN: Duration = Duration::from_secs(5);

type Renewal = Pin<Box<dyn Future<Output = Result<Pass, RenewError>>>>;

/// A device while it is connected.
pub(super) struct ConnectedDevice<'a> {
    pub device: &'a mut Device,
    pub stream: WireStream,
    /// When it was meant to be opened.
    pub due: Instant,
    /// When it became ready.
    pub ready: Option<Instant>,
    /// It said hello with cursors and has not been caught up yet.
    pub resuming: bool,
    /// Nothing is written before that: the server asked for it.
    pub held_until: Instant,
    /// What was due before may be late through the server's doing.
    pub free_since: Instant,
    /// The server announced the end.
    pub back: Option<Instant>,
    pub heartbeat: Duration,
    /// When something was last heard; before `ready` the moment by which it must be ready.
    last_heard: Instant,
    ready_by: Instant,
    pass: (u32, Instant),
    renew_at: Option<Instant>,
    renewal: Option<Renewal>,
    slow: Option<ReadAllowance>,
    timer: Pin<Box<Sleep>>,
    alarm: Instant,
    begun: bool,
}

/// What a slow reader may still read.
struct ReadAllowance {
    bytes_left: u64,
    bytes_per_tick: u64,
    next_tick: Instant,
}

impl<'a> ConnectedDevice<'a> {
    pub(super) fn new(
        device: &'a mut Device,
        stream: WireStream,
        pass: &Pass,
        due: Instant,
        ready_by: Instant,
    ) -> Self {
        let now = Instant::now();
        let slow = device.spec.read_bytes_per_second.map(|rate| {
            let bytes_per_tick = (rate * SLOW_TICK.as_millis() as u64 / 1000).max(1);
            ReadAllowance { bytes_left: bytes_per_tick, bytes_per_tick, next_tick: now + SLOW_TICK }
        });
        let mut live = Self {
            device,
            stream,
            due,
            ready: None,
            resuming: false,
            held_until: now,
            free_since: now,
            back: None,
            heartbeat: HEARTBEAT,
            last_heard: now,
            ready_by,
            pass: (pass.number, pass.renew_from()),
            renew_at: None,
            renewal: None,
            slow,
            timer: Box::pin(sleep_until(now)),
            alarm: now,
            begun: false,
        };
        live.greet(pass.token.reveal());
        live
    }

    /// Until it ends: why, since when it was ready, and the number of the pass last shown.
    pub(super) async fn run(mut self: Box<Self>) -> (Disconnection, Option<Instant>, u32) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        let end = match (end, self.back) {
            // Closed, as announced: back when it was said.
            (Disconnection::Closed { .. } | Disconnection::Lost(_), Some(back)) => {
                Disconnection::Told { back }
            }
            (end, _) => end,
        };
        (end, self.ready, self.pass.0)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Disconnection> {
        let now = Instant::now();
        match self.step(cx, now) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    fn step(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Disconnection> {
        if !self.begun {
            self.begin(cx, now)?;
        }
        let timer_ended = now >= self.alarm;
        if timer_ended {
            self.on_time(now)?;
        }
        self.read(cx, now)?;
        self.work(cx, now)?;
        if self.renewal.is_some() {
            self.poll_renewal(cx, now);
        }
        if timer_ended || now >= self.alarm {
            self.set_alarm(cx, now);
        }
        Ok(())
    }

    fn begin(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Disconnection> {
        self.begun = true;
        // A task's waker stays the same.
        self.device.inbox.register(cx.waker());
        let worker = Rc::clone(&self.device.worker);
        if !dialect::greets(self.device.dialect()) {
            let mut counters = worker.shard.lock();
            self.open_window();
            self.on_ready(&mut counters, now, HEARTBEAT);
        }
        if let Some(ahead) = self.stream.take_partial() {
            let used =
                self.digest(&mut worker.buffers.borrow_mut(), Some(&ahead), ahead.len(), now)?;
            self.stream.keep(&ahead[used..]);
        }
        Ok(())
    }

    /// Reads and digests what there is.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Disconnection> {
        let worker = Rc::clone(&self.device.worker);
        for _ in 0..READS_AT_ONCE {
            let limit = self.slow.as_ref().map_or(READ_BYTES, |slow| slow.limit());
            if limit == 0 {
                return Ok(());
            }
            let buffers = &mut *worker.buffers.borrow_mut();
            let Poll::Ready(read) = self.stream.poll_read(cx, &mut buffers.buffer, limit) else {
                return Ok(());
            };
            let read = read?;
            if read.fresh == 0 {
                return Err(Disconnection::Lost(WireError::Io(std::io::ErrorKind::UnexpectedEof)));
            }
            self.last_heard = now;
            if let Some(slow) = &mut self.slow {
                slow.bytes_left -= read.fresh as u64;
            }
            let used = self.digest(buffers, None, read.filled, now)?;
            if used < read.filled {
                self.stream.keep(&buffers.buffer[used..read.filled]);
            }
            // A short read is followed by one more try, which costs no system call: it only says whom
            // to wake.
        }
        // There may be more to read, but the thread's other devices come first.
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Takes in the whole frames of the buffer's first bytes, or of these; how many bytes they were.
    fn digest(
        &mut self,
        buffers: &mut ReadBuffers,
        ahead: Option<&[u8]>,
        filled: usize,
        now: Instant,
    ) -> Result<usize, Disconnection> {
        let (buffer, frames) = buffers.of(self.device.dialect());
        let bytes = ahead.unwrap_or(&buffer[..filled]);
        let worker = Rc::clone(&self.device.worker);
        let mut counters = worker.shard.lock();
        let now_micros = worker.clock.micros(now);
        let mut used = 0;
        while let Some(WireFrame { opcode, payload, length }) = parse(&bytes[used..])? {
            used += length;
            match opcode {
                Opcode::Text => self.on_text(payload, frames, &mut counters, now, now_micros),
                Opcode::Ping => self.put(&mut counters, Opcode::Pong, payload),
                Opcode::Pong => {}
                Opcode::Close => {
                    let (code, reason) = close_frame(payload);
                    return Err(Disconnection::Closed { code, reason });
                }
                Opcode::Binary => counters.error("frames: binary"),
            }
        }
        counters.count(Count::BytesIn, used as u64);
        Ok(used)
    }

    /// Does what there is to do and writes, as far as server and kernel let it.
    fn work(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Disconnection> {
        loop {
            let did = match self.do_orders(now) {
                Ok(did) => did,
                Err(end) => {
                    // A goodbye, if the kernel takes it at once.
                    let _ = self.stream.poll_flush(cx)?;
                    return Err(end);
                }
            };
            if self.stream.poll_flush(cx)?.is_pending() || !did {
                return Ok(());
            }
        }
    }

    fn on_time(&mut self, now: Instant) -> Result<(), Disconnection> {
        if self.ready.is_none() && now >= self.ready_by {
            return Err(Disconnection::Lost(WireError::Timeout));
        }
        // A slow reader hears late what came in time.
        if now >= self.last_heard + 2 * self.heartbeat && self.slow.is_none() {
            return Err(Disconnection::Lost(WireError::Io(std::io::ErrorKind::TimedOut)));
        }
        if let Some(back) = self.back.filter(|back| now >= *back) {
            return Err(Disconnection::Told { back });
        }
        if self.renew_at.is_some_and(|at| now >= at) {
            self.renew_at = None;
            let (account, rest) =
                (Arc::clone(&self.device.spec.account), self.device.worker.rest.clone());
            let old = self.pass.0;
            self.renewal = Some(Box::pin(async move { account.renewed(old, &rest).await }));
        }
        if let Some(slow) = self.slow.as_mut().filter(|slow| now >= slow.next_tick) {
            slow.bytes_left = slow.bytes_per_tick;
            slow.next_tick = now + SLOW_TICK;
        }
        Ok(())
    }

    /// A fresh token is shown as soon as it is there.
    fn poll_renewal(&mut self, cx: &mut Context<'_>, now: Instant) {
        let Some(renewal) = &mut self.renewal else { return };
        let Poll::Ready(renewed) = renewal.as_mut().poll(cx) else { return };
        self.renewal = None;
        let worker = Rc::clone(&self.device.worker);
        let mut counters = worker.shard.lock();
        match renewed {
            Ok(pass) => {
                self.pass = (pass.number, pass.renew_from());
                self.say(&mut counters, ClientMessage::Token(pass.token.reveal()));
                self.plan_renewal(now);
            }
            Err(error) => {
                counters.error(&error.kind());
                // When the session is over the server will say so, and why.
                let pause = RENEW_AGAIN.mul_f64(self.device.chance.random_range(1.0..2.0));
                let pause = error.retry_after().unwrap_or_default() + pause;
                self.renew_at = (!error.is_final()).then(|| now + pause);
            }
        }
        drop(counters);
        self.replan(now);
        // The frame is written by the next look.
        cx.waker().wake_by_ref();
    }

    /// At a random moment of the token's middle life, so that thousands that were made together are
    /// not renewed together.
    pub(super) fn plan_renewal(&mut self, now: Instant) {
        let left = self.pass.1.saturating_duration_since(now);
        self.renew_at = Some(now + left.mul_f64(self.device.chance.random_range(0.4..0.8)));
        self.replan(now);
    }

    /// The timer is set to the earliest thing planned; what comes to be planned earlier than that sets
    /// `alarm` to now. Hearing something sets nothing: silence is looked for when the timer ends.
    fn set_alarm(&mut self, cx: &mut Context<'_>, now: Instant) {
        // A slow reader may not have come to the server's pings yet.
        let always = match &self.slow {
            Some(slow) => slow.next_tick,
            None => self.last_heard + 2 * self.heartbeat,
        };
        let planned = [
            self.ready.is_none().then_some(self.ready_by),
            self.back,
            self.renew_at,
            (self.held_until > now).then_some(self.held_until),
        ];
        self.alarm = planned.into_iter().flatten().fold(always, Instant::min);
        self.timer.as_mut().reset(self.alarm);
        if self.timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// Something is planned earlier than the timer knows.
    pub(super) fn replan(&mut self, now: Instant) {
        self.alarm = now;
    }

    /// Says something; false when the dialect has no words for it.
    pub(super) fn say(&mut self, counters: &mut Counters, outgoing: ClientMessage<'_>) -> bool {
        match self.device.spec.window.encode(self.device.me(), outgoing) {
            Some(text) => {
                self.put(counters, Opcode::Text, text.as_bytes());
                true
            }
            None => false,
        }
    }

    /// Puts a frame behind those not written yet.
    pub(super) fn put(&mut self, counters: &mut Counters, opcode: Opcode, payload: &[u8]) {
        let unsent = self.stream.unsent();
        let before = unsent.len();
        put(unsent, opcode, self.device.chance.random(), payload);
        counters.count(Count::BytesOut, (unsent.len() - before) as u64);
    }

    pub(super) fn set_state(&self, state: DeviceState) {
        self.device.inbox.set_state(state);
    }
}

impl ReadAllowance {
    fn limit(&self) -> usize {
        usize::try_from(self.bytes_left).unwrap_or(READ_BYTES).min(READ_BYTES)
    }
}
