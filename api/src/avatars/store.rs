//! Where pictures lie: a folder, or a bucket of any server that speaks S3. Each has a name of its own and never changes.

use super::s3;
use crate::{
    config::{AvatarConfig, AvatarStore},
    error::{Error, Result},
};
use bytes::Bytes;
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutPayload, local::LocalFileSystem, path::Path,
    prefix::PrefixStore,
};
use std::{
    fs::DirBuilder, os::unix::fs::DirBuilderExt as _, path::Path as FilePath, sync::Arc,
    time::Duration,
};
use tokio::sync::Semaphore;

/// A store of pictures.
#[derive(Debug)]
pub(super) struct Store {
    store: Arc<dyn ObjectStore>,
    /// Requests at once.
    requests: Semaphore,
    /// How long a request may wait and take, with its repetitions.
    patience: Duration,
}

/// Whether the settings say where it is. Opens no connection and makes no folder.
pub(super) fn check(store: &AvatarStore) -> Result<(), String> {
    match store {
        AvatarStore::Folder(_) => Ok(()),
        AvatarStore::Bucket(bucket) => s3::open(bucket, &AvatarConfig::default()).map(drop),
    }
}

impl Store {
    /// Makes the folder. What is wrong is one sentence.
    pub(super) fn new(store: &AvatarStore, config: &AvatarConfig) -> Result<Self, String> {
        let (store, patience) = (open(store, config)?, config.patience);
        Ok(Self { store, requests: Semaphore::new(config.requests), patience })
    }

    pub(super) async fn keep(&self, name: &str, picture: Bytes) -> Result<()> {
        let path = Path::from(name);
        let put = self.store.put(&path, PutPayload::from_bytes(picture));
        self.ask("put", put).await?;
        Ok(())
    }

    /// `None`: it is not there.
    pub(super) async fn read(&self, name: &str) -> Result<Option<Bytes>> {
        let path = Path::from(name);
        let get = async { self.store.get(&path).await?.bytes().await };
        self.ask("get", get).await
    }

    /// It may be gone already.
    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        self.ask("delete", self.store.delete(&Path::from(name))).await?;
        Ok(())
    }

    /// `None`: there is no such picture. `unavailable` when there is no answer in time.
    async fn ask<T>(
        &self,
        operation: &'static str,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>> {
        let asked = tokio::time::timeout(self.patience, async {
            // Never closed.
            let _place = self.requests.acquire().await;
            request.await
        });
        let why = match asked.await {
            Ok(Ok(answer)) => return Ok(Some(answer)),
            Ok(Err(object_store::Error::NotFound { .. })) => return Ok(None),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        metrics::counter!("avatar_store_failures_total", "operation" => operation).increment(1);
        tracing::warn!(operation, error = why, "the store of pictures failed");
        Err(Error::unavailable())
    }
}

fn open(store: &AvatarStore, config: &AvatarConfig) -> Result<Arc<dyn ObjectStore>, String> {
    match store {
        AvatarStore::Folder(folder) => Ok(Arc::new(in_folder(folder)?)),
        AvatarStore::Bucket(bucket) => {
            let opened = s3::open(bucket, config)?;
            Ok(Arc::new(PrefixStore::new(opened, Path::from(bucket.prefix.as_str()))))
        }
    }
}

/// The folder is its owner's alone, as what is beside it. A picture is written beside its place and moved there when it is whole and on the disk.
fn in_folder(folder: &FilePath) -> Result<LocalFileSystem, String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| error.to_string())
        .and_then(|()| LocalFileSystem::new_with_prefix(folder).map_err(|error| error.to_string()))
        .map(|store| store.with_fsync(true))
        .map_err(|error| format!("cannot keep pictures in {}: {error}", folder.display()))
}
