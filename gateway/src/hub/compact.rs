//! Growth of the short lists of which a node holds millions. A `Vec` of its own doubles, and begins with space for
//! four items; the spare space of all lists adds up.

/// Inserts an item. A full list grows by a quarter.
pub(crate) fn insert<T>(list: &mut Vec<T>, place: usize, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 4).max(1));
    }
    list.insert(place, item);
}
