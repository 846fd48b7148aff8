//! What texts, names and passwords from clients may be. Pure rules, for the api, which decides, and for the
//! gateway and the canary, which spare it what would be refused anyway.

use crate::internal::{MAX_CLIENT_ID_BYTES, MAX_TEXT_CHARS, Peer, Refusal, RefusalCode};

/// Longest username, in characters.
pub const MAX_USERNAME: usize = 32;

/// Shortest password, in characters (NIST SP 800-63B, 5.1.1.1).
const MIN_PASSWORD: usize = 8;
/// Longest password, in characters: every passphrase, and no megabytes to hash.
pub const MAX_PASSWORD: usize = 128;

/// 8 to 128 characters of any kind.
pub fn password(text: &str) -> Result<(), &'static str> {
    if (MIN_PASSWORD..=MAX_PASSWORD).contains(&text.chars().count()) {
        Ok(())
    } else {
        Err("must have 8 to 128 characters")
    }
}

/// A message's text: stored as given, or refused.
pub fn check_text(text: &str) -> Result<(), Refusal> {
    let refused = |message: String| Err(Refusal { code: RefusalCode::InvalidText, message });
    if text.trim().is_empty() {
        return refused("The text is empty.".to_owned());
    }
    if is_longer(text, MAX_TEXT_CHARS) {
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

/// A name that somebody without an account chooses.
pub fn check_guest_name(name: &str) -> Result<(), Refusal> {
    username(name).map_err(|why| Refusal {
        code: RefusalCode::InvalidUsername,
        message: format!("The username {why}."),
    })
}

/// A person as a client names it: nobody has a name that no account can have.
pub fn check_peer(peer: &Peer) -> Result<(), Refusal> {
    match peer {
        Peer::Username(name) if username(name).is_err() => Err(no_such_user()),
        Peer::Username(_) | Peer::Id(_) => Ok(()),
    }
}

/// The refusal of a message to nobody.
pub fn no_such_user() -> Refusal {
    let message = "There is no such user.".to_owned();
    Refusal { code: RefusalCode::RecipientNotFound, message }
}

/// 1 to 32 characters, none of them invisible or a control character, spaces only inside and no
/// other white space, no `@` (so that a name is never mistaken for an email).
pub fn username(text: &str) -> Result<(), &'static str> {
    visible(text, MAX_USERNAME, "must have 1 to 32 characters")?;
    if text.contains('@') { Err("must not contain @") } else { Ok(()) }
}

/// 1 to `most` characters, as for usernames; `length` is what is wrong when it has another number.
pub fn visible(text: &str, most: usize, length: &'static str) -> Result<(), &'static str> {
    if text.is_empty() || is_longer(text, most) {
        Err(length)
    } else if text.trim() != text {
        Err("must not begin or end with white space")
    } else if text.chars().any(|c| is_unseen(c) || (c.is_whitespace() && c != ' ')) {
        Err("must not contain control or invisible characters")
    } else {
        Ok(())
    }
}

/// Control characters and those that make two names look alike or reorder the text around them:
/// zero-width, bidirectional controls, tags.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a text has more than `most` characters.
pub fn is_longer(text: &str, most: usize) -> bool {
    // Bytes first: a character has at most four, and counting a huge text is work for nothing.
    text.len() > 4 * most || text.chars().count() > most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::UserId;

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
    fn usernames() {
        for good in ["a", "Алиса", "ann smith", "x.y-z_1", "名前", &"é".repeat(32)] {
            assert_eq!(username(good), Ok(()), "{good:?}");
        }
        let long = "é".repeat(33);
        let bad = [
            "",
            " ",
            " a",
            "a ",
            "a\tb",
            "a\nb",
            "a\0",
            "a\u{7f}",
            "a\u{200b}b",
            "a\u{202e}b",
            "a\u{3000}b",
            "a@b",
            "\u{feff}a",
            &long,
        ];
        for bad in bad {
            assert!(username(bad).is_err(), "{bad:?}");
            assert_eq!(check_guest_name(bad).unwrap_err().code, RefusalCode::InvalidUsername);
            let peer = Peer::Username(bad.to_owned());
            assert_eq!(check_peer(&peer), Err(no_such_user()), "{bad:?}");
        }
        assert_eq!(check_peer(&Peer::Id(UserId(-1))), Ok(()), "for the api to say");
    }
}
