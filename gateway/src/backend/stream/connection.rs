//! One stream to an api, and the calls that wait on it. It ends when it breaks, when nothing is heard within a call's
//! time, or, taken out of use, when its calls are answered.

use crate::backend::{
    Unavailable,
    apis::{ApiTurn, Apis, CALL_TIMEOUT},
};
use bytes::Bytes;
use parking_lot::Mutex;
use platform::stream::{StreamError, StreamReader, StreamWriter, split};
use protocol::{
    calls::Posted,
    limits::{MAX_ANSWER_BYTES, MAX_CALL_BYTES},
    stream::{
        self, BadBody, FailedBody, FrameHead, FrameKind, HEAD_BYTES, MAX_IN_FLIGHT,
        post::{PostBody, PostedBody},
    },
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// A stream to an api.
pub(super) struct StreamClient {
    writer: StreamWriter,
    calls: Mutex<Calls>,
    places: Semaphore,
    retired: CancellationToken,
    apis: Arc<Apis>,
    turn: ApiTurn,
}

/// The calls that wait for answers.
struct Calls {
    /// Whether the stream takes calls.
    open: bool,
    /// The number of the next call.
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<AnswerBody>>,
    /// When the stream began, or anything came last.
    heard: Instant,
}

/// An answer's body, or why there is none.
type AnswerBody = Result<Bytes, Unavailable>;

/// A call has no answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// The stream takes no calls any more. This one was not sent.
    NotSent,
    /// The time is up.
    Late,
    Failed(Unavailable),
}

impl From<BadBody> for CallError {
    fn from(error: BadBody) -> Self {
        Self::Failed(Unavailable::Refused(format!("post: {error}")))
    }
}

/// A place among the calls of a stream. Frees it when dropped, as by a caller that waits no longer.
struct PendingCall<'a> {
    stream: &'a StreamClient,
    number: u64,
}

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        self.stream.calls.lock().waiting.remove(&self.number);
    }
}

impl StreamClient {
    pub(super) fn new(
        socket: TcpStream,
        read_ahead: &[u8],
        apis: Arc<Apis>,
        turn: ApiTurn,
    ) -> (Self, StreamReader) {
        let (reader, writer) = split(socket, read_ahead, MAX_ANSWER_BYTES);
        let calls = Calls { open: true, next: 0, waiting: HashMap::new(), heard: Instant::now() };
        let (places, retired) = (Semaphore::new(MAX_IN_FLIGHT), CancellationToken::new());
        (Self { writer, calls: Mutex::new(calls), places, retired, apis, turn }, reader)
    }

    /// Whether it takes calls, and something was heard lately if none is waiting.
    pub(super) fn is_usable(&self, idle: Duration) -> bool {
        let calls = self.calls.lock();
        calls.open
            && !self.retired.is_cancelled()
            && (!calls.waiting.is_empty() || calls.heard.elapsed() < idle)
    }

    /// Takes it out of use: it ends when the calls on it are answered.
    pub(super) fn retire(&self) {
        self.retired.cancel();
    }

    /// Makes a call and waits for its answer. While the stream has as many calls as it may, it waits for a place.
    pub(super) async fn post(
        &self,
        body: &PostBody<'_>,
        deadline: Instant,
    ) -> Result<Posted, CallError> {
        let answer = self.call(FrameKind::Post, body, deadline).await?;
        let posted: PostedBody<'_> = stream::read(&answer)?;
        Ok(posted.answer())
    }

