//! A set of partitions.

use protocol::partition::{PARTITIONS, Partition};
use std::fmt;

const WORDS: usize = PARTITIONS as usize / 64;

/// Some of the partitions of the bus. 128 bytes, apart, so that what carries it stays small.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Partitions(Box<[u64; WORDS]>);

impl Partitions {
    /// Every partition.
    pub fn all() -> Self {
        Self(Box::new([u64::MAX; WORDS]))
    }

    /// Whether this one is among them.
    pub fn contains(&self, partition: Partition) -> bool {
        let (word, bit) = place(partition);
        self.0[word] & bit != 0
    }

    /// Adds one. `true` if it is new.
    pub fn insert(&mut self, partition: Partition) -> bool {
        let (word, bit) = place(partition);
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    /// Takes one out. `true` if it was there.
    pub fn remove(&mut self, partition: Partition) -> bool {
        let (word, bit) = place(partition);
        let was_there = self.0[word] & bit != 0;
        self.0[word] &= !bit;
        was_there
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Whether none is missing.
    pub fn is_all(&self) -> bool {
        self.0.iter().all(|word| *word == u64::MAX)
    }

    /// Them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Partition> {
        Partition::all().filter(|partition| self.contains(*partition))
    }
}

fn place(partition: Partition) -> (usize, u64) {
    let number = usize::from(partition.number());
    (number / 64, 1 << (number % 64))
}

impl Extend<Partition> for Partitions {
    fn extend<T: IntoIterator<Item = Partition>>(&mut self, partitions: T) {
        partitions.into_iter().for_each(|partition| {
            self.insert(partition);
        });
    }
}

impl FromIterator<Partition> for Partitions {
    fn from_iter<T: IntoIterator<Item = Partition>>(partitions: T) -> Self {
        let mut set = Self::default();
        set.extend(partitions);
        set
    }
}

impl fmt::Debug for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            0..=8 => f.debug_set().entries(self.iter().map(Partition::number)).finish(),
            len => write!(f, "{{{len} partitions}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_it_was_given() {
        let [first, last] = [0, PARTITIONS - 1].map(|number| Partition::new(number).unwrap());
        let mut set = Partitions::default();
        assert!(set.is_empty() && set.insert(last) && !set.insert(last) && set.insert(first));
        assert_eq!((set.len(), format!("{set:?}")), (2, "{0, 1023}".to_owned()));
        assert!(set.iter().eq([first, last]));
        assert!(set.remove(first) && !set.remove(first) && !set.contains(first));
        assert!(Partitions::all().is_all() && !set.is_all());
        assert_eq!(Partition::all().collect::<Partitions>(), Partitions::all());
    }
}
