//! What the mails to people say, in the languages that they are written in. When one is sent, and to whom, is for the
//! services that use them.

use crate::mail::Letter;

/// A language that letters are written in: those of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Of whoever reads none of the others.
    #[default]
    English,
    /// Deutsch.
    German,
}

impl Language {
    /// The language that an `Accept-Language` header (RFC 9110, 12.5.4) likes best among these. Of two that it likes
    /// equally the first one; English if it names none.
    pub fn wanted(header: &str) -> Self {
        let mut best = (0.0, Self::default());
        for range in header.split(',') {
            let (tag, weight) = range.split_once(';').unwrap_or((range, ""));
            let language = match tag.trim().split('-').next().unwrap_or_default() {
                en if en.eq_ignore_ascii_case("en") => Self::English,
                de if de.eq_ignore_ascii_case("de") => Self::German,
                _ => continue,
            };
            let weight = weight.trim().strip_prefix("q=").map_or(1.0, |q| q.parse().unwrap_or(0.0));
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// With the link that shows that an address is read by who says so.
pub(crate) fn verify_email(language: Language, to: String, link: &str) -> Letter {
    let (subject, text) = match language {
        Language::English => (
            "Is this your address?",
            format!(
                "Hello,\n\nsomebody, probably you, gave this address for an account. Open this link if the account is \
                 yours:\n\n{link}\n\nThe link works once, within a day. If it was not you, do nothing: you get no \
                 other mail.\n"
            ),
        ),
        Language::German => (
            "Ist das deine Adresse?",
            format!(
                "Hallo,\n\njemand, wahrscheinlich du, hat diese Adresse für ein Konto angegeben. Öffne diesen Link, \
                 wenn es deines ist:\n\n{link}\n\nDer Link gilt einmal und einen Tag lang. Wenn du es nicht warst, \
                 musst du nichts tun: Du bekommst keine weitere Mail.\n"
            ),
        ),
    };
    Letter { to, subject: subject.to_owned(), text }
}

/// To the address that an account had before.
pub(crate) fn email_changed(language: Language, to: String) -> Letter {
    let (subject, text) = match language {
        Language::English => (
            "Your e-mail address was changed",
            "Hello,\n\nyour account has another e-mail address from now on. If it was not you, ask an \
             administrator for help.\n",
        ),
        Language::German => (
            "Deine E-Mail-Adresse wurde geändert",
            "Hallo,\n\ndein Konto hat ab jetzt eine andere E-Mail-Adresse. Wenn du das nicht warst, bitte einen \
             Administrator um Hilfe.\n",
        ),
    };
    Letter { to, subject: subject.to_owned(), text: text.to_owned() }
}

/// With the link to a new password for the account of this name.
pub(crate) fn new_password(language: Language, to: String, username: &str, link: &str) -> Letter {
    let (subject, text) = match language {
        Language::English => (
            "A new password",
            format!(
                "Hello {username},\n\nsomebody, probably you, asked for a new password for your account. Open this \
                 link to choose one:\n\n{link}\n\nThe link works once, within an hour. If it was not you, do nothing: \
                 your password stays as it is.\n"
            ),
        ),
        Language::German => (
            "Ein neues Passwort",
            format!(
                "Hallo {username},\n\njemand, wahrscheinlich du, möchte ein neues Passwort für dein Konto. Öffne \
                 diesen Link, um eines zu wählen:\n\n{link}\n\nDer Link gilt einmal und eine Stunde lang. Wenn du es \
                 nicht warst, musst du nichts tun: Dein Passwort bleibt, wie es ist.\n"
            ),
        ),
    };
    Letter { to, subject: subject.to_owned(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_that_is_liked_best_is_taken() {
        for (header, language) in [
            ("", Language::English),
            ("*", Language::English),
            ("fr, uk;q=0.9", Language::English),
            ("de", Language::German),
            ("DE-at", Language::German),
            ("fr-CH, de;q=0.8, en;q=0.7", Language::German),
            ("en, de", Language::English),
            ("en;q=0.5, de; q=0.6", Language::German),
            ("de;q=0, fr", Language::English),
            ("de;q=x, en;q=0.1", Language::English),
            ("den, deu", Language::English),
        ] {
            assert_eq!(Language::wanted(header), language, "{header}");
        }
    }
}
