//! The checks of single values that a scenario's head and its phases share.

use super::mistakes::Mistake;

/// Above it a run is many agents' and its cast does not fit one file any more.
pub(super) const MAX_CONNECTIONS: usize = 1_000_000;
/// Names become parts of file names, metrics and thresholds.
const MAX_NAME: usize = 64;

/// Of letters, digits, `-` and `_`.
pub(super) fn name(found: &mut Vec<Mistake>, path: &[&str], name: &str) {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_good) {
        let why = format!("a name must have 1 to {MAX_NAME} letters, digits, - or _");
        found.push(Mistake::new(path.iter().copied(), why));
    }
}

/// Of a whole.
pub(super) fn share(found: &mut Vec<Mistake>, path: &[&str], share: f64) {
    if !(0.0..=1.0).contains(&share) {
        let why = format!("{share} is not a share; write 0 to 1");
        found.push(Mistake::new(path.iter().copied(), why));
    }
}

pub(super) fn between(
    found: &mut Vec<Mistake>,
    path: &[&str],
    what: &str,
    number: usize,
    least: usize,
    most: usize,
) {
    if !(least..=most).contains(&number) {
        let why = format!("{number} {what}: write {least} to {most}");
        found.push(Mistake::new(path.iter().copied(), why));
    }
}
