//! Asking an issuer for its keys: one GET, no redirects, little patience, an answer of bounded size.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use rustls::{
    ClientConfig,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use vault_identity::{JWKS_BYTES_MAX, JwksUrl};

use crate::http_client::{Endpoint, certificates, tls_by};

/// How long the whole of it may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// What it takes to ask one issuer.
pub(super) struct Fetcher {
    endpoint: Endpoint,
}

impl Fetcher {
    /// Fails with what is wrong with the settings.
    pub(super) fn new(url: &JwksUrl) -> Result<Self, String> {
        let tls = url.ca.as_ref().map(|ca| client_config(ca, url)).transpose()?;
        Ok(Self { endpoint: Endpoint::new("jwks_url", &url.url, tls)? })
    }

    /// The answer's body, or why there is none.
    pub(super) async fn fetch(&self) -> Result<Vec<u8>, String> {
        match tokio::time::timeout(DEADLINE, self.exchange()).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
        }
    }

    async fn exchange(&self) -> Result<Vec<u8>, String> {
        let request =
            Request::get(self.endpoint.path()).header(header::ACCEPT, "application/jwk-set+json, application/json");
        let (status, body) = self.endpoint.ask(request, Bytes::new(), JWKS_BYTES_MAX).await?;
        match status {
            StatusCode::OK => Ok(body),
            status => Err(format!("it answered {}, and redirects are not followed", status.as_u16())),
        }
    }
}

fn client_config(ca: &Path, url: &JwksUrl) -> Result<ClientConfig, String> {
    let builder = tls_by("jwks_ca", [ca])?;
    match &url.client {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates("jwks_client_certificate", certificate)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("jwks_client_key {}: {error}", key.display()))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| format!("jwks_client_certificate: {error}"))
        }
    }
}
