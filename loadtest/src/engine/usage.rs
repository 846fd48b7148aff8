//! CPU time and memory of processes on this machine, from `/proc`: the load tester's own, and those of
//! servers beside it. It knows nothing of runs.

use super::UsageReading;
use std::{fs, io};

/// The kernel shows CPU time in hundredths of a second, on every architecture that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What these processes have used so far, added up: user and system time, and memory that is shared
/// counted in shares. A process that has gone is an error, because the sums would go backwards.
pub(super) fn of(processes: &[u32]) -> io::Result<UsageReading> {
    let mut sum = UsageReading { cpu_seconds: 0.0, memory_bytes: 0.0 };
    for process in processes {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        sum.cpu_seconds += cpu(&stat).ok_or(io::ErrorKind::InvalidData)?;
        let memory = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        sum.memory_bytes += field(&memory, "Pss:").ok_or(io::ErrorKind::InvalidData)?;
    }
    Ok(sum)
}

/// CPU seconds that this process has used.
pub(super) fn own_cpu() -> f64 {
    fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu(&stat)).unwrap_or(0.0)
}

/// The most resident memory that this process had so far.
pub(super) fn own_peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&status, "VmHWM:").unwrap_or(0.0) as u64
}

/// `utime` and `stime`, fields 14 and 15 of proc(5). The name in field 2 may hold anything.
fn cpu(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

/// Bytes of the line `name:   123 kB`.
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_and_spaces_do_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(cpu(stat), Some(2.0));
        assert_eq!(cpu("7 (a"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let reading = of(&[std::process::id()]).unwrap();
        assert!(reading.memory_bytes > 1e6 && reading.cpu_seconds <= own_cpu(), "{reading:?}");
        assert!(own_peak_bytes() > 1 << 20);
        assert!(of(&[u32::MAX]).is_err());
    }
}
