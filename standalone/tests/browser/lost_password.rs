//! A password that was lost, and the second step of signing in: the ways in that are not the password alone.

use crate::{
    harness::{Browser, PASSWORD, Server, Stage},
    post_office::PostOffice,
};
use serde_json::json;

#[tokio::test]
async fn a_person_comes_back_by_mail_and_with_a_recovery_code() {
    let mut office = PostOffice::open().await;
    let settings = [
        ("SMTP_URL", office.url.as_str()),
        ("MAIL_FROM", "Switchboard <chat@example.com>"),
        // The links of the mails are opened at the server's own address here.
        ("PUBLIC_URL", "https://chat.example.com"),
    ];
    let stage = Stage::cluster(&settings, ["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage.tell(story(server, &mut office, ann)).await;
}

async fn story(server: &Server, office: &mut PostOffice, ann: &Browser) {
    // Back from a link, the page asks whether somebody is signed in.
    for refusal in ["/password/reset - ", "/login - ", "/login/second-step - ", "/me - "] {
        ann.excuse(refusal);
    }
    ann.open(&server.url()).await;
    ann.register().await;
    open_settings(ann, "email").await;
    ann.see("#settings-email-is", "Your account has no e-mail address.").await;
    ann.press("#settings-email", "ann@example.com").await;
    ann.press("#settings-email-password", PASSWORD).await;
    ann.click("#settings-dialog [type=submit]").await;
    let sent = "A link is on its way to ann@example.com. Open it within a day.";
    ann.see("#settings-dialog .done", sent).await;
    ann.click("#settings-dialog header [aria-label=Close]").await;
    let token = office.letter().await.token("verify-email");
    ann.open(&format!("{}#/verify-email/{token}", server.url())).await;
    ann.see("#toast", "Your e-mail address is verified.").await;
    let address = ann.run("return location.href").await;
    assert_eq!(address, json!(format!("{}#/", server.url())), "the token stays in the address");
    sign_out(ann).await;

    ann.click("#sign-in-forgot").await;
    ann.press("#forgot-email", "ann@example.com").await;
    ann.click("#lost-password [type=submit]").await;
    let sent = "If an account has this address, a link is on its way. It works for an hour.";
    ann.see("#lost-password .done", sent).await;
    let token = office.letter().await.token("new-password");
    let link = format!("location.hash = '#/new-password/{token}'");
    ann.run(&link).await;
    ann.press("#new-password", "short").await;
    ann.click("#lost-password [type=submit]").await;
    ann.see("#new-password-error", "The password needs 8 to 128 characters.").await;
    ann.press("#new-password", " but no more").await;
    ann.click("#lost-password [type=submit]").await;
    ann.see("#sign-in-note", "The new password is set. Please sign in with it.").await;
    ann.run(&link).await;
    ann.press("#new-password", "once more").await;
    ann.click("#lost-password [type=submit]").await;
    let used = "This link was used already or is too old. Ask for a new one.";
    ann.see("#lost-password [role=alert]", used).await;
    ann.click("#lost-password .switch .link").await;
    sign_in(ann).await;
    ann.see("#account .who", "ann\n@ann").await;

    let code = turn_two_steps_on(ann).await;
    sign_out(ann).await;
    sign_in(ann).await;
    ann.press("#second-step-code", "000000").await;
    ann.click("#lost-password [type=submit]").await;
    let wrong = "This code is wrong or was used already. Try the next one.";
    ann.see("#second-step-code-error", wrong).await;
    ann.run("document.getElementById('second-step-code').value = ''").await;
    ann.press("#second-step-code", &code).await;
    ann.click("#lost-password [type=submit]").await;
    ann.see("#account .who", "ann\n@ann").await;

    open_settings(ann, "delete").await;
    ann.press("#settings-delete-password", "short but no more").await;
    ann.click("#settings-dialog [type=submit]").await;
    ann.click("#confirm-dialog .danger-button").await;
    ann.see("#sign-in-note", "Your account is deleted.").await;
}

async fn open_settings(ann: &Browser, section: &str) {
    ann.click("#account button").await;
    ann.click("#account-menu [data-do=settings]").await;
    ann.click(&format!("#settings-dialog [data-section={section}]")).await;
}

async fn sign_out(ann: &Browser) {
    ann.click("#account button").await;
    ann.click("#account-menu [data-do=sign-out]").await;
    ann.find("#sign-in-form").await;
}

async fn sign_in(ann: &Browser) {
    ann.press("#sign-in-name", "ann@example.com").await;
    ann.press("#sign-in-password", "short but no more").await;
    ann.click("#sign-in-form [type=submit]").await;
}

/// Reads the secret from the page, as a phone would; one of the recovery codes.
async fn turn_two_steps_on(ann: &Browser) -> String {
    open_settings(ann, "two-step").await;
    ann.press("#settings-factor-password", "short but no more").await;
    ann.click("#settings-dialog [type=submit]").await;
    ann.find("#settings-dialog .qr path[d^='M0 0h7v1h-7z']").await;
    let code = ann
        .client
        .execute_async(
            "const done = arguments[0];
            const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
            const secret = document.querySelector('.secret').textContent.replaceAll(' ', '');
            const bits = [...secret].map((c) => letters.indexOf(c).toString(2).padStart(5, '0')).join('');
            const key = Uint8Array.from(bits.match(/.{8}/g), (byte) => parseInt(byte, 2));
            const time = new DataView(new ArrayBuffer(8));
            time.setUint32(4, Math.floor(Date.now() / 30_000));
            const hmac = { name: 'HMAC', hash: 'SHA-1' };
            crypto.subtle.importKey('raw', key, hmac, false, ['sign'])
                .then((made) => crypto.subtle.sign('HMAC', made, time))
                .then((signed) => {
                    const view = new DataView(signed);
                    const number = view.getUint32(view.getUint8(19) & 15) & 0x7fffffff;
                    done(String(number % 1_000_000).padStart(6, '0'));
                });",
            Vec::new(),
        )
        .await
        .unwrap();
    ann.press("#settings-factor-code", code.as_str().unwrap()).await;
    ann.click("#settings-dialog [type=submit]").await;
    ann.find("#settings-dialog .codes li").await;
    let code = ann.run("return document.querySelector('.codes li').textContent").await;
    ann.click("#settings-dialog .buttons .primary").await;
    ann.see(
        "#settings-dialog .fetched > p",
        "Two-step sign-in is on. You have 10 recovery codes left.",
    )
    .await;
    ann.click("#settings-dialog header [aria-label=Close]").await;
    code.as_str().unwrap().to_owned()
}
