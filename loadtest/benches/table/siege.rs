//! What attackers do, on a thread that gets the CPU that nobody else wants: they come with machines of their
//! own, and what those do delays nobody.

use crate::usage;
use anyhow::{Result, bail};
use std::thread::JoinHandle;
use tokio::{
    sync::oneshot,
    task::{JoinSet, LocalSet},
};

/// Attackers at work.
pub struct Siege {
    lift: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Siege {
    /// `begin` starts the tasks that are the attack.
    pub fn lay(begin: impl FnOnce(&mut JoinSet<()>) + Send + 'static) -> Self {
        let (lift, lifted) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            usage::stand_aside()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            LocalSet::new().block_on(&runtime, async {
                let mut tasks = JoinSet::new();
                begin(&mut tasks);
                let _ = lifted.await;
                tasks.shutdown().await;
            });
            Ok(())
        });
        Self { lift, thread }
    }

    /// Ends it and waits for its end.
    pub fn lift(self) -> Result<()> {
        let _ = self.lift.send(());
        match self.thread.join() {
            Ok(result) => result,
            Err(_) => bail!("the attackers' thread panicked"),
        }
    }
}
