//! The reasons for which the api refuses a request or fails it: each has a stable name for programs and
//! a sentence for people. It knows no HTTP: the status of each is in [`crate::http::problem`].

/// Why a request has no result. Clients compare the names: one that was published stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Code {
    AdminOnly,
    BadRequest,
    Banned,
    BearerOnly,
    Blocked,
    BlockedByRecipient,
    BlocklistFull,
    BodyTooLarge,
    Busy,
    CannotBanYourself,
    CannotBlockYourself,
    ChatNotFound,
    ClientMessageIdReused,
    DemoRefused,
    EmailTaken,
    GroupFull,
    GuestsOff,
    Internal,
    InvalidCredentials,
    InvalidRefreshToken,
    InvalidToken,
    InvalidUsername,
    LastAdmin,
    Lobby,
    MalformedJson,
    MemberNotFound,
    MessageNotFound,
    MethodNotAllowed,
    NotAMember,
    NotARoom,
    NotFound,
    NotTheOwner,
    NotYours,
    OtherUser,
    PrivateChat,
    PrivateChatExists,
    RateLimited,
    RecipientBlocked,
    RecipientIsYourself,
    RecipientNotFound,
    SessionEnded,
    SessionNotFound,
    Timeout,
    TokenExpired,
    TooManyBans,
    TooManyChats,
    TooManyInvitations,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
    UserNotFound,
    UsernameTaken,
    ValidationFailed,
    WrongOrigin,
    WrongPassword,
}

impl Code {
    /// The name that clients see.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the service failed, rather than refused: the same request may succeed later.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Busy | Self::Internal | Self::Timeout | Self::Unavailable)
    }

    /// What a person is told where nothing more exact is known: what is wrong, and what to do.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::AdminOnly => "Only administrators may do this.",
            Self::BadRequest => "The request could not be read.",
            Self::Banned => "You are banned from this room.",
            Self::BearerOnly => {
                "As a GET this takes no session cookie: send a Bearer token, or POST."
            }
            Self::Blocked => "This account is blocked.",
            Self::BlockedByRecipient => "This user does not want to hear from you.",
            Self::BlocklistFull => "You block too many people. Take one off the list first.",
            Self::BodyTooLarge => "The body is too large.",
            Self::CannotBanYourself => "You cannot ban yourself. Leave the room instead.",
            Self::CannotBlockYourself => "You cannot block yourself.",
            Self::ChatNotFound => "There is no such chat.",
            Self::ClientMessageIdReused => "This client message id was used for another text.",
            Self::DemoRefused => "The demo data cannot be made.",
            Self::EmailTaken => "Email already registered",
            Self::GroupFull => "The group has no room for more members.",
            Self::GuestsOff => "Sign in first: there is no guest access here.",
            Self::Internal => "Something went wrong on our side.",
            Self::InvalidCredentials => "Invalid credentials",
            Self::InvalidRefreshToken => "The refresh token is not valid. Sign in again.",
            Self::InvalidToken => "The access token is not valid.",
            Self::InvalidUsername => "This is not a username.",
            Self::LastAdmin => "This is the last administrator: make another one first.",
            Self::Lobby => "The lobby belongs to everybody: it cannot be renamed or deleted.",
            Self::MalformedJson => "The body is not JSON.",
            Self::MemberNotFound => "This user is not a member of the chat.",
            Self::MessageNotFound => "There is no such message.",
            Self::MethodNotAllowed => "This path does not take this method.",
            Self::NotAMember => "You are not a member of this chat.",
            Self::NotARoom => {
                "Only rooms have bans: nobody enters a group or private chat uninvited."
            }
            Self::NotFound => "There is nothing at this path.",
            Self::NotTheOwner => "Only the chat's owner may do that.",
            Self::NotYours => "This message is not yours.",
            Self::OtherUser => "A conversation is for its two users and for administrators.",
            Self::PrivateChat => {
                "A private chat keeps its two members and takes its name from them."
            }
            Self::PrivateChatExists => "You already have a private chat with this user.",
            Self::RateLimited => "Too many requests. Wait and try again.",
            Self::RecipientBlocked => "This user is blocked.",
            Self::RecipientIsYourself => "You cannot send messages to yourself.",
            Self::RecipientNotFound => "There is no such user.",
            Self::SessionEnded => "This session has ended. Sign in again.",
            Self::SessionNotFound => "You have no such session.",
            Self::TokenExpired => "The access token has expired. Renew it.",
            Self::TooManyBans => "The room has too many bans. Lift some first.",
            Self::TooManyChats => "There are too many chats.",
            Self::TooManyInvitations => "There are too many invitations to answer first.",
            Self::Unauthenticated => "Sign in first: no access token came with this request.",
            Self::Busy | Self::Timeout | Self::Unavailable => {
                "The service cannot answer right now. Try again in a moment."
            }
            Self::UnsupportedMediaType => "Send the body as application/json.",
            Self::UserNotFound => "User not found",
            Self::UsernameTaken => "Username already registered",
            Self::ValidationFailed => "The request breaks a rule.",
            Self::WrongOrigin => "This page may not act with your session cookie.",
            Self::WrongPassword => "The present password is wrong.",
        }
    }
}
