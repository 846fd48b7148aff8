//! What the names of chats may contain. Pure. The rules of messages are in [`shared::text`].

use shared::{
    problem::Problem,
    text::{is_longer, is_unseen},
};

/// Longest name of a chat, in characters: what a list shows in two lines.
pub const MAX_NAME_CHARS: usize = 100;

/// The name of a group or room, without the spaces around it.
pub fn check_name(name: &str) -> Result<&str, Problem> {
    let name = name.trim();
    if name.is_empty() {
        return Err(Problem::field("name", "must not be empty"));
    }
    if is_longer(name, MAX_NAME_CHARS) {
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
    fn names() {
        assert_eq!(check_name("  Команда проекта ").unwrap(), "Команда проекта");
        assert!(check_name("family 👨\u{200d}👩\u{200d}👧").is_ok());
        for name in ["", "  ", "a\nb", "\u{1b}[31m", "a\u{202e}b", &"x".repeat(MAX_NAME_CHARS + 1)]
        {
            assert_eq!(check_name(name).unwrap_err().status.as_u16(), 422, "{name:?}");
        }
    }
}
