//! A private api for one test, and a client that speaks its JSON.

use crate::contract::{self, Seen};
use api::{
    Api, Parts,
    auth::tokens::{Tokens, generate_pem},
    config::Config,
    db::Db,
    router, start,
};
use cluster::{Postgres, TestDatabase};
use platform::{
    bus::Bus,
    lifecycle::Lifecycle,
    limit::Limiter,
    presence::{Here, Presence},
    serve::{ServeConfig, bind, serve},
};
use protocol::id::UserId;
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tempfile::TempDir;

/// A running api. Stops when dropped.
pub struct Server {
    pub api: Api,
    pub url: String,
    folder: Option<TempDir>,
    database: Option<TestDatabase>,
    lifecycle: Lifecycle,
    client: reqwest::Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// `null` when the body is not JSON.
    pub json: Value,
}

impl Answer {
    /// Asserts the documented shape of an error, and its code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> &Self {
        let body = &self.json;
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["error"], true, "{body}");
        assert_eq!(body["message"], body["detail"], "{body}");
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'), "{body}");
        if status == 429 || status == 503 {
            let seconds: u64 = self.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!(seconds >= 1);
        }
        self
    }

    /// The fields that did not validate.
    pub fn fields(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().unwrap();
        errors.iter().map(|error| error["field"].as_str().unwrap()).collect()
    }

    #[track_caller]
    pub fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.json);
        self.json
    }

    pub fn set_cookie(&self) -> Option<&str> {
        self.headers.get("set-cookie").map(|value| value.to_str().unwrap())
    }

    /// What a browser would send back of this cookie.
    pub fn cookie_named(&self, name: &str) -> String {
        let set = self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        let pairs = set.filter_map(|cookie| cookie.split(';').next());
        pairs.into_iter().find(|pair| pair.split('=').next() == Some(name)).unwrap().to_owned()
    }

    /// What a browser would send back: `name=value`.
    pub fn cookie(&self) -> String {
        self.set_cookie().unwrap().split(';').next().unwrap().to_owned()
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With other numbers than the default ones.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::load_or_create(&folder.path().join("jwt.pem")).unwrap();
        let mut server = Self::on(&database_in(folder.path()), tokens, change).await;
        server.folder = Some(folder);
        server
    }

    /// On an empty PostgreSQL database.
    pub async fn on_postgres(change: impl FnOnce(&mut Config)) -> Self {
        let database = Postgres::shared().await.unwrap().create_database().await;
        let tokens = Tokens::from_pem(generate_pem().unwrap().reveal()).unwrap();
        let mut server = Self::on(database.url(), tokens, change).await;
        server.database = Some(database);
        server
    }

    /// Another api on the same database, with the same keys.
    pub async fn twin(&self) -> Self {
        let url = database_in(self.folder.as_ref().unwrap().path());
        Self::on(&url, self.api.tokens.clone(), |_| {}).await
    }

    /// The same api, except that it asks this register who is present. For as long as the first
    /// server lives.
    pub async fn with_presence(&self, presence: Presence) -> Self {
        Self::serving(Api { presence, ..self.api.clone() }, Lifecycle::new()).await
    }

    /// The same api, except that it counts with this limiter. For as long as the first server lives.
    pub async fn with_limiter(&self, limiter: Limiter) -> Self {
        Self::serving(Api { limiter, ..self.api.clone() }, Lifecycle::new()).await
    }

    async fn on(url: &str, tokens: Tokens, change: impl FnOnce(&mut Config)) -> Self {
        let db = Db::connect(url, &Default::default()).await.unwrap();
        db.migrate().await.unwrap();
        let lifecycle = Lifecycle::new();
        let parts = Parts {
            people: db.apart(&Default::default()).into(),
            db: db.into(),
            bus: Bus::local(),
            presence: Presence::local(),
            limiter: Limiter::local(Default::default()),
            tokens,
        };
        let mut config = Config::default();
        // Tests run side by side on few cores: nobody shall be turned away for that.
        config.passwords.wait = Duration::from_secs(60);
        config.request_timeout = Duration::from_secs(120);
        change(&mut config);
        let api = start(parts, config, &lifecycle).await.unwrap();
        Self::serving(api, lifecycle).await
    }

    async fn serving(api: Api, lifecycle: Lifecycle) -> Self {
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = ServeConfig {
            trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()].into(),
            ..ServeConfig::default()
        };
        lifecycle.spawn(serve(listener, router(api.clone()), config, lifecycle.clone()));
        let client = reqwest::Client::new();
        Self { api, url, folder: None, database: None, lifecycle, client }
    }

    /// Runs a statement as it stands.
    pub async fn sql(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self.api.db.home() {
            Db::Postgres(pool, ..) => drop(sqlx::raw_sql(sql).execute(pool).await.unwrap()),
            Db::Sqlite { write, .. } => drop(sqlx::raw_sql(sql).execute(write).await.unwrap()),
        }
    }

    /// A request to be finished by the test.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.request(Method::POST, path).json(&body).answer().await
    }

    /// A request with a Bearer token.
    pub async fn bearer(&self, method: Method, path: &str, token: &str) -> Answer {
        self.request(method, path).bearer_auth(token).answer().await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.bearer(Method::GET, path, token).await
    }

    pub async fn post_as(&self, path: &str, token: &str, body: Value) -> Answer {
        self.request(Method::POST, path).bearer_auth(token).json(&body).answer().await
    }

    /// A new user with the password `password123`; the answer to its registration.
    pub async fn user(&self, username: &str) -> Value {
        let email = format!("{username}@example.com");
        let body = json!({"username": username, "email": email, "password": "password123"});
        self.post("/register", body).await.ok(201)
    }

    pub async fn login(&self, identity: &str, password: &str) -> Answer {
        self.post("/login", json!({"username": identity, "password": password})).await
    }
}

fn database_in(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("switchboard.db").display())
}

/// Sends the request and reads the answer, which must be one that the OpenAPI document knows.
pub trait Ask {
    async fn answer(self) -> Answer;
}

impl Ask for RequestBuilder {
    async fn answer(self) -> Answer {
        let (client, request) = self.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client.execute(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap();
        contract::check(&Seen {
            method: method.as_str(),
            path: &path,
            status: status.as_u16(),
            headers: &headers,
            body: &body,
        });
        Answer { status, headers, json: serde_json::from_slice(&body).unwrap_or_default() }
    }
}

/// A text field of an answer.
pub fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json[field].as_str().unwrap()
}

/// Asks again and again until the answer is as wanted; fails after `within`.
pub async fn within<F: Future<Output = Answer>>(
    within: Duration,
    wanted: impl Fn(&Answer) -> bool,
    ask: impl Fn() -> F,
) -> Answer {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "still {answer:?}");
    }
}

/// These users with a socket each, whose coming and going no chat hears of.
pub fn here(users: &[UserId]) -> Vec<Here> {
    users.iter().map(|user| Here { user: *user, sockets: 1, chats: Vec::new() }).collect()
}
