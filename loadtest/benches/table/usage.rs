//! What processes have used so far, as the kernel counts it. CPU time and not wall time: only that
//! survives a machine on which others run, too.

use anyhow::{Context, Result};
use std::{fs, path::Path, process::Command};

/// The kernel's ticks in a second, for every user of `/proc`.
const TICKS: f64 = 100.0;

/// CPU seconds, user and system, of a process: the sum over its threads, to the nanosecond. What a thread
/// has used is gone when it ends, which those that work here do not.
pub fn cpu(pid: u32) -> Result<f64> {
    let mut sum = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        sum += running_time(&task?.path().join("schedstat")).unwrap_or(0.0);
    }
    Ok(sum)
}

/// The same of a process and all that it has started: PostgreSQL's sessions come and go, and what one
/// that ended has used counts as its parent's, in ticks.
pub fn cpu_of_family(pid: u32) -> Result<f64> {
    let mut sum = cpu(pid)? + of_ended_children(pid)?;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
        // One that ends just now is its parent's a moment later.
        sum += cpu(child).unwrap_or(0.0);
    }
    Ok(sum)
}

/// The thread that asks, for [`cpu_of`].
pub fn thread_id() -> Result<usize> {
    let link = fs::read_link("/proc/thread-self")?;
    let id = link.file_name().and_then(|id| id.to_str()).context("no thread")?;
    Ok(id.parse()?)
}

/// CPU seconds of a thread of this process, to the nanosecond.
pub fn cpu_of(thread: usize) -> Result<f64> {
    running_time(&Path::new("/proc/self/task").join(thread.to_string()).join("schedstat"))
}

/// KiB of memory: the process's own pages, and its share of those it has with others.
pub fn pss_kib(pid: u32) -> Result<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).context("no Pss")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

/// Lets only these CPUs run the thread that asks, and the threads that it starts from now on.
pub fn pin_thread(cpus: &[usize]) -> Result<()> {
    let list: Vec<String> = cpus.iter().map(usize::to_string).collect();
    let id = thread_id()?.to_string();
    let output = Command::new("taskset").arg("-cp").arg(list.join(",")).arg(id).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Whoever else wants the CPU gets it before the thread that asks: it stands for machines of its own,
/// whose work delays nobody. What it starts meanwhile inherits that.
pub fn stand_aside() -> Result<()> {
    renice("19")
}

/// No longer so, which takes root.
pub fn come_back() -> Result<()> {
    renice("0")
}

fn renice(niceness: &str) -> Result<()> {
    let id = thread_id()?.to_string();
    let output = Command::new("renice").args(["-n", niceness, "-p"]).arg(id).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// How many files this process may have open.
pub fn open_files() -> Result<u64> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).context("no limit of files")?;
    Ok(soft.parse().unwrap_or(u64::MAX))
}

/// Whether it still runs; for errors that say more than "closed".
pub fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/stat")).exists()
}

fn running_time(schedstat: &Path) -> Result<f64> {
    let text = fs::read_to_string(schedstat)?;
    let nanos: f64 = text.split_whitespace().next().context("no time")?.parse()?;
    Ok(nanos / 1e9)
}

/// Seconds of user and system time.
fn of_ended_children(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold anything; times 3 and 4 after it are the children's.
    let fields = stat.rsplit(')').next().context("no fields")?;
    let ticks = fields.split_whitespace().skip(13).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
}
