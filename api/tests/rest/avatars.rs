//! Pictures of people, in a folder: who sees them and where, what is refused, and what is left behind.

use crate::support::{Answer, Ask, Server, text};
use api::{
    accounts::{admin, avatar},
    config::{AvatarStore, Config},
};
use bytes::Bytes;
use futures_util::{future::join_all, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use platform::{limit::Rate, settings::Secret};
use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use std::{convert::Infallible, fs, io::Cursor, path::Path, time::Duration};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn keep_in(folder: &Path) -> impl FnOnce(&mut Config) {
    let store = Some(AvatarStore::Folder(folder.join("avatars")));
    |config| config.avatars.store = store
}

fn files(folder: &Path) -> Vec<String> {
    let all = fs::read_dir(folder.join("avatars")).unwrap();
    all.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

/// A picture of one color.
pub fn png(color: [u8; 3]) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let picture: DynamicImage = RgbImage::from_pixel(40, 20, Rgb(color)).into();
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

impl Server {
    pub async fn upload(&self, token: &str, kind: &str, file: impl Into<reqwest::Body>) -> Answer {
        let put = self.request(Method::PUT, "/me/avatar").bearer_auth(token);
        put.header("content-type", kind).body(file).answer().await
    }

    /// The picture at this path, or whatever there is.
    pub async fn picture(&self, path: &str, token: &str) -> Response {
        self.request(Method::GET, path).bearer_auth(token).send().await.unwrap()
    }

    async fn admin(&self) -> String {
        let password = Secret::new("correct horse");
        admin::create(self.api.db.home(), &self.api.passwords, password, |_| Ok(())).await.unwrap();
        text(&self.login("admin", "correct horse").await.ok(200), "access_token").to_owned()
    }

    /// As if an hour had passed.
    pub async fn remove_unused(&self) -> usize {
        self.sql("UPDATE unused_avatars SET since = 0").await;
        avatar::remove_unused(&self.api).await.unwrap()
    }
}

/// What color the middle of a picture has, of these.
async fn color(answer: Response, known: &[[u8; 3]]) -> [u8; 3] {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "image/jpeg");
    let picture = image::load_from_memory(&answer.bytes().await.unwrap()).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (256, 256));
    let got = picture.get_pixel(128, 128).0;
    let near = |color: &&[u8; 3]| color.iter().zip(got).all(|(one, other)| one.abs_diff(other) < 9);
    *known.iter().find(near).unwrap_or_else(|| panic!("{got:?}"))
}

const RED: [u8; 3] = [200, 20, 20];
const BLUE: [u8; 3] = [20, 20, 200];

async fn everybody_sees_the_picture(t: Server, folder: TempDir) {
    let [ann, bob] = [t.user("ann").await, t.user("bob").await];
    let [anns, bobs] = [&ann, &bob].map(|user| text(user, "access_token"));
    let pair = json!({"chat_type": "private", "member_ids": [ann["id"]]});
    let chat = t.post_as("/chats", bobs, pair).await.ok(201);
    let messages = format!("/chats/{}/messages", chat["id"]);

    let red = t.upload(anns, "image/png", png(RED)).await.ok(200);
    let path = text(&red, "avatar").to_owned();
    let said = t.post_as(&messages, anns, json!({"text": "hello"})).await.ok(201);
    assert_eq!(said["avatar"], *path);
    assert_eq!(color(t.picture(&path, bobs).await, &[RED, BLUE]).await, RED);

    // Wherever she is named.
    let profile = t.get(&format!("/users/{}", ann["id"]), bobs).await.ok(200);
    let listed = t.get("/chats", bobs).await.ok(200);
    let listed = listed.as_array().unwrap().iter().find(|one| one["id"] == chat["id"]).unwrap();
    let found = t.get("/users?query=ann", bobs).await.ok(200);
    let members = t.get(&format!("/chats/{}/members", chat["id"]), bobs).await.ok(200);
    let read = t.get(&messages, bobs).await.ok(200);
    for avatar in [
        &profile["avatar"],
        &listed["peer"]["avatar"],
        &listed["last_message"]["sender"]["avatar"],
        &found["items"][0]["avatar"],
        &members["items"][0]["avatar"],
        &read[0]["avatar"],
    ] {
        assert_eq!(*avatar, *path);
    }
    assert!(listed["peer"].get("status").is_some() && chat.get("avatar").is_none());
    let own = t.post_as(&messages, bobs, json!({"text": "hi"})).await.ok(201);
    assert_eq!(own.get("avatar"), None, "nothing is said of nothing");

    // A new one takes its place, and whoever knows the old path finds it.
    let blue = t.upload(anns, "image/png", png(BLUE)).await.ok(200);
    let new = text(&blue, "avatar").to_owned();
    assert_ne!(new, path);
    let moved = t.picture(&path, bobs).await;
    assert_eq!(moved.url().path(), new);
    assert_eq!(color(moved, &[RED, BLUE]).await, BLUE);
    assert_eq!(t.get(&messages, bobs).await.ok(200)[0]["avatar"], *new);
    assert_eq!(files(folder.path()).len(), 2);
    assert_eq!(avatar::remove_unused(&t.api).await.unwrap(), 0, "an upload may be on its way");
    assert_eq!(t.remove_unused().await, 1);
    assert_eq!(files(folder.path()), [new.strip_prefix("/avatars/").unwrap()]);

    // None any more.
    assert_eq!(t.bearer(Method::DELETE, "/me/avatar", anns).await.status, 204);
    assert_eq!(t.bearer(Method::DELETE, "/me/avatar", anns).await.status, 204);
    t.get(&new, bobs).await.refused(404, "avatar_not_found");
    assert_eq!(t.get("/me", anns).await.ok(200)["avatar"], "");
    assert_eq!(t.get(&messages, bobs).await.ok(200)[0].get("avatar"), None);
    assert_eq!(t.remove_unused().await, 1);
    assert_eq!(files(folder.path()), [""; 0]);
}

