//! Writes log lines to stdout: a caller puts its line into a bounded buffer and continues, and a thread
//! writes. A pipe that nobody empties costs lines and nothing else. It does not format lines.

use parking_lot::{Condvar, Mutex};
use std::{
    io::{self, Write},
    mem,
    sync::Arc,
    thread,
    time::Duration,
};
use tracing_subscriber::fmt::MakeWriter;

/// What may wait to be written; a line that does not fit is dropped. Some thousand lines: a pipe that
/// is emptied at all is emptied sooner.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// How long a process that ends waits for its last lines. A pipe that is emptied takes milliseconds.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Where lines are put. Clones share the buffer.
#[derive(Clone)]
pub(super) struct Lines(Arc<Buffer>);

/// Dropped at the end of `main`, so that the last lines are written before the process is gone. Waits a
/// second at most.
#[must_use = "the last lines are lost when the process ends without it"]
pub struct LastLines(Arc<Buffer>);

#[derive(Default)]
struct Buffer {
    state: Mutex<LinesState>,
    changed: Condvar,
}

#[derive(Default)]
struct LinesState {
    waiting: Vec<u8>,
    /// The thread has taken lines and is not done with them.
    writing: bool,
}

/// Starts the thread that writes to `out`.
pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Lines, LastLines)> {
    let buffer = Arc::new(Buffer::default());
    let waiting = Arc::clone(&buffer);
    thread::Builder::new().name("log".to_owned()).spawn(move || waiting.write_all(out))?;
    Ok((Lines(Arc::clone(&buffer)), LastLines(buffer)))
}

impl Buffer {
    fn put(&self, line: &[u8]) {
        let mut state = self.state.lock();
        if state.waiting.len() + line.len() > MAX_WAITING_BYTES {
            drop(state);
            count_dropped(1);
            return;
        }
        state.waiting.extend_from_slice(line);
        drop(state);
        self.changed.notify_all();
    }

    /// For ever.
    fn write_all(&self, mut out: impl Write) {
        loop {
            let idle = |state: &mut LinesState| state.waiting.is_empty();
            let mut state = self.state.lock();
            self.changed.wait_while(&mut state, idle);
            let lines = mem::take(&mut state.waiting);
            state.writing = true;
            drop(state);
            if out.write_all(&lines).and_then(|()| out.flush()).is_err() {
                count_dropped(lines.iter().filter(|byte| **byte == b'\n').count());
            }
            self.state.lock().writing = false;
            self.changed.notify_all();
        }
    }
}

/// Counts lines that were lost.
fn count_dropped(lines: usize) {
    metrics::counter!("log_lines_dropped_total").increment(lines as u64);
}

impl Write for Lines {
    /// One line or several; all of it or nothing.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.put(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        let busy = |state: &mut LinesState| state.writing || !state.waiting.is_empty();
        self.0.changed.wait_while_for(&mut self.0.state.lock(), busy, LAST_LINES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, time::Instant};

    /// Hands on what is written; stands still while nobody takes it.
    struct Pipe(mpsc::SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_logs_never_waits_and_lines_are_dropped_whole() {
        let (pipe, end) = mpsc::sync_channel(0);
        let (mut lines, last) = start(Pipe(pipe)).unwrap();
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..3_000 {
            lines.write_all(&line).unwrap();
        }
        let begun = Instant::now();
        drop(last);
        assert!(begun.elapsed() < 3 * LAST_LINES, "ending does not wait for the pipe");

        let mut written = 0;
        while let Ok(bytes) = end.recv_timeout(LAST_LINES) {
            assert!(bytes.chunks(1_000).all(|chunk| chunk == line));
            written += bytes.len();
        }
        // What the thread had taken, and a full buffer.
        assert!(
            (MAX_WAITING_BYTES - 1_000..=2 * MAX_WAITING_BYTES).contains(&written),
            "{written}"
        );
        lines.write_all(b"again\n").unwrap();
        assert_eq!(end.recv().unwrap(), b"again\n");
    }

    #[test]
    fn the_last_lines_are_written_before_the_end() {
        let (pipe, end) = mpsc::sync_channel(100);
        let (mut lines, last) = start(Pipe(pipe)).unwrap();
        lines.write_all(b"stopping\n").unwrap();
        lines.write_all(b"stopped\n").unwrap();
        drop(last);
        assert_eq!(end.try_iter().collect::<Vec<_>>().concat(), b"stopping\nstopped\n");
    }
}
