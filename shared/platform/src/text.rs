//! The rules for texts, names and passwords from clients, and the preparation of names. Pure rules: the api
//! decides by them, and the gateway and the canary spare it calls that it would refuse. Only the api's
//! database knows whether a name is free.

use icu_normalizer::ComposingNormalizer;
use icu_properties::{
    CodePointMapData, CodePointSetData, CodePointSetDataBorrowed,
    props::{DefaultIgnorableCodePoint, Emoji, GeneralCategory},
};
use protocol::{
    calls::Peer,
    code::Code,
    limits::{MAX_CLIENT_ID_BYTES, MAX_TEXT_CHARS},
    refusal::Refusal,
};

/// Longest username, in characters, as it is written and as it is kept.
pub const MAX_USERNAME: usize = 32;

/// Shortest password, in characters (NIST SP 800-63B, 5.1.1.1).
const MIN_PASSWORD: usize = 8;
/// Longest password, in characters: every passphrase, and no megabytes to hash.
pub const MAX_PASSWORD: usize = 128;

/// What has no ink of its own by Unicode's own word: fillers, joiners, variation selectors, zero-width
/// spaces, bidirectional controls, tags.
const IGNORABLE: CodePointSetDataBorrowed<'static> =
    CodePointSetData::new::<DefaultIgnorableCodePoint>();
const EMOJI: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<Emoji>();

/// 8 to 128 characters, all of them fit.
pub fn password(text: &str) -> Result<(), &'static str> {
    if !(MIN_PASSWORD..=MAX_PASSWORD).contains(&text.chars().count()) {
        Err("must have 8 to 128 characters")
    } else if !text.chars().all(is_fit) {
        Err("must not contain control, invisible, unassigned or private characters")
    } else {
        Ok(())
    }
}

/// A message's text: stored as given, or refused.
pub fn check_text(text: &str) -> Result<(), Refusal> {
    let refused = |message: &str| Err(Refusal::new(Code::InvalidText, message));
    if is_blank(text) {
        return refused("The text shows nothing.");
    }
    if is_longer(text, MAX_TEXT_CHARS) {
        return refused(&format!("The text is longer than {MAX_TEXT_CHARS} characters."));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return refused("The text has control characters other than line ends and tabs.");
    }
    Ok(())
}

/// A sender's idempotency key.
pub fn check_client_message_id(id: &str) -> Result<(), Refusal> {
    if id.is_empty() || id.len() > MAX_CLIENT_ID_BYTES || id.chars().any(char::is_control) {
        return Err(Refusal::new(
            Code::InvalidClientMessageId,
            format!(
                "The client message id must have 1 to {MAX_CLIENT_ID_BYTES} bytes and no control characters."
            ),
        ));
    }
    Ok(())
}

/// A name that somebody without an account chooses, as it is kept.
pub fn guest_name(name: &str) -> Result<String, Refusal> {
    username(name)
        .map_err(|why| Refusal::new(Code::InvalidUsername, format!("The username {why}.")))
}

/// A person as a client names it.
pub fn check_peer(peer: &Peer) -> Result<(), Refusal> {
    match peer {
        Peer::Username(name) if is_nobodys(name) => Err(Code::RecipientNotFound.into()),
        Peer::Username(_) | Peer::Id(_) => Ok(()),
    }
}

/// Whether no user can have this name. Other names than may be chosen now are there from before.
pub fn is_nobodys(name: &str) -> bool {
    let unfit = |c: char| c.is_control() || c == '@';
    name.is_empty() || is_longer(name, MAX_USERNAME) || name.contains(unfit)
}

