//! A lost password: links by mail and from an administrator, each good once and for a while.

use crate::{
    post_office::{Manner, PostOffice},
    support::{Server, text},
};
use api::{
    accounts::admin,
    config::{Config, MailServer},
    db::Db,
};
use platform::{limit::Rate, settings::Secret};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Where letters go, and where their links lead.
pub fn mail_by(office: &PostOffice) -> impl FnOnce(&mut Config) + use<> {
    let url = office.url.clone();
    move |config| {
        let from = "Switchboard <chat@example.com>".to_owned();
        config.mail.server = Some(MailServer { url: Secret::new(url), from });
        config.mail.retry_after = [Duration::from_millis(1); 4];
        config.public_url = Some("https://chat.example.com".parse().unwrap());
    }
}

const PLACE: &str = "new-password";

impl Server {
    async fn forgot(&self, email: &str) -> crate::support::Answer {
        self.post("/password/forgot", json!({ "email": email })).await
    }

    async fn reset(&self, token: &str, password: &str) -> crate::support::Answer {
        self.post("/password/reset", json!({"token": token, "new_password": password})).await
    }

    /// Accounts with verified addresses, `name@example.com`.
    async fn reachable(&self, names: &[&str]) -> Vec<Value> {
        let mut users = Vec::new();
        for name in names {
            let body = json!({"username": name, "password": "password123"});
            users.push(self.post("/register", body).await.ok(201));
        }
        self.sql(
            "UPDATE users SET email = username || '@example.com', email_verified_at = 1,
             email_key = username || '@example.com'",
        )
        .await;
        users
    }
}

async fn a_mailed_link_leads_to_a_new_password_once(t: Server, mut office: PostOffice) {
    let users = t.reachable(&["ann", "bob"]).await;
    assert_eq!(t.forgot("Ann@Example.com").await.status, 202);
    let letter = office.letter().await;
    assert_eq!(letter.to, "ann@example.com");
    assert!(letter.text.contains("https://chat.example.com/#/new-password/"), "{}", letter.text);
    let token = letter.token(PLACE);

    let short = t.reset(&token, "short").await;
    assert_eq!(short.refused(422, "validation_failed").fields(), ["new_password"]);
    assert_eq!(t.reset(&token, "quite another one").await.status, 204);
    t.reset(&token, "and one more").await.refused(400, "invalid_link");
    t.get("/me", text(&users[0], "access_token")).await.refused(401, "session_ended");
    t.login("ann", "password123").await.refused(401, "invalid_credentials");
    t.login("ann", "quite another one").await.ok(200);
    t.login("bob", "password123").await.ok(200);
}

#[tokio::test]
async fn a_mailed_link_leads_to_a_new_password_once_sqlite() {
    let office = PostOffice::open().await;
    a_mailed_link_leads_to_a_new_password_once(Server::start_with(mail_by(&office)).await, office)
        .await;
}

#[tokio::test]
async fn a_mailed_link_leads_to_a_new_password_once_postgres() {
    let office = PostOffice::open().await;
    a_mailed_link_leads_to_a_new_password_once(Server::on_postgres(mail_by(&office)).await, office)
        .await;
}

#[tokio::test]
async fn whoever_asks_hears_the_same_and_only_verified_addresses_get_mail() {
    let mut office = PostOffice::open().await;
    let t = Server::start_with(mail_by(&office)).await;
    t.reachable(&["ann", "blocked", "gone", "unverified"]).await;
    t.sql(
        "UPDATE users SET blocked_at = 1 WHERE username = 'blocked';
           UPDATE users SET deactivated_at = 1 WHERE username = 'gone';
           UPDATE users SET email_verified_at = NULL WHERE username = 'unverified'",
    )
    .await;
    for name in ["nobody", "blocked", "gone", "unverified", "ann"] {
        let answer = t.forgot(&format!("{name}@example.com")).await;
        assert_eq!((answer.status.as_u16(), answer.json), (202, json!(null)), "{name}");
    }
    // Those before it would have come first.
    assert_eq!(office.letter().await.to, "ann@example.com");
    assert!(office.is_empty());
    let wrong = t.forgot("ann at example.com").await;
    assert_eq!(wrong.refused(422, "validation_failed").fields(), ["email"]);
}

#[tokio::test]
async fn mails_are_bounded_by_address_whether_it_is_anybodys_or_not() {
    let office = PostOffice::open().await;
    let t = Server::start_with(mail_by(&office)).await;
    t.reachable(&["ann"]).await;
    for email in ["ann@example.com", "nobody@example.com"] {
        for _ in 0..5 {
            assert_eq!(t.forgot(email).await.status, 202);
        }
        t.forgot(&email.to_uppercase()).await.refused(429, "rate_limited");
    }
}

