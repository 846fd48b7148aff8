//! Assigns a CPU to each part of a cluster, for measurements: if a server shares its CPU with the clients
//! that load it, their caches distort the measurement. Other uses of a cluster omit it.

use crate::installed;
use std::fs;

/// A CPU for the gateways and one for everybody else. `None`: wherever the system likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpus {
    /// The CPU of all gateways.
    pub gateways: Option<usize>,
    /// The apis, Redis and PostgreSQL. Not the load balancer: measurements go past it.
    pub others: Option<usize>,
}

impl Cpus {
    /// The gateways on the first CPU that this process may use, all else on the second. `None` where there
    /// is only one, or no `taskset` to say it with (util-linux; on every common distribution).
    pub fn separate() -> Option<Self> {
        installed::find("taskset").ok()?;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        let mut cpus = parse_list(allowed);
        Some(Self { gateways: Some(cpus.next()?), others: Some(cpus.next()?) })
    }
}

/// The numbers in the kernel's way of listing them, such as `0-3,8`.
fn parse_list(text: &str) -> impl Iterator<Item = usize> {
    text.trim().split(',').flat_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let numbers = first.parse().ok().zip(last.parse().ok());
        numbers.into_iter().flat_map(|(first, last): (usize, usize)| first..=last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lists_are_read() {
        assert_eq!(parse_list("\t0-1\n").collect::<Vec<_>>(), [0, 1]);
        assert_eq!(parse_list("2,4-6").collect::<Vec<_>>(), [2, 4, 5, 6]);
        assert_eq!(parse_list("").count(), 0);
    }
}
