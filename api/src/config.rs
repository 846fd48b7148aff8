//! The api's numbers, each with its reason. Addresses, secrets and the like are in [`crate::settings`].

use platform::{
    limit::Rate,
    settings::{Origin, Secret, SettingInForce},
};
use protocol::limits::{MAX_BATCH, MAX_BATCH_BYTES, MAX_CALL_BYTES};
use std::{path::PathBuf, time::Duration};

/// How the api behaves. Made from the defaults and the settings, checked before anything listens.
#[derive(Debug, Clone)]
pub struct Config {
    /// Origins beside the own one whose pages may use the cookie and read answers.
    pub allowed_origins: Vec<Origin>,
    /// What gateways show to the internal listener; any of these. By default there is none: in one process
    /// nobody calls it.
    pub internal_tokens: Vec<Secret>,
    /// Largest body of a public request. The largest legitimate one is a message of 4,000 characters:
    /// 16 KiB of UTF-8, 48 KiB when every character comes as a `\u` escape pair.
    pub body_limit: usize,
    /// Largest body of an internal call: what a gateway puts into one, by [`MAX_CALL_BYTES`].
    pub internal_body_limit: usize,
    /// A request is answered `timeout` after this long. Longer than the wait for a database connection
    /// and a password permit together, shorter than what load balancers commonly wait (60 s).
    pub request_timeout: Duration,
    /// A session ends when it was not used for this long: a month away means signing in again. Who comes back
    /// sooner stays signed in without an end, as people expect of a chat: the list of devices shows every
    /// session, and a new password ends them.
    pub session_lifetime: Duration,
    /// A session cookie of this age is replaced when its page asks who is signed in, and lives for
    /// `session_lifetime` from then on. Once a day costs one write a person, and is often enough for who looks in
    /// once in four weeks.
    pub cookie_renewal: Duration,
    /// A refresh token that was exchanged within this time brings the same successor again, as long as
    /// that was not used: two tabs renewing at once, or a client repeating a request whose answer was
    /// lost, are not theft. Long enough for a phone that finds a network again, short enough that a
    /// token copied from somewhere is too old.
    pub refresh_grace: Duration,
    /// The most live sessions of one user; the one unused for longest ends when another is added.
    /// Nobody has 100 devices, and a script that signs in every minute must not fill the table.
    pub sessions_per_user: i64,
    /// How often ended sessions are read from the database: twice within the second in which a
    /// blocked user must be out.
    pub ended_poll: Duration,
    /// The most ended sessions remembered (about 60 bytes each: 12 MB). Beyond it every request asks
    /// the database, which is slow and right.
    pub ended_capacity: usize,
    /// What one account may ask of all apis together, counted in cheap reads
    /// (the table is `rest/costs.rs`): 50 changes a second and 200 at once, as over its sockets, or 250 cheap
    /// reads, a tenth of a core. A page that opens takes about 20, and a list of all messages by name 51.
    pub requests: Rate,
    /// The same for all people of one network who show no account: twice as much, so that a school that
    /// comes back at once may renew and sign in. Those are limited by themselves, below.
    pub requests_without_account: Rate,
    /// Attempts to sign in from one address: an office or school behind one router signs in at
    /// nine in the morning; 120 more each minute is far below what the password hash costs us.
    pub login_per_address: Rate,
    /// Attempts to sign in to one account from one address, or by one device that has signed in to it
    /// before. 100 in a row is the most NIST SP 800-63B allows; then one every 5 s, 17,000 a day, is
    /// hopeless against even a poor password. A script that signs in anew for each run fits into it.
    pub login_per_account_and_address: Rate,
    /// Attempts to sign in to one account, from anywhere, by devices that never have: more than one
    /// address has, so that one stranger cannot use that up. Whoever does, with many addresses, keeps new
    /// devices out, and no others.
    pub login_per_account: Rate,
    /// Codes for one account's second step. Three of a million are right at a time, so that who knows the password
    /// comes in with one chance in a thousand a day; it keeps out nobody who does not know it.
    pub codes_per_account: Rate,
    /// New accounts from one address: a class room at once, then one a second.
    pub register_per_address: Rate,
    /// Links by mail that one network asks for: a class that begins together, and not a flood into other people's
    /// mailboxes.
    pub mail_per_address: Rate,
    /// Mails to one address, whoever asks for them: after five at once, one every ten minutes. Nobody needs more,
    /// and nobody shall be woken by them.
    pub mail_per_recipient: Rate,
    /// Uses of links from one network. A link cannot be guessed; this bounds the work that trying makes.
    pub links_per_address: Rate,
    /// Renewals from one address. They cost two queries; a reconnecting office renews at once.
    pub refresh_per_address: Rate,
    /// How clients reach this deployment, for links in mails. Without it no mail is sent, because a host that a
    /// request names may be made up.
    pub public_url: Option<Origin>,
    /// How mail is sent.
    pub mail: MailConfig,
    /// How pictures of people are taken and kept.
    pub avatars: AvatarConfig,
    /// Password hashing.
    pub passwords: PasswordConfig,
    /// How the calls of `post` share transactions.
    pub posts: PostQueueConfig,
    /// Chats and their members.
    pub chats: ChatLimits,
    /// Whether people without an account may read and write in the lobby.
    pub guests: bool,
    /// How long deleted and unused things are kept.
    pub retention: RetentionConfig,
    /// What the process was set to, for administrators to see. Nothing here goes by it.
    pub settings: Vec<SettingInForce>,
}

