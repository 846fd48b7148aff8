//! The api's own metrics: every name once, with what it means.

use crate::{auth::ended::END_REASONS, retention::Chore};
use platform::metric::{Metric, Name, Values, counter, gauge, histogram};

const LISTENER: Name = ("listener", Values::These(&["public", "internal"]));
const ROUTE: Name = ("route", Values::Bounded("the path's template, or `none`"));
const METHOD: Name = ("method", Values::Bounded("the common methods, or `other`"));

/// Of an api, and of the one process.
pub const METRICS: &[Metric] = &[
    counter(
        "http_requests_total",
        &[LISTENER, METHOD, ROUTE, ("status", Values::Bounded("HTTP's statuses"))],
        "Requests by route, method and status",
    ),
    histogram(
        "http_request_duration_seconds",
        &[LISTENER, METHOD, ROUTE],
        "From the head of a request to the head of its answer",
    ),
    gauge("http_requests_in_flight", &[LISTENER], "Requests being answered"),
    counter("http_panics_total", &[], "Requests that ended in a panic: a fault of ours"),
    histogram("post_batch_size", &[], "Commands in one call of post"),
    counter(
        "commands_total",
        &[("result", Values::These(&["committed", "repeated", "refused", "busy"]))],
        "Sends, edits and deletes carried out: committed now, found committed before, refused, or left for later because somebody else holds the chat",
    ),
    counter("registrations_total", &[], "Accounts made by registering"),
    counter(
        "logins_total",
        &[("result", Values::These(&["ok", "wrong", "blocked"]))],
        "Attempts to sign in that reached the password check",
    ),
    counter(
        "sessions_ended_total",
        &[("reason", Values::From(|| END_REASONS.to_vec()))],
        "Sessions ended before their time, by reason",
    ),
    counter(
        "limit_refused_total",
        &[(
            "kind",
            Values::These(&[
                "account",
                "network",
                "login",
                "password",
                "register",
                "refresh",
                "chats",
                "invitations",
            ]),
        )],
        "Requests answered 429: of an account beyond its share, of a network's people without an account, and too many tries of one kind; invitations refused because too many wait for an answer",
    ),
    gauge("ended_sessions", &[], "Sessions that ended lately, held in memory"),
    gauge(
        "db_connections",
        &[("state", Values::These(&["idle", "used"]))],
        "Connections to the database",
    ),
    gauge("db_connections_limit", &[], "The most connections to the database at once"),
    histogram("db_wait_seconds", &[], "How long a request waited for a connection to the database"),
    counter(
        "db_errors_total",
        &[("kind", Values::From(|| crate::db::DbError::KINDS.to_vec()))],
        "Statements and connections that failed, by kind",
    ),
    counter(
        "retention_removed_total",
        &[("kind", Values::From(chores))],
        "Rows removed because their time was over, by what they were",
    ),
    counter(
        "retention_failures_total",
        &[("kind", Values::From(chores))],
        "Steps of the retention that failed",
    ),
    gauge(
        "retention_behind_seconds",
        &[("kind", Values::From(chores))],
        "How long ago nothing was left to be removed; the same from every api. Sessions are gone through once a day, the others every ten minutes",
    ),
    gauge(
        "db_schema_version",
        &[],
        "The newest migration that this process knows and found applied",
    ),
];

fn chores() -> Vec<&'static str> {
    Chore::ALL.map(Chore::name).to_vec()
}
