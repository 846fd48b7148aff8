//! The frames in an outbox: the space that they take, and who writes them. It wakes nobody, and knows neither joins
//! nor the order to close.
//!
//! While the connection's task does not write, the queue holds the socket's writing half, and whoever delivers events
//! may write them at once. That costs less than to wake the task. It is one system call, which never waits, under a
//! lock that only this connection's frames need. The half has one owner at a time, so all frames keep their order.

use crate::{
    hub::conn::outbox::OutboxBatch,
    wire::{
        frame::Frame,
        output::{Output, Written},
    },
};
use protocol::id::{ChatId, Seq};
use std::{collections::VecDeque, mem, time::Duration};
use tokio::time::Instant;

/// Events are a burst if they come within this time after others that were written at once. The connection's task
/// writes them, because it joins what has come when it runs: a frame more costs nearly nothing there, and a system
/// call each would cost eight times as much. People who talk to each other make no such bursts.
pub(super) const BURST: Duration = Duration::from_millis(5);

/// Who writes events to a client whose outbox is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Writer {
    /// Whoever delivers them, at this time, as far as the kernel takes them and no burst is under way.
    Deliverer(Instant),
    /// The connection's task.
    Task,
}

/// The frames in an outbox.
#[derive(Debug)]
pub(super) struct FrameQueue {
    /// The bound for events, those being written included.
    max_bytes: usize,
    /// Record how long frames wait.
    timed: bool,
    frames: VecDeque<Frame>,
    /// The bytes of the waiting frames.
    bytes: usize,
    /// The bytes of the frames being written by the connection's task.
    writing: usize,
    /// The writing half, while the connection is open and its task does not write.
    output: Option<Box<Output>>,
    /// When events were last written by whoever delivered them.
    delivered_at: Option<Instant>,
    /// When the first frame was queued, if sampled.
    since: Option<Instant>,
    /// The messages to mark as read once the frames are written: the furthest of each chat.
    reads: Vec<(ChatId, Seq)>,
}

/// The result of [`super::Outbox::push_events`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// Events that were queued, or that this client is not shown.
    pub taken: usize,
    /// Of those, the ones that were queued.
    pub shown: usize,
    /// The event after those found no space.
    pub full: bool,
}

impl FrameQueue {
    /// See [`super::Outbox::new`].
    pub(super) fn new(max_bytes: usize, timed: bool) -> Self {
        Self {
            max_bytes,
            timed,
            frames: VecDeque::new(),
            bytes: 0,
            writing: 0,
            output: None,
            delivered_at: None,
            since: None,
            reads: Vec::new(),
        }
    }

    /// The bytes that wait or are being written, by whomever.
    pub(super) fn used(&self) -> usize {
        self.bytes + self.writing + self.output.as_ref().map_or(0, |output| output.unsent())
    }

    /// See [`super::Outbox::has_space`].
    pub(super) fn has_space(&self) -> bool {
        self.used() < self.max_bytes / 4
    }

    /// Whether there is space for an event. An empty outbox takes any event, or a large one would never leave.
    fn has_space_for(&self, frame: &Frame) -> bool {
        let used = self.used();
        used == 0 || used + frame.size() <= self.max_bytes
    }

    /// The bound for events.
    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Queues a frame, whatever space there is.
    pub(super) fn add(&mut self, frame: Frame) {
        self.make_space(&frame);
        self.frames.push_back(frame);
    }

    /// See [`super::Outbox::push_first`].
    pub(super) fn add_first(&mut self, frame: Frame) {
        self.make_space(&frame);
        self.frames.push_front(frame);
    }

    fn make_space(&mut self, frame: &Frame) {
        self.bytes += frame.size();
        if self.timed && self.frames.is_empty() {
            self.since = Some(Instant::now());
        }
    }

