//! What the `api` binary does instead of serving, and with which settings.

use crate::{
    accounts::people::{MAX_PEOPLE, Show},
    lookalikes::ADMIN,
};
use clap::Subcommand;
use platform::{
    settings::{COMMON_NEEDS, CommandNeeds},
    telemetry::LogCommand,
};
use std::path::PathBuf;

/// What the `api` binary does.
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum ApiCommand {
    /// Serve requests (the default)
    Serve,
    /// Update the database schema and exit
    Migrate,
    /// Divide the chats among the servers of DATABASE_URL and CHAT_DATABASE_URLS. Stop all apis and
    /// copy the databases first, as docs/sharding.md says. New servers are divided by themselves
    Divide,
    /// Create four users, a private chat and a group to try things out, and exit. Their password,
    /// password123, is public: never do this where others can connect. Running it again changes
    /// nothing
    Demo,
    /// Check whether an api on this machine accepts requests: exit code 0 if it does, 1 if not
    Health,
    /// Show or temporarily change the log filter of an api on this machine
    Log(LogCommand),
    /// Create the secrets of a deployment in a folder, each in a file named after its setting.
    /// Existing files are kept, so you can run it again. If FOLDER/NAME is a folder, the file is
    /// written into that folder
    Secrets {
        /// The folder; created if it does not exist
        folder: PathBuf,
    },
    /// Run this after restoring a backup and before anything starts. Clients then reload everything
    /// instead of resuming from positions in a history that no longer exists
    Restored,
    /// Manage accounts and administrators, even while apis serve the database
    #[command(subcommand)]
    Admin(AdminCommand),
}

/// What the subcommands that do not serve need.
pub const COMMAND_NEEDS: &[CommandNeeds] = &[
    COMMON_NEEDS[0],
    COMMON_NEEDS[1],
    ("secrets", &["log", "log_format"]),
    ("migrate", &["database_url", "database_password", "chat_database_urls", "log", "log_format"]),
    ("divide", &["database_url", "database_password", "chat_database_urls", "log", "log_format"]),
    (
        "demo",
        &[
            "database_url",
            "database_password",
            "chat_database_urls",
            "migrate",
            "log",
            "log_format",
        ],
    ),
    (
        "restored",
        &[
            "database_url",
            "database_password",
            "chat_database_urls",
            "migrate",
            "log",
            "log_format",
        ],
    ),
    ("admin", &["database_url", "database_password", "admin_password", "log", "log_format"]),
];

/// The administrators' commands of `api` and `switchboard`.
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// Create `admin` with ADMIN_PASSWORD, or with a random password that is printed once
    Create,
    /// List the administrators
    List,
    /// Give an account a new random password and print it once. The account's sessions end within
    /// seconds
    Password {
        /// The account
        #[arg(default_value = ADMIN)]
        username: String,
    },
    /// List accounts, or find them by any part of a name: id, username, role, whether it is blocked,
    /// when it was created and its display name, separated by tabs, the newest first
    People {
        /// A part of a username or display name, in any case [default: everybody]
        text: Option<String>,
        /// Which people
        #[arg(long, value_enum, default_value_t = Show::Accounts)]
        show: Show,
        /// Go on after the person with this id, which the last line named
        #[arg(long)]
        before: Option<i64>,
        /// The maximum number of people, at most 100
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=MAX_PEOPLE))]
        limit: i64,
    },
    /// Shut an account out: its sessions end within seconds, and it cannot sign in. The last
    /// administrator cannot be blocked
    Block {
        /// The account, or `@name` for the guest of that name
        username: String,
        /// Why, for the audit log
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let a blocked account in again. Its old sessions stay ended
    Unblock {
        /// The account, or `@name` for the guest of that name
        username: String,
        /// Why, for the audit log
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List the devices on which an account is signed in: since when, when it was last used, and
    /// what the device calls itself
    Sessions {
        /// The account
        username: String,
        /// Sign the account out everywhere instead, within seconds. The password stays
        #[arg(long)]
        end: bool,
    },
    /// Show a text at the top of the page to everybody who is connected, in place of the one before;
    /// within seconds, and to those who connect later
    Announce {
        /// One or two sentences, at most 300 characters
        text: String,
        /// Take it away after so many hours, at most 744 [default: it stays until it is withdrawn]
        #[arg(long)]
        hours: Option<u32>,
    },
    /// Take the announcement away
    Withdraw,
    /// Make an account an administrator, effective at its next sign-in
    Promote {
        /// The account
        username: String,
    },
    /// Make an administrator an ordinary user, effective at once. The last administrator cannot be
    /// demoted
    Demote {
        /// The account
        username: String,
    },
}
