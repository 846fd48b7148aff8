//! The live view of a run, on stderr: on a terminal a few lines redrawn each second, elsewhere a plain line
//! every five seconds, which suits CI logs. It decides nothing and keeps no figures.

mod screen;

use self::screen::Screen;
use crate::{engine, prepare, scenario::Scenario};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use std::{
    io::{self, IsTerminal as _, Write},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Updates that wait for the terminal. A terminal that takes none for so many seconds loses some: it never
/// holds up the run.
const WAITING: usize = 64;

/// How often something is written where nobody watches.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Shows a run. Clones of the [`Arc`] share the screen; nothing here blocks.
pub(crate) struct LiveView {
    updates: Mutex<Option<SyncSender<ViewUpdate>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What can be shown.
#[derive(Clone, Debug)]
pub(crate) enum ViewUpdate {
    Preparing(prepare::PrepareProgress),
    Run(engine::RunEvent),
}

/// Where and how.
enum Paper {
    /// Redrawn in place.
    Terminal(ProgressBar),
    /// Line by line.
    Plain { out: Box<dyn Write + Send>, next: Option<Instant> },
}

impl LiveView {
    /// On stderr, as a terminal or as a file likes it.
    pub(crate) fn new(scenario: &Scenario) -> Arc<Self> {
        let paper = if io::stderr().is_terminal() {
            Paper::terminal(ProgressDrawTarget::stderr())
        } else {
            Paper::Plain { out: Box::new(io::stderr()), next: None }
        };
        Self::on(paper, Screen::new(scenario))
    }

    fn on(paper: Paper, screen: Screen) -> Arc<Self> {
        let (updates, heard) = sync_channel(WAITING);
        // A thread of its own: writing to a terminal or a full pipe blocks.
        let thread = std::thread::spawn(move || show(&heard, paper, screen));
        Arc::new(Self { updates: Mutex::new(Some(updates)), thread: Mutex::new(Some(thread)) })
    }

    /// For [`prepare::prepare`].
    pub(crate) fn preparing(&self, progress: prepare::PrepareProgress) {
        self.tell(ViewUpdate::Preparing(progress));
    }

    /// For the engine.
    pub(crate) fn observer(self: &Arc<Self>) -> engine::Observer {
        let live = Arc::clone(self);
        Arc::new(move |progress| live.tell(ViewUpdate::Run(progress.clone())))
    }

    /// Shows what is still waiting, and leaves the terminal to others. Blocks until that is done.
    pub(crate) fn finish(&self) {
        drop(self.updates.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            // It ends by itself; a panic in it has been printed.
            let _ = thread.join();
        }
    }

    fn tell(&self, updates: ViewUpdate) {
        if let Some(sender) = &*self.updates.lock() {
            // When it is full the terminal is stuck, and later updates will say the same.
            let _ = sender.try_send(updates);
        }
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The thread: until the last sender is gone.
fn show(heard: &Receiver<ViewUpdate>, mut paper: Paper, mut screen: Screen) {
    while let Ok(updates) = heard.recv() {
        let event = screen.on(&updates);
        paper.write(&mut screen, event, Instant::now());
    }
    paper.end();
}

impl Paper {
    fn terminal(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        // The template is ours and is right. All text is one message, so that an update is one redraw.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self::Terminal(bar)
    }

    /// An event is written at once and stays; figures when it is time.
    fn write(&mut self, screen: &mut Screen, event: Option<String>, now: Instant) {
        match self {
            Self::Terminal(bar) => {
                if let Some(event) = event {
                    bar.println(event);
                }
                bar.set_message(screen.lines());
            }
            Self::Plain { out, next } => {
                // A closed stderr is nothing to end a run for.
                if let Some(event) = event {
                    let _ = writeln!(out, "{event}");
                }
                if next.is_none_or(|next| now >= next) && screen.has_figures() {
                    *next = Some(now + PLAIN_EVERY);
                    let _ = writeln!(out, "{}", screen.line());
                }
            }
        }
    }

    fn end(self) {
        match self {
            Self::Terminal(bar) => bar.finish_and_clear(),
            Self::Plain { mut out, .. } => {
                let _ = out.flush();
            }
        }
    }
}

#[cfg(test)]
mod tests;
