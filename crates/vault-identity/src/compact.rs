//! The compact form of a signed JWT (RFC 7515 section 7.1), taken apart and not yet believed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::{TOKEN_BYTES_MAX, fault::Fault, json};

/// A token in its parts.
pub(crate) struct Compact<'t> {
    /// The header. Of `jku`, `x5u`, `jwk` and `x5c` in it nothing is ever used: a token can't bring its own key.
    pub(crate) header: Map<String, Value>,
    /// The claims.
    pub(crate) claims: Map<String, Value>,
    /// What is signed.
    pub(crate) signed: &'t str,
    /// The signature, still in base64url.
    pub(crate) signature: &'t str,
}

impl<'t> Compact<'t> {
    /// Takes a token apart.
    pub(crate) fn parse(text: &'t str) -> Result<Self, Fault> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Fault::NotCompact)?;
        let (header, claims) = signed.split_once('.').ok_or(Fault::NotCompact)?;
        if signature.is_empty() || claims.contains('.') {
            return Err(Fault::NotCompact);
        }
        let part = |text: &str| json::object(&URL_SAFE_NO_PAD.decode(text).ok()?);
        let header = part(header).ok_or(Fault::NotCompact)?;
        let claims = part(claims).ok_or(Fault::NotCompact)?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Fault::HeaderField("asks for an extension (crit, b64) that the vault does not know"));
        }
        Ok(Self { header, claims, signed, signature })
    }

    /// A text of the header.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// Whether `typ` is this media type, written with or without `application/` (RFC 7515 section 4.1.9), in any case.
    pub(crate) fn is_type(&self, expected: &str) -> bool {
        self.field("typ").is_some_and(|typ| {
            let typ = typ.to_ascii_lowercase();
            typ.strip_prefix("application/").unwrap_or(&typ) == expected
        })
    }
}
