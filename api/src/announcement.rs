//! What administrators tell everybody who is connected: one text at a time, until its time is over or it is
//! withdrawn. The newest row says it all; gateways hear of it by the news, and with every `changed`.

use crate::{
    audit::{self, AuditAction, AuditEntry},
    db::{Db, Link, Tx, execute, fetch_one, fetch_optional, from_row},
    error::{Error, Result},
    news::{self, News},
    state::Api,
};
use platform::text::check_shown;
use protocol::{
    id::UserId,
    orders::{Announced, Announcement, OrderPayload},
    time::Timestamp,
};

/// Longest text, in characters: two sentences, which a phone shows in a few lines.
pub const MAX_CHARS: usize = 300;

/// The longest an announcement stays by a time that was given, in hours: a month.
pub const MAX_HOURS: u32 = 31 * 24;

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// An announcement to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewAnnouncement<'a> {
    /// One paragraph of plain text, at most [`MAX_CHARS`].
    pub text: &'a str,
    /// For how long; `None`: until it is withdrawn.
    pub hours: Option<u32>,
}

struct AnnouncementRow {
    id: i64,
    text: Option<String>,
    made_at: i64,
    ends_at: Option<i64>,
    now: i64,
}

from_row!(AnnouncementRow, |row| Self {
    id: row.try_get("id")?,
    text: row.try_get("text")?,
    made_at: row.try_get("made_at")?,
    ends_at: row.try_get("ends_at")?,
    now: row.try_get("now")?,
});

/// What is announced now.
pub(crate) async fn current(link: &mut Link<'_>) -> Result<Announced> {
    let row: Option<AnnouncementRow> = fetch_optional!(
        link,
        "SELECT a.id, a.text, a.made_at, a.ends_at, c.now FROM announcement a CROSS JOIN clock c
         ORDER BY a.id DESC LIMIT 1"
    )?;
    Ok(row.map(AnnouncementRow::announced).unwrap_or_default())
}

impl AnnouncementRow {
    fn announced(self) -> Announced {
        let Self { id, text, made_at, ends_at, now } = self;
        let text = text.filter(|_| ends_at.is_none_or(|ends_at| ends_at > now));
        let announcement = text.map(|text| Announcement {
            id,
            text,
            made_at: Timestamp(made_at),
            ends_at: ends_at.map(Timestamp),
        });
        Announced { revision: id, announcement }
    }
}

/// Shows this text instead of the one before. `validation_failed` for a text that is empty, too long or has
/// characters that nobody sees.
pub async fn make(api: &Api, admin: UserId, new: NewAnnouncement<'_>) -> Result<Announcement> {
    let mut tx = api.db.home().begin().await?;
    let announced = make_in(&mut tx, Some(admin), new).await?;
    tell(api, tx, announced.clone()).await?;
    announced.announcement.ok_or_else(Error::internal)
}

/// Takes the text away. Whether there was one.
pub async fn withdraw(api: &Api, admin: UserId) -> Result<bool> {
    let mut tx = api.db.home().begin().await?;
    match withdraw_in(&mut tx, Some(admin)).await? {
        Some(announced) => tell(api, tx, announced).await.map(|()| true),
        None => Ok(false),
    }
}

/// [`make`] by the operator, whom no gateway hears: they find it by `changed`.
pub(crate) async fn make_by_operator(db: &Db, new: NewAnnouncement<'_>) -> Result<()> {
    let mut tx = db.begin().await?;
    make_in(&mut tx, None, new).await?;
    tx.commit().await?;
    Ok(())
}

/// [`withdraw`] by the operator, likewise.
pub(crate) async fn withdraw_by_operator(db: &Db) -> Result<bool> {
    let mut tx = db.begin().await?;
    let withdrawn = withdraw_in(&mut tx, None).await?.is_some();
    tx.commit().await?;
    Ok(withdrawn)
}

async fn make_in(tx: &mut Tx, by: Option<UserId>, new: NewAnnouncement<'_>) -> Result<Announced> {
    let text = check_text(new.text)?;
    if new.hours.is_some_and(|hours| !(1..=MAX_HOURS).contains(&hours)) {
        return Err(Error::field("hours", format!("must be from 1 to {MAX_HOURS}")));
    }
    let lives = new.hours.map(|hours| i64::from(hours) * HOUR_MS);
    let announced = insert(tx, by, Some(text), lives).await?;
    // The reason of an entry is shorter than a text may be: enough to know which one it was.
    let start: String = text.chars().take(audit::MAX_REASON_CHARS).collect();
    let entry = AuditEntry::of(by, AuditAction::Announce).because(&start);
    audit::record(tx, &[entry]).await?;
    Ok(announced)
}

async fn withdraw_in(tx: &mut Tx, by: Option<UserId>) -> Result<Option<Announced>> {
    if current(&mut tx.link()).await?.announcement.is_none() {
        return Ok(None);
    }
    let announced = insert(tx, by, None, None).await?;
    let entry = AuditEntry::of(by, AuditAction::WithdrawAnnouncement);
    audit::record(tx, &[entry]).await?;
    Ok(Some(announced))
}

/// The row that counts from now on. Those before it go; of two that are made at once both stay until the next.
async fn insert(
    tx: &mut Tx,
    by: Option<UserId>,
    text: Option<&str>,
    lives_ms: Option<i64>,
) -> Result<Announced> {
    let row: AnnouncementRow = fetch_one!(
        tx,
        "INSERT INTO announcement (text, made_by, made_at, ends_at)
         SELECT $1, $2, now, now + $3 FROM clock
         RETURNING id, text, made_at, ends_at, made_at AS now",
        text,
        by.map(|user| user.0),
        lives_ms
    )?;
    execute!(tx, "DELETE FROM announcement WHERE id < $1", row.id)?;
    Ok(row.announced())
}

async fn tell(api: &Api, tx: Tx, announced: Announced) -> Result<()> {
    let mut news = News::default();
    news.order(OrderPayload::Announced(announced));
    news::commit(api, tx, news).await?;
    Ok(())
}

fn check_text(text: &str) -> Result<&str> {
    let text = text.trim();
    check_shown(text, MAX_CHARS, "must have 1 to 300 characters")
        .map_err(|why| Error::field("text", why))?;
    Ok(text)
}
