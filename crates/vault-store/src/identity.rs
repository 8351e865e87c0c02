//! Whose store a directory is: written once, when it is created, and compared at every opening, so that a vault never
//! serves another vault's or region's data.

use std::fmt;

use vault_domain::{Region, VaultId};

/// What a store belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The vault.
    pub vault: VaultId,
    /// The part of the vault.
    pub scope: Scope,
}

/// The part of a vault that a store is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A region: its records, its keys, its log.
    Region(Region),
    /// The node itself: the log of what belongs to no region. No region can be called `node`.
    Node,
}

impl Scope {
    /// The text in the table `meta`: the region's name, or `node`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Region(region) => region.as_str(),
            Self::Node => "node",
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vault {}, region {}", self.vault, self.scope.as_str())
    }
}

/// The rows of `meta` that say what the store is.
pub(crate) const FORMAT_ROW: &str = "format";
pub(crate) const VAULT_ROW: &str = "vault";
pub(crate) const REGION_ROW: &str = "region";

/// Whether `key` is one of those rows.
pub(crate) fn is_own_row(key: &[u8]) -> bool {
    [FORMAT_ROW, VAULT_ROW, REGION_ROW].iter().any(|row| row.as_bytes() == key)
}
