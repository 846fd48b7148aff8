//! Suggests the known name that a wrong one probably stands for.

/// Below this, names are too different for one to be a slip of the other (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

/// `. Did you mean x?`, or the known names when none is near.
pub(crate) fn suggestion<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let alike = |name: &&str| strsim::jaro_winkler(wrong, name);
    let nearest = known.iter().copied().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    match nearest.filter(|name| alike(name) >= ALIKE) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("there are {}", known.join(", ")),
    }
}
