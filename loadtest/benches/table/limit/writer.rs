//! The bare writer's thread. Content does not matter to it, so it only counts the bytes that it owes each
//! socket. What comes in one round of epoll for the same socket leaves in one write.

use super::Pattern;
use anyhow::{Context, Result};
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use std::io::{self, Read, Write};

/// The most that one system call reads or writes, as in a gateway.
const READ_BYTES: usize = 8 * 1024;
const WRITE_BYTES: usize = 64 * 1024;

/// One thread that serves all sockets.
pub struct Writer {
    poll: Poll,
    members: Vec<Member>,
    /// Sockets of a room.
    room: usize,
    /// Of a message.
    bytes: usize,
}

struct Member {
    stream: TcpStream,
    /// Bytes of an incomplete message that were read.
    incomplete: usize,
    /// Bytes that are still to be written.
    owed: usize,
}

impl Writer {
    /// Accepts the sockets in their order: the first room's, the second one's.
    pub fn accept(listener: &TcpListener, pattern: Pattern) -> Result<Self> {
        let poll = Poll::new()?;
        let mut members = Vec::with_capacity(pattern.sockets);
        while members.len() < pattern.sockets {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Before anything is measured.
                    std::thread::yield_now();
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(members.len()), interest)?;
            members.push(Member { stream, incomplete: 0, owed: 0 });
        }
        Ok(Self { poll, members, room: pattern.members, bytes: pattern.bytes })
    }

    /// Until a client hangs up.
    pub fn serve(mut self) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let (mut buffer, bytes) = ([0; READ_BYTES], vec![b'x'; WRITE_BYTES]);
        let mut dirty = Vec::new();
        loop {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                let Token(number) = event.token();
                if event.is_readable() {
                    let Some(messages) = self.read(number, &mut buffer)? else { return Ok(()) };
                    let first = number / self.room * self.room;
                    for member in first..first + self.room {
                        if messages > 0 && self.owe(member, messages) {
                            dirty.push(member);
                        }
                    }
                }
                if event.is_writable() && self.members[number].owed > 0 {
                    dirty.push(number);
                }
            }
            for member in dirty.drain(..) {
                self.members[member].write(&bytes)?;
            }
        }
    }

    /// How many messages came from this socket; `None` once it is closed.
    fn read(&mut self, number: usize, buffer: &mut [u8]) -> Result<Option<usize>> {
        let member = self.members.get_mut(number).context("no such socket")?;
        let mut messages = 0;
        loop {
            let read = match member.stream.read(buffer) {
                Ok(0) => return Ok(None),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Some(messages));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            member.incomplete += read;
            messages += member.incomplete / self.bytes;
            member.incomplete %= self.bytes;
            // Nothing is left, and the next bytes are a new event.
            if read < buffer.len() {
                return Ok(Some(messages));
            }
        }
    }

    /// Whether nothing was owed before: then nobody else writes to it in this round.
    fn owe(&mut self, number: usize, messages: usize) -> bool {
        let member = &mut self.members[number];
        let owed_nothing = member.owed == 0;
        member.owed += messages * self.bytes;
        owed_nothing
    }
}

impl Member {
    /// As much as the kernel takes; it says when it takes more.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        while self.owed > 0 {
            match self.stream.write(&bytes[..self.owed.min(bytes.len())]) {
                Ok(taken) => self.owed -= taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The client hung up, which the next read tells.
                Err(_) => self.owed = 0,
            }
        }
        Ok(())
    }
}
