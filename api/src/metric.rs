//! The api's own metrics: every name once, with what it means.

use crate::{auth::ended::END_REASONS, retention::Chore};
use platform::metric::{Metric, Name, Values, counter, gauge, histogram};

const LISTENER: Name = ("listener", Values::These(&["public", "internal"]));
const ROUTE: Name = ("route", Values::Bounded("the path template, or `none`"));
const METHOD: Name = ("method", Values::Bounded("the common methods, or `other`"));

/// Of an api, and of the one process.
pub const METRICS: &[Metric] = &[
    counter(
        "http_requests_total",
        &[LISTENER, METHOD, ROUTE, ("status", Values::Bounded("the HTTP status codes"))],
        "Requests by route, method and status",
    ),
    histogram(
        "http_request_duration_seconds",
        &[LISTENER, METHOD, ROUTE],
        "Time from a request's head to its response's head",
    ),
    gauge("http_requests_in_flight", &[LISTENER], "Requests in progress"),
    counter(
        "http_panics_total",
        &[],
        "Requests that ended in a panic, which is a bug in Switchboard",
    ),
    gauge("internal_streams", &[], "Open streams of gateways"),
    counter(
        "internal_stream_waits_total",
        &[],
        "Times a gateway's stream was not read for a while because too many of its calls were unanswered",
    ),
    histogram("post_batch_size", &[], "Commands per call of post"),
    histogram(
        "post_transaction_size",
        &[],
        "Calls of post that shared a transaction. Above one when more calls come than are stored at once",
    ),
    counter(
        "post_queue_full_total",
        &[],
        "Calls of post that got a transaction of their own because too many waited to share one",
    ),
    counter(
        "post_batches_total",
        &[("way", Values::These(&["short", "both", "apart", "long"]))],
        "Batches of commands by how PostgreSQL stored them. short: by one call, as plain messages. both: that call declined, because of a message sent before, one that is not allowed or a member to be woken, say. apart: that call declined or found a chat held, and each of the callers that shared it went on alone. long: not tried, because of an edit, a deletion or the lobby",
    ),
    counter(
        "commands_total",
        &[("result", Values::These(&["committed", "repeated", "refused", "busy"]))],
        "Sends, edits and deletes processed. committed: committed now. repeated: already committed. refused: not allowed. busy: postponed because another transaction held the chat's lock",
    ),
    counter("registrations_total", &[], "Accounts created by registration"),
    counter(
        "logins_total",
        &[("result", Values::These(&["ok", "wrong", "blocked"]))],
        "Sign-in attempts that reached the password check",
    ),
    counter(
        "sessions_ended_total",
        &[("reason", Values::From(|| END_REASONS.to_vec()))],
        "Sessions ended before they expired, by reason",
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
                "mail",
                "link",
                "picture",
                "code",
                "chats",
                "invitations",
            ]),
        )],
        "Requests answered with 429, by exceeded limit. account: one account's requests. network: requests without an account from one network. invitations: too many unanswered invitations. The others count attempts of one kind",
    ),
    counter(
        "mails_total",
        &[("result", Values::These(&["sent", "retried", "refused", "given_up", "no_room"]))],
        "Letters by what became of them. retried: a try that failed, with another one to come. refused: the mail server does not take this letter. given_up: it took it at none of the tries. no_room: too many letters were on their way",
    ),
    counter(
        "avatar_uploads_total",
        &[("result", Values::These(&["stored", "unreadable", "too_large", "no_room", "failed"]))],
        "Uploads of pictures by what became of them. unreadable: not a picture, or a broken one. too_large: too many pixels. no_room: too many uploads were in hand. failed: the store did not take the picture",
    ),
    counter(
        "avatar_store_failures_total",
        &[("operation", Values::These(&["put", "get", "delete"]))],
        "Requests to the store of pictures that failed, or were not answered in time",
    ),
    gauge("ended_sessions", &[], "Recently ended sessions held in memory"),
    gauge(
        "db_connections",
        &[("state", Values::These(&["idle", "used"]))],
        "Connections to the database",
    ),
    gauge("db_connections_limit", &[], "Maximum number of connections to the database"),
    gauge(
        "chat_servers_away",
        &[],
        "Servers of CHAT_DATABASE_URLS that do not answer. The log says which",
    ),
    counter(
        "chat_server_skipped_total",
        &[],
        "Answers to gateways about what changed that lack a server of chats which did not answer. It is asked again from where it was",
    ),
    histogram("db_wait_seconds", &[], "Time that a request waited for a database connection"),
    counter(
        "db_errors_total",
        &[("kind", Values::From(|| crate::db::DbError::KINDS.to_vec()))],
        "Failed statements and connections, by kind",
    ),
    counter(
        "db_conflicts_total",
        &[("end", Values::These(&["repeated", "given_up"]))],
        "Calls whose transaction PostgreSQL ended in favor of another one, by a deadlock or a serialization failure. repeated: carried out again. given_up: refused after the last try",
    ),
    counter(
        "replica_reads_total",
        &[("result", Values::These(&["served", "behind", "failed", "unused"]))],
        "Reads of history and missed events for which a read replica was there. served: it answered. behind: it lacked something that the primary has. failed: it did not answer in time. unused: all replicas were left alone after that. All but the first were answered by the primary",
    ),
    counter(
        "retention_removed_total",
        &[("kind", Values::From(chores))],
        "Rows removed because their retention time was over, by kind",
    ),
    counter(
        "retention_failures_total",
        &[("kind", Values::From(chores))],
        "Failed steps of the retention job, by kind",
    ),
    gauge(
        "retention_behind_seconds",
        &[("kind", Values::From(chores))],
        "Time since nothing was left to remove. Every api reports the same value. The job checks sessions once a day, changes once a minute and the other kinds every ten minutes",
    ),
    gauge(
        "db_schema_version",
        &[],
        "The newest migration that is applied and known to this process",
    ),
];

fn chores() -> Vec<&'static str> {
    Chore::ALL.map(Chore::name).to_vec()
}