/// How calls of `post` share transactions; PostgreSQL only. One queue each for gateways' calls and for people's.
#[derive(Clone, Copy, Debug)]
pub struct PostQueueConfig {
    /// Transactions of one queue at a time. Two overlap: one commits while the other gathers. Measured with 8 and
    /// 16 gateways that send lone messages: one would take a quarter less of the database's work, and let everybody
    /// wait for each slow commit; four take two fifths more.
    pub writers: usize,
    /// The most messages in a batch of several calls: as many as a gateway puts into one.
    pub max_batch: usize,
    /// The most bytes of them: the same.
    pub max_batch_bytes: usize,
    /// The most calls that wait: a gateway has two on their way, so this is for hundreds of them. One more
    /// goes alone.
    pub max_calls: usize,
    /// The most bytes that wait.
    pub max_bytes: usize,
    /// How long a batch waits for a chat that another transaction holds, before its calls go on alone, each
    /// with its caller's patience. Longer than some commits of other batches take one after the other, as they
    /// do in a busy chat; whatever comes behind it waits as long.
    pub patience: Duration,
    /// For how long calls for a chat go alone after it was found held, and impatient ones do not wait for it after
    /// one has waited in vain. So a chat that is held for long costs the others `patience` once in that time, and
    /// does not use up the connections.
    pub apart_for: Duration,
}

impl Default for PostQueueConfig {
    fn default() -> Self {
        Self {
            writers: 2,
            max_batch: MAX_BATCH,
            max_batch_bytes: MAX_BATCH_BYTES,
            max_calls: 1_000,
            max_bytes: 32 << 20,
            patience: Duration::from_millis(50),
            apart_for: Duration::from_secs(1),
        }
    }
}

/// How large chats may grow.
#[derive(Clone, Debug)]
pub struct ChatLimits {
    /// Members of a group: each gets every event, and a join is told to all the others.
    pub group_members: i64,
    /// Most members that one request may name.
    pub members_per_request: usize,
    /// Chats of one user. Opening a connection sorts them all: 10,000 take PostgreSQL about 10 ms.
    pub chats_per_user: i64,
    /// New chats of one user: a script that sets up a team at once, not one that fills the table.
    pub creation: Rate,
    /// Strangers whom one user invites to groups and rooms: a class or a club at once, not everybody there is.
    pub invitation: Rate,
    /// Invitations of one user to another that wait for an answer: who has not answered 20 does not want
    /// the next one.
    pub invitations_by_one: i64,
    /// Invitations of one user that wait for an answer, whoever they are from: as many as a connection
    /// holds live, so that nobody has to look for one.
    pub invitations: i64,
    /// People whom one user has blocked.
    pub blocklist: i64,
    /// Most users that one room bans at a time.
    pub bans: i64,
}

