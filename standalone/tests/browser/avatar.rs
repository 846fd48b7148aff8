//! One's picture: chosen, looked at and uploaded in the settings, seen by others wherever one is named, and removed.

use crate::{
    accessibility::check,
    harness::{Browser, Stage},
};
use image::{Rgb, RgbImage};
use serde_json::{Value, json};

/// What the middle of a face on the page shows; `null` before its picture is there.
const MIDDLE: &str = "
    const image = document.querySelector(arguments[0])?.querySelector('img');
    if (!image?.complete || image.naturalWidth === 0) return null;
    const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1});
    const pen = canvas.getContext('2d');
    pen.drawImage(image, 128, 128, 1, 1, 0, 0, 1, 1);
    const [red, , blue] = pen.getImageData(0, 0, 1, 1).data;
    return red > blue ? 'red' : 'blue'";

/// As from the clipboard: a blue picture larger than the server takes.
const PASTE: &str = "
    const done = arguments[0];
    const canvas = Object.assign(document.createElement('canvas'), {width: 5000, height: 3000});
    const pen = canvas.getContext('2d');
    pen.fillStyle = 'rgb(20, 20, 200)';
    pen.fillRect(0, 0, 5000, 3000);
    canvas.toBlob((blob) => {
        const clipboardData = new DataTransfer();
        clipboardData.items.add(new File([blob], 'image.png', {type: 'image/png'}));
        document.activeElement.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}));
        done(blob.size);
    });";

#[tokio::test]
async fn a_person_shows_a_picture() {
    let stage = Stage::alone(["ann", "bob"]).await;
    let (server, [ann, bob]) = (&stage.server, &stage.people);
    let red = stage.folder.path().join("red.png");
    RgbImage::from_pixel(300, 200, Rgb([200, 20, 20])).save(&red).unwrap();
    let text = stage.folder.path().join("notes.png");
    std::fs::write(&text, "no picture").unwrap();
    stage.tell(async {
        for person in [ann, bob] {
            person.open(&server.url()).await;
            person.register().await;
            person.click("#enter-lobby").await;
            person.find("#composer-text").await;
        }
        open_profile(ann).await;
        ann.press("#settings-picture", text.to_str().unwrap()).await;
        let wrong =
            "This is not a picture that can be read. Please choose a PNG, JPEG, WebP or GIF file.";
        ann.see(".picture .error", wrong).await;

        ann.press("#settings-picture", red.to_str().unwrap()).await;
        ann.find(".picture canvas").await;
        ann.gone(".picture .error:not([hidden])").await;
        ann.find(".picture .primary:focus").await;
        ann.click(".picture .primary").await;
        ann.see(".picture-done", "Your picture is changed.").await;
        shows(ann, "#account", json!("red")).await;
        shows(ann, ".picture", json!("red")).await;
        assert!(check(ann, "picture").await.is_empty());
        close(ann).await;

        // Others see it with the next message, in the log and wherever else the author is named.
        ann.say("this is me").await;
        bob.read("this is me", 1).await;
        shows(bob, "#items .message:last-of-type", json!("red")).await;

        // A large one is made smaller before it is sent.
        open_profile(ann).await;
        ann.find(".picture .plain + .plain").await;
        let sent = ann.client.execute_async(PASTE, vec![]).await.unwrap();
        assert!(sent.as_u64() > Some(10_000), "{sent}");
        ann.find(".picture canvas").await;
        ann.click(".picture .primary").await;
        ann.see(".picture-done", "Your picture is changed.").await;
        shows(ann, "#account", json!("blue")).await;

        ann.click(".picture .plain + .plain").await;
        ann.see(".picture-done", "Your picture is removed.").await;
        ann.gone("#account img").await;
        close(ann).await;
        ann.say("and now I am letters").await;
        bob.read("and now I am letters", 1).await;
    })
    .await;
}

async fn open_profile(person: &Browser) {
    person.click("#account button").await;
    person.click("#account-menu [data-do=profile]").await;
    person.find(".picture .plain").await;
}

async fn close(person: &Browser) {
    person.click("#settings-dialog header [aria-label=Close]").await;
}

async fn shows(person: &Browser, place: &str, color: Value) {
    person
        .until(&format!("{place} is {color}"), async || {
            let shown = person.client.execute(MIDDLE, vec![json!(place)]).await;
            shown.is_ok_and(|shown| shown == color)
        })
        .await;
}
