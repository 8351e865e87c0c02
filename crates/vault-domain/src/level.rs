//! How much of a value is shown.

use std::fmt;

/// How much of a value leaves the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RevealLevel {
    /// What the mask of its data class leaves.
    Masked,
    /// All of it.
    Full,
}

impl RevealLevel {
    /// Both, the lesser first.
    pub const ALL: &'static [Self] = &[Self::Masked, Self::Full];

    /// The word in catalogs, policies, entries and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Masked => "masked",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for RevealLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LevelAsked {
    /// This much, or a refusal: never less in silence.
    Exactly(RevealLevel),
    /// All if the policies permit it, else the mask, each data class for itself.
    BestPermitted,
}

impl LevelAsked {
    /// All of the value: what is meant where nothing is said.
    pub const FULL: Self = Self::Exactly(RevealLevel::Full);
    /// The mask.
    pub const MASKED: Self = Self::Exactly(RevealLevel::Masked);

    /// The word on the wire and in what is hashed of requests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exactly(level) => level.name(),
            Self::BestPermitted => "best_permitted",
        }
    }
}

impl Default for LevelAsked {
    fn default() -> Self {
        Self::FULL
    }
}
