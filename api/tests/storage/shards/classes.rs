//! What is equal to what: union-find over columns, parameters and lists.

use std::collections::HashMap;

/// Something that can be equal to something else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Term {
    Column(usize, String),
    /// A parameter or a number.
    Value(String),
    /// A list that is a parameter.
    List(String),
}

/// The classes.
#[derive(Default)]
pub struct Classes {
    numbers: HashMap<Term, usize>,
    parents: Vec<usize>,
}

impl Classes {
    /// The node's class, until two are joined.
    pub fn of(&mut self, node: &Term) -> usize {
        let mut at = match self.numbers.get(node) {
            Some(at) => *at,
            None => {
                let at = self.parents.len();
                self.numbers.insert(node.clone(), at);
                self.parents.push(at);
                at
            }
        };
        while self.parents[at] != at {
            at = self.parents[at];
        }
        at
    }

    /// Says that these are equal.
    pub fn join(&mut self, one: &Term, other: &Term) {
        let (one, other) = (self.of(one), self.of(other));
        self.parents[one] = other;
    }

    /// All that is in a class.
    pub fn members(&mut self, class: usize) -> Vec<Term> {
        let nodes: Vec<Term> = self.numbers.keys().cloned().collect();
        nodes.into_iter().filter(|node| self.of(node) == class).collect()
    }
}
