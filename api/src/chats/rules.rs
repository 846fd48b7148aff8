//! What the names of chats may contain. Pure. The rules of messages are in [`platform::text`].

use crate::error::{Error, Result};
use platform::text::{hides_something, is_blank, is_longer};

/// Longest name of a chat, in characters: what a list shows in two lines.
pub(crate) const MAX_NAME_CHARS: usize = 100;

/// The name of a group or room, without the spaces around it.
pub(crate) fn check_name(name: &str) -> Result<&str> {
    let name = name.trim();
    if is_blank(name) {
        return Err(Error::field("name", "must have at least one visible character"));
    }
    if is_longer(name, MAX_NAME_CHARS) {
        return Err(Error::field("name", format!("must have at most {MAX_NAME_CHARS} characters")));
    }
    if hides_something(name) {
        return Err(Error::field("name", "must not have control or invisible characters"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::code::Code;

    #[test]
    fn names() {
        assert_eq!(check_name("  Команда проекта ").unwrap(), "Команда проекта");
        for name in ["family 👨\u{200d}👩\u{200d}👧", "❤\u{fe0f}", "Rust · Help"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = "x".repeat(MAX_NAME_CHARS + 1);
        for name in [
            "",
            "  ",
            "a\nb",
            "\u{1b}[31m",
            "a\u{202e}b",
            "\u{3164}",
            "\u{2800} \u{2800}",
            "\u{200d}",
            "Team\u{fe0f}",
            "Team\u{2800}",
            &long,
        ] {
            assert_eq!(check_name(name).unwrap_err().code, Code::ValidationFailed, "{name:?}");
        }
    }
}
