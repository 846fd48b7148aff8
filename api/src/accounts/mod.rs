//! Accounts: who exists, how they prove it, and their sessions. No HTTP in here; addresses come in
//! only as keys of limits.

pub mod active;
pub mod admin;
pub mod block;
pub mod ended;
pub mod input;
pub mod limits;
pub mod login;
pub mod password;
pub mod profile;
pub mod refresh;
pub mod register;
pub mod sessions;
pub mod user;

pub use self::{ended::Ended, sessions::SignedIn, user::User};

/// Names the metrics of the accounts and starts them at zero. Once per process, after the recorder
/// is installed.
pub(crate) fn describe_metrics() {
    use shared::relay::EndReason::{Blocked, PasswordChanged, SignedOut, TokenReuse};
    metrics::describe_counter!("registrations_total", "Accounts made by registering");
    metrics::counter!("registrations_total").absolute(0);
    metrics::describe_counter!(
        "logins_total",
        "Attempts to sign in that reached the password check"
    );
    for result in ["ok", "wrong", "blocked"] {
        metrics::counter!("logins_total", "result" => result).absolute(0);
    }
    metrics::describe_counter!(
        "sessions_ended_total",
        "Sessions ended before their time, by reason"
    );
    for reason in [SignedOut, Blocked, TokenReuse, PasswordChanged] {
        metrics::counter!("sessions_ended_total", "reason" => ended::reason_text(reason))
            .absolute(0);
    }
    metrics::describe_gauge!("ended_sessions", "Sessions that ended lately, held in memory");
}