/// The username that a text means, as it is kept and shown: prepared by the profile for names that people
/// read (RFC 8266, 2.3: NFKC, single spaces), so that one name has one spelling. 1 to 32 characters, all of
/// them fit, and no `@` (so that a name is never mistaken for an email).
pub fn username(text: &str) -> Result<String, &'static str> {
    const LENGTH: &str = "must have 1 to 32 characters";
    check_shown(text, MAX_USERNAME, LENGTH)?;
    // Here none, not even those that join emoji: without them two names look the same.
    if text.chars().any(is_unseen) {
        return Err(UNSEEN);
    }
    let composed = ComposingNormalizer::new_nfkc().normalize(text);
    let name = composed.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() || is_longer(&name, MAX_USERNAME) {
        Err(LENGTH)
    } else if !name.chars().all(is_fit) {
        Err("must not contain unassigned or private characters")
    } else if name.contains('@') {
        Err("must not contain @")
    } else {
        Ok(name)
    }
}

/// Whether a text is this user's name, in whatever case and spelling: names are unique without them.
pub fn is_name_of(text: &str, username: &str) -> bool {
    if text == username {
        return true;
    }
    let key = username.to_lowercase();
    let is_key = |name: &str| name.to_lowercase() == key;
    is_key(text) || self::username(text).is_ok_and(|name| is_key(&name))
}

const UNSEEN: &str = "must not contain control or invisible characters";

/// A name for people to read, which need not be unique and is kept as it is written: 1 to `most`
/// characters, no white space at its ends, and none that a reader does not see but those within emoji.
/// `length` is what is wrong when it has another number of characters.
pub fn check_shown(text: &str, most: usize, length: &'static str) -> Result<(), &'static str> {
    if text.is_empty() || is_longer(text, most) {
        Err(length)
    } else if text.trim() != text {
        Err("must not begin or end with white space")
    } else if hides_something(text) {
        Err(UNSEEN)
    } else {
        Ok(())
    }
}

/// Whether a text has characters that a reader does not see, other than those that say how the emoji
/// before them is drawn or join it to the next one.
pub fn hides_something(text: &str) -> bool {
    let mut behind_emoji = false;
    text.chars().any(|c| match c {
        '\u{fe0e}' | '\u{fe0f}' | '\u{200d}' if behind_emoji => false,
        c if is_unseen(c) => true,
        c => {
            behind_emoji = EMOJI.contains(c);
            false
        }
    })
}

/// Whether nobody sees anything of a text.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| is_unseen(c) || c.is_whitespace())
}

/// Whether nobody sees a character, other than a space: controls, default-ignorable code points, line
/// and paragraph separators, and the few more without ink, of which no property tells: the annotation
/// marks, the blank Braille pattern and the null notehead.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || IGNORABLE.contains(c)
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{2800}' | '\u{1d159}')
}

/// Whether a character may be in what tells people apart, a username or a password (RFC 8264, 4.3): somebody sees
/// it, and every machine knows it.
pub fn is_fit(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    !is_unseen(c) && !matches!(category, GeneralCategory::Unassigned | GeneralCategory::PrivateUse)
}

