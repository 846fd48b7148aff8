//! The page in two real browsers against the real binary: what a person sees and does, over a
//! restart of the server; and the pages that show the documents, with the network cut off. What the server answers is tried in `system`; needs chromium and chromedriver.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cluster::{Process, Program, free_port};
use fantoccini::{Client, ClientBuilder, Locator, error::NewSessionError, key::Key};
use futures_util::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use std::{
    net::{Ipv4Addr, SocketAddr},
    panic::{AssertUnwindSafe, resume_unwind},
    path::Path,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Long for a machine that compiles beside it; what is waited for takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a page that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(20);

const PASSWORD: &str = "a password only for tests";

#[tokio::test]
async fn two_people_chat_and_a_restart_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let driver = Driver::start(folder.path()).await;
    let ann = driver.browser("ann").await;
    let bob = driver.browser("bob").await;

    // A browser outlives a test that panics unless it is closed.
    let told = AssertUnwindSafe(story(&server, &ann, &bob)).catch_unwind().await;
    if told.is_err() {
        eprintln!("ann sees: {}\nbob sees: {}", ann.sight().await, bob.sight().await);
        eprintln!("{}", server.process.log_tail());
    }
    let closed = (ann.client.close().await, bob.client.close().await);
    if let Err(panic) = told {
        resume_unwind(panic);
    }
    closed.0.unwrap();
    closed.1.unwrap();
}

#[tokio::test]
async fn the_pages_that_show_the_documents_ask_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let driver = Driver::start(folder.path()).await;
    let reader = driver.browser("reader").await;
    let told = AssertUnwindSafe(read_documents(&server, &reader)).catch_unwind().await;
    if told.is_err() {
        eprintln!("the reader sees: {}", reader.sight().await);
    }
    let closed = reader.client.close().await;
    if let Err(panic) = told {
        resume_unwind(panic);
    }
    closed.unwrap();
}

async fn read_documents(server: &Server, reader: &Browser) {
    for (page, operation) in [
        ("docs", "#operations-Accounts-login_user"),
        ("redoc", "[id='tag/Accounts/operation/login_user']"),
    ] {
        reader.open(&format!("{}{page}", server.url())).await;
        reader.find(operation).await;
        let loaded = reader
            .run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
            .await;
        let loaded: Vec<String> = serde_json::from_value(loaded).unwrap();
        assert!(loaded.contains(&format!("{}openapi.json", server.url())), "{loaded:?}");
        let own = |url: &String| url.starts_with(&server.url()) || url.starts_with("data:");
        // ReDoc's search worker is made by the page itself.
        let made = |url: &String| url.starts_with("blob:");
        assert!(loaded.iter().all(|url| own(url) || made(url)), "{page}: {loaded:?}");
    }

    // Who signs in on the page may try what needs a token there.
    reader.open(&format!("{}docs", server.url())).await;
    reader.click(".auth-wrapper .authorize").await;
    reader.press("#oauth_username", "admin").await;
    reader.press("#oauth_password", PASSWORD).await;
    reader.click(".auth-container:has(#oauth_username) .authorize").await;
    reader.find(".auth-container .authorized, .auth-container h6").await;
    reader.click(".btn-done").await;
    reader.click("#operations-Me-get_me .opblock-summary-control").await;
    reader.click("#operations-Me-get_me .try-out__btn").await;
    reader.click("#operations-Me-get_me .execute").await;
    reader
        .see("#operations-Me-get_me .live-responses-table .response .response-col_status", "200")
        .await;
}

async fn story(server: &Server, ann: &Browser, bob: &Browser) {
    for person in [ann, bob] {
        person.open(&server.url()).await;
        person.register().await;
        person.click("#enter-lobby").await;
        person.see("#chat-name", "lobby").await;
    }

    ann.say("hello from ann").await;
    bob.read("hello from ann", 1).await;
    bob.say("hello from bob").await;
    ann.read("hello from bob", 1).await;

    bob.press("#composer-text", "b").await;
    ann.see("#typing", "bob is typing…").await;
    bob.press("#composer-text", &char::from(Key::Backspace).to_string()).await;

    ann.click("#new-chat").await;
    ann.press("#new-people", "bob").await;
    ann.click("#new-dialog .person[aria-label='Chat with bob']").await;
    ann.see("#chat-name", "bob").await;
    ann.see("#chat-state", "@bob · Online").await;
    ann.say("only for bob").await;
    bob.see("#chat-list .badge", "1").await;
    bob.click("#chat-list a:has(.badge)").await;
    bob.read("only for bob", 1).await;
    ann.find(".message.own [aria-label='Seen']").await;

    // Bob has not answered yet: what she puts him into besides is an invitation.
    bob.see("#invitation strong", "@ann wants to write to you.").await;
    ann.click("#new-chat").await;
    ann.click("#new-dialog label:has([value=group])").await;
    ann.press("#new-name", "chess").await;
    ann.press("#new-people", "bob").await;
    ann.click("#new-dialog .person[aria-label='Add bob']").await;
    ann.click("#new-dialog [type=submit]").await;
    ann.see("#chat-name", "chess").await;
    bob.click("#invitation-list a").await;
    bob.see("#invitation strong", "@ann invites you to this chat.").await;
    bob.click("#invitation .primary").await;
    bob.gone("#invitation:not([hidden])").await;
    bob.click("#chat-list a[href='#/chat/2']").await;
    ann.click("#chat-list a[href='#/chat/2']").await;

    for person in [ann, bob] {
        person.run("window.sameAsBefore = true").await;
    }
    server.stop().await;
    ann.find("#banner:not([hidden])").await;
    ann.say("written while nobody listened").await;
    ann.find(".message.pending").await;
    server.start_again().await;
    bob.read("written while nobody listened", 1).await;
    ann.gone(".message.pending").await;
    ann.gone("#banner:not([hidden])").await;
    bob.say("back again").await;
    ann.read("back again", 1).await;
    ann.read("only for bob", 1).await;
    ann.read("written while nobody listened", 1).await;
    for person in [ann, bob] {
        let same = person.run("return window.sameAsBefore === true").await;
        assert_eq!(same, json!(true), "{} was reloaded", person.name);
    }

    // The session is in the cookie, the history in the database: nothing is lost with the page.
    ann.client.refresh().await.unwrap();
    ann.see("#chat-name", "bob").await;
    ann.read("back again", 1).await;
    ann.click("#chat-list a[href='#/chat/1']").await;
    ann.read("hello from ann", 1).await;
    ann.read("hello from bob", 1).await;

    bob.click("#account button").await;
    bob.find("#sign-in:not([hidden])").await;
    ann.click("#chat-list li:not(:has([aria-current])) a").await;
    ann.see("#chat-state", "@bob · Offline").await;
}

