//! Why a socket is closed: one table for every dialect and node. A close is a value, and the error
//! type of a session; a refused command is an error frame instead and not in here.

/// Every reason for which the server closes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// The client closed first, or its connection is gone.
    ByPeer,
    /// No token, or one that does not verify.
    Unauthenticated,
    /// The token has expired: renew it and come back.
    TokenExpired,
    /// No `hello` in time.
    HelloTimeout,
    /// The session was signed out or revoked.
    SessionEnded,
    /// The user is blocked.
    Blocked,
    /// The page that opened the socket is not of an allowed origin.
    WrongOrigin,
    /// The socket's path names a chat that is not there.
    ChatNotFound,
    /// The socket's path names a chat that is not, or no longer, the user's.
    NotAMember,
    /// The socket's path names another user than the token.
    OtherUser,
    /// Malformed, binary or over-fast frames, again and again; pings without end; or the account opens
    /// connections too fast.
    Abuse,
    /// Bytes that are no WebSocket frame, or one where it may not be: the client's program is wrong.
    ProtocolError,
    /// A text that is not UTF-8.
    InvalidUtf8,
    /// A binary frame before anybody knew the client.
    TextOnly,
    /// A frame larger than the limit.
    FrameTooBig,
    /// Nothing was heard of the client for two heartbeats.
    Silent,
    /// The client reads too slowly; what it missed comes when it resumes.
    SlowConsumer,
    /// The node is full, or the api did not answer in time.
    Overloaded,
    /// The node is going away in order; another one takes over.
    Restart,
    /// The connection has lived as long as one may.
    Renew,
    /// The account opened more connections than it may have; this was its oldest.
    TooManyConnections,
}

/// Whether a client should come back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// At once, with what was missed resumed.
    Now,
    /// With growing, jittered delays.
    Backoff,
    /// Only after the user did something: signed in, was unblocked.
    Never,
}

impl Close {
    /// All of them, for documents and for metrics that start at zero.
    pub const ALL: [Close; 21] = [
        Self::ByPeer,
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::HelloTimeout,
        Self::SessionEnded,
        Self::Blocked,
        Self::WrongOrigin,
        Self::ChatNotFound,
        Self::NotAMember,
        Self::OtherUser,
        Self::Abuse,
        Self::ProtocolError,
        Self::InvalidUtf8,
        Self::TextOnly,
        Self::FrameTooBig,
        Self::Silent,
        Self::SlowConsumer,
        Self::Overloaded,
        Self::Restart,
        Self::Renew,
        Self::TooManyConnections,
    ];

    /// The WebSocket close code, the machine-readable reason, and whether to come back.
    pub fn row(self) -> (u16, &'static str, Retry) {
        match self {
            Self::ByPeer => (1000, "bye", Retry::Never),
            Self::Unauthenticated => (1008, "unauthenticated", Retry::Never),
            Self::TokenExpired => (1008, "token_expired", Retry::Now),
            Self::HelloTimeout => (1008, "hello_timeout", Retry::Backoff),
            Self::SessionEnded => (1008, "session_ended", Retry::Never),
            Self::Blocked => (1008, "blocked", Retry::Never),
            Self::WrongOrigin => (1008, "wrong_origin", Retry::Never),
            Self::ChatNotFound => (1008, "chat_not_found", Retry::Never),
            Self::NotAMember => (1008, "not_a_member", Retry::Never),
            Self::OtherUser => (1008, "other_user", Retry::Never),
            Self::Abuse => (1008, "abuse", Retry::Backoff),
            Self::ProtocolError => (1002, "protocol_error", Retry::Backoff),
            Self::InvalidUtf8 => (1007, "invalid_utf8", Retry::Backoff),
            Self::TextOnly => (1003, "text_only", Retry::Backoff),
            Self::FrameTooBig => (1009, "frame_too_big", Retry::Backoff),
            Self::Silent => (1001, "silent", Retry::Now),
            Self::SlowConsumer => (1013, "slow_consumer", Retry::Backoff),
            Self::Overloaded => (1013, "overloaded", Retry::Backoff),
            Self::Restart => (1012, "restart", Retry::Now),
            Self::Renew => (1012, "renew", Retry::Now),
            // Coming back would close the next oldest, which would come back in its turn.
            Self::TooManyConnections => (1008, "too_many_connections", Retry::Never),
        }
    }

    /// The WebSocket close code.
    pub fn code(self) -> u16 {
        self.row().0
    }

    /// The machine-readable reason.
    pub fn reason(self) -> &'static str {
        self.row().1
    }
}