impl Default for ChatLimits {
    fn default() -> Self {
        Self {
            group_members: 10_000,
            members_per_request: 200,
            chats_per_user: 10_000,
            creation: Rate { per: Duration::from_secs(1), burst: 300 },
            invitation: Rate { per: Duration::from_secs(5), burst: 400 },
            invitations_by_one: 20,
            invitations: 200,
            blocklist: 1_000,
            bans: 10_000,
        }
    }
}

/// How long stays what is over, and how gently it goes.
#[derive(Debug, Clone)]
pub struct RetentionConfig {
    /// A deleted chat's messages, for whoever has to look into abuse. `None`: for ever. A day at least:
    /// gateways that were away are told of the deletion by the chat's row.
    pub deleted_chats: Option<Duration>,
    /// Guests who never wrote, from when they last came. `None`: for ever. Two days at least: a guest's
    /// window may be open for one.
    pub guests: Option<Duration>,
    /// How often an api looks whether something is to be done, and tells how far behind that is.
    pub look_every: Duration,
    /// Rows in one step: some milliseconds of a database, some tens where they lie on disk.
    pub step_rows: i64,
    /// How many times as long as a step takes the database rests after it, over all apis: at 19 the
    /// steps are a twentieth of one connection's time, and still 100,000 rows a minute and more.
    pub rest: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let days = |days: u64| Some(Duration::from_secs(days * 24 * 60 * 60));
        Self {
            deleted_chats: days(30),
            guests: days(30),
            look_every: Duration::from_secs(30),
            step_rows: 500,
            rest: 19,
        }
    }
}

/// Where mail is handed in, and in whose name.
#[derive(Clone, Debug)]
pub struct MailServer {
    /// `smtps://user:password@host`, or `smtp://host:port`.
    pub url: Secret,
    /// The sender, `Name <address>` or the address alone.
    pub from: String,
}

/// How mail is sent: a bounded number of letters, each tried again for a while.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// Where it is handed in. `None`: no mail is sent, and who asks for some is told.
    pub server: Option<MailServer>,
    /// Letters on their way, some KiB each: what ten connections send in a minute or two. Who comes then is told to
    /// come back.
    pub letters: usize,
    /// Connections to the server at once; many servers allow ten of one client.
    pub connections: usize,
    /// How long the server may take to take a letter, from the connection on. It may check the address meanwhile.
    pub timeout: Duration,
    /// How long after a failure a letter is tried again. Who waits for it gives up after half an hour; servers that
    /// put strangers off take them after five minutes.
    pub retry_after: [Duration; 4],
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            server: None,
            letters: 1_000,
            connections: 10,
            timeout: Duration::from_secs(30),
            retry_after: [5, 60, 300, 900].map(Duration::from_secs),
        }
    }
}

/// Where pictures of people are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AvatarStore {
    /// A folder that all apis see; made if it is missing.
    Folder(PathBuf),
    /// A bucket of a server that speaks S3.
    Bucket(AvatarBucket),
}

/// A bucket, and how to get in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvatarBucket {
    /// The bucket.
    pub name: String,
    /// In front of every picture's name; may be empty.
    pub prefix: String,
    /// `None`: Amazon's.
    pub endpoint: Option<String>,
    /// `None`: the environment's, or `us-east-1`.
    pub region: Option<String>,
    /// `None`: the credentials of the machine or the pod.
    pub key: Option<BucketKey>,
}

/// An access key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketKey {
    /// Its name.
    pub id: String,
    /// What signs the requests.
    pub secret: Secret,
}