/// The binary under test, on one port and one data folder for all its starts.
struct Server {
    process: Process,
    public: SocketAddr,
    admin: SocketAddr,
}

impl Server {
    async fn start(folder: &Path) -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (public, admin) = (local(free_port()), local(free_port()));
        let program = Program::new("switchboard", env!("CARGO_BIN_EXE_switchboard"), folder)
            .args(["--listen", &public.to_string(), "--admin-listen", &admin.to_string()])
            .args(["--data".as_ref(), folder.join("data").as_os_str()])
            .env("ADMIN_PASSWORD", PASSWORD)
            .env("DRAIN_SECONDS", "1");
        let process = Process::start(program).unwrap();
        process.wait_ready(admin, PATIENCE).await.unwrap();
        Self { process, public, admin }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.public)
    }

    async fn stop(&self) {
        let code = self.process.stop().await.unwrap();
        assert_eq!(code, 0, "{}", self.process.log_tail());
    }

    async fn start_again(&self) {
        self.process.restart().unwrap();
        self.process.wait_ready(self.admin, PATIENCE).await.unwrap();
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

    /// A fresh browser: no cookies, nothing stored.
    async fn browser(&self, name: &'static str) -> Browser {
        let options = json!({ "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-quic", "--no-first-run", "--window-size=1100,800",
            // As if the network were cut off.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]});
        let capabilities = [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match builder
                .capabilities(serde_json::Map::clone(&capabilities))
                .connect(&self.url)
                .await
            {
                Ok(client) => return Browser { client, name },
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
struct Browser {
    client: Client,
    name: &'static str,
}

impl Browser {
    async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    async fn register(&self) {
        self.click("#sign-in-switch").await;
        self.press("#sign-in-name", self.name).await;
        self.press("#sign-in-password", PASSWORD).await;
        self.click("#sign-in-form [type=submit]").await;
    }

    async fn say(&self, text: &str) {
        let enter = char::from(Key::Enter);
        self.press("#composer-text", &format!("{text}{enter}")).await;
    }

    /// Waits until exactly `times` messages in the log have this text.
    async fn read(&self, text: &str, times: usize) {
        let script = "return [...document.querySelectorAll('#items .text')]\
            .filter((element) => element.textContent === arguments[0]).length";
        self.until(&format!("{text:?} is there {times} times"), async || {
            let count = self.client.execute(script, vec![json!(text)]).await;
            count.is_ok_and(|count| count == json!(times))
        })
        .await;
    }

    /// Waits until an element shows exactly this text.
    async fn see(&self, selector: &str, text: &str) {
        self.until(&format!("{selector} says {text:?}"), async || {
            let Ok(element) = self.client.find(Locator::Css(selector)).await else { return false };
            element.text().await.is_ok_and(|shown| shown == text)
        })
        .await;
    }

    async fn find(&self, selector: &str) {
        self.until(&format!("{selector} is there"), async || self.count(selector).await > 0).await;
    }

    async fn gone(&self, selector: &str) {
        self.until(&format!("{selector} is gone"), async || self.count(selector).await == 0).await;
    }

    async fn count(&self, selector: &str) -> usize {
        self.client.find_all(Locator::Css(selector)).await.unwrap().len()
    }

    /// Clicks as soon as the element can be clicked.
    async fn click(&self, selector: &str) {
        self.until(&format!("{selector} can be clicked"), async || {
            let Ok(element) = self.client.find(Locator::Css(selector)).await else { return false };
            element.click().await.is_ok()
        })
        .await;
    }

    /// Types into a field as soon as it takes it.
    async fn press(&self, selector: &str, keys: &str) {
        self.until(&format!("{selector} can be typed in"), async || {
            let Ok(element) = self.client.find(Locator::Css(selector)).await else { return false };
            element.send_keys(keys).await.is_ok()
        })
        .await;
    }

    async fn run(&self, script: &str) -> serde_json::Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds().await {
            assert!(Instant::now() < deadline, "{}: in vain waited until {what}", self.name);
            sleep(LOOK).await;
        }
    }

    /// Everything the page shows, for a failure.
    async fn sight(&self) -> String {
        let text = self.client.execute("return document.body.innerText", Vec::new()).await;
        format!("{text:?}")
    }
}
