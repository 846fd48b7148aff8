//! The test harness of the page: chromedriver, and one browser a person. It waits for what a person would see, and knows
//! no story.

pub(crate) use crate::server::Server;
use crate::server::{LOOK, PATIENCE, until};
use cluster::{Process, Program, free_port};
use fantoccini::{Client, ClientBuilder, Locator, error::NewSessionError, key::Key};
use futures_util::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use parking_lot::Mutex;
use serde_json::json;
use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    path::Path,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Everybody's, the administrator's too.
pub(crate) const PASSWORD: &str = "a password only for tests";

const ENGLISH: &str = "en-US";

/// The beginning of a story: a server, and a fresh browser for each person.
pub(crate) struct Stage<const N: usize> {
    pub(crate) people: [Browser; N],
    _driver: Driver,
    pub(crate) server: Server,
    /// For what the story needs in files.
    pub(crate) folder: TempDir,
}

impl<const N: usize> Stage<N> {
    /// One process on SQLite. Everybody's browser is English.
    pub(crate) async fn alone(people: [&'static str; N]) -> Self {
        Self::alone_in(people.map(|name| (name, ENGLISH))).await
    }

    /// The same for people whose browsers ask for these languages, the best first.
    pub(crate) async fn alone_in(people: [(&'static str, &str); N]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path()).await;
        Self::of(folder, server, people).await
    }

    /// A cluster with these settings, see [`Server::cluster`].
    pub(crate) async fn cluster(settings: &[(&str, &str)], people: [&'static str; N]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::cluster(settings).await;
        Self::of(folder, server, people.map(|name| (name, ENGLISH))).await
    }

    async fn of(folder: TempDir, server: Server, people: [(&'static str, &str); N]) -> Self {
        let driver = Driver::start(folder.path()).await;
        let mut browsers = Vec::new();
        for (name, languages) in people {
            browsers.push(driver.browser(name, languages).await);
        }
        let people = browsers.try_into().unwrap_or_else(|_| unreachable!("as many as names"));
        Self { people, _driver: driver, server, folder }
    }

    /// Tells the story to its end and closes the browsers: a browser outlives a test that panics unless it is closed. At
    /// the end no browser has complained of anything but what the story has excused.
    pub(crate) async fn tell(&self, story: impl Future<Output = ()>) {
        let story = async {
            story.await;
            for browser in &self.people {
                browser.is_content().await;
            }
        };
        let told = AssertUnwindSafe(story).catch_unwind().await;
        if told.is_err() {
            for browser in &self.people {
                eprintln!("{} sees: {}", browser.name, browser.sight().await);
            }
            eprintln!("{}", self.server.log_tail());
        }
        for browser in &self.people {
            let closed = browser.client.clone().close().await;
            if told.is_ok() {
                closed.unwrap();
            }
        }
        if let Err(panic) = told {
            resume_unwind(panic);
        }
    }
}

/// chromedriver, which starts browsers.
struct Driver {
    process: Process,
    url: String,
}

impl Driver {
    async fn start(folder: &Path) -> Self {
        let port = free_port();
        let program =
            Program::new("chromedriver", "chromedriver", folder).args([format!("--port={port}")]);
        let process = Process::start(program).unwrap();
        Self { process, url: format!("http://127.0.0.1:{port}") }
    }

    /// A fresh browser: no cookies, nothing stored. It asks for these languages.
    async fn browser(&self, name: &'static str, languages: &str) -> Browser {
        let preferences = json!({ "intl.accept_languages": languages });
        let options = json!({ "prefs": preferences, "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-quic", "--no-first-run", "--window-size=1100,800",
            // As if the network were cut off.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]});
        let capabilities = [
            ("goog:chromeOptions".to_owned(), options),
            ("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" })),
        ];
        let capabilities = capabilities.into_iter().collect();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match builder
                .capabilities(serde_json::Map::clone(&capabilities))
                .connect(&self.url)
                .await
            {
                Ok(client) => return Browser { client, name, excused: Mutex::default() },
                Err(error @ NewSessionError::SessionNotCreated(_)) => {
                    panic!("no browser: {error}. {}", self.advice())
                }
                // Not listening yet.
                Err(_) if Instant::now() < deadline => sleep(LOOK).await,
                Err(error) => panic!("no browser: {error}. {}", self.advice()),
            }
            let ended = self.process.exit_code().unwrap();
            assert!(ended.is_none(), "chromedriver ended with {ended:?}. {}", self.advice());
        }
    }

    fn advice(&self) -> String {
        format!(
            "This test needs chromium and chromedriver of the same version (Debian: \
             apt-get install chromium chromium-driver).\n{}",
            self.process.log_tail()
        )
    }
}

/// One person's browser.
pub(crate) struct Browser {
    pub(crate) client: Client,
    pub(crate) name: &'static str,
    /// Parts of what its console may say.
    excused: Mutex<Vec<&'static str>>,
}

/// What a browser says of a server that is stopped, or behind a load balancer.
const OUTAGE: [&str; 3] =
    ["WebSocket connection to", "net::ERR_CONNECTION_REFUSED", "status of 503"];

impl Browser {
    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// The story provokes that the console says something with this in it: a browser notes each answer that is a refusal.
    pub(crate) fn excuse(&self, part: &'static str) {
        self.excused.lock().push(part);
    }

    /// The story stops the server.
    pub(crate) fn excuse_outage(&self) {
        self.excused.lock().extend(OUTAGE);
    }

    async fn is_content(&self) {
        let complaints = self.complaints().await;
        let excused = self.excused.lock();
        let is_excused = |said: &&String| excused.iter().any(|part| said.contains(part));
        let bad: Vec<&String> = complaints.iter().filter(|said| !is_excused(said)).collect();
        assert!(bad.is_empty(), "the console of {}: {bad:#?}", self.name);
    }

    pub(crate) async fn register(&self) {
        self.click("#sign-in-switch").await;
        self.press("#sign-in-name", self.name).await;
        self.press("#sign-in-password", PASSWORD).await;
        self.click("#sign-in-form [type=submit]").await;
    }

    pub(crate) async fn say(&self, text: &str) {
        let enter = char::from(Key::Enter);
        self.press("#composer-text", &format!("{text}{enter}")).await;
    }

    /// Waits until exactly `times` messages in the log have this text.
    pub(crate) async fn read(&self, text: &str, times: usize) {
        let script = "return [...document.querySelectorAll('#items .text')]\
            .filter((element) => element.textContent === arguments[0]).length";
        self.until(&format!("{text:?} is there {times} times"), async || {
            let count = self.client.execute(script, vec![json!(text)]).await;
            count.is_ok_and(|count| count == json!(times))
        })
        .await;
    }

    /// Waits until an element shows exactly this text.
    pub(crate) async fn see(&self, selector: &str, text: &str) {
        self.until(&format!("{selector} says {text:?}"), async || {
            let Ok(element) = self.client.find(Locator::Css(selector)).await else { return false };
            element.text().await.is_ok_and(|shown| shown == text)
        })
        .await;
    }

    pub(crate) async fn find(&self, selector: &str) {
        self.until(&format!("{selector} is there"), async || self.count(selector).await > 0).await;
    }

    pub(crate) async fn gone(&self, selector: &str) {
        self.until(&format!("{selector} is gone"), async || self.count(selector).await == 0).await;
    }

    pub(crate) async fn count(&self, selector: &str) -> usize {
        self.client.find_all(Locator::Css(selector)).await.unwrap().len()
    }

    /// Clicks as soon as the element can be clicked.
    pub(crate) async fn click(&self, selector: &str) {
        self.until(&format!("{selector} can be clicked"), async || {
            let Ok(element) = self.client.find(Locator::Css(selector)).await else { return false };
            element.click().await.is_ok()
        })
        .await;
    }

    /// Types into a field as soon as it takes it.
    pub(crate) async fn press(&self, selector: &str, keys: &str) {
        self.until(&format!("{selector} can be typed in"), async || {
            let Ok(element) = self.client.find(Locator::Css(selector)).await else { return false };
            element.send_keys(keys).await.is_ok()
        })
        .await;
    }

    pub(crate) async fn run(&self, script: &str) -> serde_json::Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        until(&format!("{}: {what}", self.name), holds).await;
    }

    /// Everything the page shows, for a failure.
    async fn sight(&self) -> String {
        let text = self.client.execute("return document.body.innerText", Vec::new()).await;
        format!("{text:?}")
    }
}
