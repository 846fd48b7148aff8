//! What goes out to one client: hands frames to the kernel, many in one system call. It reads nothing, and it knows
//! neither queues nor locks: whoever owns it writes, so there is one writer at a time.
//!
//! A frame has the same bytes on the wire as in memory ([`Frame`]), so writing many of them takes one copy
//! and one system call. The thread has the memory in which frames are joined.

use crate::wire::{frame::Frame, stream::WriteHalf};
use protocol::close::Close;
use std::{cell::RefCell, collections::VecDeque, io, time::Duration};
use tokio::{io::AsyncWriteExt, time::timeout};

/// The maximum number of bytes that are joined for one write. The kernel rarely takes more at once.
const JOINED_BYTES: usize = 64 * 1024;

thread_local! {
    /// The joined frames, used within one write only.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The writing half of a [`super::socket::Socket`].
#[derive(Debug)]
pub struct Output {
    half: WriteHalf,
    /// The rest of begun frames that the kernel did not accept.
    unsent: VecDeque<u8>,
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The kernel took everything.
    All,
    /// The kernel has no space now: go on with [`Output::write`].
    Some,
}

impl Output {
    pub(super) fn new(half: WriteHalf) -> Self {
        Self { half, unsent: VecDeque::new() }
    }

    /// The number of bytes of begun frames that the kernel did not accept yet.
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Writes all of these frames, in as few pieces as the kernel accepts. A client for which the
    /// kernel accepts nothing for `patience` is a slow consumer. If the future is dropped before it
    /// ends, only [`super::socket::Socket::close`] may follow, which ends the begun frame.
    pub async fn write(
        &mut self,
        frames: &mut VecDeque<Frame>,
        patience: Duration,
    ) -> Result<(), Close> {
        loop {
            while !self.unsent.is_empty() {
                let taken = timeout(patience, self.half.write_buf(&mut self.unsent)).await;
                taken.map_err(|_| Close::SlowConsumer)?.map_err(|_| Close::ByPeer)?;
            }
            // Frees the memory of a burst.
            self.unsent = VecDeque::new();
            if self.write_now(frames)? == Written::All {
                return Ok(());
            }
        }
    }

    /// Writes as many of these frames as fit without waiting: none while the rest of a begun frame is unsent.
    pub fn write_now(&mut self, frames: &mut VecDeque<Frame>) -> Result<Written, Close> {
        if !self.unsent.is_empty() {
            return Ok(Written::Some);
        }
        while !frames.is_empty() {
            if self.write_some(frames)? == Written::Some {
                return Ok(Written::Some);
            }
        }
        Ok(Written::All)
    }

    /// Joins as many frames as fit and hands them to the kernel. Bytes that the kernel does not take go to
    /// `unsent`, after an error as well: whoever writes next meets it again.
    fn write_some(&mut self, frames: &mut VecDeque<Frame>) -> Result<Written, Close> {
        // A single frame needs no copy.
        if let ([frame], []) = frames.as_slices() {
            let written = self.hand_over(frame.wire());
            frames.clear();
            return written;
        }
        JOINED.with_borrow_mut(|joined| {
            joined.clear();
            while let Some(frame) = frames.front()
                && (joined.is_empty() || joined.len() + frame.size() <= JOINED_BYTES)
            {
                joined.extend_from_slice(frame.wire());
                frames.pop_front();
            }
            self.hand_over(joined)
        })
    }

    fn hand_over(&mut self, bytes: &[u8]) -> Result<Written, Close> {
        let result = self.half.try_write(bytes);
        let taken = *result.as_ref().unwrap_or(&0);
        if taken == bytes.len() {
            return Ok(Written::All);
        }
        self.unsent.extend(&bytes[taken..]);
        match result {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(Close::ByPeer),
            _ => Ok(Written::Some),
        }
    }

    /// Ends the begun frame, then writes this last one.
    pub(super) async fn write_last(&mut self, frame: &Frame) -> io::Result<()> {
        self.half.write_all_buf(&mut self.unsent).await?;
        self.half.write_all(frame.wire()).await
    }

    /// Ends the server's side of the stream.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        self.half.shutdown().await
    }

    /// Has the kernel reset the stream when it closes, and free the bytes that it still holds for the client.
    pub(super) fn reset_on_close(&self) {
        self.half.reset_on_close();
    }
}