/// How pictures of people are taken, drawn and kept.
#[derive(Clone, Debug)]
pub struct AvatarConfig {
    /// Where they are kept. `None`: nobody can upload one, and who tries is told.
    pub store: Option<AvatarStore>,
    /// Largest upload: a photograph of 12 megapixels as a phone stores it.
    pub max_bytes: usize,
    /// Most pixels of an upload, 12.6 million (4096 × 3072): as many as most phones' cameras have. A decoder takes up to
    /// 9 bytes for each, 113 MB.
    pub max_pixels: u32,
    /// Uploads in hand at once, each with its bytes: 20 MiB. Who comes then is told to come back.
    pub uploads: usize,
    /// Of these, pictures drawn at once: a tenth of a second of one core each, and the memory above.
    pub drawn_at_once: usize,
    /// Uploads of one account: some tries in a row, then one every 10 s. So one account cannot hold the places.
    pub per_account: Rate,
    /// Requests to the store at once. A bucket answers in some 20 ms, so this is 3,000 pictures a second, and browsers
    /// keep each for good.
    pub requests: usize,
    /// How long one try of a request may take.
    pub timeout: Duration,
    /// How many more tries a request has.
    pub retries: usize,
    /// The first pause between two tries; the next ones are longer.
    pub retry_after: Duration,
    /// How long a request may wait for its place and take with all of its tries. Less than
    /// [`Config::request_timeout`].
    pub patience: Duration,
}

impl Default for AvatarConfig {
    fn default() -> Self {
        Self {
            store: None,
            max_bytes: 5 << 20,
            max_pixels: 4096 * 3072,
            uploads: 4,
            drawn_at_once: 1,
            per_account: Rate { per: Duration::from_secs(10), burst: 6 },
            requests: 64,
            timeout: Duration::from_secs(3),
            retries: 2,
            retry_after: Duration::from_millis(100),
            patience: Duration::from_secs(8),
        }
    }
}

/// How many passwords are hashed at once, and for how long others wait.
#[derive(Debug, Clone)]
pub struct PasswordConfig {
    /// Hashes at once, 19 MiB and about 15 ms of one core each. `None`: one fewer than there are
    /// cores, at least one, so that signing in never takes the whole machine.
    pub permits: Option<usize>,
    /// How long a request waits for its turn before it is told to come back: about 200 hashes a
    /// core, and still a tolerable wait in front of a sign-in form. Of one network two at most are
    /// hashed or next, so one that has 200 waiting delays nobody else by more than these two.
    pub wait: Duration,
}

impl Default for PasswordConfig {
    fn default() -> Self {
        Self { permits: None, wait: Duration::from_secs(3) }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            internal_tokens: Vec::new(),
            body_limit: 64 * 1024,
            internal_body_limit: MAX_CALL_BYTES,
            request_timeout: Duration::from_secs(20),
            session_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
            cookie_renewal: Duration::from_secs(24 * 60 * 60),
            refresh_grace: Duration::from_secs(60),
            sessions_per_user: 100,
            ended_poll: Duration::from_millis(500),
            ended_capacity: 200_000,
            requests: Rate { per: Duration::from_millis(4), burst: 1_000 },
            requests_without_account: Rate { per: Duration::from_millis(2), burst: 2_000 },
            login_per_address: Rate { per: Duration::from_millis(500), burst: 600 },
            login_per_account_and_address: Rate { per: Duration::from_secs(5), burst: 100 },
            login_per_account: Rate { per: Duration::from_secs(1), burst: 500 },
            codes_per_account: Rate { per: Duration::from_secs(300), burst: 10 },
            register_per_address: Rate { per: Duration::from_secs(1), burst: 300 },
            mail_per_address: Rate { per: Duration::from_secs(10), burst: 60 },
            mail_per_recipient: Rate { per: Duration::from_secs(600), burst: 5 },
            links_per_address: Rate { per: Duration::from_secs(1), burst: 60 },
            refresh_per_address: Rate { per: Duration::from_millis(100), burst: 1_000 },
            public_url: None,
            mail: MailConfig::default(),
            avatars: AvatarConfig::default(),
            passwords: PasswordConfig::default(),
            posts: PostQueueConfig::default(),
            chats: ChatLimits::default(),
            guests: false,
            retention: RetentionConfig::default(),
            settings: Vec::new(),
        }
    }
}
