//! The `traceparent` of W3C Trace Context: a span of a trace, as processes name it to each other. `tracestate` is not
//! passed on: it serves vendors, and would cost a line of text on every event.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Names a span of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

impl Traceparent {
    /// `None` for ids of zero, which name nothing.
    pub fn new(trace_id: u128, span_id: u64, sampled: bool) -> Option<Self> {
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, sampled })
    }

    /// The id of the trace. It is not zero.
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The id of the span. It is not zero.
    pub fn span_id(&self) -> u64 {
        self.span_id
    }

    /// Whether the span is recorded. Spans that follow it should be recorded then, too.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Reads an optional field of a payload. A value that cannot be parsed counts as none, because a broken trace
    /// must not cost the payload.
    pub fn lenient<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        Ok(text.and_then(|text| text.parse().ok()))
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, sampled } = self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{:02x}", u8::from(*sampled))
    }
}

/// The text is no `traceparent`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a traceparent")]
pub struct Unreadable;

impl FromStr for Traceparent {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        // A later version may have more fields after these four; version 0 may not.
        let mut fields = text.splitn(5, '-');
        let mut field = |digits| fields.next().and_then(|field| hex(field, digits));
        let fields = (field(2), field(32), field(16), field(2));
        let (Some(version), Some(trace_id), Some(span_id), Some(flags)) = fields else {
            return Err(Unreadable);
        };
        if version == 0xff || (version == 0 && text.len() != 55) {
            return Err(Unreadable);
        }
        let span_id = u64::try_from(span_id).map_err(|_| Unreadable)?;
        Self::new(trace_id, span_id, flags & 1 == 1).ok_or(Unreadable)
    }
}

/// A number of exactly so many lower-case hexadecimal digits.
fn hex(field: &str, digits: usize) -> Option<u128> {
    let good = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let all = field.len() == digits && field.bytes().all(good);
    u128::from_str_radix(field, 16).ok().filter(|_| all)
}

impl Serialize for Traceparent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_standards_example_round_trips() {
        let parent: Traceparent = EXAMPLE.parse().unwrap();
        assert_eq!(parent.trace_id(), 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(parent.span_id(), 0xb7ad_6b71_6920_3331);
        assert!(parent.is_sampled());
        assert_eq!(parent.to_string(), EXAMPLE);
        let off: Traceparent = EXAMPLE.replace("-01", "-00").parse().unwrap();
        assert!(!off.is_sampled());
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = format!("01-{}-what-ever", &EXAMPLE[3..]);
        assert_eq!(later.parse::<Traceparent>(), EXAMPLE.parse());
        assert_eq!(EXAMPLE.replace("-01", "-ff").parse::<Traceparent>(), EXAMPLE.parse());
    }

    #[test]
    fn nothing_else_is_taken() {
        for text in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-011",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        ] {
            assert_eq!(text.parse::<Traceparent>(), Err(Unreadable), "{text:?}");
        }
    }
}