    /// Queues events as far as there is space, and writes them if it may. [`Written::Some`] leaves something to the
    /// connection's task.
    pub(super) fn push_events(
        &mut self,
        events: impl Iterator<Item = (Option<Frame>, Option<(ChatId, Seq)>)>,
        writer: Writer,
    ) -> (Pushed, Written) {
        let at_once = self.may_write(writer);
        let pushed = self.add_events(events);
        let written = match at_once {
            _ if pushed.shown == 0 => Written::All,
            Some(now) if self.reads.is_empty() => self.write(now),
            // Only the task can mark messages as read.
            _ => Written::Some,
        };
        (pushed, written)
    }

    fn add_events(
        &mut self,
        events: impl Iterator<Item = (Option<Frame>, Option<(ChatId, Seq)>)>,
    ) -> Pushed {
        let mut pushed = Pushed::default();
        for (frame, read) in events {
            if let Some(frame) = frame {
                if !self.has_space_for(&frame) {
                    pushed.full = true;
                    return pushed;
                }
                self.add(frame);
                pushed.shown += 1;
            }
            if let Some((chat, message)) = read {
                self.read(chat, message);
            }
            pushed.taken += 1;
        }
        pushed
    }

    /// The time, if whoever delivers events may write them now: everything before them is written, and no burst
    /// is under way.
    fn may_write(&self, writer: Writer) -> Option<Instant> {
        let Writer::Deliverer(now) = writer else { return None };
        let is_burst = self.delivered_at.is_some_and(|last| now < last + BURST);
        let is_open = self.output.is_some() && self.used() == 0 && self.frames.is_empty();
        (is_open && !is_burst).then_some(now)
    }

    /// Writes the waiting frames, as far as the kernel takes them.
    fn write(&mut self, now: Instant) -> Written {
        let Some(output) = &mut self.output else { return Written::Some };
        self.delivered_at = Some(now);
        // After an error the task's own write fails as this one did.
        let written = output.write_now(&mut self.frames).unwrap_or(Written::Some);
        self.bytes = self.frames.iter().map(Frame::size).sum();
        if written == Written::All {
            // An idle connection holds no memory for frames.
            self.frames = VecDeque::new();
            if let Some(since) = self.since.take() {
                record_wait(since);
            }
        }
        written
    }

    fn read(&mut self, chat: ChatId, message: Seq) {
        // One entry for each chat, so there are at most as many as the connection watches.
        match self.reads.iter_mut().find(|(of, _)| *of == chat) {
            Some((_, furthest)) => *furthest = message.max(*furthest),
            None => self.reads.push((chat, message)),
        }
    }

    /// Lets whoever delivers events write.
    pub(super) fn put_output(&mut self, output: Box<Output>) {
        self.output = Some(output);
    }

    /// Takes the writing half for the connection's task.
    pub(super) fn take_output(&mut self) -> Option<Box<Output>> {
        let output = self.output.take()?;
        self.writing += output.unsent();
        Some(output)
    }

    /// Whether there is nothing for the connection's task to write.
    pub(super) fn is_done(&self) -> bool {
        self.frames.is_empty() && self.output.as_ref().is_none_or(|output| output.unsent() == 0)
    }

    /// Notes that the frames taken before have been written; `false` if there were none.
    pub(super) fn on_written(&mut self) -> bool {
        mem::take(&mut self.writing) > 0
    }

    /// Takes everything for the connection's task.
    pub(super) fn take(&mut self) -> OutboxBatch {
        self.writing = mem::take(&mut self.bytes);
        OutboxBatch {
            frames: mem::take(&mut self.frames),
            since: self.since.take(),
            reads: mem::take(&mut self.reads),
            ..OutboxBatch::default()
        }
    }

    /// Drops all frames that are not begun.
    pub(super) fn clear(&mut self) {
        (self.frames, self.reads, self.bytes) = (VecDeque::new(), Vec::new(), 0);
    }
}

/// Records how long frames waited to be written.
pub(crate) fn record_wait(since: Instant) {
    metrics::histogram!("gateway_write_wait_seconds").record(since.elapsed());
}
