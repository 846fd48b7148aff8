//! What the operating system says of this process: its memory, files, threads and processor time. It reads;
//! the names and texts of these metrics stand in [`super::METRICS`].

use rlimit::Resource;
use std::time::Duration;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// What a process uses of its machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessUsage {
    /// Since the process started.
    pub processor: Duration,
    pub memory_bytes: u64,
}

/// Without gauges, for a report. `None` where the system does not tell.
pub(crate) fn usage() -> Option<ProcessUsage> {
    let pid = sysinfo::get_current_pid().ok()?;
    let mut system = System::new();
    let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, kind);
    let process = system.process(pid)?;
    let processor = Duration::from_millis(process.accumulated_cpu_time());
    Some(ProcessUsage { processor, memory_bytes: process.memory() })
}

/// Sets the gauges `process_*`, and returns the processor time since the process started. Nothing, and gauges
/// as they were, where the system does not tell.
pub(super) fn measure() -> Option<Duration> {
    let pid = sysinfo::get_current_pid().ok()?;
    let mut system = System::new();
    let kind = ProcessRefreshKind::nothing().with_cpu().with_memory().with_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, kind);
    let process = system.process(pid)?;
    let threads = process.tasks().map(|tasks| tasks.len() as u64);
    for (name, value) in [
        ("process_open_fds", process.open_files().map(|files| files as u64)),
        ("process_max_fds", soft_limit(Resource::NOFILE)),
        ("process_virtual_memory_bytes", Some(process.virtual_memory())),
        ("process_virtual_memory_max_bytes", soft_limit(Resource::AS)),
        ("process_resident_memory_bytes", Some(process.memory())),
        ("process_start_time_seconds", Some(process.start_time())),
        ("process_threads", threads),
    ] {
        if let Some(value) = value {
            metrics::gauge!(name).set(value as f64);
        }
    }
    Some(Duration::from_millis(process.accumulated_cpu_time()))
}

fn soft_limit(resource: Resource) -> Option<u64> {
    rlimit::getrlimit(resource).ok().map(|(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::time::Timestamp;

    #[test]
    fn the_operating_system_is_read_as_it_tells() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let cpu = metrics::with_local_recorder(&recorder, measure).unwrap();
        assert!(cpu < Duration::from_secs(3_600), "{cpu:?}");
        let page = recorder.handle().render();
        let value = |name: &str| -> f64 {
            let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let of_status = |name: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        // Another test may run on a thread of its own meanwhile, and allocate.
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.5;
        assert!(near(value("process_resident_memory_bytes"), of_status("VmRSS:") * 1024.0));
        assert!(near(value("process_virtual_memory_bytes"), of_status("VmSize:") * 1024.0));
        assert!(value("process_threads") >= 2.0, "the test has a thread beside the main one");
        let fds = value("process_open_fds");
        assert!(fds >= 3.0 && fds < value("process_max_fds"), "{fds}");
        let started = value("process_start_time_seconds");
        let age = Timestamp::now().0 as f64 / 1e3 - started;
        assert!((0.0..3_600.0).contains(&age), "{age}");
    }
}
