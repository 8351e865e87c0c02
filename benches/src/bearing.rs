//! What calls bear beside their certificate, added where they leave.

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};
use vault_domain::{Clock, Entropy, Nonce, SystemClock, SystemEntropy};
use vault_proto::{NONCE_METADATA, TIMESTAMP_METADATA};

use crate::{Failure, site::Site};

/// What calls bear beside their certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// Nothing.
    Nothing,
    /// As vault-client has it: a nonce that was never used, and the time.
    Nonce,
    /// As vault-client has it with a source of tokens: an access token that is bound to the certificate, too.
    BoundToken,
}

/// Adds what calls bear, outside of the table of headers.
#[derive(Clone)]
pub(crate) struct Adds {
    nonce: bool,
    authorization: Option<MetadataValue<Ascii>>,
}

impl Adds {
    pub(crate) fn new(bearing: Bearing, site: &Site) -> Result<Self, Failure> {
        let token = (bearing == Bearing::BoundToken).then(|| site.access_token()).transpose()?;
        let authorization = token.map(|token| sensitive(format!("Bearer {token}"))).transpose()?;
        Ok(Self { nonce: bearing != Bearing::Nothing, authorization })
    }
}

impl Interceptor for Adds {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if self.nonce {
            let mut nonce = Nonce([0; 16]);
            SystemEntropy.fill(&mut nonce.0).map_err(|error| Status::internal(error.to_string()))?;
            let now = SystemClock::new().wall();
            for (name, text) in [(NONCE_METADATA, nonce.to_string()), (TIMESTAMP_METADATA, now.to_string())] {
                request.metadata_mut().insert(name, sensitive(text)?);
            }
        }
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        Ok(request)
    }
}

fn sensitive(text: String) -> Result<MetadataValue<Ascii>, Status> {
    let mut value = MetadataValue::try_from(text).map_err(|error| Status::internal(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}
