//! What an administrator does on the page, and what the people concerned see of it.

use crate::{
    accessibility::check,
    harness::{Browser, PASSWORD, Server, Stage},
};
use serde_json::json;

#[tokio::test]
async fn an_administrator_governs_and_others_see_no_way_in() {
    let stage = Stage::cluster(&[], ["boss", "ann"]).await;
    let (server, [boss, ann]) = (&stage.server, &stage.people);
    stage.tell(story(server, boss, ann)).await;
}

async fn story(server: &Server, boss: &Browser, ann: &Browser) {
    ann.open(&server.url()).await;
    ann.register().await;
    ann.click("#enter-lobby").await;
    ann.see("#chat-name", "lobby").await;
    ann.find("#open-admin[hidden]").await;
    // Nor by the address: she stays where she is.
    ann.run("location.hash = '#/admin/people'").await;
    ann.find("#admin[hidden]").await;
    ann.find("#app:not([hidden])").await;

    boss.open(&server.url()).await;
    boss.press("#sign-in-name", "admin").await;
    boss.press("#sign-in-password", PASSWORD).await;
    boss.click("#sign-in-form [type=submit]").await;
    boss.find("#open-admin:not([hidden])").await;
    let loaded = "return performance.getEntriesByType('resource')\
        .filter((entry) => /admin[^/]*\\.(js|css)$/.test(entry.name)).length";
    assert_eq!(boss.run(loaded).await, json!(1), "only the way in is there before it is opened");
    boss.click("#open-admin").await;

    announce(boss, ann).await;
    govern(boss, ann).await;
    look_around(boss).await;
    boss.click("#admin .icon-button").await;
    boss.find("#app:not([hidden])").await;
    boss.find("#admin[hidden]").await;
}

async fn announce(boss: &Browser, ann: &Browser) {
    boss.click("#admin [data-section=announcement]").await;
    boss.press("#admin textarea", "Back at ten.").await;
    boss.click("#admin .admin-form .primary").await;
    for person in [boss, ann] {
        person.see("#announcement p", "Back at ten.").await;
    }
    ann.click("#announcement button").await;
    ann.find("#announcement[hidden]").await;
    // What one has closed stays closed.
    ann.client.refresh().await.unwrap();
    ann.see("#account .who", "ann\n@ann").await;
    ann.find("#announcement[hidden]").await;
    boss.press("#admin textarea", "Back at eleven.").await;
    boss.click("#admin .admin-form .primary").await;
    ann.see("#announcement p", "Back at eleven.").await;
    boss.click("#admin .admin-now .danger-button").await;
    agree(boss).await;
    boss.find("#announcement[hidden]").await;
}

async fn govern(boss: &Browser, ann: &Browser) {
    boss.click("#admin [data-section=people]").await;
    boss.press("#admin [type=search]", "NN").await;
    boss.see("#admin tbody tr:only-child .person small", "@ann").await;
    let mut found = check(boss, "people").await;
    boss.click("#admin tbody button").await;
    boss.click("dialog[open] .admin-devices .plain").await;
    boss.find("dialog[open] .people li:only-child").await;
    boss.see("dialog[open] .admin-devices h3:last-of-type", "Open connections").await;
    found.extend(check(boss, "a person's card").await);
    assert!(found.is_empty(), "{}", found.join("\n"));
    hand_out_a_link(boss).await;
    boss.click("dialog[open] .people:last-of-type .link").await;
    agree(boss).await;
    ann.find("#sign-in:not([hidden])").await;
    ann.client.refresh().await.unwrap();
    ann.find("#app:not([hidden])").await;
    // The card is drawn anew after each act.
    boss.click("dialog[open] .admin-acts .danger-button").await;
    boss.press("#admin-reason", "spam").await;
    agree(boss).await;
    boss.see("dialog[open] .tag.danger", "Blocked").await;
    ann.find("#sign-in:not([hidden])").await;
    boss.click("dialog[open] header button").await;
}

async fn hand_out_a_link(boss: &Browser) {
    boss.click("dialog[open] .admin-acts .plain:nth-of-type(3)").await;
    agree(boss).await;
    boss.see("#admin-link-title", "Link to a new password for @ann").await;
    let link = boss.run("return document.getElementById('admin-link').value").await;
    assert!(link.as_str().unwrap().contains("/#/new-password/"), "{link}");
    let found = check(boss, "a link to a new password").await;
    assert!(found.is_empty(), "{}", found.join("\n"));
    boss.click("dialog:has(#admin-link) form .plain").await;
    boss.gone("#admin-link").await;
}

async fn look_around(boss: &Browser) {
    let mut found = Vec::new();
    boss.click("#admin [data-section=chats]").await;
    boss.see("#admin tbody tr:only-child .person > span:last-child", "lobby").await;
    found.extend(check(boss, "all chats").await);
    boss.click("#admin [data-section=nodes]").await;
    boss.see("#admin .admin-filter > p", "1 connection in all").await;
    found.extend(check(boss, "nodes").await);
    boss.click("#admin [data-section=settings]").await;
    sees_setting(boss, "ADMIN_PASSWORD=****").await;
    found.extend(check(boss, "settings").await);
    let gateway = "document.querySelector('#admin .admin-filter option:nth-child(2)')";
    boss.until("the gateway is in the list", async || {
        boss.run(&format!("return {gateway} !== null")).await == true
    })
    .await;
    boss.run(&format!(
        "{gateway}.selected = true; {gateway}.parentElement.dispatchEvent(new Event('change'))"
    ))
    .await;
    sees_setting(boss, "MAX_CONNECTIONS=15000").await;
    boss.click("#admin [data-section=audit]").await;
    boss.see("#admin tbody tr:first-child td:nth-child(3)", "Blocked").await;
    boss.see("#admin tbody tr:first-child td:nth-child(6)", "spam").await;
    boss.see("#admin tbody tr:nth-child(2) td:nth-child(3)", "Disconnected").await;
    found.extend(check(boss, "the audit log").await);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Waits until a name and a value stand side by side.
async fn sees_setting(boss: &Browser, setting: &str) {
    let script = "const rows = [...document.querySelectorAll('#admin tbody tr')];\
        return rows.map((row) => [...row.querySelectorAll('code')].map((code) => code.textContent).join('='))";
    boss.until(&format!("{setting} is there"), async || {
        let settings = boss.run(script).await;
        settings.as_array().is_some_and(|all| all.iter().any(|one| one == setting))
    })
    .await;
}

/// Says yes to the question.
async fn agree(boss: &Browser) {
    boss.click("dialog[open] [value=yes]").await;
}
