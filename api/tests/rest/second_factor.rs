//! Two-step sign-in: with it the password alone opens nothing, and every code counts once.

use crate::support::{Answer, Ask as _, Server, text};
use api::accounts::admin;
use platform::{limit::Rate, settings::Secret};
use protocol::time::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use totp_rs::{Builder, Totp};

/// The app on somebody's phone.
struct App(Totp);

impl App {
    fn new(enrollment: &Value) -> Self {
        let secret = totp_rs::Secret::try_from_base32(text(enrollment, "secret")).unwrap();
        let builder = Builder::new().with_secret(secret.as_bytes().to_vec());
        Self(builder.with_account_name("ann").build().unwrap())
    }

    /// The code of a time that is `steps` from now: -1, 0 and 1 are accepted.
    fn code(&self, steps: i64) -> String {
        let time = Timestamp::now().unix_seconds() + 30 * steps;
        self.0.generate(time.try_into().unwrap()).to_string()
    }
}

impl Server {
    async fn begin(&self, user: &Value) -> Answer {
        let body = json!({"password": "password123"});
        self.post_as("/me/second-factor", text(user, "access_token"), body).await
    }

    async fn confirm(&self, user: &Value, code: &str) -> Answer {
        let body = json!({ "code": code });
        self.post_as("/me/second-factor/confirm", text(user, "access_token"), body).await
    }

    /// Turns it on. The app, and the recovery codes. The next code of the app is that of the next step.
    async fn two_steps(&self, user: &Value) -> (App, Vec<String>) {
        let app = App::new(&self.begin(user).await.ok(201));
        let codes = self.confirm(user, &app.code(-1)).await.ok(200);
        (app, serde_json::from_value(codes["recovery_codes"].clone()).unwrap())
    }

    async fn first_step(&self, name: &str) -> String {
        let refused = self.login(name, "password123").await;
        refused.refused(401, "second_step_required");
        assert!(refused.set_cookie().is_none() && refused.json["access_token"].is_null());
        text(&refused.json, "second_step").to_owned()
    }

    async fn second_step(&self, token: &str, code: &str) -> Answer {
        self.post("/login/second-step", json!({"token": token, "code": code})).await
    }
}

async fn a_code_is_asked_for_and_counts_once(t: Server) {
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    let wrong = json!({"password": "not hers"});
    t.post_as("/me/second-factor", token, wrong).await.refused(400, "wrong_password");
    let enrollment = t.begin(&ann).await.ok(201);
    assert!(text(&enrollment, "address").contains(text(&enrollment, "secret")));
    // Begun is not on: nobody is locked out by an app that never came to be.
    t.login("ann", "password123").await.ok(200);
    t.confirm(&ann, "000000").await.refused(400, "wrong_code");
    let (app, codes) = t.two_steps(&ann).await;
    assert_eq!(codes.len(), 10);
    t.begin(&ann).await.refused(409, "second_factor_on");
    let standing = t.get("/me/second-factor", token).await.ok(200);
    assert_eq!(standing, json!({"on": true, "recovery_codes": 10}));

    let step = t.first_step("ann").await;
    t.second_step(&step, &app.code(-1)).await.refused(400, "wrong_code");
    t.second_step(&step, "12345").await.refused(400, "wrong_code");
    let signed_in = t.second_step(&step, &app.code(0)).await;
    assert!(signed_in.cookie_named("session").starts_with("session=ey"));
    assert_eq!(signed_in.ok(200)["username"], "ann");
    t.second_step(&step, &app.code(0)).await.refused(400, "wrong_code");

    let typed = codes[3].to_uppercase().replace('-', " ");
    t.second_step(&t.first_step("ann").await, &typed).await.ok(200);
    t.second_step(&step, &codes[3]).await.refused(400, "wrong_code");
    let off = json!({"password": "password123", "code": codes[4]});
    assert_eq!(t.post_as("/me/second-factor/remove", token, off).await.status, 204);
    t.login("ann", "password123").await.ok(200);
    t.second_step(&step, &codes[5]).await.refused(400, "wrong_code");
}

#[tokio::test]
async fn a_code_is_asked_for_and_counts_once_sqlite() {
    a_code_is_asked_for_and_counts_once(Server::start().await).await;
}

#[tokio::test]
async fn a_code_is_asked_for_and_counts_once_postgres() {
    a_code_is_asked_for_and_counts_once(Server::on_postgres(|_| {}).await).await;
}

#[tokio::test]
async fn the_token_of_the_first_step_is_for_one_account_and_one_password() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let (app, _) = t.two_steps(&ann).await;
    let step = t.first_step("ann").await;
    let (_, rest) = step.split_once('.').unwrap();
    for forged in [format!("2.{rest}"), step.replace('.', ".9"), "1".to_owned(), String::new()] {
        t.second_step(&forged, &app.code(0)).await.refused(401, "invalid_second_step");
    }
    let change = json!({"current_password": "password123", "new_password": "quite another one"});
    let changed = t.post_as("/me/password", text(&ann, "access_token"), change).await;
    assert_eq!(changed.status, 204);
    t.second_step(&step, &app.code(0)).await.refused(401, "invalid_second_step");
}

#[tokio::test]
async fn codes_are_not_for_guessing() {
    let t = Server::start_with(|config| {
        config.codes_per_account = Rate { per: Duration::from_secs(300), burst: 3 };
    })
    .await;
    let ann = t.user("ann").await;
    let (app, _) = t.two_steps(&ann).await; // one of the three
    let step = t.first_step("ann").await;
    for _ in 0..2 {
        t.second_step(&step, "000000").await.refused(400, "wrong_code");
    }
    t.second_step(&step, &app.code(0)).await.refused(429, "rate_limited");
}

#[tokio::test]
async fn an_administrator_helps_who_has_lost_everything() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    t.two_steps(&ann).await;
    let made =
        admin::create(t.api.db.home(), &t.api.passwords, Secret::new("admin password"), |_| Ok(()));
    assert!(made.await.unwrap());
    let admin = t.login("admin", "admin password").await.ok(200);
    let path = format!("/admin/users/{}/second-factor", ann["id"]);
    let by_ann = t.bearer(Method::DELETE, &path, text(&ann, "access_token")).await;
    by_ann.refused(403, "admin_only");
    let admin = text(&admin, "access_token");
    assert_eq!(t.bearer(Method::DELETE, &path, admin).await.status, 204);
    t.login("ann", "password123").await.ok(200);
    let log = t.get("/admin/audit", admin).await.ok(200);
    assert_eq!(log["items"][0]["action"], "remove_second_factor");
}

#[tokio::test]
async fn older_clients_are_told_what_to_do() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    t.two_steps(&ann).await;
    let body = json!({"email": "ann@example.com", "password": "password123"});
    let refused = t.post("/users/login", body).await;
    refused.refused(401, "second_step_required");
    assert!(text(&refused.json, "message").contains("asks for a code"), "{}", refused.json);
    let form = t.request(Method::POST, "/login");
    let form = form.form(&[("username", "ann"), ("password", "password123")]).answer().await;
    form.refused(401, "second_step_required");
}
