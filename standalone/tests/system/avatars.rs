//! Pictures of people, whichever node takes them and whichever shows them, and what the older families see of them.

use crate::harness::{Rest, System, User, want::*};
use image::{DynamicImage, ImageFormat, RgbImage};
use reqwest::Method;
use serde_json::json;
use std::io::Cursor;

in_both_modes!(a_picture_is_seen_on_every_node);
behind_haproxy!(a_picture_is_seen_on_every_node);

/// A picture that does not get small by packing: 750 KB, by far more than any other body.
fn noise() -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let picture: DynamicImage =
        RgbImage::from_fn(500, 500, |_, _| image::Rgb(rand::random())).into();
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

async fn upload(user: &User) -> String {
    let put = user.rest.request(Method::PUT, "/me/avatar").header("content-type", "image/png");
    let answer = Rest::send(put.body(noise())).await.ok();
    answer["avatar"].as_str().unwrap().to_owned()
}

async fn a_picture_is_seen_on_every_node(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let group = ann.group("team", &[&bob]).await;
    let private = ann.private(&bob).await;
    let mut far = bob.connect_to(1).await;
    let mut phone = ann.connect_to(0).await;
    phone.send(group, "before").await;
    assert_eq!(far.expect(message("before")).await.sender.avatar, None);

    let path = upload(&ann).await;
    phone.send(group, "first").await;
    assert_eq!(far.expect(message("first")).await.sender.avatar.as_deref(), Some(&*path));
    phone.send(private, "just us").await;
    assert_eq!(far.expect(message("just us")).await.sender.avatar.as_deref(), Some(&*path));
    let listed = bob.connect().await.chats;
    let view = |chat| listed.iter().find(|view| view.id == chat).unwrap();
    let last = view(group).last_message.as_ref().unwrap();
    assert_eq!(last.sender.avatar.as_deref(), Some(&*path));
    let peer = view(private).peer.as_ref().unwrap();
    assert_eq!(peer.avatar.as_deref(), Some(&*path));
    let away = far.track.events.iter().filter(|event| event.chat_id == group).count();
    assert!(away >= 2, "{away}");

    // Every api shows what one of them took.
    for rest in t.rests() {
        let shown = rest.with_token(&bob.token).request(Method::GET, &path).send().await.unwrap();
        assert_eq!(shown.status(), 200);
        assert_eq!(shown.headers()["content-type"], "image/jpeg");
        assert!(shown.bytes().await.unwrap().starts_with(&[0xff, 0xd8]));
    }

    // Of the older families, those that have a word for it use it.
    let user = bob.rest.get(&format!("/users/{}", ann.id)).await.ok();
    assert_eq!(user["avatar"], *path);
    let mut window = bob.window(1, &format!("/ws/{group}")).await;
    phone.send(group, "second").await;
    let said = window.expect_until(json!({"text": "second"})).await;
    assert_eq!((said["username"].as_str(), said.get("avatar")), (Some(&*ann.username), None));

    // What is read back has the present picture, here none.
    assert_eq!(ann.rest.delete("/me/avatar").await.status, 204);
    phone.send(group, "third").await;
    assert_eq!(far.expect(message("third")).await.sender.avatar, None);
    let history = bob.rest.get(&format!("/chats/{group}/messages")).await.ok();
    assert!(history.as_array().unwrap().iter().all(|one| one.get("avatar").is_none()));
    bob.rest.get(&path).await.refused(404, "avatar_not_found");
}
