//! The mistakes in a scenario, in words for its author.

use std::fmt;

/// More than these are not listed: whoever has so many looks at the first ones first.
const LISTED: usize = 30;

/// One thing that is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Keys and numbers of items, from 0, such as `phases`, `2`, `duration`. None: it is about all.
    pub path: Vec<String>,
    pub text: String,
    /// Where it was written.
    pub position: Position,
}

/// Where a value was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Position {
    #[default]
    Unknown,
    /// Both from 1; columns are characters.
    Line { line: usize, column: usize },
    /// On the command line.
    Set,
}

/// All that is wrong with a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistakes {
    /// Of the file.
    name: String,
    /// At least one.
    pub found: Vec<Mistake>,
}

impl Mistake {
    pub(crate) fn new<'a>(
        path: impl IntoIterator<Item = &'a str>,
        text: impl Into<String>,
    ) -> Self {
        let path = path.into_iter().map(str::to_owned).collect();
        Self { path, text: text.into(), position: Position::Unknown }
    }

    pub(crate) fn of_all(text: impl Into<String>) -> Self {
        Self::new([], text)
    }
}

impl Mistakes {
    /// In the order of their places.
    pub(crate) fn new(name: &str, mut found: Vec<Mistake>) -> Self {
        found.sort_by_key(|mistake| match mistake.position {
            Position::Line { line, column } => (line, column),
            Position::Unknown | Position::Set => (0, 0),
        });
        Self { name: name.to_owned(), found }
    }
}

impl fmt::Display for Mistakes {
    /// A line each, as compilers and editors write and read them: `file:line:column: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.found.iter().take(LISTED).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match mistake.position {
                Position::Unknown => write!(f, "{}: ", self.name)?,
                Position::Line { line, column } => write!(f, "{}:{line}:{column}: ", self.name)?,
                Position::Set => f.write_str("--set ")?,
            }
            if !mistake.path.is_empty() {
                write!(f, "{}: ", mistake.path.join("."))?;
            }
            f.write_str(&mistake.text)?;
        }
        match self.found.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, "\n{}: and {more} more", self.name),
        }
    }
}

impl std::error::Error for Mistakes {}
