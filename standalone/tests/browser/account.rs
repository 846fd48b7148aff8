//! One's account on the page: the menu at one's name, the settings, and what is said when something is wrong.

use crate::{
    accessibility::check,
    harness::{Browser, PASSWORD, Server, Stage},
};
use fantoccini::key::Key;
use serde_json::json;

#[tokio::test]
async fn a_person_sets_up_the_account() {
    let stage = Stage::cluster(&[], ["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage
        .tell(async {
            sign_in_says_what_is_wrong(server, ann).await;
            the_menu_is_used_by_keyboard(ann).await;
            the_name_changes(ann).await;
            the_theme_is_kept_by_the_device(ann).await;
            the_password_changes(server, ann).await;
        })
        .await;
}

async fn sign_in_says_what_is_wrong(server: &Server, ann: &Browser) {
    ann.excuse("/login - Failed to load resource: the server responded with a status of 401");
    ann.excuse("/register - Failed to load resource: the server responded with a status of 422");
    ann.open(&server.url()).await;
    ann.press("#sign-in-name", "ann").await;
    ann.press("#sign-in-password", "not hers").await;
    ann.click("#sign-in-form [type=submit]").await;
    let wrong = "That name and password do not belong together. Please check both.";
    ann.see("#sign-in-error", wrong).await;
    ann.find("#sign-in-password:focus[aria-invalid=true]").await;
    ann.find("#sign-in-name[aria-invalid=true]").await;

    ann.click("#sign-in-switch").await;
    ann.see("#sign-in-password-hint", "At least 8 characters.").await;
    ann.press("#sign-in-password", "short").await;
    ann.run("document.getElementById('sign-in-password').value = 'short'").await;
    ann.click("#sign-in-form [type=submit]").await;
    ann.see("#sign-in-error", "The password needs 8 to 128 characters.").await;
    ann.find("#sign-in-password:focus").await;
    ann.press("#sign-in-password", PASSWORD).await;
    ann.click("#sign-in-form [type=submit]").await;
    ann.see("#account .who", "ann\n@ann").await;
}

async fn the_menu_is_used_by_keyboard(ann: &Browser) {
    ann.click("#account button").await;
    ann.find("#account-menu:popover-open [data-do=profile]:focus").await;
    let keys = [Key::Down, Key::Down, Key::Up, Key::End].map(char::from);
    ann.press("#account-menu [data-do=profile]", &String::from_iter(keys)).await;
    ann.find("#account-menu [data-do=sign-out]:focus").await;
    ann.press("#account-menu [data-do=sign-out]", &char::from(Key::Escape).to_string()).await;
    ann.gone("#account-menu:popover-open").await;
    ann.find("#account .account-row:focus[aria-expanded=false]").await;
}

async fn the_name_changes(ann: &Browser) {
    ann.click("#account button").await;
    ann.click("#account-menu [data-do=profile]").await;
    ann.find("#settings-name:focus").await;
    ann.run("document.getElementById('settings-name').value = ' '").await;
    ann.click("#settings-dialog [type=submit]").await;
    ann.see("#settings-name-error", "Please fill this in.").await;
    ann.press("#settings-name", "Анна").await;
    ann.click("#settings-dialog [type=submit]").await;
    ann.see("#settings-dialog .done", "Saved.").await;
    ann.see("#account .who", "Анна\n@ann").await;
}

async fn the_theme_is_kept_by_the_device(ann: &Browser) {
    ann.click("#settings-dialog [data-section=appearance]").await;
    ann.click("#settings-dialog label:has([value=dark])").await;
    ann.click("#settings-dialog label:has([value=compact])").await;
    ann.client.refresh().await.unwrap();
    ann.find("html[data-theme=dark][data-density=compact]").await;
    ann.see("#account .who", "Анна\n@ann").await;
    let background = "return getComputedStyle(document.body).backgroundColor";
    assert_eq!(ann.run(background).await, json!("rgb(15, 17, 24)"));
    ann.click("#account button").await;
    ann.click("#account-menu [data-theme-choice=light]").await;
    ann.find("html[data-theme=light]").await;
    ann.click("#account-menu [data-do=settings]").await;
}

async fn the_password_changes(server: &Server, ann: &Browser) {
    ann.excuse("/me/password - Failed to load resource: the server responded with a status of 400");
    ann.click("#settings-dialog [data-section=password]").await;
    ann.press("#settings-current", "not hers").await;
    ann.press("#settings-new", "quite another one").await;
    ann.click("#settings-dialog [type=submit]").await;
    ann.see("#settings-current-error", "This is not your present password.").await;
    ann.find("#settings-current:focus").await;
    ann.run("document.getElementById('settings-current').value = ''").await;
    ann.press("#settings-current", PASSWORD).await;
    ann.click("#settings-dialog [type=submit]").await;
    let changed = "The password is changed. All other devices are signed out.";
    ann.see("#settings-dialog .done", changed).await;

    ann.click("#settings-dialog [data-section=devices]").await;
    ann.find("#settings-dialog .device .tag").await;
    ann.click("#settings-dialog [data-section=blocked]").await;
    ann.see("#settings-dialog .fetched p", "You have blocked nobody.").await;
    // All that was drawn on the way, and what was not.
    for section in ["profile", "email", "password", "two-step", "devices", "blocked", "delete"] {
        ann.click(&format!("#settings-dialog [data-section={section}]")).await;
        ann.gone("#settings-dialog .fetched > .muted:only-child").await;
        let found = check(ann, section).await;
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
    ann.click("#settings-dialog header [aria-label=Close]").await;
    ann.click("#account button").await;
    ann.click("#account-menu [data-do=sign-out]").await;
    ann.press("#sign-in-name", "ann").await;
    ann.press("#sign-in-password", "quite another one").await;
    ann.click("#sign-in-form [type=submit]").await;
    ann.see("#account .who", "Анна\n@ann").await;
    assert!(ann.client.current_url().await.unwrap().as_str().starts_with(&server.url()));
}
