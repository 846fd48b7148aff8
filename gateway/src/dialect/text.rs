//! Reads the frames of the older dialects: JSON objects of few fields. Every dialect explains errors in the same
//! words. Unknown fields are not kept, so a frame takes no more memory than its text.

use super::{ErrorFrame, refusal};
use protocol::code::Code;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use std::fmt;

/// Parses a frame's fields. The error is the `error` frame to answer with.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ErrorFrame> {
    // serde would also read a struct from a list.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(malformed());
    }
    serde_json::from_str(text).map_err(|error| {
        if !error.is_data() {
            return malformed();
        }
        // serde's message names the field. The position at its end helps nobody.
        let reason = error.to_string();
        invalid(reason.split(" at line ").next().unwrap_or_default())
    })
}

/// The `error` for a text that is no JSON object.
pub(super) fn malformed() -> ErrorFrame {
    Box::new(refusal(None, Code::Malformed, "A frame is a JSON object."))
}

/// The `error` for a frame whose fields are not right.
pub(super) fn invalid(reason: &str) -> ErrorFrame {
    // A reason may quote the client's frame, and an answer must not be as long as that.
    let reason: String = reason.chars().take(200).collect();
    Box::new(refusal(None, Code::InvalidFrame, &format!("This frame is not valid: {reason}.")))
}

/// The `error` for a frame of a type that the dialect does not know.
pub(super) fn unknown_type() -> ErrorFrame {
    Box::new(refusal(None, Code::UnknownType, "There is no frame of this type here."))
}

/// An id as the older dialects' clients send it: a number, or its digits as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(pub i64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                i64::try_from(number).map(Number).map_err(|_| E::custom("a number is too large"))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(|_| E::custom("an id is not a number"))
            }
        }
        deserializer.deserialize_any(Digits)
    }
}