    async fn call(
        &self,
        kind: FrameKind,
        body: &PostBody<'_>,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let _place = match self.places.try_acquire() {
            Ok(place) => place,
            Err(_) => {
                metrics::counter!("gateway_stream_waits_total").increment(1);
                let place = timeout_at(deadline, self.places.acquire()).await;
                place.map_err(|_| CallError::Late)?.map_err(|_| CallError::NotSent)?
            }
        };
        let asked = Instant::now();
        let (answer, answered) = oneshot::channel();
        let call = self.begin(answer).ok_or(CallError::NotSent)?;
        let frame = stream::frame(kind, call.number, body)?;
        if frame.len() > HEAD_BYTES + MAX_CALL_BYTES {
            let why = format!("post: {} bytes are too many for a call", frame.len());
            return Err(CallError::Failed(Unavailable::Refused(why)));
        }
        let exchange = async {
            let broken = |_| Unavailable::NotAnswered("post: the stream broke".to_owned());
            self.writer.write(&frame).await.map_err(|error| {
                Unavailable::NotAnswered(format!("post: cannot write: {error}"))
            })?;
            answered.await.map_err(broken)?
        };
        match timeout_at(deadline, exchange).await {
            Ok(answer) => answer.map_err(CallError::Failed),
            Err(_) => {
                // Other calls were answered: then this one is slow, and the stream is not.
                if self.calls.lock().heard <= asked {
                    self.writer.give_up();
                }
                Err(CallError::Late)
            }
        }
    }

    /// Takes a number for a call; `None` when the stream takes no more.
    fn begin(&self, answer: oneshot::Sender<AnswerBody>) -> Option<PendingCall<'_>> {
        let mut calls = self.calls.lock();
        if !calls.open {
            return None;
        }
        let number = calls.next;
        calls.next += 1;
        calls.waiting.insert(number, answer);
        Some(PendingCall { stream: self, number })
    }

    /// Hands out answers until the stream ends. Its calls fail then.
    pub(super) async fn run(self: Arc<Self>, mut reader: StreamReader) {
        let over = self.over();
        tokio::pin!(over);
        loop {
            tokio::select! {
                frame = reader.read() => match frame {
                    Ok(Some((head, body))) => self.on_frame(head, body),
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "a stream to the api ends");
                        if let StreamError::TooLong(head) = error {
                            let why = format!("post: {error}");
                            self.answer(head, Err(Unavailable::Refused(why)));
                        }
                        break;
                    }
                },
                () = self.retired.cancelled(), if self.calls.lock().open => {}
                () = &mut over => break,
            }
            if self.retired.is_cancelled() && self.ends_quietly() {
                break;
            }
        }
        {
            let mut calls = self.calls.lock();
            calls.open = false;
            calls.waiting.clear();
        }
        self.writer.finish().await;
    }

    /// Waits until nobody can want an answer any more.
    async fn over(&self) {
        let late = async {
            self.retired.cancelled().await;
            tokio::time::sleep(CALL_TIMEOUT).await;
        };
        tokio::select! {
            () = late => {}
            () = self.writer.broken() => {}
        }
    }

    fn on_frame(&self, head: FrameHead, body: Bytes) {
        match head.kind {
            FrameKind::Posted => self.answer(head, Ok(body)),
            FrameKind::Failed => self.answer(head, Err(failure(&body))),
            FrameKind::Goodbye => {
                self.retire();
                self.apis.leave(self.turn);
            }
            FrameKind::Post => {
                tracing::warn!("the api sent a call");
                self.writer.give_up();
            }
        }
    }

    fn answer(&self, head: FrameHead, answer: AnswerBody) {
        let mut calls = self.calls.lock();
        calls.heard = Instant::now();
        if let Some(waiting) = calls.waiting.remove(&head.call) {
            // Whoever asked may have gone in this moment.
            let _ = waiting.send(answer);
        }
    }

    /// Takes no more calls. Whether none waits.
    fn ends_quietly(&self) -> bool {
        let mut calls = self.calls.lock();
        calls.open = false;
        calls.waiting.is_empty()
    }
}

/// The error of a call that the api answered with [`FailedBody`].
fn failure(body: &[u8]) -> Unavailable {
    match stream::read::<FailedBody<'_>>(body) {
        Ok(FailedBody { status, why }) => {
            Unavailable::status(status, format!("post: status {status}: {why}"))
        }
        Err(error) => Unavailable::NotAnswered(format!("post: {error}")),
    }
}
