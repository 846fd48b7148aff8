//! What a server of a cluster says about who owns which slots.

use redis::{
    ErrorKind, FromRedisValue as _, RedisError, RedisResult, Value, aio::MultiplexedConnection,
};
use std::{collections::HashMap, ops::RangeInclusive};

/// The slots of a Redis cluster.
pub(crate) const SLOTS: u16 = 16_384;

/// Who owns which slots, by host and port. Slots that are missing have no owner that could be reached.
pub(crate) type SlotOwners = Vec<(RangeInclusive<u16>, (String, u16))>;

/// Asks a server, whose host is `asked`.
pub(crate) async fn slot_owners(
    server: &mut MultiplexedConnection,
    asked: &str,
) -> RedisResult<SlotOwners> {
    let answer = redis::cmd("CLUSTER").arg("SLOTS").query_async(server).await?;
    let unreadable =
        || RedisError::from((ErrorKind::Client, "the answer to CLUSTER SLOTS cannot be read"));
    read(answer, asked).ok_or_else(unreadable)
}

/// For each range its owner comes before its replicas.
fn read(answer: Value, asked: &str) -> Option<SlotOwners> {
    let mut owners = SlotOwners::new();
    for range in answer.into_sequence().ok()? {
        let mut parts = range.into_sequence().ok()?.into_iter();
        let mut number = || u16::from_redis_value(parts.next()?).ok().filter(|one| *one < SLOTS);
        let slots = number()?..=number()?;
        let mut owner = parts.next()?.into_sequence().ok()?.into_iter();
        let host: Option<String> = Option::from_redis_value(owner.next()?).ok()?;
        let port = u16::from_redis_value(owner.next()?).ok()?;
        let host = match host.as_deref() {
            // It prefers that its clients stay with the host that they know.
            None | Some("") => Some(asked.to_owned()),
            // It prefers names, and has not heard this one's yet.
            Some("?") => owner.nth(1).and_then(address),
            Some(_) => host,
        };
        owners.extend(host.map(|host| (slots, (host, port))));
    }
    Some(owners)
}

/// The address among what else is known of a server.
fn address(facts: Value) -> Option<String> {
    let mut facts: HashMap<String, String> = HashMap::from_redis_value(facts).ok()?;
    facts.remove("ip").filter(|address| !address.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn node(host: Value, port: i64, facts: Vec<Value>) -> Value {
        Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(facts)])
    }

    fn range(first: i64, last: i64, nodes: Vec<Value>) -> Value {
        Value::Array([Value::Int(first), Value::Int(last)].into_iter().chain(nodes).collect())
    }

    #[test]
    fn an_owner_without_a_host_is_the_one_that_was_asked() {
        let replica = node(text("replica"), 7_001, vec![]);
        let answer = Value::Array(vec![
            range(0, 8_191, vec![node(text("redis-0"), 7_000, vec![]), replica]),
            range(8_192, 8_192, vec![node(Value::Nil, 7_002, vec![])]),
            range(8_193, 16_383, vec![node(text(""), 7_003, vec![])]),
        ]);
        let named = |host: &str, port| (host.to_owned(), port);
        let expected = vec![
            (0..=8_191, named("redis-0", 7_000)),
            (8_192..=8_192, named("asked", 7_002)),
            (8_193..=16_383, named("asked", 7_003)),
        ];
        assert_eq!(read(answer, "asked"), Some(expected));
        assert_eq!(read(Value::Array(vec![range(0, 16_384, vec![])]), "asked"), None);
        assert_eq!(read(Value::Okay, "asked"), None);
    }

    #[test]
    fn an_owner_whose_name_is_not_known_yet_is_at_its_address_or_nowhere() {
        let at = |address: &str| node(text("?"), 7_000, vec![text("ip"), text(address)]);
        let by_map = Value::Map(vec![(text("ip"), text("10.0.0.2"))]);
        let by_map = Value::Array(vec![text("?"), Value::Int(7_001), text("id"), by_map]);
        let answer = Value::Array(vec![
            range(0, 0, vec![at("10.0.0.1")]),
            range(1, 1, vec![by_map]),
            range(2, 16_383, vec![at("")]),
        ]);
        let expected =
            vec![(0..=0, ("10.0.0.1".to_owned(), 7_000)), (1..=1, ("10.0.0.2".to_owned(), 7_001))];
        assert_eq!(read(answer, "asked"), Some(expected));
    }
}
