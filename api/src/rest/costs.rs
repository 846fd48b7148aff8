//! One table of what each request costs. The unit is a cheap read: one row by its key, some 400 µs of api and
//! database together. [`super::limit`] takes the costs, and [`crate::config::Config`] has the allowances.

use axum::{
    extract::Query,
    http::{Method, Uri},
};

/// Whatever changes something: at the defaults an account may do as much over REST as over its sockets.
const CHANGE: u32 = 5;
/// Rows of an answer for the price of one cheap read.
const ROWS: u64 = 50;
/// The most of anything. What is beyond an account's burst is owed, and 10,000 are paid back in 40 s.
const MOST: u32 = 10_000;
/// The largest `limit` that any route takes.
const MAX_LIMIT: u64 = 1_000;

/// Asks nobody, or is needed before anything can be asked.
const FREE: [&str; 4] = ["/health", "/.well-known/jwks.json", "/openapi.json", "/asyncapi.json"];

/// Changes something although it is a GET.
const CHANGING: [&str; 3] = ["/blockuser", "/unblockuser", "/readnotreadedfromuser"];

/// How far `/history` walks, see [`crate::chats::messages::MAX_OFFSET`].
const MAX_OFFSET: u64 = crate::chats::messages::MAX_OFFSET as u64;

/// How many names a search looks through. That costs a twentieth of a row each.
const MAX_USERS_WALK: u64 = crate::accounts::search::MAX_WALK as u64;
const MAX_ROOMS_WALK: u64 = crate::chats::lists::MAX_WALK as u64;

/// For those without an account, too, where guests are let in.
const LOBBY: &str = "/api/messages";

/// The rows of a read.
type Rows = fn(&Asked) -> u64;

/// How many rows a read may take. What is not here reads one.
const READS: [(&str, Rows); 27] = [
    ("/admin/audit", |asked| asked.limit(50)),
    ("/admin/nodes", |_| 500),
    ("/admin/settings", |_| 100),
    // What fits is looked for among 10,000.
    ("/admin/chats", |_| 2_500),
    ("/admin/chats/{chat_id}/members", |asked| asked.limit(100)),
    ("/admin/users", |_| 2_500),
    // All gateways are asked, and waited for.
    ("/admin/users/{user_id}/connections", |_| 2_500),
    ("/admin/users/{user_id}/sessions", |_| 100),
    // Its place is found among the counters of all stretches.
    ("/api/messages", |asked| 250 + asked.limit(50)),
    ("/api/messages/recent", |asked| asked.limit(50)),
    ("/api/messages/user/{username}", |asked| asked.limit(50)),
    ("/chats", |asked| asked.limit(500)),
    ("/chats/{chat_id}/bans", |asked| asked.limit(100)),
    ("/chats/{chat_id}/members", |asked| asked.limit(100)),
    ("/chats/{chat_id}/messages", |asked| asked.limit(50)),
    ("/getallactiveusers", |asked| asked.limit(1_000)),
    ("/getallchats", of_each_chat),
    ("/getallmessages", of_each_chat),
    ("/getnotreadedmessages", of_each_chat),
    ("/getreadedmessages", of_each_chat),
    // What is left out is walked over, as far as the route walks.
    ("/history/{chat_id}", |asked| asked.limit(50) + asked.offset().min(MAX_OFFSET) / 20),
    ("/me/blocklist", |asked| asked.limit(100)),
    ("/me/sessions", |_| 100),
    ("/messages/{sender_id}/{receiver_id}", |asked| asked.limit(1_000)),
    // For an administrator.
    ("/readuserchats", of_each_chat),
    // Whoever searches has others looked through, too.
    ("/rooms", |asked| asked.limit(100) + asked.walked(MAX_ROOMS_WALK)),
    ("/users", |asked| asked.limit(20) + asked.walked(MAX_USERS_WALK)),
];

/// Changes that cost something else than most, in rows. What prepares load tests only administrators can
/// do, a thousand accounts a call: the least, so that nothing slows them down.
const CHANGES: [(&str, u64); 6] = [
    ("/admin/chats/bulk", 0),
    ("/admin/users/bulk", 0),
    ("/admin/users/bulk/remove", 0),
    // A tenth of a second of a core.
    ("/me/avatar", 5_000),
    // Leaves 200 chats. Hardly anybody has so many, and who mistypes the password tries again.
    ("/me/delete", 5_000),
    // In all of the caller's chats.
    ("/readnotreaded", 2_500),
];

/// The newest messages of 100 chats, and a statement for each of these. At most a quarter of what can be: a
/// dialect's clients ask for all of it, and hardly anybody has so much.
fn of_each_chat(asked: &Asked) -> u64 {
    match asked.limit(1_000) {
        0 => 0,
        limit => (100 * (ROWS / 2 + limit)).min(2_500),
    }
}

/// What of a query decides on the cost.
#[derive(Debug, Default)]
struct Asked {
    limit: Option<u64>,
    offset: Option<u64>,
    /// A part of a name is looked for.
    searches: bool,
}

impl Asked {
    fn new(uri: &Uri) -> Self {
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
            return Self::default();
        };
        // One that is wrong asks for nothing: the route refuses it.
        let number = |name| {
            let (_, text) = pairs.iter().find(|(known, _)| known == name)?;
            Some(text.parse().unwrap_or(0))
        };
        Self {
            limit: number("limit").map(|limit| if limit > MAX_LIMIT { 0 } else { limit }),
            offset: number("offset"),
            searches: pairs.iter().any(|(name, text)| name == "query" && !text.is_empty()),
        }
    }

    fn limit(&self, default: u64) -> u64 {
        self.limit.unwrap_or(default)
    }

    fn walked(&self, most: u64) -> u64 {
        if self.searches { most / 20 } else { 0 }
    }

    fn offset(&self) -> u64 {
        self.offset.unwrap_or(0)
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    Nobody,
    Account,
}

