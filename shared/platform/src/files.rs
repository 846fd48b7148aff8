//! The limit on open files, of which every socket is one. Raises the limit as far as the process may, and
//! tells listeners how many connections fit, so that nobody finds out under load and operators can still
//! connect when the process is full.

/// Kept free of clients' connections: for the admin listener's ([`crate::serve::ADMIN_CONNECTIONS`]), those
/// to Redis and the database (16 each by default), to other processes of ours, for listeners and files.
const OTHERS: usize = 200;

/// Raises the limit of open files to the most that this process may give itself, and returns it. Shells
/// and service managers begin with 1,024, for the sake of programs that cannot count further.
pub fn raise_limit() -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX);
    // Where it may not be raised it stays; where nobody tells it, there is none.
    let limit = limit.or_else(|_| rlimit::Resource::NOFILE.get_soft());
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// How many of this many connections fit, the limit raised. Fewer are said in the log, and that not even
/// one fits is an error: one sentence. Once per process, after logging has started.
pub fn room_for(connections: usize) -> Result<usize, String> {
    let limit = raise_limit();
    let room = fitting(connections, limit)?;
    if room < connections {
        tracing::warn!(
            "this process may open only {limit} files, so it accepts {room} connections instead of \
             {connections}: raise the hard limit (ulimit -H -n, LimitNOFILE=) to {}",
            connections.saturating_add(OTHERS)
        );
    }
    Ok(room)
}

fn fitting(connections: usize, limit: usize) -> Result<usize, String> {
    match limit.saturating_sub(OTHERS) {
        0 => Err(format!(
            "this process may have {limit} open files, and takes {OTHERS} before any client: raise \
             the hard limit (ulimit -H -n, LimitNOFILE=)"
        )),
        room => Ok(room.min(connections)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        assert_eq!(fitting(15_000, 20_000), Ok(15_000));
        assert_eq!(fitting(15_000, 1_024), Ok(824));
        assert_eq!(fitting(15_000, usize::MAX), Ok(15_000));
        assert!(fitting(1, 200).unwrap_err().contains("200 open files"));
    }
}
