//! Why a socket is closed: one table for every dialect and node. A refused command is not in it: that gets
//! an error frame with a [`crate::code`], and the connection goes on.

/// Whether a client should come back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// At once, resuming where it stopped.
    Now,
    /// With growing, jittered delays.
    Backoff,
    /// Only after a person did something, such as signing in.
    Never,
}

macro_rules! closes {
    ($($(#[$meta:meta])* $name:ident = $code:literal, $retry:ident;)*) => {
        /// Every reason for which the server closes a socket. It is also the error type of a session.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
        #[strum(serialize_all = "snake_case")]
        pub enum Close {
            $($(#[$meta])* $name,)*
        }

        impl Close {
            /// Every reason, for documents and for metrics that start at zero.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The WebSocket close code.
            pub fn code(self) -> u16 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Whether the client should come back.
            pub fn retry(self) -> Retry {
                match self {
                    $(Self::$name => Retry::$retry,)*
                }
            }
        }
    };
}

closes! {
    /// The client closed first, or its connection is gone.
    #[strum(to_string = "bye")]
    ByPeer = 1000, Never;
    /// No token, or one that does not verify.
    Unauthenticated = 1008, Never;
    /// The token has expired: renew it and come back.
    TokenExpired = 1008, Now;
    /// The client did not say `hello` in time.
    HelloTimeout = 1008, Backoff;
    /// The session was signed out or revoked.
    SessionEnded = 1008, Never;
    /// The user is blocked.
    Blocked = 1008, Never;
    /// The page that opened the socket is of an origin that is not allowed.
    WrongOrigin = 1008, Never;
    /// The socket's path names a chat that does not exist.
    ChatNotFound = 1008, Never;
    /// The socket's path names a chat of which the user is not a member, or no longer.
    NotAMember = 1008, Never;
    /// The socket's path names another user than the token.
    OtherUser = 1008, Never;
    /// The client kept sending malformed, binary or too many frames, or pings without end; or the account opens
    /// connections too fast.
    Abuse = 1008, Backoff;
    /// The client broke the WebSocket protocol: its program has a bug.
    ProtocolError = 1002, Backoff;
    /// A text that is not UTF-8.
    InvalidUtf8 = 1007, Backoff;
    /// A binary frame before the client said `hello`.
    TextOnly = 1003, Backoff;
    /// A frame larger than the limit.
    FrameTooBig = 1009, Backoff;
    /// The client sent nothing for two heartbeats.
    Silent = 1001, Now;
    /// The client reads too slowly. It gets the missed events when it resumes.
    SlowConsumer = 1013, Backoff;
    /// The node is full, or the api did not answer in time.
    Overloaded = 1013, Backoff;
    /// The node is shutting down, and another one takes over.
    Restart = 1012, Now;
    /// The connection has reached the longest life of its kind.
    Renew = 1012, Now;
    /// The account opened more connections than it may have, and this was the oldest.
    // Never: coming back would close the next oldest, which would come back in its turn.
    TooManyConnections = 1008, Never;
    /// An administrator closed the connection. The session goes on.
    Disconnected = 1008, Never;
}

impl Close {
    /// The machine-readable reason in the close frame: the name in snake_case, but for the client's own close.
    pub fn reason(self) -> &'static str {
        self.into()
    }
}
