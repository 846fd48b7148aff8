//! Lists in settings. The items have types of their own.

use std::{fmt, slice, str::FromStr, vec};

/// Values separated by commas. Spaces around them and a comma at the end mean nothing. A setting is a
/// `Vec` of these, so that its flag may also be given more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommaSeparated<T>(Vec<T>);

impl<T: FromStr<Err: fmt::Display>> FromStr for CommaSeparated<T> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let read = |part: &str| part.parse::<T>().map_err(|why| format!("{part:?}: {why}"));
        parts.map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl<T> IntoIterator for CommaSeparated<T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a CommaSeparated<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_separated_by_commas() {
        let read = |text: &str| text.parse::<CommaSeparated<u8>>().map(|list| list.0);
        for text in ["1,2", "1, 2", " 1 ,2, ", "1,,2"] {
            assert_eq!(read(text), Ok(vec![1, 2]), "{text:?}");
        }
        assert_eq!(read(" "), Ok(vec![]));
        for text in ["1,x", "1;2", "1 2"] {
            assert!(read(text).unwrap_err().starts_with('"'), "{text:?}");
        }
    }
}
