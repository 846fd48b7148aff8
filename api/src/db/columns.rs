//! Rows as parameters, by the names of their columns. A row is a struct whose fields are named as the
//! statement names its columns: PostgreSQL takes an array a column and `UNNEST`, SQLite all rows as one JSON
//! text. Lists of one column are [`super::List`]s.
//!
//! ```ignore
//! #[derive(Serialize)]
//! struct Seen { chat_id: i64, ordinal: i64 }
//!
//! execute!(
//!     tx,
//!     postgres: "… FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS r (chat_id, ordinal) …",
//!     (column!(rows, chat_id), column!(rows, ordinal)),
//!     sqlite: "… r.value ->> 'chat_id', r.value ->> 'ordinal' FROM json_each($1) r …",
//!     (json_rows(rows)),
//! )
//! ```

use serde::Serialize;

/// Rows as one parameter for SQLite: `json_each($1)` gives each row's `key` (0, 1, …), and
/// `value ->> 'name'` its columns.
pub(crate) fn json_rows<T: Serialize>(rows: &[T]) -> String {
    // Structs of numbers and texts always serialize.
    serde_json::to_string(rows).unwrap_or_default()
}

/// One column of rows, as a parameter for PostgreSQL's `UNNEST`: `column!(rows, chat_id)`.
macro_rules! column {
    ($rows:expr, $column:ident) => {
        $rows.iter().map(|row| row.$column.clone()).collect::<Vec<_>>()
    };
}
pub(crate) use column;

/// The first of these parameters, as they are written in the code, that is a [`column!`] of another name
/// than the statement gives it. PostgreSQL itself sees only arrays, of which many have one type.
pub(crate) fn misplaced<'a>(sql: &str, parameters: &[&'a str]) -> Option<&'a str> {
    let names = column_names(sql);
    (1..).zip(parameters).find_map(|(number, parameter)| {
        let column = parameter.strip_prefix("column!(")?.strip_suffix(')')?.rsplit(", ").next()?;
        let named = names.iter().any(|(of, name)| *of == number && *name == column);
        (!named).then_some(*parameter)
    })
}

/// The numbers of the parameters of each `UNNEST($1::…, $2::…) … AS r (one, two)`, with their names.
fn column_names(sql: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    for unnest in sql.split("UNNEST(").skip(1) {
        let Some((arrays, rest)) = unnest.split_once(')') else { continue };
        let Some((columns, _)) = rest.split_once('(').and_then(|(_, rest)| rest.split_once(')'))
        else {
            continue;
        };
        for (array, name) in arrays.split(',').zip(columns.split(',')) {
            let number = array.trim().trim_start_matches('$').split(':').next();
            names.extend(number.and_then(|text| text.parse().ok()).map(|of| (of, name.trim())));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "UPDATE t SET x = r.b, at = $1 FROM UNNEST($2::BIGINT[],
        $3::TEXT[]) WITH ORDINALITY AS r (a, b, place) JOIN UNNEST($4::BIGINT[]) AS s (a) ON TRUE";

    #[test]
    fn a_column_stands_where_the_statement_names_it() {
        let right = ["now", "column!(rows, a)", "column!(rows, b)", "column!(self.others, a)"];
        assert_eq!(misplaced(SQL, &right), None);
        let swapped = ["now", "column!(rows, b)", "column!(rows, a)", "column!(self.others, a)"];
        assert_eq!(misplaced(SQL, &swapped), Some("column!(rows, b)"));
        assert_eq!(misplaced(SQL, &["column!(rows, a)"]), Some("column!(rows, a)"));
        assert_eq!(misplaced("SELECT $1", &["user.0"]), None);
    }

    #[test]
    fn macros_are_written_out_as_in_the_code() {
        macro_rules! written {
            ($parameter:expr) => {
                stringify!($parameter)
            };
        }
        assert_eq!(written!(column!(rows, chat_id)), "column!(rows, chat_id)");
    }
}
