//! The small fixed-width and textual ids that only entries know.

use std::{fmt, sync::Arc};

use sha2::{Digest as _, Sha256};
use vault_domain::limits;

use crate::error::LedgerError;

/// The longest id of a policy that an entry can name.
pub const POLICY_ID_BYTES_MAX: usize = limits::NAME_BYTES_MAX;
/// The longest name of an issuer: its length stands in one byte.
const ISSUER_BYTES_MAX: usize = 255;

/// Random bytes that make each entry's leaf hash unguessable. Drawn anew for every entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntrySalt(pub [u8; 16]);

/// The id of a distributed trace (W3C Trace Context section 3.2.2.3); never all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// The id, unless it is all zeros, which means that there is none.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn get(self) -> [u8; 16] {
        self.0
    }
}

/// The first bytes of the hash of the policy set that decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PolicySetFingerprint(pub [u8; 8]);

/// A keyed hash of the tenant, so that a query can skip what it may not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantTag(pub [u8; 8]);

/// A keyed hash of tenant and principal, so that a query can skip what it need not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalTag(pub [u8; 8]);

/// A keyed hash of a token that has no record, cut to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub [u8; 16]);

/// SHA-256 of the caller's certificate (DER); never all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CertificateSha256([u8; 32]);

impl CertificateSha256 {
    /// The hash of a certificate in DER form.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        Self::new(Sha256::digest(certificate).into())
    }

    /// The hash, unless it is all zeros, which means that there was no certificate.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Option<Self> {
        (bytes != [0; 32]).then_some(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn get(self) -> [u8; 32] {
        self.0
    }
}

/// The id of a policy: 1 to 64 visible ASCII characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PolicyId(Arc<str>);

impl PolicyId {
    /// Parses it.
    ///
    /// # Errors
    /// When the text is not 1 to 64 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }

    /// Whether `text` is one.
    pub(super) fn check(text: &str) -> Result<(), LedgerError> {
        let valid = (1..=POLICY_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if valid { Ok(()) } else { Err(LedgerError::FieldInvalid { field: "policy" }) }
    }
}

impl AsRef<str> for PolicyId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyId({})", self.0)
    }
}

/// Who vouched for the caller: the issuer of the certificate or of the access token. 1 to 255 bytes of text without
/// control characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Issuer(Arc<str>);

impl Issuer {
    /// Parses it.
    ///
    /// # Errors
    /// When the text is not 1 to 255 bytes, or holds a control character.
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        let valid = (1..=ISSUER_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
        if valid { Ok(Self(text.into())) } else { Err(LedgerError::FieldInvalid { field: "issuer" }) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.0)
    }
}
