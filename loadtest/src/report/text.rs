//! Figures as people read them, and texts that are safe in HTML, XML and scripts.

use std::fmt::{self, Write as _};

/// What a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FigureUnit {
    Millis,
    PerSecond,
    Plain,
    /// CPU seconds per second.
    Cores,
    Bytes,
}

impl FigureUnit {
    /// A figure with its unit, short.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::Millis => millis(value),
            Self::PerSecond => format!("{}/s", number(value)),
            Self::Plain => number(value),
            Self::Cores if value > 0.0 && value < 0.001 => "< 0.001".to_owned(),
            Self::Cores if value < 0.1 => decimals(value, 3),
            Self::Cores => decimals(value, 2),
            Self::Bytes => bytes(value),
        }
    }

    /// A label of an axis that goes up to `most` in steps: the labels of one axis have one unit, and
    /// as many decimals as tell them apart.
    pub(crate) fn label(self, value: f64, step: f64, most: f64) -> String {
        let places = (-step.log10()).ceil().clamp(0.0, 9.0) as usize;
        match self {
            Self::Bytes => {
                let (each, unit) = byte_unit(most);
                format!("{} {unit}", number(value / each))
            }
            Self::Cores => decimals(value, places),
            Self::Plain if places > 2 => decimals(value, places),
            Self::PerSecond if places > 2 => format!("{}/s", decimals(value, places)),
            Self::Millis | Self::Plain | Self::PerSecond => self.text(value),
        }
    }

    /// Its name in the page's script, which formats in the same way.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Millis => "ms",
            Self::PerSecond => "rate",
            Self::Plain => "plain",
            Self::Cores => "cores",
            Self::Bytes => "bytes",
        }
    }
}

/// Milliseconds, in seconds where that is shorter, with two significant digits or more: latencies are
/// known to 1 %.
pub(crate) fn millis(value: f64) -> String {
    match value {
        value if value >= 10_000.0 => format!("{} s", decimals(value / 1e3, 1)),
        value if value >= 1000.0 => format!("{} s", decimals(value / 1e3, 2)),
        value if value >= 10.0 => format!("{value:.0} ms"),
        value if value >= 1.0 => format!("{} ms", decimals(value, 1)),
        value => format!("{} ms", decimals(value, 2)),
    }
}

/// A number with its thousands apart; with a fraction only when it is small.
pub(crate) fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        return decimals(value, 2);
    }
    if value.abs() < 100.0 {
        return decimals(value, 1);
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count, whole.
pub(crate) fn count(value: u64) -> String {
    number(value as f64)
}

fn bytes(value: f64) -> String {
    let (each, unit) = byte_unit(value);
    format!("{} {unit}", number(value / each))
}

/// What so many bytes are counted in, and its name.
pub(crate) fn byte_unit(value: f64) -> (f64, &'static str) {
    const KIB: f64 = 1024.0;
    match value {
        value if value >= KIB * KIB * KIB => (KIB * KIB * KIB, "GiB"),
        value if value >= KIB * KIB => (KIB * KIB, "MiB"),
        _ => (KIB, "KiB"),
    }
}

/// With at most so many decimals, and none that is nothing.
pub(crate) fn decimals(value: f64, most: usize) -> String {
    let text = format!("{value:.most$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    // A sum of nothing is -0.
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A moment of the run: `20 s`, `1:20`, `2:05:00`.
pub(crate) fn moment(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        0..120 => format!("{whole} s"),
        120..3600 => format!("{}:{:02}", whole / 60, whole % 60),
        _ => format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60),
    }
}

/// Text from outside, for HTML and XML, within elements and quoted attributes. Control characters,
/// which XML forbids even escaped, become `\u{fffd}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(c)?,
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                    f.write_char(char::REPLACEMENT_CHARACTER)?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// JSON for a `<script>` element, which no text in it can end.
pub(crate) fn script_json(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_true() {
        let all = [
            (FigureUnit::Millis, 0.214, "0.21 ms"),
            (FigureUnit::Millis, 2.0, "2 ms"),
            (FigureUnit::Millis, 61.4, "61 ms"),
            (FigureUnit::Millis, 1234.0, "1.23 s"),
            (FigureUnit::Millis, 61_000.0, "61 s"),
            (FigureUnit::PerSecond, 5012.4, "5,012/s"),
            (FigureUnit::Plain, 1_234_567.0, "1,234,567"),
            (FigureUnit::Plain, 100.0, "100"),
            (FigureUnit::Plain, 0.0, "0"),
            (FigureUnit::Plain, -0.0, "0"),
            (FigureUnit::Plain, -0.001, "0"),
            (FigureUnit::Cores, 0.163, "0.16"),
            (FigureUnit::Cores, 0.0124, "0.012"),
            (FigureUnit::Cores, 0.0004, "< 0.001"),
            (FigureUnit::Cores, 0.0, "0"),
            (FigureUnit::Bytes, 61e6, "58.2 MiB"),
        ];
        for (unit, value, text) in all {
            assert_eq!(unit.text(value), text);
        }
        assert_eq!([moment(20.0), moment(125.0), moment(7500.0)], ["20 s", "2:05", "2:05:00"]);
    }

    #[test]
    fn nothing_gets_out_of_its_place() {
        let text = Escaped("<a href='x'>\"&\u{0}\u{1b}[31m\n").to_string();
        assert_eq!(text, "&lt;a href=&#39;x&#39;&gt;&quot;&amp;\u{fffd}\u{fffd}[31m\n");
        let json = script_json(&serde_json::json!("</script><!--"));
        assert!(!json.contains('<'), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "</script><!--");
    }
}
