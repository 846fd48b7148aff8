//! What usernames, emails, display names, avatars and passwords may look like. The rules are pure; only the
//! database knows whether a name is free.

use crate::error::{Error, InvalidField, Result};
pub use platform::text::{MAX_PASSWORD, MAX_USERNAME, is_unseen, password, username};
use platform::text::{check_shown, is_longer};

/// Longest display name, in characters.
pub const MAX_NAME: usize = 64;
/// Longest email address, in bytes (RFC 5321, 4.5.3.1.3).
pub(crate) const MAX_EMAIL: usize = 254;
/// Longest avatar URL, in bytes.
pub(crate) const MAX_AVATAR: usize = 512;

/// Collects what is wrong with a request, so that the client hears of all of it at once.
#[derive(Debug, Default)]
pub struct Check(Vec<InvalidField>);

impl Check {
    /// Notes the reason when there is one.
    pub fn field(&mut self, field: &str, verdict: Result<(), &'static str>) -> &mut Self {
        if let Err(message) = verdict {
            self.0.push(InvalidField { field: field.to_owned(), message: message.to_owned() });
        }
        self
    }

    /// What was found to be good; the reason is noted when it was not.
    pub fn take<T>(&mut self, field: &str, verdict: Result<T, &'static str>) -> Option<T> {
        let (good, verdict) = match verdict {
            Ok(good) => (Some(good), Ok(())),
            Err(why) => (None, Err(why)),
        };
        self.field(field, verdict);
        good
    }

    /// `validation_failed` with everything noted, or nothing.
    pub fn finish(&mut self) -> Result<()> {
        let fields = std::mem::take(&mut self.0);
        let Some(first) = fields.first() else { return Ok(()) };
        let error = Error::field(&first.field, first.message.clone());
        Err(Error { fields, ..error })
    }
}

/// 1 to 64 characters that a reader sees.
pub fn name(text: &str) -> Result<(), &'static str> {
    check_shown(text, MAX_NAME, "must have 1 to 64 characters")
}

/// `local@domain` where the domain has a dot. Light on purpose: only mail that arrives proves an
/// address.
pub fn email(text: &str) -> Result<(), &'static str> {
    const BAD: &str = "is not an email address";
    if text.len() > MAX_EMAIL {
        return Err("is too long for an email address");
    }
    let (local, domain) = text.rsplit_once('@').ok_or(BAD)?;
    let unfit =
        |c: char| is_unseen(c) || c.is_whitespace() || matches!(c, '@' | '<' | '>' | '"' | ',');
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| (c.is_alphanumeric() && !is_unseen(c)) || c == '-')
    };
    let good = !local.is_empty()
        && local.len() <= 64
        && !local.contains(unfit)
        && domain.contains('.')
        && domain.split('.').all(label);
    if good { Ok(()) } else { Err(BAD) }
}

/// Empty, or an `http` or `https` URL.
pub fn avatar(text: &str) -> Result<(), &'static str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let unfit = |c: char| is_unseen(c) || c.is_whitespace() || matches!(c, '"' | '<' | '>' | '\\');
    let good = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if text.is_empty() || (text.len() <= MAX_AVATAR && good && !text.contains(unfit)) {
        Ok(())
    } else {
        Err("must be empty or an http(s) URL of at most 512 bytes")
    }
}

/// The keys under which the account that a text names may stand. A name from before names were prepared
/// stands under what was written, and that one comes first.
pub(crate) fn username_keys(text: &str) -> [String; 2] {
    [key(text), username(text).map_or_else(|_| key(text), |name| key(&name))]
}

/// The form in which usernames and emails are unique, and looked for. Of a text with a NUL, which
/// PostgreSQL takes in no question, it is another one that nobody has either.
pub fn key(text: &str) -> String {
    text.to_lowercase().replace('\0', "\u{1}")
}

/// A username made from an email's local part: what of it a username may contain, or `user`. Leaves
/// room for a number behind it.
pub fn username_from(email: &str) -> String {
    let local = email.rsplit_once('@').map_or(email, |(local, _)| local);
    let fit = |c: &char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let made: String = local.chars().filter(fit).take(MAX_USERNAME - 6).collect();
    username(&made)
        .ok()
        .filter(|made| !is_longer(made, MAX_USERNAME - 6))
        .unwrap_or_else(|| "user".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails() {
        for good in ["alice@example.com", "a.b+c@x-y.example", "ü@münchen.de", "o'neil@a.b.c"] {
            assert_eq!(email(good), Ok(()), "{good:?}");
        }
        let long = format!("a@{}.com", "b".repeat(250));
        let bad = [
            "",
            "a",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a@b.",
            "a@.b",
            "a@b..c",
            "a@-b.c",
            "a b@c.d",
            "a@b.c\n",
            "a@b@c.d",
            "<a@b.c>",
            "a\0@b.c",
            &long,
            "a\u{3164}@b.c",
            "a@b\u{3164}.c",
            "a@b\u{115f}.c",
            "\u{2800}@b.c",
        ];
        for bad in bad {
            assert!(email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn passwords_and_avatars() {
        assert_eq!(password("password123"), Ok(()));
        assert_eq!(password(&"é".repeat(128)), Ok(()));
        assert!(password("1234567").is_err() && password(&"x".repeat(129)).is_err());
        assert_eq!(password("correct\u{a0}horse 🐒"), Ok(()));
        for bad in
            ["password\n", "\u{200b}".repeat(8).as_str(), "pass\u{fe0f}word", "\u{3164}password"]
        {
            assert!(password(bad).is_err(), "{bad:?}");
        }
        assert_eq!(avatar(""), Ok(()));
        assert_eq!(avatar("https://example.com/a.png?x=1"), Ok(()));
        for bad in ["javascript:alert(1)", "https://", "http:///x", "https://a\"b", "//a.b"] {
            assert!(avatar(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn made_usernames_are_good_usernames() {
        for (email, made) in [
            ("bob@example.com", "bob"),
            ("\"!\"@x.y", "user"),
            ("d o@x.y", "do"),
            ("cafe\u{301}@x.y", "cafe"),
            ("\u{3164}@x.y", "user"),
            ("Ｂｏｂ@x.y", "Bob"),
        ] {
            assert_eq!(username_from(email), made);
        }
        let made = username_from(&format!("{}@x.y", "a".repeat(64)));
        assert!(username(&format!("{made}999999")).is_ok());
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let problem = Check::default()
            .field("username", username("").map(drop))
            .field("email", email("a@b.c"))
            .field("password", password("x"))
            .finish()
            .unwrap_err();
        let fields: Vec<_> = problem.fields.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["username", "password"]);
        assert!(Check::default().finish().is_ok());
    }
}
