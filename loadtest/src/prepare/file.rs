//! Accounts kept in a file between runs. It holds tokens and a password, so only its owner may read
//! it, and one that others may read is refused.

use super::{Accounts, LoadTarget, PrepareError, deal::DealtChat};
use crate::cast::{Cast, CastChat, CastMember};
use protocol::id::ChatId;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// The largest file read: 100,000 accounts have about 70 MB.
const MAX_BYTES: u64 = 256 << 20;

/// What a file holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedAccounts {
    pub url: String,
    /// What every account's name begins with.
    pub prefix: String,
    /// Of accounts that were registered; bulk ones have none.
    pub password: Option<String>,
    pub people: Vec<CastMember>,
    pub chats: Vec<CastChat>,
}

impl SavedAccounts {
    /// These, and of what was there before the accounts that this run did not want.
    pub(super) fn new(
        target: &LoadTarget,
        prefix: &str,
        accounts: &Accounts,
        dealt: &[DealtChat],
        made: &[ChatId],
        before: Option<Self>,
    ) -> Self {
        let mut people = accounts.people.clone();
        people.extend(before.into_iter().flat_map(|saved| saved.people).skip(people.len()));
        let chat = |(dealt, id): (&DealtChat, &ChatId)| CastChat {
            id: *id,
            chat_type: dealt.chat_type,
            members: dealt.members.clone(),
        };
        Self {
            url: target.url.clone(),
            prefix: prefix.to_owned(),
            password: accounts.password.as_ref().map(|password| password.reveal().to_owned()),
            people,
            chats: dealt.iter().zip(made).map(chat).collect(),
        }
    }

    /// Whether the administrators' route made the accounts.
    pub(super) fn in_bulk(&self) -> bool {
        self.password.is_none()
    }

    /// The ids of these chats, when they are the ones that the file has.
    pub(super) fn saved_chats(&self, dealt: &[DealtChat]) -> Option<Vec<ChatId>> {
        let same = |(chat, dealt): (&CastChat, &DealtChat)| {
            chat.chat_type == dealt.chat_type && chat.members == dealt.members
        };
        let all = self.chats.len() == dealt.len() && self.chats.iter().zip(dealt).all(same);
        all.then(|| self.chats.iter().map(|chat| chat.id).collect())
    }

    pub(super) fn into_cast(self) -> Cast {
        Cast { people: self.people, chats: self.chats }
    }
}

/// The file's content, `None` when there is no file yet; checked against what it is to serve for.
pub(super) fn load(
    path: &Path,
    target: &LoadTarget,
    wanted: usize,
) -> Result<Option<SavedAccounts>, PrepareError> {
    let wrong = |why: String| PrepareError::File(path.to_owned(), why);
    let about = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        about => about.map_err(|error| wrong(error.to_string()))?,
    };
    if about.permissions().mode() & 0o077 != 0 {
        return Err(wrong("others may read the tokens in it; chmod 600 it".to_owned()));
    }
    if about.len() > MAX_BYTES {
        return Err(wrong("it is too large for a file of accounts".to_owned()));
    }
    let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    // The parser's own words could repeat a token.
    let saved: SavedAccounts = serde_json::from_slice(&text)
        .map_err(|error| wrong(format!("line {} is no file of accounts", error.line())))?;
    if saved.url != target.url {
        return Err(wrong(format!("its accounts are of {}, not of {}", saved.url, target.url)));
    }
    let there = saved.people.len();
    if there < wanted && !saved.in_bulk() {
        return Err(PrepareError::TooFewSaved { path: path.to_owned(), there, wanted });
    }
    Ok(Some(saved))
}

/// Written beside and renamed, so that a full disk leaves the earlier file.
pub(super) fn save(path: &Path, saved: &SavedAccounts) -> Result<(), PrepareError> {
    let write = || -> io::Result<()> {
        let unfinished = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&serde_json::to_vec(saved)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|error| PrepareError::File(path.to_owned(), error.to_string()))
}

pub(super) fn remove(path: &Path) -> Result<(), PrepareError> {
    fs::remove_file(path).map_err(|error| PrepareError::File(path.to_owned(), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::settings::Secret;
    use protocol::{chat::ChatType, id::UserId};

    fn target() -> LoadTarget {
        LoadTarget {
            url: "http://127.0.0.1:8000".to_owned(),
            trust: Default::default(),
            admin: None,
        }
    }

    fn accounts(count: i64) -> Accounts {
        let person = |id| CastMember {
            id: UserId(id),
            username: format!("lt-x-{id}"),
            token: "SECRET".to_owned(),
            refresh: "SECRET".to_owned(),
            chats: Vec::new(),
        };
        let people = (0..count).map(person).collect();
        Accounts { people, password: Some(Secret::new("SECRET")) }
    }

    #[test]
    fn what_is_saved_serves_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.json");
        assert!(load(&path, &target(), 3).unwrap().is_none());
        let dealt = [DealtChat { chat_type: ChatType::Group, members: vec![0, 1] }];
        let saved =
            SavedAccounts::new(&target(), "lt-x-", &accounts(3), &dealt, &[ChatId(7)], None);
        save(&path, &saved).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let again = load(&path, &target(), 3).unwrap().unwrap();
        assert_eq!(again.saved_chats(&dealt), Some(vec![ChatId(7)]));
        let other = [DealtChat { chat_type: ChatType::Room, members: vec![0, 1] }];
        assert_eq!((again.saved_chats(&other), again.saved_chats(&[])), (None, None));
        let fewer = SavedAccounts::new(&target(), "lt-x-", &accounts(1), &[], &[], Some(again));
        assert_eq!(fewer.people.len(), 3, "the other two are not forgotten");
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_without_its_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.json");
        let saved = SavedAccounts::new(&target(), "lt-x-", &accounts(3), &[], &[], None);
        save(&path, &saved).unwrap();
        let refused = |target: &LoadTarget, wanted| {
            let text = load(&path, target, wanted).err().unwrap().to_string();
            assert!(!text.contains("SECRET"), "{text}");
            text
        };
        assert!(refused(&target(), 4).contains("has 3 accounts"));
        let other = LoadTarget { url: "http://other".to_owned(), ..target() };
        assert!(refused(&other, 3).contains("are of http://127.0.0.1:8000"));
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, whole.replace("\"people\"", "\"SECRET\"")).unwrap();
        assert!(refused(&target(), 3).contains("line 1"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(refused(&target(), 3).contains("chmod 600"));
    }
}
