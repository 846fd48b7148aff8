//! The pictures of people: how many uploads are taken at once, and the way of a picture from what was uploaded to the
//! store. Whose picture it is, and who may see it, is for the accounts to know.

mod picture;
mod s3;
mod store;

use crate::{
    config::{AvatarConfig, AvatarStore},
    error::{Error, Result, fault},
};
use bytes::Bytes;
use picture::Unfit;
use protocol::code::Code;
use std::sync::Arc;
use store::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Keeps pictures, or refuses to where no store is set. Clones share the bounds.
#[derive(Clone, Debug)]
pub struct Avatars(Option<Arc<Keeping>>);

#[derive(Debug)]
struct Keeping {
    store: Store,
    uploads: Arc<Semaphore>,
    drawing: Arc<Semaphore>,
    config: AvatarConfig,
}

/// Whether pictures could be kept there; an error names the setting, never a secret.
pub(crate) fn check(store: &AvatarStore) -> Result<(), String> {
    store::check(store)
}

/// An upload's place among those that are in hand; it is free again when this is dropped.
pub(crate) struct UploadPlace {
    keeping: Arc<Keeping>,
    _permit: OwnedSemaphorePermit,
}

impl Avatars {
    /// What is wrong with the settings, or the folder, is one sentence.
    pub fn new(config: &AvatarConfig) -> Result<Self, String> {
        let Some(store) = &config.store else { return Ok(Self(None)) };
        Ok(Self(Some(Arc::new(Keeping {
            store: Store::new(store, config)?,
            uploads: Arc::new(Semaphore::new(config.uploads)),
            drawing: Arc::new(Semaphore::new(config.drawn_at_once)),
            config: config.clone(),
        }))))
    }

    /// Whether there is a store.
    pub(crate) fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    /// What may be uploaded. `avatars_off` without a store.
    pub(crate) fn config(&self) -> Result<&AvatarConfig> {
        Ok(&self.keeping()?.config)
    }

    /// Room for one upload. `avatars_off` without a store, `busy` while too many are in hand.
    pub(crate) fn reserve(&self) -> Result<UploadPlace> {
        let keeping = self.keeping()?;
        let permit = Arc::clone(&keeping.uploads).try_acquire_owned().map_err(|_| {
            count("no_room");
            Error { retry_after: Some(5), ..Code::Busy.into() }
        })?;
        Ok(UploadPlace { keeping: Arc::clone(keeping), _permit: permit })
    }

    /// A picture from the store. `None`: it is not there, or no store is set any more. `unavailable` when the store
    /// does not answer.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<Bytes>> {
        match &self.0 {
            Some(keeping) => keeping.store.read(name).await,
            None => Ok(None),
        }
    }

    /// Removes a picture, which may be gone already. `unavailable` when the store does not answer.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        self.keeping()?.store.remove(name).await
    }

    fn keeping(&self) -> Result<&Arc<Keeping>> {
        Ok(self.0.as_ref().ok_or(Code::AvatarsOff)?)
    }
}

impl UploadPlace {
    /// The most bytes that are taken.
    pub(crate) fn max_bytes(&self) -> usize {
        self.keeping.config.max_bytes
    }

    /// Makes the picture to be kept of what was uploaded. `unreadable_picture`, or `picture_too_large` for more pixels
    /// than one picture may have.
    pub(crate) async fn draw(&self, original: Bytes) -> Result<Bytes> {
        let max_pixels = self.keeping.config.max_pixels;
        let permit = Arc::clone(&self.keeping.drawing).acquire_owned().await.map_err(fault)?;
        let drawn = tokio::task::spawn_blocking(move || {
            // Held until it is done, even if the request has gone: its memory is in use all the same.
            let _permit = permit;
            picture::draw(&original, max_pixels)
        });
        drawn.await.map_err(fault)?.map(Bytes::from).map_err(|unfit| match unfit {
            Unfit::Unreadable => {
                count("unreadable");
                Code::UnreadablePicture.into()
            }
            Unfit::TooLarge => {
                count("too_large");
                Code::PictureTooLarge.into()
            }
        })
    }

    /// Puts a picture into the store.
    pub(crate) async fn keep(&self, name: &str, picture: Bytes) -> Result<()> {
        self.keeping.store.keep(name, picture).await.inspect_err(|_| count("failed"))
    }
}

/// One upload, by what became of it.
pub(crate) fn count(result: &'static str) {
    metrics::counter!("avatar_uploads_total", "result" => result).increment(1);
}
