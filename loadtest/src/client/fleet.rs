//! The threads that run the devices. Each has its own runtime, reading buffer, memory of frames and shard of
//! the recorder, so that a delivery shares nothing between threads and no thread wakes another.

use super::{
    Clock, DeviceHandle, DeviceSpec, DeviceState, Order, OrdersFull, SocketTarget, device::Device,
    order::Inbox, worker::DeviceWorker,
};
use crate::{history::Ledger, recorder::Recorder};
use std::{
    io,
    net::IpAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{
    runtime::{Builder, LocalOptions, LocalRuntime},
    sync::mpsc,
    time::Instant,
};

/// Devices that wait to begin on one thread: more than a process may have files.
const MAX_BEGINNING: usize = 65_536;

/// How long devices may take to end when the fleet stops. They need a moment; what takes longer hangs.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a stopping thread looks whether its devices have ended.
const STOP_LOOK: Duration = Duration::from_millis(5);

/// What all devices of a fleet have in common.
#[derive(Clone, Debug)]
pub(crate) struct FleetOptions {
    pub target: SocketTarget,
    /// Names the run; the beginning of every text and key. Letters, digits and hyphens, 20 at most.
    pub run: String,
    pub seed: u64,
    pub clock: Clock,
    /// Threads; 0 is one for each core.
    pub threads: usize,
    /// Addresses that connections come from, in turn; the system's choice when empty. An address
    /// has about 28,000 ports towards one server.
    pub sources: Vec<IpAddr>,
    pub ledger: Arc<Ledger>,
    pub recorder: Recorder,
}

/// Some threads full of devices. Dropping it ends them at once, without the closes of [`Fleet::stop`].
#[derive(Debug)]
pub(crate) struct Fleet {
    lanes: Vec<WorkerThread>,
    next: AtomicUsize,
}

#[derive(Debug)]
struct WorkerThread {
    intake: mpsc::Sender<(DeviceSpec, Arc<Inbox>)>,
    thread: JoinHandle<()>,
}

impl Fleet {
    /// Starts the threads.
    pub(crate) fn start(options: FleetOptions) -> io::Result<Self> {
        let threads = match options.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let lanes = (0..threads).map(|number| WorkerThread::start(options.clone(), number));
        Ok(Self { lanes: lanes.collect::<io::Result<_>>()?, next: AtomicUsize::new(0) })
    }

    /// Connects a device. It goes on until it is told to leave or the fleet is stopped. Refused when
    /// more devices wait to begin than a process may have files.
    pub(crate) fn spawn(&self, spec: DeviceSpec) -> Result<DeviceHandle, OrdersFull> {
        let inbox = Inbox::new();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let lane = &self.lanes[turn % self.lanes.len()];
        lane.intake.try_send((spec, Arc::clone(&inbox))).map_err(|_| OrdersFull)?;
        Ok(DeviceHandle { inbox })
    }

    /// Closes all devices and waits until all have ended and given their logs back; those that do
    /// not within some seconds are dropped.
    pub(crate) async fn stop(self) {
        let threads: Vec<JoinHandle<()>> = self.lanes.into_iter().map(|lane| lane.thread).collect();
        // Their senders are gone now, which is what the threads end for.
        let joined = tokio::task::spawn_blocking(|| {
            threads.into_iter().for_each(|thread| {
                let _ = thread.join();
            });
        });
        // A thread that panicked has said so itself.
        let _ = joined.await;
    }
}

impl WorkerThread {
    fn start(options: FleetOptions, number: usize) -> io::Result<Self> {
        let (intake, specs) = mpsc::channel(MAX_BEGINNING);
        let recorder = options.recorder.clone();
        let worker = move || DeviceWorker::new(&options, &recorder, number);
        let (told, tells) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new().name(format!("devices-{number}")).spawn(move || {
            // Made here, because neither may leave its thread.
            let made = Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
                .and_then(|runtime| Ok((runtime, worker().map_err(io::Error::other)?)));
            match made {
                Ok((runtime, worker)) => {
                    let _ = told.send(Ok(()));
                    run(&runtime, Rc::new(worker), specs);
                }
                Err(error) => _ = told.send(Err(error)),
            }
        })?;
        // Wait for the runtime, so that a failure to make it is the caller's.
        tells.recv().map_err(io::Error::other)??;
        Ok(Self { intake, thread })
    }
}

/// Runs devices until nobody can send any more and all have ended.
fn run(
    runtime: &LocalRuntime,
    worker: Rc<DeviceWorker>,
    mut specs: mpsc::Receiver<(DeviceSpec, Arc<Inbox>)>,
) {
    runtime.block_on(async {
        while let Some((spec, inbox)) = specs.recv().await {
            worker.enter(spec.number, &inbox);
            let device = Device::new(spec, inbox, Rc::clone(&worker));
            // The runtime is the tasks' owner: they end with it.
            runtime.spawn_local(device.run());
        }
        worker.stop();
        let until = Instant::now() + STOP_TIMEOUT;
        for inbox in worker.inboxes() {
            let handle = DeviceHandle { inbox };
            if handle.state() != DeviceState::Gone {
                // Leaving is never refused.
                let _ = handle.order(Order::Leave);
            }
        }
        while !worker.inboxes().is_empty() && Instant::now() < until {
            tokio::time::sleep(STOP_LOOK).await;
        }
    });
}
