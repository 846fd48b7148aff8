//! Buckets: the settings as `object_store` takes them, and its requests over the HTTP client and the TLS that the
//! workspace has. Signing and repeating are the library's.

use crate::config::{AvatarBucket, AvatarConfig, BucketKey};
use async_trait::async_trait;
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector as TcpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
        HttpResponse, HttpService,
    },
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::{io, sync::Arc, time::Duration};

/// Answers are pictures that were made here, of some 15 KB, and short documents.
const MAX_ANSWER: usize = 1 << 20;

/// Where the bucket is. Asks nobody.
pub(super) fn open(bucket: &AvatarBucket, config: &AvatarConfig) -> Result<AmazonS3, String> {
    // From the environment come, as everywhere with S3, the credentials of a machine or a pod that has a role.
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&bucket.name)
        // Not every server knows how to delete several at once.
        .with_disable_bulk_delete(true)
        .with_http_connector(Connector { timeout: config.timeout })
        .with_retry(RetryConfig {
            backoff: BackoffConfig {
                init_backoff: config.retry_after,
                max_backoff: config.retry_after * 4,
                base: 2.0,
            },
            max_retries: config.retries,
            retry_timeout: config.patience,
        });
    if let Some(region) = &bucket.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(BucketKey { id, secret }) = &bucket.key {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret.reveal());
    }
    builder.build().map_err(|error| format!("AVATARS_URL: {error}"))
}

/// Makes the library's client.
#[derive(Debug)]
struct Connector {
    timeout: Duration,
}

impl HttpConnector for Connector {
    /// The options are for another client; none of them is set.
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|why| object_store::Error::Generic { store: "S3", source: why.into() })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Servers close what is idle for longer.
            .pool_idle_timeout(Duration::from_secs(5))
            .build(connector);
        Ok(HttpClient::new(StoreClient { client, timeout: self.timeout }))
    }
}

#[derive(Debug)]
struct StoreClient {
    client: Client<HttpsConnector<TcpConnector>, HttpRequestBody>,
    timeout: Duration,
}

#[async_trait]
impl HttpService for StoreClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answered = tokio::time::timeout(self.timeout, async {
            let answer = self.client.request(request).await.map_err(|error| {
                let kind = match error.is_connect() {
                    true => HttpErrorKind::Connect,
                    false => HttpErrorKind::Interrupted,
                };
                HttpError::new(kind, error)
            })?;
            let (head, body) = answer.into_parts();
            let whole = Limited::new(body, MAX_ANSWER).collect().await;
            let whole =
                whole.map_err(|error| HttpError::new_boxed(HttpErrorKind::Interrupted, error))?;
            Ok(HttpResponse::from_parts(head, whole.to_bytes().into()))
        });
        answered.await.unwrap_or_else(|_| {
            Err(HttpError::new(HttpErrorKind::Timeout, io::Error::from(io::ErrorKind::TimedOut)))
        })
    }
}
