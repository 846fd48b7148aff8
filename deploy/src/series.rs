//! What is known of the series that a Prometheus of ours can hold. Which ones there are stands in
//! [`crate::registry`].

use std::collections::BTreeMap;

/// What is known of a series: its labels, and the values of each where they are known before anything
/// happened. Of a part of an expression it says what the result may carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// The values of each label; `None` where they are not known.
    pub labels: BTreeMap<String, Option<Vec<String>>>,
    /// Whether it only grows; nothing for what others made, or was computed.
    pub counts: Option<bool>,
}

/// Everything that an expression may ask for, by the whole name of the series, `_bucket` and the like included.
pub type KnownSeries = BTreeMap<String, Series>;

impl Series {
    /// What either may carry.
    pub fn or(&self, other: &Self) -> Self {
        let mut labels = self.labels.clone();
        for (name, values) in &other.labels {
            let both = match (labels.get(name), values) {
                (None, values) => values.clone(),
                (Some(Some(one)), Some(two)) => {
                    let new = two.iter().filter(|value| !one.contains(value));
                    Some(one.iter().chain(new).cloned().collect())
                }
                (Some(_), _) => None,
            };
            labels.insert(name.clone(), both);
        }
        let counts = if labels.is_empty() { None } else { self.counts.or(other.counts) };
        Self { labels, counts }
    }

    /// These labels, of which there may be more names than labels.
    pub fn only(&self, names: &[String]) -> Self {
        let mut labels = self.labels.clone();
        labels.retain(|name, _| names.contains(name));
        Self { labels, counts: self.counts }
    }

    /// All but these.
    pub fn without(&self, names: &[String]) -> Self {
        let mut labels = self.labels.clone();
        labels.retain(|name, _| !names.contains(name));
        Self { labels, counts: self.counts }
    }

    /// With a label more, of unknown values.
    pub fn with(mut self, name: &str) -> Self {
        self.labels.insert(name.to_owned(), None);
        self
    }
}
