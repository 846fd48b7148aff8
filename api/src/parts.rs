//! Finding names by any part of them, with `LIKE` of either database: without an index, because what would serve for
//! any part (trigrams, a table of suffixes) costs each registration and each renaming more than the searches are worth.
//! So whoever searches bounds what is walked over.

/// Patterns for a text that may stand anywhere in a name: as written, in small letters, which is for the name in small
/// letters, too, in capital letters, and with capital initials. The databases may know the cases of ASCII letters only.
pub(crate) fn patterns(part: &str) -> [String; 4] {
    let part = part.trim().replace('\0', "\u{1}");
    [part.clone(), part.to_lowercase(), part.to_uppercase(), with_initials(&part)].map(|part| {
        let escaped: String = part
            .chars()
            .flat_map(|c| [matches!(c, '%' | '_' | '\\').then_some('\\'), Some(c)])
            .flatten()
            .collect();
        format!("%{escaped}%")
    })
}

fn with_initials(part: &str) -> String {
    let mut initial = true;
    let letter = |c: char| -> String {
        let letter = match initial {
            true => c.to_uppercase().collect(),
            false => c.to_lowercase().collect(),
        };
        initial = c.is_whitespace();
        letter
    };
    part.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_looked_for_in_all_usual_cases_and_is_no_pattern_itself() {
        let expected = ["%иван БО%", "%иван бо%", "%ИВАН БО%", "%Иван Бо%"];
        assert_eq!(patterns(" иван БО "), expected);
        assert_eq!(patterns("5%_\\")[0], r"%5\%\_\\%");
        assert_eq!(patterns("")[0], "%%");
    }
}
