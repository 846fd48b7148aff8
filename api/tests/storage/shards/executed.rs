//! What a database was asked, from the log of its server: each statement of the api with its values, by the
//! transactions that it was asked in. The tests' own statements, and the migrations, stand in another form.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Seek as _, SeekFrom},
    path::PathBuf,
};

/// A place in a server's log, and the database whose part is meant.
#[derive(Clone, Debug)]
pub struct LogMark {
    pub file: PathBuf,
    pub offset: u64,
    pub database: String,
}

/// One statement that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// In one line.
    pub sql: String,
    /// By their names, such as `$1`.
    pub values: HashMap<String, String>,
}

impl LogMark {
    /// The transactions that were committed since, and statements by themselves as transactions of one.
    pub fn committed(&self) -> Vec<Vec<Executed>> {
        let mut file = File::open(&self.file).unwrap();
        file.seek(SeekFrom::Start(self.offset)).unwrap();
        let mut sessions: HashMap<String, LoggedSession> = HashMap::new();
        let mut committed = Vec::new();
        for entry in entries(BufReader::new(file)) {
            let Some((session, database, kind, text)) = parts(&entry) else { continue };
            if database != self.database {
                continue;
            }
            let session = sessions.entry(session.to_owned()).or_default();
            if kind == "DETAIL" {
                if let (Some(values), Some(last)) =
                    (text.strip_prefix("parameters: "), session.last_of(&mut committed))
                {
                    last.values = self::values(values);
                }
            } else if let Some(text) = text.strip_prefix("statement: ") {
                session.on_simple(text, &mut committed);
            } else if let Some((_, sql)) =
                text.strip_prefix("execute ").and_then(|text| text.split_once(": "))
            {
                let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
                session.on_statement(Executed { sql, values: HashMap::new() }, &mut committed);
            }
        }
        committed
    }
}

#[derive(Default)]
struct LoggedSession {
    open: Option<Vec<Executed>>,
}

impl LoggedSession {
    fn on_simple(&mut self, text: &str, committed: &mut Vec<Vec<Executed>>) {
        if text.starts_with("BEGIN") {
            self.open = Some(Vec::new());
        } else if text.starts_with("COMMIT") {
            committed.extend(self.open.take());
        } else if text.starts_with("ROLLBACK") {
            self.open = None;
        }
    }

    fn on_statement(&mut self, executed: Executed, committed: &mut Vec<Vec<Executed>>) {
        match &mut self.open {
            Some(open) => open.push(executed),
            None => committed.push(vec![executed]),
        }
    }

    /// What its values belong to, which stand in the next entry.
    fn last_of<'a>(&'a mut self, committed: &'a mut [Vec<Executed>]) -> Option<&'a mut Executed> {
        match &mut self.open {
            Some(open) => open.last_mut(),
            None => committed.last_mut()?.last_mut(),
        }
    }
}

/// A line, and those after it that begin with a tab.
fn entries(log: impl std::io::BufRead) -> impl Iterator<Item = String> {
    let mut lines = log.lines().map_while(Result::ok).peekable();
    std::iter::from_fn(move || {
        let mut entry = lines.next()?;
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            entry.push('\n');
            entry.push_str(&more[1..]);
        }
        Some(entry)
    })
}

/// `time [session] database KIND:  text`.
fn parts(entry: &str) -> Option<(&str, &str, &str, &str)> {
    let (_, rest) = entry.split_once('[')?;
    let (session, rest) = rest.split_once("] ")?;
    let (database, rest) = rest.split_once(' ')?;
    let (kind, text) = rest.split_once(":  ")?;
    Some((session, database, kind, text))
}

/// `$1 = 'it''s', $2 = NULL`.
fn values(text: &str) -> HashMap<String, String> {
    let mut values = HashMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once(" = ") {
        let name = name.trim_start_matches(", ").to_owned();
        let Some(mut quoted) = after.strip_prefix('\'') else {
            rest = after.split_once(", ").map_or("", |(_, rest)| rest);
            continue;
        };
        let mut value = String::new();
        loop {
            let Some((piece, after)) = quoted.split_once('\'') else { return values };
            value.push_str(piece);
            quoted = after;
            match quoted.strip_prefix('\'') {
                Some(after) => {
                    value.push('\'');
                    quoted = after;
                }
                None => break,
            }
        }
        values.insert(name, value);
        rest = quoted;
    }
    values
}

#[test]
fn values_are_read_with_their_quotes() {
    let values = values("$1 = 'it''s, $9 = ''', $2 = NULL, $3 = '{1,2}'");
    assert_eq!(values["$1"], "it's, $9 = '");
    assert_eq!(values["$3"], "{1,2}");
    assert_eq!(values.len(), 2);
}