#[tokio::test]
async fn everybody_sees_the_picture_sqlite() {
    let folder = folder();
    everybody_sees_the_picture(Server::start_with(keep_in(folder.path())).await, folder).await;
}

#[tokio::test]
async fn everybody_sees_the_picture_postgres() {
    let folder = folder();
    everybody_sees_the_picture(Server::on_postgres(keep_in(folder.path())).await, folder).await;
}

async fn accounts_that_go_leave_no_picture(t: Server, folder: TempDir) {
    let boss = t.admin().await;
    let [ann, bob, cleo] = [t.user("ann").await, t.user("bob").await, t.user("cleo").await];
    let mut paths = Vec::new();
    for user in [&ann, &bob, &cleo] {
        let made = t.upload(text(user, "access_token"), "image/png", png(RED)).await.ok(200);
        paths.push(text(&made, "avatar").to_owned());
    }
    let delete = json!({"password": "password123"});
    t.post_as("/me/delete", text(&ann, "access_token"), delete).await.ok(200);
    let reason = format!("/admin/users/{}/avatar?reason=rude", bob["id"]);
    t.bearer(Method::DELETE, &reason, text(&cleo, "access_token")).await.refused(403, "admin_only");
    assert_eq!(t.bearer(Method::DELETE, &reason, &boss).await.status, 204);
    t.bearer(Method::DELETE, "/admin/users/99999/avatar", &boss)
        .await
        .refused(404, "user_not_found");
    let log = t.get("/admin/audit?limit=1", &boss).await.ok(200);
    let entry = &log["items"][0];
    assert_eq!(entry["action"], "remove_avatar");
    assert_eq!((&entry["reason"], &entry["target_user"]["id"]), (&json!("rude"), &bob["id"]));
    // A picture elsewhere takes the place of one here.
    let elsewhere = json!({"avatar": "https://example.com/a.png"});
    let patch = t.request(Method::PATCH, "/me").bearer_auth(text(&cleo, "access_token"));
    patch.json(&elsewhere).answer().await.ok(200);
    for path in &paths {
        t.get(path, &boss).await.refused(404, "avatar_not_found");
    }
    assert_eq!(t.remove_unused().await, 3);
    assert_eq!(files(folder.path()), [""; 0]);
}

#[tokio::test]
async fn accounts_that_go_leave_no_picture_sqlite() {
    let folder = folder();
    accounts_that_go_leave_no_picture(Server::start_with(keep_in(folder.path())).await, folder)
        .await;
}

#[tokio::test]
async fn accounts_that_go_leave_no_picture_postgres() {
    let folder = folder();
    accounts_that_go_leave_no_picture(Server::on_postgres(keep_in(folder.path())).await, folder)
        .await;
}

#[tokio::test]
async fn only_accounts_get_pictures_and_browsers_keep_them() {
    let folder = folder();
    let t = Server::start_with(keep_in(folder.path())).await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    let path = text(&t.upload(token, "image/png", png(RED)).await.ok(200), "avatar").to_owned();
    t.request(Method::GET, &path).answer().await.refused(401, "unauthenticated");
    let first = t.picture(&path, token).await;
    let header = |name: &str| first.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("cache-control"), "private, max-age=31536000, immutable");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    let again = t.request(Method::GET, &path).bearer_auth(token);
    let again = again.header("if-none-match", header("etag")).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    for none in ["/avatars/x", "/avatars/0-x", "/avatars/..%2Fjwt.pem", "/avatars/99-aaaaaaaaaaaa"]
    {
        t.get(none, token).await.refused(404, "avatar_not_found");
    }
}

/// A PNG that says that it is this large, and is not.
fn bomb(side: u32) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let named = [kind, data].concat();
        let mut check = flate2::Crc::new();
        check.update(&named);
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length[..], &named, &check.sum().to_be_bytes()].concat()
    };
    let head = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let mut zeros = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut zeros, &vec![0; 4 << 20]).unwrap();
    let data = zeros.finish().unwrap();
    [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &head)[..], &chunk(b"IDAT", &data), &chunk(b"IEND", b"")]
        .concat()
}

