//! What an access token adds to a certificate: the claims of its issuer in the vault's own words.

use std::fmt;

use crate::{
    clock::Millis,
    ids::{Region, Role, Scope, Tenant},
};

/// How strongly the person or service behind a call proved who it is: an Authenticator Assurance Level of NIST SP
/// 800-63B, from 1 (one factor) to 3 (a hardware-bound, phishing-resistant authenticator beside another factor).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Assurance(u8);

impl Assurance {
    /// The level, if it is 1, 2 or 3.
    #[must_use]
    pub fn new(level: u8) -> Option<Self> {
        (1..=3).contains(&level).then_some(Self(level))
    }

    /// The level.
    #[must_use]
    pub fn level(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AAL{}", self.0)
    }
}

/// What a caller's access token says beside its principal. It can only narrow what the catalog gives the account, but
/// for its roles and scopes, which grants and policies may ask for. All lists are sorted and hold nothing twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Whose data it works on; an account of another tenant is not its own. None: the account's.
    pub tenant: Option<Tenant>,
    /// Its roles.
    pub roles: Box<[Role]>,
    /// Its scopes.
    pub scopes: Box<[Scope]>,
    /// The regions that it is cleared for. None: the account's.
    pub clearance: Option<Box<[Region]>>,
    /// When its owner last proved who it is (OpenID Connect Core `auth_time`), not when the token was issued.
    pub authenticated_at: Option<Millis>,
    /// How.
    pub assurance: Option<Assurance>,
}
