//! Connections and transactions of either database, and the macros that run one text on both:
//! `execute!` (rows changed), `fetch_all!`, `fetch_optional!`, `fetch_one!`. Up to three columns are a tuple;
//! more are a struct that `row!` or `from_row!` reads by their names.
//!
//! The first argument is a [`Conn`], [`Tx`] or [`Link`]; then the text and its parameters:
//! `fetch_all!(tx, "… $1 … $2", a, b)`. Where the databases need different texts:
//! `fetch_all!(tx, postgres: "… UNNEST($1, $2) …", (a, b), sqlite: "… json_each($1) …", (c))`; rows as
//! parameters are [`super::columns`].
//! Numbers are `i64` (cast what PostgreSQL would make smaller), times are milliseconds.

use super::{DbError, LastWrite};
use crate::conflict;
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction, pool::PoolConnection};

/// A connection for reading.
pub enum Conn {
    /// Of a pool; goes back to it when dropped.
    Postgres(PoolConnection<Postgres>),
    /// Of the readers' pool; goes back to it when dropped.
    Sqlite(PoolConnection<Sqlite>),
}

/// A transaction. One that is dropped changes nothing, but keeps its locks until its connection is taken up
/// again: who looks at the same rows next ends it by [`Tx::rollback`]. One that may write in SQLite notes
/// when it has.
pub enum Tx {
    /// Read committed, unless it is a snapshot.
    Postgres(Transaction<'static, Postgres>),
    /// The writer's, or a reader's snapshot, which has no [`LastWrite`].
    Sqlite(Transaction<'static, Sqlite>, Option<LastWrite>),
}

/// Either of them, borrowed: for functions that serve both.
pub enum Link<'c> {
    /// Of a connection or a transaction.
    Postgres(&'c mut PgConnection),
    /// Of a connection or a transaction.
    Sqlite(&'c mut SqliteConnection),
}

impl Conn {
    /// Lends it to a function that serves transactions, too.
    pub fn link(&mut self) -> Link<'_> {
        match self {
            Self::Postgres(conn) => Link::Postgres(conn),
            Self::Sqlite(conn) => Link::Sqlite(conn),
        }
    }
}

impl Tx {
    /// Lends it to a function that serves connections, too.
    pub fn link(&mut self) -> Link<'_> {
        match self {
            Self::Postgres(tx) => Link::Postgres(tx),
            Self::Sqlite(tx, _) => Link::Sqlite(tx),
        }
    }

    /// Makes the transaction's changes durable. An error leaves it open whether they are.
    pub async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Postgres(tx) => tx.commit().await?,
            Self::Sqlite(tx, written) => {
                tx.commit().await?;
                written.iter().for_each(LastWrite::now);
            }
        }
        conflict::note_commit();
        Ok(())
    }

    /// Ends the transaction without its changes. Its locks are gone when this returns.
    pub async fn rollback(self) -> Result<(), DbError> {
        match self {
            Self::Postgres(tx) => tx.rollback().await?,
            Self::Sqlite(tx, _) => tx.rollback().await?,
        }
        Ok(())
    }
}

impl Link<'_> {
    /// Lends it on.
    pub fn link(&mut self) -> Link<'_> {
        match self {
            Self::Postgres(conn) => Link::Postgres(conn),
            Self::Sqlite(conn) => Link::Sqlite(conn),
        }
    }
}

/// Runs a query on whichever database a link leads to.
macro_rules! run {
    ($link:expr, $query:ident, $method:ident, $map:expr,
     postgres: $pg:expr, ($($pg_arg:expr),* $(,)?),
     sqlite: $lite:expr, ($($lite_arg:expr),* $(,)?) $(,)?) => {
        match $link.link() {
            $crate::db::Link::Postgres(conn) => {
                // Two columns that change places would be stored without an error.
                debug_assert_eq!($crate::db::misplaced($pg, &[$(stringify!($pg_arg)),*]), None);
                sqlx::$query($pg)$(.bind($pg_arg))*.$method(conn).await.map($map)
            }
            $crate::db::Link::Sqlite(conn) => {
                sqlx::$query($lite)$(.bind($lite_arg))*.$method(conn).await.map($map)
            }
        }
        .map_err($crate::db::DbError::from)
    };
    ($link:expr, $query:ident, $method:ident, $map:expr, $sql:expr $(, $arg:expr)* $(,)?) => {
        $crate::db::run!($link, $query, $method, $map,
            postgres: $sql, ($($arg),*), sqlite: $sql, ($($arg),*))
    };
}

/// `Ok` holds the number of rows changed.
macro_rules! execute {
    ($link:expr, $($query:tt)*) => {
        $crate::db::run!($link, query, execute, |done| done.rows_affected(), $($query)*)
    };
}

/// `Ok` holds all rows.
macro_rules! fetch_all {
    ($link:expr, $($query:tt)*) => {
        $crate::db::run!($link, query_as, fetch_all, |rows| rows, $($query)*)
    };
}

/// `Ok` holds the first row, if there is one.
macro_rules! fetch_optional {
    ($link:expr, $($query:tt)*) => {
        $crate::db::run!($link, query_as, fetch_optional, |row| row, $($query)*)
    };
}

/// `Ok` holds the first row; none is an error of ours.
macro_rules! fetch_one {
    ($link:expr, $($query:tt)*) => {
        $crate::db::run!($link, query_as, fetch_one, |row| row, $($query)*)
    };
}

/// Reads a row of either database into a type of the service. Columns are read by name, so their order in
/// a statement does not matter; a computed one needs `AS`.
macro_rules! from_row {
    ($name:ty, |$row:ident| $value:expr) => {
        $crate::db::from_row!(@ $name, sqlx::postgres::PgRow, |$row| $value);
        $crate::db::from_row!(@ $name, sqlx::sqlite::SqliteRow, |$row| $value);
    };
    (@ $name:ty, $kind:ty, |$row:ident| $value:expr) => {
        impl sqlx::FromRow<'_, $kind> for $name {
            fn from_row($row: &$kind) -> Result<Self, sqlx::Error> {
                use sqlx::Row as _;
                Ok($value)
            }
        }
    };
}

/// A struct that holds the columns of its fields' names.
macro_rules! row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $kind:ty,)*
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$field_meta])* $field: $kind,)*
        }

        $crate::db::from_row!($name, |row| Self { $($field: row.try_get(stringify!($field))?,)* });
    };
}

pub(crate) use {execute, fetch_all, fetch_one, fetch_optional, from_row, row, run};
