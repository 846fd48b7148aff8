//! What follows from what a statement's tree says: whose tables, and whether all chats are named.

use super::{
    classes::{Classes, Term},
    footprint::{Footprint, Reach, chat_key, is_everywhere, is_of_people},
    reader::{Outputs, PAIR, Source, StatementReader},
};
use std::collections::BTreeSet;

impl StatementReader {
    fn tie(&mut self, id: usize, columns: &[String], outputs: &Outputs) {
        for (place, (name, node)) in outputs.columns.iter().enumerate() {
            let name = columns.get(place).or(name.as_ref());
            if let (Some(name), Some(node)) = (name, node) {
                self.equal.push((Term::Column(id, name.clone()), node.clone()));
            }
        }
        // `*` keeps the names.
        for inner in &outputs.all_of {
            for key in ["id", "chat_id"] {
                let is_key = match &self.relations[*inner].source {
                    Source::Named(table) => chat_key(table) == Some(key),
                    Source::Query(_) | Source::List => true,
                };
                if is_key {
                    let node = |id: usize| Term::Column(id, key.to_owned());
                    self.equal.push((node(id), node(*inner)));
                }
            }
        }
    }

    /// What the statements touch that it has visited.
    pub fn finish(mut self) -> Result<Footprint, String> {
        for relation in self.relations.clone() {
            match &relation.source {
                Source::Named(name) => {
                    if let Some(query) = self.named.get(name) {
                        let outputs = self.outputs.get(query).cloned().unwrap_or_default();
                        self.tie(relation.id, &relation.columns, &outputs);
                    } else if is_of_people(name) {
                        self.found.people.insert(name.clone());
                    } else if chat_key(name).is_some() {
                        self.found.chats.insert(name.clone());
                    } else if !is_everywhere(name) {
                        self.unknown.push(format!("nobody has said whose the table {name} is"));
                    }
                }
                Source::Query(query) => {
                    let outputs = self.outputs.get(query).cloned().unwrap_or_default();
                    self.tie(relation.id, &relation.columns, &outputs);
                }
                Source::List => {}
            }
        }
        for (id, columns, query) in std::mem::take(&mut self.inserted) {
            let outputs = self.outputs.get(&query).cloned().unwrap_or_default();
            self.tie(id, &columns, &outputs);
        }
        for (row, query) in std::mem::take(&mut self.within) {
            let outputs = self.outputs.get(&query).cloned().unwrap_or_default();
            for (node, (_, inner)) in row.into_iter().zip(outputs.columns) {
                self.equal.extend(node.zip(inner));
            }
        }
        if !self.unknown.is_empty() {
            return Err(self.unknown.join("; "));
        }
        self.found.reach = self.reach();
        Ok(self.found)
    }

    /// What the key of a pair says of the chat's id.
    fn bucket(&self, one: &Term, other: &Term) -> Option<(Term, Term)> {
        let (id, given) = match (one, other) {
            (Term::Column(id, column), given) | (given, Term::Column(id, column))
                if column == PAIR =>
            {
                (*id, given)
            }
            _ => return None,
        };
        let of = match given {
            Term::Value(name) => Term::Value(format!("bucket of {name}")),
            Term::List(name) => Term::List(format!("buckets of {name}")),
            Term::Column(list, _) if matches!(self.relations[*list].source, Source::List) => {
                Term::List(format!("buckets of list {list}"))
            }
            Term::Column(..) => return None,
        };
        Some((Term::Column(id, "id".to_owned()), of))
    }

    fn reach(&mut self) -> Reach {
        let pairs: Vec<(Term, Term)> =
            self.equal.iter().filter_map(|(one, other)| self.bucket(one, other)).collect();
        self.equal.extend(pairs);
        let mut classes = Classes::default();
        for (one, other) in &self.equal {
            classes.join(one, other);
        }
        let mut reach = if self.calls { Reach::List } else { Reach::Nothing };
        let mut unbound = BTreeSet::new();
        for relation in &self.relations {
            let Source::Named(table) = &relation.source else { continue };
            let Some(key) = chat_key(table).filter(|_| !self.named.contains_key(table)) else {
                continue;
            };
            let class = classes.of(&Term::Column(relation.id, key.to_owned()));
            let mut values = Vec::new();
            let mut list = false;
            for node in classes.members(class) {
                match node {
                    Term::Value(name) => values.push(name),
                    Term::List(_) => list = true,
                    Term::Column(id, _) => {
                        list |= matches!(self.relations[id].source, Source::List)
                    }
                }
            }
            let one = if !values.is_empty() {
                Reach::One
            } else if list {
                Reach::List
            } else {
                unbound.insert(class);
                Reach::EachShard
            };
            self.found.names.extend(values);
            reach = reach.max(one);
        }
        if unbound.len() > 1 { Reach::Across } else { reach }
    }
}
