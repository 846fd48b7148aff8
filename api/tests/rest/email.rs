//! E-mail addresses: a link verifies one, and it belongs to the account that has followed it.

use crate::{
    lost_password::mail_by,
    post_office::PostOffice,
    support::{Answer, Ask as _, Server, text},
};
use reqwest::Method;
use serde_json::{Value, json};

const PLACE: &str = "verify-email";

impl Server {
    async fn set_email(&self, user: &Value, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        let request = self.request(Method::PUT, "/me/email");
        request.bearer_auth(text(user, "access_token")).json(&body).answer().await
    }

    async fn verify(&self, token: &str) -> Answer {
        self.post("/email/verify", json!({ "token": token })).await
    }

    async fn email_of(&self, user: &Value) -> Value {
        self.get("/me/email", text(user, "access_token")).await.ok(200)
    }

    async fn nameless(&self, username: &str) -> Value {
        self.post("/register", json!({"username": username, "password": "password123"}))
            .await
            .ok(201)
    }
}

async fn an_address_is_the_accounts_once_its_link_is_followed(t: Server, mut office: PostOffice) {
    let ann = t.nameless("ann").await;
    assert_eq!(t.email_of(&ann).await, json!({"email": "", "verified": false}));
    let wrong = t.set_email(&ann, "ann@example.com", "not hers").await;
    wrong.refused(400, "wrong_password");
    assert_eq!(t.set_email(&ann, "Ann@Example.com", "password123").await.status, 202);
    let letter = office.letter().await;
    assert_eq!(letter.to, "Ann@Example.com");
    assert_eq!(t.email_of(&ann).await["email"], "", "nothing changes before");
    let token = letter.token(PLACE);
    // A link is good for what it is made for only.
    let reset = json!({"token": token, "new_password": "quite another one"});
    t.post("/password/reset", reset).await.refused(400, "invalid_link");
    assert_eq!(t.verify(&token).await.status, 204);
    t.verify(&token).await.refused(400, "invalid_link");
    assert_eq!(t.email_of(&ann).await, json!({"email": "Ann@Example.com", "verified": true}));
    t.login("ANN@example.com", "password123").await.ok(200);

    // Another one: the old address hears of it.
    assert_eq!(t.set_email(&ann, "new@example.com", "password123").await.status, 202);
    let token = office.letter().await.token(PLACE);
    assert_eq!(t.verify(&token).await.status, 204);
    let notice = office.letter().await;
    assert_eq!(notice.to, "Ann@Example.com");
    assert!(!notice.text.contains("new@example.com") && !notice.text.contains("/#/"));

    assert_eq!(t.set_email(&ann, "", "password123").await.status, 204);
    assert_eq!(t.email_of(&ann).await, json!({"email": "", "verified": false}));
    t.login("new@example.com", "password123").await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn an_address_is_the_accounts_once_its_link_is_followed_sqlite() {
    let office = PostOffice::open().await;
    let t = Server::start_with(mail_by(&office)).await;
    an_address_is_the_accounts_once_its_link_is_followed(t, office).await;
}

#[tokio::test]
async fn an_address_is_the_accounts_once_its_link_is_followed_postgres() {
    let office = PostOffice::open().await;
    let t = Server::on_postgres(mail_by(&office)).await;
    an_address_is_the_accounts_once_its_link_is_followed(t, office).await;
}

/// The words of each letter in German, quoted-printable as they come.
#[tokio::test]
async fn letters_are_written_in_the_language_that_the_request_asks_for() {
    let mut office = PostOffice::open().await;
    let t = Server::start_with(mail_by(&office)).await;
    let ask = async |method, path: &str, user: Option<&Value>, body: Value| {
        let request =
            t.request(method, path).header("Accept-Language", "fr, de-AT;q=0.9, en;q=0.8");
        let request = match user {
            Some(user) => request.bearer_auth(text(user, "access_token")),
            None => request,
        };
        request.json(&body).answer().await
    };
    let body = json!({"username": "ann", "email": "a@example.com", "password": "password123"});
    let ann = ask(Method::POST, "/register", None, body).await.ok(201);
    let welcome = office.letter().await;
    assert!(welcome.text.contains("Subject: Ist das deine Adresse?"), "{}", welcome.text);
    let token = json!({"token": welcome.token(PLACE)});
    assert_eq!(ask(Method::POST, "/email/verify", None, token).await.status, 204);

    let forgotten = json!({"email": "a@example.com"});
    assert_eq!(ask(Method::POST, "/password/forgot", None, forgotten).await.status, 202);
    let link = office.letter().await;
    assert!(link.text.contains("Subject: Ein neues Passwort"), "{}", link.text);
    assert!(link.text.contains("Hallo ann,"), "{}", link.text);

    let body = json!({"email": "b@example.com", "password": "password123"});
    assert_eq!(ask(Method::PUT, "/me/email", Some(&ann), body).await.status, 202);
    let token = json!({"token": office.letter().await.token(PLACE)});
    assert_eq!(ask(Method::POST, "/email/verify", None, token).await.status, 204);
    let notice = office.letter().await;
    assert_eq!(notice.to, "a@example.com");
    assert!(notice.text.contains("dein Konto hat ab jetzt"), "{}", notice.text);
}

#[tokio::test]
async fn an_address_belongs_to_who_reads_its_mail() {
    let mut office = PostOffice::open().await;
    let t = Server::start_with(mail_by(&office)).await;
    // Mallory writes down the address of bob, who gets the link.
    let body =
        json!({"username": "mallory", "email": "bob@example.com", "password": "password123"});
    let mallory = t.post("/register", body).await.ok(201);
    assert_eq!(office.letter().await.to, "bob@example.com");
    assert_eq!(t.email_of(&mallory).await, json!({"email": "bob@example.com", "verified": false}));

    let bob = t.nameless("bob").await;
    assert_eq!(t.set_email(&bob, "BOB@example.com", "password123").await.status, 202);
    assert_eq!(t.verify(&office.letter().await.token(PLACE)).await.status, 204);
    assert_eq!(t.email_of(&bob).await["verified"], true);
    assert_eq!(t.email_of(&mallory).await, json!({"email": "", "verified": false}));
    let taken = t.set_email(&mallory, "bob@example.com", "password123").await;
    taken.refused(400, "email_taken");
}

#[tokio::test]
async fn of_two_who_verify_one_address_the_first_has_it() {
    let mut office = PostOffice::open().await;
    let t = Server::start_with(mail_by(&office)).await;
    let [ann, bob] = [t.nameless("ann").await, t.nameless("bob").await];
    let mut tokens = Vec::new();
    for user in [&ann, &bob] {
        assert_eq!(t.set_email(user, "us@example.com", "password123").await.status, 202);
        tokens.push(office.letter().await.token(PLACE));
    }
    assert_eq!(t.verify(&tokens[0]).await.status, 204);
    t.verify(&tokens[1]).await.refused(400, "email_taken");
    assert_eq!(t.email_of(&ann).await["verified"], true);
    assert_eq!(t.email_of(&bob).await["email"], "");
}