#[tokio::test]
async fn what_is_no_fitting_picture_is_refused() {
    let folder = folder();
    let keep = keep_in(folder.path());
    let t = Server::start_with(|config| {
        keep(config);
        config.avatars.per_account = Rate { per: Duration::from_millis(1), burst: 1_000 };
        config.requests = Rate { per: Duration::from_millis(1), burst: 100_000 };
    })
    .await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    let limits = t.get("/avatars", token).await.ok(200);
    let most = usize::try_from(limits["max_bytes"].as_u64().unwrap()).unwrap();
    let cut = png(RED)[..50].to_vec();
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    for (kind, file, status, code) in [
        ("image/png", bomb(50_000), 422, "picture_too_large"),
        ("image/png", bomb(4_000), 422, "picture_too_large"),
        ("image/png", bomb(3_000), 422, "unreadable_picture"),
        ("image/png", cut, 422, "unreadable_picture"),
        ("image/png", svg.to_vec(), 422, "unreadable_picture"),
        ("image/svg+xml", svg.to_vec(), 415, "unsupported_media_type"),
        ("image/gif", b"<!doctype html><h1>GIF</h1>".to_vec(), 422, "unreadable_picture"),
        ("text/html", png(RED), 415, "unsupported_media_type"),
        ("image/jpeg", Vec::new(), 422, "unreadable_picture"),
        ("image/png", vec![0; most], 422, "unreadable_picture"),
    ] {
        let answer = t.upload(token, kind, file).await;
        answer.refused(status, code);
    }
    t.request(Method::PUT, "/me/avatar")
        .bearer_auth(token)
        .answer()
        .await
        .refused(415, "unsupported_media_type");
    let named_otherwise = t.upload(token, "image/gif; name=x", png(RED)).await;
    named_otherwise.ok(200);
    t.request(Method::PUT, "/me/avatar")
        .header("content-type", "image/png")
        .body(png(RED))
        .answer()
        .await
        .refused(401, "unauthenticated");
    assert_eq!(files(folder.path()).len(), 1);
}

/// With and without saying so first. The connection may end before all of it is sent.
#[tokio::test]
async fn what_is_too_long_is_not_read_to_its_end() {
    let folder = folder();
    let keep = keep_in(folder.path());
    let t = Server::start_with(|config| {
        keep(config);
        config.avatars.max_bytes = 1 << 20;
    })
    .await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    let long = vec![0u8; (1 << 20) + 1];
    let answer = t.upload(token, "image/png", long.clone()).await;
    answer.refused(413, "body_too_large");
    assert_eq!(answer.json["detail"], "A picture has at most 1 MiB. Make it smaller.");
    let pieces = long.chunks(65_537).map(|part| Ok::<_, Infallible>(Frame::data(part.to_vec())));
    let pieces: Vec<_> = pieces.map(|part| part.map(|part| part.map_data(Bytes::from))).collect();
    let unsaid = reqwest::Body::wrap(StreamBody::new(stream::iter(pieces)));
    t.upload(token, "image/png", unsaid).await.refused(413, "body_too_large");
}

#[tokio::test]
async fn ten_uploads_at_once_leave_one_picture() {
    let folder = folder();
    let t = Server::start_with(keep_in(folder.path())).await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    let all = join_all((0..10).map(|_| t.upload(token, "image/png", png(RED)))).await;
    let stored = all.iter().filter(|answer| answer.status == 200).count();
    for refused in all.iter().filter(|answer| answer.status != 200) {
        match refused.status.as_u16() {
            503 => refused.refused(503, "busy"),
            _ => refused.refused(429, "rate_limited"),
        };
    }
    assert!((1..10).contains(&stored), "{stored} of ten");
    assert_eq!(files(folder.path()).len(), stored);
    t.remove_unused().await;
    let current = text(&t.get("/me", token).await.ok(200), "avatar").to_owned();
    assert_eq!(files(folder.path()), [current.strip_prefix("/avatars/").unwrap()]);
    assert_eq!(color(t.picture(&current, token).await, &[RED]).await, RED);
}

#[tokio::test]
async fn without_a_store_it_is_said_who_can_change_that() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    t.get("/avatars", token).await.refused(404, "avatars_off");
    let answer = t.upload(token, "image/png", png(RED)).await;
    answer.refused(404, "avatars_off");
    assert!(text(&answer.json, "detail").contains("AVATARS_URL"), "{}", answer.json);
    assert_eq!(t.bearer(Method::DELETE, "/me/avatar", token).await.status, 204);
}

/// A crash between the store and the account: the picture is nobody's, and goes.
#[tokio::test]
async fn an_upload_that_ended_half_way_leaves_nothing() {
    let folder = folder();
    let t = Server::start_with(keep_in(folder.path())).await;
    fs::write(folder.path().join("avatars/7-aaaaaaaaaaaa"), "a picture").unwrap();
    // And one that never came into the store.
    t.sql(
        "INSERT INTO unused_avatars (avatar, since)
         VALUES ('/avatars/7-aaaaaaaaaaaa', 0), ('/avatars/7-bbbbbbbbbbbb', 0)",
    )
    .await;
    assert_eq!(t.remove_unused().await, 2);
    assert_eq!(files(folder.path()), [""; 0]);
    assert_eq!(t.remove_unused().await, 0);
}
