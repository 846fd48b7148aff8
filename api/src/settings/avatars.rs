//! The settings of where pictures are kept.

use super::missing;
use crate::{
    avatars,
    config::{AvatarBucket, AvatarStore, BucketKey, Config},
};
use clap::Args;
use platform::settings::Secret;
use url::Url;

/// Where pictures of people are kept. The one-process binary has these settings too.
#[derive(Args, Clone, Debug)]
pub struct AvatarArgs {
    /// Where pictures of people are kept: a folder that all apis share, such as
    /// `file:///var/lib/switchboard/avatars`, or a bucket of any server that speaks S3,
    /// `s3://bucket/prefix`. Without it, an api refuses pictures; the one-process binary keeps them in
    /// its data folder
    #[arg(long, env = "AVATARS_URL", global = true)]
    pub avatars_url: Option<String>,
    /// The S3 server, such as `https://minio.example.com:9000` [default: Amazon's]
    #[arg(long, env = "AWS_ENDPOINT_URL", global = true)]
    pub aws_endpoint_url: Option<String>,
    /// The region of the bucket [default: us-east-1]
    #[arg(long, env = "AWS_REGION", global = true)]
    pub aws_region: Option<String>,
    /// The name of an access key that may get, put and delete objects in the bucket [default: the
    /// role of the machine or pod]
    #[arg(long, env = "AWS_ACCESS_KEY_ID", global = true)]
    pub aws_access_key_id: Option<String>,
    /// The secret of that access key
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true, global = true)]
    pub aws_secret_access_key: Option<Secret>,
}

impl AvatarArgs {
    /// Copies these values into the configuration. An error is one sentence.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        let Some(url) = &self.avatars_url else { return Ok(()) };
        let store = self.store(url)?;
        avatars::check(&store)?;
        config.avatars.store = Some(store);
        Ok(())
    }

    fn store(&self, url: &str) -> Result<AvatarStore, String> {
        let wrong = || {
            "AVATARS_URL: write it as file:///var/lib/switchboard/avatars, or as s3://bucket/prefix"
                .to_owned()
        };
        let url = Url::parse(url).map_err(|_| wrong())?;
        let is_bare =
            url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        match (url.scheme(), url.host_str()) {
            ("file", None) if is_bare => {
                Ok(AvatarStore::Folder(url.to_file_path().map_err(|()| wrong())?))
            }
            ("s3", Some(bucket)) if is_bare && url.port().is_none() => {
                Ok(AvatarStore::Bucket(AvatarBucket {
                    name: bucket.to_owned(),
                    prefix: url.path().trim_matches('/').to_owned(),
                    endpoint: self.endpoint()?,
                    region: self.aws_region.clone(),
                    key: self.key()?,
                }))
            }
            _ => Err(wrong()),
        }
    }

    fn endpoint(&self) -> Result<Option<String>, String> {
        let Some(endpoint) = &self.aws_endpoint_url else { return Ok(None) };
        let parsed = Url::parse(endpoint).ok();
        let fits = parsed.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
        });
        match fits {
            true => Ok(Some(endpoint.trim_end_matches('/').to_owned())),
            false => Err("AWS_ENDPOINT_URL: write it as https://s3.example.com".to_owned()),
        }
    }

    fn key(&self) -> Result<Option<BucketKey>, String> {
        match (self.aws_access_key_id.clone(), self.aws_secret_access_key.clone()) {
            (Some(id), Some(secret)) => Ok(Some(BucketKey { id, secret })),
            (None, None) => Ok(None),
            (Some(_), None) => {
                Err(missing("AWS_SECRET_ACCESS_KEY", "the secret of AWS_ACCESS_KEY_ID"))
            }
            (None, Some(_)) => {
                Err(missing("AWS_ACCESS_KEY_ID", "the name of the key in AWS_SECRET_ACCESS_KEY"))
            }
        }
    }
}
