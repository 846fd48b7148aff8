//! What can go wrong with the database, sorted by what a caller can do about it. A service turns a
//! violated constraint into its own refusal right after the query; everything else becomes a
//! [`Error`], and its cause goes to the log there.

use super::{replicas, servers};
use crate::error::Error;

/// A statement failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A unique or foreign key is violated: table and columns joined by `_`, such as
    /// `users_email_key`. Foreign keys have no columns on SQLite: `foreign_key`.
    #[error("the constraint {0} is violated")]
    Constraint(String),
    /// The database does not answer, or not in time. Nothing is known to be wrong with the query.
    #[error("the database does not answer: {0}")]
    Unavailable(sqlx::Error),
    /// Somebody else holds a row for longer than the transaction waits.
    #[error("a row is locked: {0}")]
    Held(sqlx::Error),
    /// Another transaction stood in the way, and nothing of this one is stored: it may be carried out again.
    #[error("another transaction stood in the way: {0}")]
    Conflict(sqlx::Error),
    /// A function of the schema does not do what it was asked for; there is another way.
    #[error("the database's function declined")]
    Declined,
    /// A read replica failed: the primary is to be read instead.
    #[error("a read replica failed: {0}")]
    Replica(sqlx::Error),
    /// A fault of ours.
    #[error("the database refused: {0}")]
    Fault(sqlx::Error),
}

impl DbError {
    /// The kinds that are counted. A violated constraint is an answer and no failure.
    pub const KINDS: [&str; 2] = ["unavailable", "fault"];

    pub(super) fn unavailable(error: sqlx::Error) -> Self {
        metrics::counter!("db_errors_total", "kind" => "unavailable").increment(1);
        Self::Unavailable(error)
    }

    fn fault(error: sqlx::Error) -> Self {
        metrics::counter!("db_errors_total", "kind" => "fault").increment(1);
        Self::Fault(error)
    }

    /// Whether this unique key stood in the way.
    pub fn violates(&self, constraint: &str) -> bool {
        matches!(self, Self::Constraint(name) if name == constraint)
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        if replicas::is_asked() {
            return Self::Replica(error);
        }
        match &error {
            sqlx::Error::Database(cause) => {
                if let Some(name) = constraint(cause.as_ref()) {
                    return Self::Constraint(name);
                }
                let code = cause.code().unwrap_or_default();
                if code == "55P03" {
                    return Self::Held(error);
                }
                if ["40P01", "40001"].contains(&code.as_ref()) {
                    return Self::Conflict(error);
                }
                if code == "SB001" {
                    return Self::Declined;
                }
                // Demoted (25006), shut down by an operator or after a crash.
                if ["25006", "57P01", "57P02"].contains(&code.as_ref()) {
                    servers::note_outdated();
                }
                if is_passing(&code) { Self::unavailable(error) } else { Self::fault(error) }
            }
            // Whoever closed this one has closed others, too.
            sqlx::Error::Io(_) => {
                servers::note_outdated();
                Self::unavailable(error)
            }
            sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => {
                servers::note_away();
                Self::unavailable(error)
            }
            _ => Self::fault(error),
        }
    }
}

/// PostgreSQL names the constraint; SQLite says `UNIQUE constraint failed: table.a, table.b`.
fn constraint(error: &dyn sqlx::error::DatabaseError) -> Option<String> {
    if let Some(name) = error.constraint() {
        return Some(name.to_owned());
    }
    if error.is_foreign_key_violation() {
        return Some("foreign_key".to_owned());
    }
    let (_, columns) = error.message().split_once("UNIQUE constraint failed: ")?;
    let mut name = String::new();
    for column in columns.split(", ") {
        let (table, column) = column.split_once('.')?;
        if name.is_empty() {
            name.push_str(table);
        }
        name.push('_');
        name.push_str(column);
    }
    Some(name)
}

/// Conditions that pass by themselves. Of PostgreSQL, whose codes have five characters: connection
/// exceptions (08), insufficient resources (53), operator intervention and statement time-out (57),
/// read-only after a failover (25006). Of SQLite, whose codes are numbers with the kind in the lowest byte: busy (5),
/// out of memory (7), ran for too long (9), the disk fails (10) or is full (13), the file cannot be opened (14).
fn is_passing(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "53", "57"].iter().any(|class| code.starts_with(class)) || code == "25006";
    }
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 7 | 9 | 10 | 13 | 14))
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(cause) => {
                tracing::warn!(error = %cause, "the database does not answer");
                Error::unavailable()
            }
            DbError::Held(cause) => {
                metrics::counter!("db_errors_total", "kind" => "unavailable").increment(1);
                tracing::warn!(error = %cause, "gave up waiting for a locked row");
                Error::unavailable()
            }
            DbError::Conflict(cause) => {
                tracing::info!(error = %cause, "another transaction stood in the way");
                Error::conflict()
            }
            DbError::Constraint(name) => {
                tracing::error!(
                    db.constraint = name,
                    "a statement violated a constraint unexpectedly"
                );
                Error::internal()
            }
            DbError::Replica(cause) => {
                tracing::warn!(error = %cause, "a read replica failed");
                Error::unavailable()
            }
            DbError::Declined => {
                tracing::error!("a function of the database declined unexpectedly");
                Error::internal()
            }
            DbError::Fault(cause) => {
                tracing::error!(error = %cause, "the database refused a statement");
                Error::internal()
            }
        }
    }
}

/// A database URL that cannot work, or a file that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No URL was given.
    #[error("DATABASE_URL is missing. Set it to the database, such as postgres://user@host/name")]
    Missing,
    /// A URL of another kind of database.
    #[error("DATABASE_URL must start with postgres:// or sqlite:")]
    Scheme,
    /// A PostgreSQL URL that cannot be read. PostgreSQL itself need not be there.
    #[error("DATABASE_URL is not a valid PostgreSQL URL: {0}")]
    Url(sqlx::Error),
    /// The same of the read replicas.
    #[error("DATABASE_REPLICA_URL must be such as postgres://user@db2,db3:5433/name")]
    ReplicaUrl,
    /// No host between two commas, or too many.
    #[error("DATABASE_URL must name one to 16 hosts, such as postgres://user@db1,db2:5433/name")]
    Hosts,
    /// Only the server that takes writes will do.
    #[error("DATABASE_URL must say target_session_attrs=read-write or nothing of it")]
    SessionAttrs,
    /// One of the further servers.
    #[error(
        "CHAT_DATABASE_URLS must be such as postgres://user@db2/name, with white space between two of them"
    )]
    ChatServerUrl,
    /// Buckets cannot be divided so.
    #[error(
        "CHAT_DATABASE_URLS must name one, three, seven or fifteen servers, up to 63, beside that of DATABASE_URL"
    )]
    ServerCount,
    /// The SQLite file cannot be opened or made.
    #[error("cannot open the database file: {0}")]
    Open(sqlx::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_no_fault() {
        // SQLite's extended codes: snapshot too old, no space for the shared index, failed sync.
        for code in ["08006", "53100", "57014", "25006", "5", "517", "9", "13", "4874", "1034"] {
            assert!(is_passing(code), "{code}");
        }
        // Syntax; a corrupt file, a write by a reader, a check.
        for code in ["42601", "22P02", "", "1", "11", "8", "275"] {
            assert!(!is_passing(code), "{code}");
        }
    }
}