/// Whether a text has more than `most` characters.
pub fn is_longer(text: &str, most: usize) -> bool {
    // Bytes first: a character has at most four, and counting a huge text is work for nothing.
    text.len() > 4 * most || text.chars().count() > most
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::UserId;

    #[test]
    fn texts() {
        let long = "ü".repeat(MAX_TEXT_CHARS);
        for text in ["x", " two words ", "line\r\nline\ttab", "😀", &long] {
            assert_eq!(check_text(text), Ok(()), "{text}");
        }
        let longer = format!("{long}ü");
        for text in ["", " \n\t ", "\u{3000}", "a\0b", "a\u{7}", "\u{9b}x", &longer] {
            assert_eq!(check_text(text).unwrap_err().code, Code::InvalidText, "{text:?}");
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

    /// Of each kind of character that shows nothing, and of the ways in which it enters a name.
    const INVISIBLE: [char; 16] = [
        '\0',
        '\u{7f}',
        '\u{ad}',
        '\u{34f}',
        '\u{115f}',
        '\u{1160}',
        '\u{17b4}',
        '\u{180b}',
        '\u{200b}',
        '\u{202e}',
        '\u{2028}',
        '\u{2060}',
        '\u{2800}',
        '\u{3164}',
        '\u{ffa0}',
        '\u{e0041}',
    ];

    #[test]
    fn nothing_is_said_by_what_nobody_sees() {
        for c in INVISIBLE {
            for text in [format!("{c}"), format!(" {c}\n{c} ")] {
                assert_eq!(check_text(&text).unwrap_err().code, Code::InvalidText, "{c:?}");
            }
            for name in [format!("{c}"), format!("anna{c}"), format!("{c}anna"), format!("an{c}na")]
            {
                assert!(username(&name).is_err(), "{name:?}");
                assert!(check_shown(&name, 64, "").is_err(), "{name:?}");
            }
        }
        // Braille has its blank as a space, and emoji are joined.
        for text in ["⠓⠑⠇⠇⠕⠀⠺⠕⠗⠇⠙", "❤\u{fe0f}", "👨\u{200d}👩\u{200d}👧"]
        {
            assert_eq!(check_text(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn usernames_are_kept_in_one_spelling() {
        for good in [
            "a",
            "Алиса",
            "ann smith",
            "x.y-z_1",
            "名前",
            "O’Neil",
            "★",
            "😀",
            "يوسف",
            &"é".repeat(32),
        ] {
            assert_eq!(username(good).as_deref(), Ok(good));
        }
        for (written, kept) in [
            ("ann  smith", "ann smith"),
            ("ann\u{a0}smith", "ann smith"),
            ("ann\u{3000}smith", "ann smith"),
            ("cafe\u{301}", "caf\u{e9}"),
            ("Ａｎｎ", "Ann"),
            ("ﬁona", "fiona"),
        ] {
            assert_eq!(username(written).as_deref(), Ok(kept));
            assert!(is_name_of(&written.to_uppercase(), kept), "{written}");
        }
        assert!(is_name_of("ann\u{2800}", "Ann\u{2800}"), "a name from before");
        assert!(!is_name_of("anna", "ann") && !is_name_of("ann\u{200b}", "ann"));
        let (long, grows) = ("é".repeat(33), "\u{fdfa}".repeat(2));
        for bad in [
            "",
            " ",
            " a",
            "a ",
            "a\u{3000}",
            "a\tb",
            "a\nb",
            "a@b",
            "a＠b",
            "❤\u{fe0f}",
            "a\u{200d}b",
            "\u{e000}",
            "\u{ffff}",
            &long,
            &grows,
        ] {
            assert!(username(bad).is_err(), "{bad:?}");
            assert_eq!(guest_name(bad).unwrap_err().code, Code::InvalidUsername);
        }
    }

    #[test]
    fn names_for_people_keep_their_emoji() {
        for good in [
            "x",
            "Команда проекта",
            "family 👨\u{200d}👩\u{200d}👧",
            "❤\u{fe0f}\u{200d}🔥",
            "Rust · Help",
            "½ …",
            "1\u{fe0f}\u{20e3}",
        ] {
            assert_eq!(check_shown(good, 64, ""), Ok(()), "{good}");
        }
        for bad in [
            "\u{fe0f}",
            "\u{200d}👩",
            "a\u{200d}b",
            "a\u{fe0f}",
            " a",
            "a ",
            "a\nb",
            "a\u{202e}b",
            "",
            "xxxxx",
        ] {
            assert!(check_shown(bad, 4, "").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_nobody_has() {
        for name in ["", "a@b", "a\nb", &"x".repeat(MAX_USERNAME + 1)] {
            assert_eq!(
                check_peer(&Peer::Username(name.to_owned())),
                Err(Code::RecipientNotFound.into())
            );
        }
        for peer in [Peer::Id(UserId(-1)), Peer::Username("anna\u{2800}".to_owned())] {
            assert_eq!(check_peer(&peer), Ok(()), "for the api to say");
        }
    }

    proptest::proptest! {
        /// Whatever is written, preparing ends; and what it makes stays as it is.
        #[test]
        fn prepared_names_stay(text in "\\PC{0,40}|.{0,40}") {
            if let Ok(name) = username(&text) {
                proptest::prop_assert_eq!(username(&name), Ok(name.clone()), "{:?}", name);
                proptest::prop_assert!(is_name_of(&text, &name));
            }
        }
    }
}
