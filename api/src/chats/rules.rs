//! What texts and names may contain. Pure.

use crate::accounts::input::is_unseen;
use shared::{
    internal::{MAX_CLIENT_ID_BYTES, MAX_TEXT_CHARS, Refusal, RefusalCode},
    problem::Problem,
};

/// Longest name of a chat, in characters: what a list shows in two lines.
pub const MAX_NAME_CHARS: usize = 100;

/// A message's text: stored as given, or refused.
pub fn check_text(text: &str) -> Result<(), Refusal> {
    let refused = |message: String| Err(Refusal { code: RefusalCode::InvalidText, message });
    if text.trim().is_empty() {
        return refused("The text is empty.".to_owned());
    }
    // Bytes first: a character has at most four, and counting a huge text is work for nothing.
    if text.len() > 4 * MAX_TEXT_CHARS || text.chars().count() > MAX_TEXT_CHARS {
        return refused(format!("The text is longer than {MAX_TEXT_CHARS} characters."));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return refused(
            "The text has control characters other than line ends and tabs.".to_owned(),
        );
    }
    Ok(())
}

/// A sender's idempotency key.
pub fn check_client_message_id(id: &str) -> Result<(), Refusal> {
    if id.is_empty() || id.len() > MAX_CLIENT_ID_BYTES || id.chars().any(char::is_control) {
        return Err(Refusal {
            code: RefusalCode::InvalidClientMessageId,
            message: format!(
                "The client message id must have 1 to {MAX_CLIENT_ID_BYTES} bytes and no control characters."
            ),
        });
    }
    Ok(())
}

/// The name of a group or room, without the spaces around it.
pub fn check_name(name: &str) -> Result<&str, Problem> {
    let name = name.trim();
    if name.is_empty() {
        return Err(Problem::field("name", "must not be empty"));
    }
    if name.len() > 4 * MAX_NAME_CHARS || name.chars().count() > MAX_NAME_CHARS {
        return Err(Problem::field(
            "name",
            format!("must have at most {MAX_NAME_CHARS} characters"),
        ));
    }
    // A zero-width joiner only joins emoji into one; in a username it would make two look alike.
    if name.chars().any(|c| is_unseen(c) && c != '\u{200d}') {
        return Err(Problem::field("name", "must not have control or invisible characters"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let long = "ü".repeat(MAX_TEXT_CHARS);
        for text in ["x", " two words ", "line\r\nline\ttab", "😀", &long] {
            assert_eq!(check_text(text), Ok(()), "{text}");
        }
        let longer = format!("{long}ü");
        for text in ["", " \n\t ", "\u{3000}", "a\0b", "a\u{7}", "\u{9b}x", &longer] {
            assert_eq!(check_text(text).unwrap_err().code, RefusalCode::InvalidText, "{text:?}");
        }
    }

    #[test]
    fn client_message_ids() {
        for id in ["1", "8d1f0f0e-7c1b-4f4e-9d43-0e0a5ad5d8a1", &"x".repeat(MAX_CLIENT_ID_BYTES)] {
            assert!(check_client_message_id(id).is_ok(), "{id}");
        }
        for id in ["", "a\0", "a\n", &"x".repeat(MAX_CLIENT_ID_BYTES + 1)] {
            assert!(check_client_message_id(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(check_name("  Команда проекта ").unwrap(), "Команда проекта");
        assert!(check_name("family 👨\u{200d}👩\u{200d}👧").is_ok());
        for name in ["", "  ", "a\nb", "\u{1b}[31m", "a\u{202e}b", &"x".repeat(MAX_NAME_CHARS + 1)]
        {
            assert_eq!(check_name(name).unwrap_err().status.as_u16(), 422, "{name:?}");
        }
    }
}
