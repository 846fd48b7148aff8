//! The command line of this process, as a report shows it: without secrets, and quoted for a shell.

use std::env;

/// The flags whose values nobody may see.
const SECRET: [&str; 2] = ["--admin-password", "--agent-secret"];

pub(super) fn command_line() -> String {
    shown(env::args_os().map(|argument| argument.to_string_lossy().into_owned()))
}

fn shown(arguments: impl Iterator<Item = String>) -> String {
    let mut hide = false;
    let words = arguments.enumerate().map(|(place, argument)| {
        if std::mem::replace(&mut hide, SECRET.contains(&argument.as_str())) {
            return "****".to_owned();
        }
        match argument.split_once('=') {
            Some((flag, _)) if SECRET.contains(&flag) => format!("{flag}=****"),
            // Where the program lies on that machine is of no interest.
            _ if place == 0 => argument.rsplit('/').next().unwrap_or_default().to_owned(),
            _ => quoted(&argument),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_repeated_and_tells_no_secret() {
        let line = "/opt/bin/loadtest run mine.toml --url https://chat.example --admin-password s3cret \
                    --agent-secret=s3cret2 --threshold ack.p99<50ms --admin-password-file it's";
        assert_eq!(
            shown(line.split_whitespace().map(str::to_owned)),
            "loadtest run mine.toml --url https://chat.example --admin-password **** \
             --agent-secret=**** --threshold 'ack.p99<50ms' --admin-password-file 'it'\\''s'"
        );
    }
}