#[tokio::test]
async fn a_network_asks_for_few_mails_and_tries_few_links() {
    let office = PostOffice::open().await;
    let mail = mail_by(&office);
    let t = Server::start_with(|config| {
        mail(config);
        let two = Rate { per: Duration::from_secs(3_600), burst: 2 };
        (config.mail_per_address, config.links_per_address) = (two, two);
    })
    .await;
    for number in 0..2 {
        assert_eq!(t.forgot(&format!("n{number}@example.com")).await.status, 202);
        t.reset("a guess", "quite another one").await.refused(400, "invalid_link");
    }
    t.forgot("n3@example.com").await.refused(429, "rate_limited");
    t.reset("a guess", "quite another one").await.refused(429, "rate_limited");
}

#[tokio::test]
async fn a_letter_is_tried_again_unless_it_is_refused() {
    let mut office = PostOffice::open().await;
    let mail = mail_by(&office);
    let t = Server::start_with(|config| {
        mail(config);
        config.mail.timeout = Duration::from_secs(3);
    })
    .await;
    t.reachable(&["ann", "bob"]).await;
    office.next([Manner::PutOff, Manner::Stall, Manner::PutOff, Manner::Take]);
    assert_eq!(t.forgot("ann@example.com").await.status, 202);
    let token = office.letter().await.token(PLACE);
    assert_eq!(t.reset(&token, "quite another one").await.status, 204);

    office.next([Manner::Refuse, Manner::Take]);
    assert_eq!(t.forgot("bob@example.com").await.status, 202);
    // Were bob's letter tried again, it would come before ann's.
    while office.remaining() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(t.forgot("ann@example.com").await.status, 202);
    assert_eq!(office.letter().await.to, "ann@example.com");
}

#[tokio::test]
async fn while_too_many_letters_are_on_their_way_the_next_one_waits_outside() {
    let office = PostOffice::open().await;
    let mail = mail_by(&office);
    let t = Server::start_with(|config| {
        mail(config);
        config.mail.letters = 1;
    })
    .await;
    t.reachable(&["ann"]).await;
    office.next([Manner::Stall]);
    assert_eq!(t.forgot("ann@example.com").await.status, 202);
    t.forgot("ann@example.com").await.refused(503, "busy");
    t.forgot("nobody@example.com").await.refused(503, "busy");
}

#[tokio::test]
async fn without_a_mail_server_an_administrator_hands_the_link_out() {
    let t = Server::start().await;
    t.forgot("ann@example.com").await.refused(404, "mail_off");
    let ann = t.user("ann").await;
    let made =
        admin::create(t.api.db.home(), &t.api.passwords, Secret::new("admin password"), |_| Ok(()));
    assert!(made.await.unwrap());
    let admin = t.login("admin", "admin password").await.ok(200);
    let path = format!("/admin/users/{}/password-link", ann["id"]);
    let by_ann = t.bearer(Method::POST, &path, text(&ann, "access_token")).await;
    by_ann.refused(403, "admin_only");
    let link = t.bearer(Method::POST, &path, text(&admin, "access_token")).await.ok(201);
    // Without its own address the server says where on the page it is.
    let token = text(&link, "link").strip_prefix("/#/new-password/").unwrap();
    assert_eq!(t.reset(token, "quite another one").await.status, 204);
    t.login("ann", "quite another one").await.ok(200);

    let log = t.get("/admin/audit", text(&admin, "access_token")).await.ok(200);
    let acts: Vec<_> = log["items"].as_array().unwrap().iter().map(|one| &one["action"]).collect();
    assert_eq!(acts[..2], ["reset_password_by_link", "make_password_link"]);
    assert!(!log.to_string().contains(token), "the log has the link");
}

#[tokio::test]
async fn an_old_link_is_no_link_and_a_used_one_takes_the_others_along() {
    let mut office = PostOffice::open().await;
    let t = Server::start_with(mail_by(&office)).await;
    t.reachable(&["ann"]).await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        t.forgot("ann@example.com").await.ok(202);
        tokens.push(office.letter().await.token(PLACE));
    }
    let Db::Sqlite { read, .. } = t.api.db.home() else { unreachable!() };
    let stored: Vec<(String,)> =
        sqlx::query_as("SELECT token_hash FROM account_links").fetch_all(read).await.unwrap();
    assert!(stored.iter().all(|(hash,)| !tokens.contains(hash)), "tokens are kept hashed");
    assert_eq!(t.reset(&tokens[1], "quite another one").await.status, 204);
    for token in [&tokens[0], &tokens[2]] {
        t.reset(token, "and one more").await.refused(400, "invalid_link");
    }
    t.forgot("ann@example.com").await.ok(202);
    let token = office.letter().await.token(PLACE);
    t.sql("UPDATE account_links SET expires_at = 1").await;
    t.reset(&token, "and one more").await.refused(400, "invalid_link");
}
