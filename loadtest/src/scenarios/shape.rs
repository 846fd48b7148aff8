//! Checks that a file has the right keys with the right kinds of values. It reports every mistake, whereas
//! serde stops at the first.

use super::{
    keys::{Key, KeyType, SCENARIO},
    mistakes::Mistake,
};
use crate::{duration, suggest::suggestion};
use toml::{Table, Value};

/// What passes can be deserialised.
pub(super) fn check(table: &Table) -> Result<(), Vec<Mistake>> {
    let mut mistakes = ShapeChecker { path: Vec::new(), found: Vec::new() };
    mistakes.table(table, SCENARIO);
    if mistakes.found.is_empty() { Ok(()) } else { Err(mistakes.found) }
}

struct ShapeChecker {
    path: Vec<String>,
    found: Vec<Mistake>,
}

impl ShapeChecker {
    fn note(&mut self, text: String) {
        self.found.push(Mistake::new(self.path.iter().map(String::as_str), text));
    }

    fn within(&mut self, name: impl Into<String>, look: impl FnOnce(&mut Self)) {
        self.path.push(name.into());
        look(self);
        self.path.pop();
    }

    fn table(&mut self, table: &Table, keys: &[Key]) {
        for (name, value) in table {
            self.within(name, |this| match keys.iter().find(|key| key.name == name) {
                Some(key) => this.value(value, &key.kind),
                None => {
                    let known = keys.iter().map(|key| key.name);
                    this.note(format!("unknown key; {}", suggestion(name, known)));
                }
            });
        }
        let missing = |key: &&Key| key.required && !table.contains_key(key.name);
        for key in keys.iter().filter(missing) {
            self.note(format!("{} is missing: {}", key.name, key.kind.example()));
        }
    }

    fn value(&mut self, value: &Value, kind: &KeyType) {
        match (kind, value) {
            (KeyType::Table(keys), Value::Table(table)) => self.table(table, keys),
            (KeyType::Tables(keys), Value::Array(items)) => {
                self.items(items, &KeyType::Table(keys))
            }
            (KeyType::Texts, Value::Array(items)) => self.items(items, &KeyType::Text),
            (KeyType::Rate, Value::Table(table)) => self.table(table, RAMP),
            (KeyType::Bytes, Value::Table(table)) => self.table(table, RANGE),
            _ if fits(value, kind) => {}
            _ => {
                let found = excerpt(value);
                self.note(format!("{found} does not fit; write {}", kind.example()));
            }
        }
    }

    fn items(&mut self, items: &[Value], kind: &KeyType) {
        for (index, item) in items.iter().enumerate() {
            self.within(index.to_string(), |this| this.value(item, kind));
        }
    }
}

const RAMP: &[Key] = &[
    Key { name: "from", kind: KeyType::Number, required: true },
    Key { name: "to", kind: KeyType::Number, required: true },
];

const RANGE: &[Key] = &[
    Key { name: "min", kind: KeyType::Whole, required: true },
    Key { name: "max", kind: KeyType::Whole, required: true },
];

/// Whether a value that is no table or list is what a key takes.
fn fits(value: &Value, kind: &KeyType) -> bool {
    match (kind, value) {
        (KeyType::Text, Value::String(_)) | (KeyType::Flag, Value::Boolean(_)) => true,
        (KeyType::OneOf(names), Value::String(text)) => names.contains(&text.as_str()),
        (KeyType::Duration, Value::String(text)) => duration::parse(text).is_some(),
        (KeyType::Whole | KeyType::Bytes, Value::Integer(number)) => *number >= 0,
        (KeyType::Number | KeyType::Rate, Value::Integer(_)) => true,
        (KeyType::Number | KeyType::Rate, Value::Float(number)) => number.is_finite(),
        _ => false,
    }
}

/// A value as it was written, or what it is when that would be long.
fn excerpt(value: &Value) -> String {
    match value {
        Value::Table(_) => "a table".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => format!("{text:.40?}"),
        other => other.to_string(),
    }
}
