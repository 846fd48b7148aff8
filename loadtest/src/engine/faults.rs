//! Injects faults during a run: each at its time, marked with its result. Whether the servers recovered is
//! determined at the end, from the measurements.

use super::{Act, Fault, Observer, PartSlice, RunEvent};
use crate::{
    measure::{Count, Latency, Op},
    report::FaultMark,
};
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// What is kept of a command's output.
const MAX_OUTPUT: usize = 4 << 10;

/// A command that runs longer is killed when the run ends; one that ended may leave children that keep
/// its output open, which nobody waits for longer than this.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// Deliveries are as before when the slowest hundredth takes at most so many times what it took …
const RECOVERED: f64 = 2.0;
/// … in the median of the seconds before the fault, of which so many count …
const BEFORE_SECONDS: f64 = 5.0;
/// … and differences below this are noise on any machine.
const NOISE_MILLIS: f64 = 5.0;

/// Waits for the fault's time, does it and says how it ended. `None` when the run was over first, or
/// was told to `stop`: nobody shall break anything after that.
pub(super) async fn happen(
    fault: &Fault,
    start: Instant,
    (stop, done): (&CancellationToken, &CancellationToken),
    observer: &Observer,
) -> Option<FaultMark> {
    tokio::select! {
        biased;
        () = stop.cancelled() => return None,
        () = tokio::time::sleep_until(start + fault.at) => {}
        () = done.cancelled() => return None,
    }
    let at = start.elapsed().as_secs_f64();
    let doing = async {
        match &fault.act {
            Act::Command(command) => run(command).await,
            Act::Call(call) => call().await,
        }
    };
    let outcome = tokio::select! {
        outcome = doing => outcome,
        () = done.cancelled() => "still running when the run ended".to_owned(),
    };
    let mark = FaultMark { at, name: fault.name.clone(), outcome, recovery: None };
    observer(&RunEvent::Mark(mark.clone()));
    Some(mark)
}

/// Runs the command; killed when this is dropped.
async fn run(command: &str) -> String {
    let spawned = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(why) => return format!("could not be started: {why}"),
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = {
        let outputs = async { tokio::join!(keep(stdout, &mut out), keep(stderr, &mut err)) };
        tokio::pin!(outputs);
        tokio::select! {
            _ = &mut outputs => child.wait().await,
            ended = child.wait() => {
                let _ = tokio::time::timeout(OUTPUT_GRACE, outputs).await;
                ended
            }
        }
    };
    let how = match ended.map(|status| status.code()) {
        Ok(Some(code)) => format!("exit {code}"),
        Ok(None) => "killed by a signal".to_owned(),
        Err(why) => format!("could not be waited for: {why}"),
    };
    out.extend(err);
    let said = String::from_utf8_lossy(&out);
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if said.is_empty() { how } else { format!("{how}: {}", said.join("; ")) }
}

/// Keeps the beginning of a stream and reads the rest, so that nobody blocks on a full pipe.
async fn keep(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 1024];
    while let Ok(read) = stream.read(&mut buffer).await
        && read > 0
    {
        let room = (MAX_OUTPUT / 2).saturating_sub(kept.len());
        kept.extend(&buffer[..read.min(room)]);
    }
}

/// Seconds from the fault until deliveries were as fast as before and as many connections were there,
/// for good until the next fault or the end: a good second between bad ones is no recovery. `None` when
/// that was not seen, or when nothing was delivered before.
pub(super) fn recovery(at: f64, next: Option<f64>, slices: &[PartSlice]) -> Option<f64> {
    let before: Vec<&PartSlice> =
        slices.iter().filter(|s| s.at > at - BEFORE_SECONDS && s.at <= at).collect();
    let mut usual: Vec<f64> = before.iter().filter_map(|slice| slowest(slice)).collect();
    usual.sort_by(f64::total_cmp);
    let usual = *usual.get(usual.len() / 2)?;
    let connections = before.iter().map(|slice| slice.slice.connections).min()?;
    let enough = (usual * RECOVERED).max(usual + NOISE_MILLIS);
    let sent = |slice: &PartSlice| slice.slice.counts.get(&Count::Sent).is_some_and(|n| *n > 0);
    let is_good = |slice: &PartSlice| {
        slice.slice.connections >= connections
            && slowest(slice).map_or(!sent(slice), |slowest| slowest <= enough)
    };
    let until = next.unwrap_or(f64::INFINITY);
    let after: Vec<&PartSlice> = slices.iter().filter(|s| s.at > at && s.at <= until).collect();
    let good = after.iter().rev().take_while(|slice| is_good(slice)).count();
    // The slice's beginning is when it was good again; the fault's own slice began before it.
    let first = after.get(after.len() - good)?;
    Some((first.at - first.seconds - at).max(0.0))
}

/// The 99th percentile of deliveries in milliseconds; none when there were none.
fn slowest(slice: &PartSlice) -> Option<f64> {
    let Latency(deliveries) = slice.slice.latencies.get(&Op::Delivery)?;
    (!deliveries.is_empty()).then(|| deliveries.value_at_quantile(0.99) as f64 / 1e3)
}

#[cfg(test)]
mod tests;
