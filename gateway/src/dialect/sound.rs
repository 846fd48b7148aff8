//! Checks a request's texts and names before it goes to the api, so that the api gets none that are too long. The
//! rules and the messages are those of [`platform::text`].

use super::ClientRequest;
use platform::text::{check_client_message_id, check_peer, check_text, guest_name};
use protocol::{frames::ClientFrame, refusal::Refusal};

impl ClientRequest {
    /// Refuses what the api would refuse without a look at its data.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::Frame(
                ClientFrame::Send { id, text, .. } | ClientFrame::Edit { id, text, .. },
            ) => {
                id.as_deref().map_or(Ok(()), check_client_message_id)?;
                check_text(text)
            }
            Self::Direct { to, text } => {
                check_peer(to)?;
                check_text(text)
            }
            Self::Guest { name, text } => {
                guest_name(name)?;
                text.as_deref().map_or(Ok(()), check_text)
            }
            Self::Frame(_) | Self::Nothing => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::{Speaker, Window, samples::ann};

    /// The code with which a frame is refused.
    fn code(window: Window, guest: bool, text: &str) -> Option<&'static str> {
        let ann = ann();
        let speaker = Speaker { window, user: (!guest).then_some(&ann) };
        speaker.decode(text).unwrap().check().err().map(|refusal| refusal.code.as_str())
    }

    #[test]
    fn every_text_and_every_name_is_looked_at() {
        let huge = "x".repeat(50_000);
        let send = |id: &str, text: &str| {
            format!(r#"{{"type":"send","id":"{id}","chat_id":5,"text":"{text}"}}"#)
        };
        let edit = |text: &str| {
            format!(r#"{{"type":"edit","id":"a","chat_id":5,"message_id":1,"text":"{text}"}}"#)
        };
        for (text, expected) in [
            (send("a", "hi"), None),
            (send("a", &huge), Some("invalid_text")),
            (send("a", "x\\u0007"), Some("invalid_text")),
            (send("a\\u0007", " "), Some("invalid_client_message_id")),
            (edit("hi"), None),
            (send("a", " \u{3164}\u{2800}"), Some("invalid_text")),
            (edit("\u{200b}"), Some("invalid_text")),
            (edit(""), Some("invalid_text")),
            (r#"{"type":"ping"}"#.to_owned(), None),
        ] {
            assert_eq!(code(Window::Native, false, &text), expected);
        }
        let direct =
            |to: &str, text: &str| format!(r#"{{"username_to":"{to}","message":"{text}"}}"#);
        for (text, expected) in [
            (direct("bob", "hi"), None),
            (direct(&huge, &huge), Some("recipient_not_found")),
            (direct("bob", &huge), Some("invalid_text")),
            (direct("bob", "\u{2060}"), Some("invalid_text")),
        ] {
            assert_eq!(code(Window::Names, false, &text), expected);
        }
        let said = |name: &str, text: &str| {
            format!(r#"{{"type":"chat_message","username":"{name}","message":"{text}"}}"#)
        };
        for (text, expected) in [
            (said("Zoe", "hi"), None),
            (said(&huge, "hi"), Some("invalid_username")),
            (said("Zoe", &huge), Some("invalid_text")),
            (said("Zoe", "\u{feff}"), Some("invalid_text")),
            (said("Zoe\u{2800}", "hi"), Some("invalid_username")),
        ] {
            assert_eq!(code(Window::Lobby, true, &text), expected);
        }
    }
}
