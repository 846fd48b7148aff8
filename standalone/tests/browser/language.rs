//! The page in the reader's language: as the browser asks at first, then as the reader chooses. The words themselves are
//! compared in `api/web/tests`.

use crate::{
    accessibility::check,
    harness::{Browser, PASSWORD, Server, Stage},
};
use serde_json::json;

#[tokio::test]
async fn the_page_speaks_the_readers_language() {
    let stage = Stage::alone_in([("ann", "de-AT,de,en"), ("bob", "en-US")]).await;
    let (server, [ann, bob]) = (&stage.server, &stage.people);
    stage
        .tell(async {
            signing_in_is_german(server, ann).await;
            a_chat_is_german(ann).await;
            english_is_chosen_and_nothing_typed_is_lost(ann).await;
            the_administration_is_german_again(ann).await;
            an_english_reader_loads_no_german(server, bob).await;
            who_is_not_signed_in_chooses(bob).await;
        })
        .await;
}

async fn signing_in_is_german(server: &Server, ann: &Browser) {
    ann.open(&server.url()).await;
    ann.see("#sign-in-form [type=submit]", "Anmelden").await;
    assert_eq!(language(ann).await, "de");
    accessible(ann, "signing in").await;
    ann.press("#sign-in-name", "ann").await;
    ann.press("#sign-in-password", "nicht ihres").await;
    ann.excuse("/login - Failed to load resource: the server responded with a status of 401");
    ann.click("#sign-in-form [type=submit]").await;
    ann.see("#sign-in-error", "Name und Passwort passen nicht zusammen. Bitte prüfe beides.").await;
    ann.click("#sign-in-forgot").await;
    ann.see("#lost-password h1", "Passwort vergessen?").await;
    ann.click("#lost-password .switch button").await;
    ann.run("document.getElementById('sign-in-form').reset()").await;
    ann.register().await;
    ann.see("#chats-heading", "DEINE CHATS").await;
    assert_eq!(german_files(ann).await, ["strings-de.js"]);
}

async fn a_chat_is_german(ann: &Browser) {
    ann.click("#room-list .entry").await;
    ann.say("Servus").await;
    ann.see("#items .day", "Heute").await;
    ann.until("the time is written as in Austria", async || {
        written_like(ann, "de-AT").await == json!(true)
    })
    .await;
    accessible(ann, "a chat").await;
    ann.press("#composer-text", "noch nicht fertig").await;
}

async fn english_is_chosen_and_nothing_typed_is_lost(ann: &Browser) {
    open_settings(ann).await;
    ann.click("#settings-dialog [data-section=appearance]").await;
    accessible(ann, "the settings").await;
    ann.click("#settings-language option[value=en]").await;

    // Loaded again, and in the same place.
    ann.find("html[lang=en]").await;
    ann.find("#settings-language:focus").await;
    ann.see("#settings-section", "Appearance").await;
    ann.click("#settings-dialog header [aria-label=Close]").await;
    ann.see("#items .day", "Today").await;
    ann.until("the draft is there", async || {
        ann.run("return document.getElementById('composer-text').value").await
            == json!("noch nicht fertig")
    })
    .await;
    // English words, and still the clock of Austria.
    assert_eq!(written_like(ann, "en").await, json!(false));

    ann.client.refresh().await.unwrap();
    ann.see("#chats-heading", "YOUR CHATS").await;
    assert_eq!(language(ann).await, "en");
    ann.gone("dialog[open]").await;
    assert!(german_files(ann).await.is_empty());
}

async fn the_administration_is_german_again(ann: &Browser) {
    open_settings(ann).await;
    ann.click("#settings-dialog [data-section=appearance]").await;
    ann.click("#settings-language option[value=system]").await;
    ann.see("#settings-section", "Darstellung").await;
    ann.click("#settings-dialog header [aria-label=Schließen]").await;
    ann.click("#account button").await;
    ann.click("#account-menu [data-do=sign-out]").await;
    ann.press("#sign-in-name", "admin").await;
    ann.press("#sign-in-password", PASSWORD).await;
    ann.click("#sign-in-form [type=submit]").await;
    ann.click("#open-admin").await;
    ann.see("#admin [aria-current]", "Personen").await;
    ann.find("#admin tbody tr").await;
    accessible(ann, "the administration").await;
    assert_eq!(german_files(ann).await, ["strings-de.js", "admin-strings-de.js"]);
}

async fn an_english_reader_loads_no_german(server: &Server, bob: &Browser) {
    bob.open(&server.url()).await;
    bob.register().await;
    bob.see("#chats-heading", "YOUR CHATS").await;
    assert_eq!(language(bob).await, "en");
    assert!(german_files(bob).await.is_empty());
}

async fn who_is_not_signed_in_chooses(bob: &Browser) {
    bob.click("#account button").await;
    bob.click("#account-menu [data-do=sign-out]").await;
    bob.see("#sign-in-form [type=submit]", "Sign in").await;
    bob.click("#sign-in-language option[value=de]").await;
    bob.see("#sign-in-form [type=submit]", "Anmelden").await;
    assert_eq!(language(bob).await, "de");
    // What the page causes to be mailed is written in it, too.
    let sent = "const { fetch } = window;
        window.fetch = (...given) => { window.asked = given[1].headers; return fetch(...given); };";
    bob.run(sent).await;
    bob.press("#sign-in-name", "bob").await;
    bob.press("#sign-in-password", PASSWORD).await;
    bob.click("#sign-in-form [type=submit]").await;
    bob.see("#chats-heading", "DEINE CHATS").await;
    assert_eq!(bob.run("return window.asked['Accept-Language']").await, json!("de"));
}

async fn open_settings(browser: &Browser) {
    browser.click("#account button").await;
    browser.click("#account-menu [data-do=settings]").await;
}

async fn language(browser: &Browser) -> String {
    let language = browser.run("return document.documentElement.lang").await;
    language.as_str().unwrap().to_owned()
}

/// The files of German words that this load of the page has asked for.
async fn german_files(browser: &Browser) -> Vec<String> {
    let script = "return performance.getEntriesByType('resource')
        .map(({ name }) => name.split('/').at(-1)).filter((name) => name.endsWith('-de.js'))";
    let mut files: Vec<String> = serde_json::from_value(browser.run(script).await).unwrap();
    // An import that waits for another one is one request.
    files.dedup();
    files
}

/// Whether the hour of the newest message is written as in this locale.
async fn written_like(browser: &Browser, locale: &str) -> serde_json::Value {
    let script = "const time = [...document.querySelectorAll('#items .message time')].at(-1);
        if (!time) return null;
        const format = (timeStyle) => new Intl.DateTimeFormat(arguments[0], { timeStyle });
        return time.textContent === format('short').format(new Date(time.dateTime));";
    browser.client.execute(script, vec![json!(locale)]).await.unwrap()
}

async fn accessible(browser: &Browser, sight: &str) {
    let found = check(browser, sight).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}
