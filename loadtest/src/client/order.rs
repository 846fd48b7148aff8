//! Orders to a device, and the handle that accepts them. The queue is bounded and nobody waits for it: an
//! engine on a fixed schedule counts an order that cannot start instead.

use parking_lot::{Mutex, MutexGuard};
use protocol::id::ChatId;
use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
};
use tokio::time::Instant;

/// Orders that wait at one device: some seconds of what a connection may send at most (50 a second).
const MAX_WAITING: usize = 256;

/// Something that a person does in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChatAction {
    /// Sends a message.
    Message,
    /// Changes the text of the newest own message. Skipped when there is none.
    Edit,
    /// Deletes the newest own message. Skipped when there is none.
    Delete,
    Typing,
    /// Marks the newest message that arrived as read. Skipped when none did.
    Read,
}

/// An order to a device. `due` is the moment it is meant for: latencies count from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// A text, where the action has one, is of so many bytes; at least as many as its stamp has.
    Act { action: ChatAction, chat: ChatId, due: Instant, bytes: usize },
    /// Keeps so many messages in flight until told otherwise; `window` 0 ends it. One is on its
    /// way until this device has heard it, or until its ack where senders do not hear themselves.
    Loop { chat: ChatId, window: usize, bytes: usize },
    /// Drops the connection without a word and comes back, resuming, at `back`.
    Cut { due: Instant, back: Instant },
    /// Checks whether it has received everything that this process knows to exist, for [`DeviceHandle::is_complete`].
    /// Asked in the end and not told all along, because looking costs something for each delivery.
    Recheck,
    /// Closes for good, in its turn while connected and at once while not. What waits behind it is
    /// not done.
    Leave,
}

impl Order {
    /// The moment that it is meant for, when it is for one.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Act { due, .. } | Self::Cut { due, .. } => Some(*due),
            Self::Loop { .. } | Self::Recheck | Self::Leave => None,
        }
    }

    /// Whether something goes out by it that others or the database are to have.
    fn is_to_send(&self) -> bool {
        matches!(self, Self::Act { .. })
    }
}

/// The device has more to do than it gets done; the order was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device has too many orders waiting")]
pub(crate) struct OrdersFull;

/// Whether a device is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum DeviceState {
    /// Not connected, or not ready yet; it tries.
    Away,
    /// Ready, and caught up if it had to.
    Ready,
    /// It has left, or was refused for good: nothing will be done any more.
    Gone,
}

/// Tells one device what to do. Dropping it changes nothing for the device.
#[derive(Clone, Debug)]
pub(crate) struct DeviceHandle {
    pub(super) inbox: Arc<Inbox>,
}

impl DeviceHandle {
    /// Orders are carried out in their turn, as soon as the device can.
    pub(crate) fn order(&self, order: Order) -> Result<(), OrdersFull> {
        let waker = {
            let mut inbox = self.inbox.lock();
            let waiting = &mut inbox.orders;
            match order {
                // Needs no room: once is enough.
                Order::Leave if self.inbox.leaving.swap(true, Ordering::AcqRel) => return Ok(()),
                Order::Leave => {}
                _ if waiting.len() >= MAX_WAITING || self.state() == DeviceState::Gone => {
                    return Err(OrdersFull);
                }
                _ => {}
            }
            waiting.push_back(order);
            self.inbox.waiting.store(waiting.len(), Ordering::Release);
            inbox.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    pub(crate) fn state(&self) -> DeviceState {
        match self.inbox.state.load(Ordering::Acquire) {
            0 => DeviceState::Away,
            1 => DeviceState::Ready,
            _ => DeviceState::Gone,
        }
    }

    /// What the last [`Order::Recheck`] found; false before.
    pub(crate) fn is_complete(&self) -> bool {
        self.inbox.complete.load(Ordering::Acquire)
    }

    /// Whether it was ready once.
    pub(crate) fn was_ready(&self) -> bool {
        self.inbox.was_ready.load(Ordering::Acquire)
    }

    /// What it was to send and has not begun, and commands that have no answer.
    pub(crate) fn unsent(&self) -> usize {
        self.inbox.unsent() + self.inbox.in_flight.load(Ordering::Acquire)
    }

    /// Orders not begun and commands not answered yet. A closed loop always has some.
    pub(crate) fn unsettled(&self) -> usize {
        self.inbox.waiting.load(Ordering::Acquire) + self.inbox.in_flight.load(Ordering::Acquire)
    }
}

/// What handle and device share.
#[derive(Debug)]
pub(super) struct Inbox {
    waiting_orders: Mutex<OrderQueue>,
    /// How many orders wait, so that a device that is woken by something else need not lock.
    waiting: AtomicUsize,
    in_flight: AtomicUsize,
    state: AtomicU8,
    was_ready: AtomicBool,
    complete: AtomicBool,
    leaving: AtomicBool,
}

#[derive(Debug, Default)]
struct OrderQueue {
    orders: VecDeque<Order>,
    /// The device's task. Kept, and not taken by who wakes it: a task's waker stays the same.
    waker: Option<Waker>,
}

impl Inbox {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            waiting_orders: Mutex::default(),
            waiting: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            state: AtomicU8::new(DeviceState::Away as u8),
            was_ready: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
        })
    }

    /// The next order, if there is one.
    pub(super) fn take(&self) -> Option<Order> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let orders = &mut self.lock().orders;
        let order = orders.pop_front();
        self.waiting.store(orders.len(), Ordering::Release);
        if orders.is_empty() && orders.capacity() > 8 {
            // A burst's room is not kept: there are thousands of these.
            *orders = VecDeque::new();
        }
        order
    }

    /// Whether it was told to leave, which may still wait behind other orders.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Returns when it is told to leave.
    pub(super) async fn leaving(&self) {
        poll_fn(|cx| {
            self.register(cx.waker());
            if self.is_leaving() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Whether there is something to take.
    pub(super) fn has_orders(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// What waits and is to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.lock().orders.iter().filter(|order| order.is_to_send()).count()
    }

    /// Who is woken by orders from now on. To be called before looking for the first.
    pub(super) fn register(&self, waker: &Waker) {
        self.lock().waker = Some(waker.clone());
    }

    pub(super) fn set_state(&self, state: DeviceState) {
        if state == DeviceState::Ready {
            self.was_ready.store(true, Ordering::Release);
        }
        self.state.store(state as u8, Ordering::Release);
    }

    /// The answer to [`Order::Recheck`].
    pub(super) fn set_complete(&self, complete: bool) {
        self.complete.store(complete, Ordering::Release);
    }

    pub(super) fn in_flight(&self, number: usize) {
        self.in_flight.store(number, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, OrderQueue> {
        self.waiting_orders.lock()
    }
}
