//! Why something is refused: one table for sockets, REST and the documents of both. A refusal is an answer, and the
//! connection goes on. The reasons that end a socket are in [`crate::close`].

use crate::close::Retry;
use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($name:ident = $status:literal, $retry:ident, $sentence:literal;)*) => {
        /// A stable reason for a refusal. Its snake_case spelling is the `code` that clients see and compare, so
        /// a published code never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
        #[serde(rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        pub enum Code {
            $(#[doc = $sentence] $name,)*
            /// A reason that only a newer node knows. The message explains it to people.
            #[serde(other)]
            #[strum(to_string = "refused")]
            Unknown,
        }

        impl Code {
            /// Every code that this version sends, for documents.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The HTTP status of a REST answer with this code.
            pub fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                    Self::Unknown => 400,
                }
            }

            /// Whether the same request may succeed later.
            pub fn retry(self) -> Retry {
                match self {
                    $(Self::$name => Retry::$retry,)*
                    Self::Unknown => Retry::Never,
                }
            }

            /// The message for people if there is none more exact: what is wrong, and what to do.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)*
                    Self::Unknown => "The request was refused.",
                }
            }
        }
    };
}

codes! {
    // The request or frame is wrong, or comes at the wrong time.
    AlreadyGreeted = 400, Never, "This connection has said hello.";
    BadRequest = 400, Never, "The request could not be read.";
    BlocklistFull = 400, Never, "You block too many people. Take one off the list first.";
    CannotBanYourself = 400, Never, "You cannot ban yourself. Leave the room instead.";
    CannotBlockYourself = 400, Never, "You cannot block yourself.";
    ClientMessageIdReused = 400, Never, "This client message id was used for another text.";
    EmailTaken = 400, Never, "Email already registered";
    GroupFull = 400, Never, "The group has no room for more members.";
    HelloRequired = 400, Never, "Say hello first.";
    InvalidFrame = 400, Never, "This frame is not valid.";
    InvalidId = 400, Never, "A frame's id has 1 to 64 bytes.";
    InvalidLink = 400, Never, "This link was used already or is too old. Ask for a new one.";
    InvalidUsername = 400, Never, "This is not a username.";
    Malformed = 400, Never, "A frame is a JSON object with a type.";
    MalformedJson = 400, Never, "The body is not JSON.";
    NotARoom = 400, Never, "Only rooms have bans: nobody enters a group or private chat uninvited.";
    PrivateChat = 400, Never, "A private chat keeps its two members and takes its name from them.";
    PrivateChatExists = 400, Never, "You already have a private chat with this user.";
    RecipientIsYourself = 400, Never, "You cannot send messages to yourself.";
    RoomMismatch = 400, Never, "The frame names another chat than the path.";
    TextOnly = 400, Never, "Frames are JSON text.";
    TooManyBans = 400, Never, "The room has too many bans. Lift some first.";
    TooManyChats = 400, Never, "There are too many chats.";
    TooManyInvitations = 400, Never, "There are too many invitations to answer first.";
    UnknownType = 400, Never, "There is no frame of this type.";
    UsernameTaken = 400, Never, "Username already registered";
    WrongPassword = 400, Never, "The present password is wrong.";
    WrongCode = 400, Never, "This code is wrong or was used already. Try the next one.";
    // Nobody is signed in, or no longer.
    BearerOnly = 401, Never, "As a GET this takes no session cookie: send a Bearer token, or POST.";
    InvalidCredentials = 401, Never, "Invalid credentials";
    InvalidRefreshToken = 401, Never, "The refresh token is not valid. Sign in again.";
    InvalidSecondStep = 401, Never, "Too much time has passed. Sign in again.";
    InvalidToken = 401, Never, "The access token is not valid.";
    OtherSession = 401, Never, "This token belongs to another session.";
    SecondStepRequired = 401, Never,
        "This account asks for a code, too. Sign in where you can enter one, such as the page of this server.";
    SessionEnded = 401, Never, "This session has ended. Sign in again.";
    TokenExpired = 401, Now, "The access token has expired. Renew it.";
    Unauthenticated = 401, Never, "Sign in first: no access token came with this request.";
    // The account may not do this.
    AdminOnly = 403, Never, "Only administrators may do this.";
    Banned = 403, Never, "You are banned from this room.";
    Blocked = 403, Never, "This account is blocked.";
    BlockedByRecipient = 403, Never, "This user does not want to hear from you.";
    GuestsOff = 403, Never, "Sign in first: there is no guest access here.";
    IdentityMismatch = 403, Never, "The frame names another user than the token.";
    Lobby = 403, Never, "The lobby belongs to everybody: it cannot be renamed or deleted.";
    NotAMember = 403, Never, "You are not a member of this chat.";
    NotTheOwner = 403, Never, "Only the chat's owner may do that.";
    NotYours = 403, Never, "This message is not yours.";
    OtherUser = 403, Never, "A conversation is for its two users and for administrators.";
    RecipientBlocked = 403, Never, "This user is blocked.";
    WrongOrigin = 403, Never, "This page may not act with your session cookie.";
    // What it is about is not there.
    AvatarNotFound = 404, Never, "There is no such picture. It was removed.";
    AvatarsOff = 404, Never,
        "This server keeps no pictures. The operator can turn them on with AVATARS_URL.";
    ChatNotFound = 404, Never, "There is no such chat.";
    MailOff = 404, Never, "This server sends no e-mail. An administrator can give you a link.";
    MemberNotFound = 404, Never, "This user is not a member of the chat.";
    MessageNotFound = 404, Never, "There is no such message.";
    NotFound = 404, Never, "There is nothing at this path.";
    RecipientNotFound = 404, Never, "There is no such user.";
    SessionNotFound = 404, Never, "You have no such session.";
    UserNotFound = 404, Never, "User not found";
    MethodNotAllowed = 405, Never, "This path does not take this method.";
    // It would leave the service in a state that may not be.
    DemoRefused = 409, Never, "The demo data cannot be made.";
    LastAdmin = 409, Never, "This is the last administrator: make another one first.";
    SecondFactorOn = 409, Never, "Two-step sign-in is on. Turn it off first.";
    BodyTooLarge = 413, Never, "The body is too large.";
    UnsupportedMediaType = 415, Never, "Send the body as application/json.";
    // A rule for a value is broken.
    InvalidClientMessageId = 422, Never,
        "A client message id has 1 to 64 bytes without control characters.";
    InvalidReplyTo = 422, Never, "The message to reply to is not in this chat.";
    InvalidText = 422, Never,
        "The text is empty, too long, or has characters that a text may not have.";
    PictureTooLarge = 422, Never,
        "The picture has too many pixels. Make it smaller, and upload it again.";
    UnreadablePicture = 422, Never,
        "This is not a picture that can be read. Upload a PNG, JPEG, WebP or GIF file.";
    ValidationFailed = 422, Never, "The request breaks a rule.";
    // There was too much at once.
    RateLimited = 429, Backoff, "Too many requests. Wait and try again.";
    // The service failed.
    Internal = 500, Backoff, "Something went wrong on our side.";
    Busy = 503, Backoff, "The service cannot answer right now. Try again in a moment.";
    Overloaded = 503, Backoff, "The node has too much to do. Send it again in a moment.";
    Timeout = 503, Backoff, "The service cannot answer right now. Try again in a moment.";
    Unavailable = 503, Backoff, "The service cannot answer right now. Try again in a moment.";
}

impl Code {
    /// The spelling that clients see.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_spelled_the_same_everywhere() {
        for code in Code::ALL {
            let json = serde_json::to_value(code).unwrap();
            assert_eq!(json, code.as_str());
            assert_eq!(serde_json::from_value::<Code>(json).unwrap(), *code);
        }
        assert_eq!(serde_json::from_str::<Code>("\"moon_is_full\"").unwrap(), Code::Unknown);
    }
}