/// What this request costs; `None` when no limit applies. `route` is the path's template.
pub(crate) fn cost(method: &Method, route: &str, uri: &Uri, asker: Asker) -> Option<u32> {
    if FREE.contains(&route) {
        return None;
    }
    // Refused before any work, or limited by itself: signing in, registering, renewing.
    if asker == Asker::Nobody && !route.starts_with(LOBBY) {
        return Some(1);
    }
    let rows = |rows: u64| u32::try_from(1 + rows / ROWS).unwrap_or(MOST).min(MOST);
    if let Some((_, changed)) = CHANGES.iter().find(|(path, _)| *path == route) {
        return Some(rows(*changed));
    }
    if !method.is_safe() || CHANGING.contains(&route) {
        return Some(CHANGE);
    }
    let read = READS.iter().find(|(path, _)| *path == route);
    Some(read.map_or(1, |(_, read)| rows(read(&Asked::new(uri)))))
}

/// Whether a limit applies to a route at all, for the document.
pub(crate) fn is_limited(route: &str) -> bool {
    !FREE.contains(&route)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: Method, route: &str, query: &str) -> Option<u32> {
        let uri = format!("http://api/x?{query}").parse().unwrap();
        cost(&method, route, &uri, Asker::Account)
    }

    #[test]
    fn a_read_costs_what_it_may_read() {
        for (route, query, expected) in [
            ("/me", "", 1),
            ("/chats/{chat_id}", "", 1),
            ("/chats/{chat_id}/messages", "", 2),
            ("/chats/{chat_id}/messages", "limit=100&before=7", 3),
            ("/chats/{chat_id}/messages", "limit=100&around=7", 3),
            ("/chats/{chat_id}/messages", "limit=1", 1),
            ("/chats", "", 11),
            ("/chats", "limit=20", 1),
            ("/getallmessages", "", 51),
            ("/getallmessages", "limit=1", 51),
            ("/history/{chat_id}", "limit=1&offset=244", 1),
            ("/history/{chat_id}", "limit=1&offset=5000", 6),
            ("/history/{chat_id}", "offset=9223372036854775807", 12),
            ("/users", "limit=100", 3),
            ("/users", "query=&limit=100", 3),
            ("/users", "query=ann&limit=100", 13),
            ("/rooms", "query=ann", 13),
            // Refused by the route.
            ("/getallmessages", "limit=1001", 1),
            ("/getallmessages", "limit=many", 1),
            // What is no business of the route's does not make it cheap.
            ("/getallmessages", "offset=many", 51),
        ] {
            assert_eq!(of(Method::GET, route, query), Some(expected), "{route}?{query}");
        }
        assert_eq!(of(Method::HEAD, "/chats", ""), Some(11), "does the same work");
    }

    #[test]
    fn a_change_costs_the_same_by_whatever_method() {
        for (method, route) in [
            (Method::POST, "/chats/{chat_id}/messages"),
            (Method::DELETE, "/chats/{chat_id}/messages/{message_id}"),
            (Method::PATCH, "/me"),
            (Method::PUT, "/what/comes/later"),
            (Method::GET, "/blockuser"),
        ] {
            assert_eq!(of(method, route, ""), Some(CHANGE), "{route}");
        }
        for method in [Method::GET, Method::POST] {
            assert_eq!(of(method, "/readnotreaded", ""), Some(51));
        }
    }

    #[test]
    fn without_an_account_only_the_lobby_is_read() {
        let uri = "http://api/x?limit=100&offset=1000000".parse().unwrap();
        let nobody = |method, route| cost(&method, route, &uri, Asker::Nobody);
        assert_eq!(nobody(Method::GET, "/history/{chat_id}"), Some(1));
        assert_eq!(nobody(Method::POST, "/login"), Some(1));
        assert_eq!(nobody(Method::GET, "/status"), Some(1));
        assert_eq!(nobody(Method::GET, "/api/messages"), Some(8));
    }

    #[test]
    fn preparing_a_load_test_costs_the_least_and_looking_whether_all_is_well_nothing() {
        assert_eq!(of(Method::POST, "/admin/users/bulk", ""), Some(1));
        assert_eq!(of(Method::GET, "/health", ""), None);
    }

    #[test]
    fn the_table_knows_routes_only() {
        let document = crate::rest::document();
        let reads = READS.iter().map(|(path, _)| *path);
        let changes = CHANGES.iter().map(|(path, _)| *path);
        for path in reads.chain(changes).chain(FREE).chain(CHANGING) {
            assert!(document["paths"].get(path).is_some(), "{path}");
        }
    }

    /// A page of a list must not pass for a cheap read.
    #[test]
    fn whatever_has_a_limit_is_in_the_table() {
        let document = crate::rest::document();
        for (path, item) in document["paths"].as_object().unwrap() {
            let parameters = item["get"]["parameters"].as_array().into_iter().flatten();
            for name in parameters.map(|parameter| parameter["name"].as_str().unwrap()) {
                let listed = READS.iter().any(|(known, _)| known == path);
                assert!(listed || !["limit", "offset"].contains(&name), "{path}");
            }
        }
    }
}
