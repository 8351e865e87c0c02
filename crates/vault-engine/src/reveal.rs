//! How much of an opened value leaves the vault. A permit says it; what was opened under one goes through here before
//! anything else sees it, and what comes out is all that there is to answer with.

use vault_domain::{Plaintext, RevealLevel};
use vault_format::Mask;
use vault_ledger::Outcome;

/// How much a permit lets out of what is opened under it.
#[derive(Clone, Copy)]
pub(crate) enum Reveal<'a> {
    Full,
    Masked(&'a Mask),
}

/// What leaves the vault of a value.
pub struct Revealed {
    /// How much it is.
    pub level: RevealLevel,
    /// The value, or its mask.
    pub value: Plaintext,
}

impl Reveal<'_> {
    /// Takes an opened value, and gives what may be shown of it. Of one that is masked nothing else stays: it is wiped
    /// here.
    pub(crate) fn release(self, opened: Plaintext) -> Revealed {
        match self {
            Self::Full => Revealed { level: RevealLevel::Full, value: opened },
            Self::Masked(mask) => Revealed { level: RevealLevel::Masked, value: mask.apply(opened.expose()) },
        }
    }

    /// How much it is.
    pub(crate) fn level(self) -> RevealLevel {
        match self {
            Self::Full => RevealLevel::Full,
            Self::Masked(_) => RevealLevel::Masked,
        }
    }

    /// What the log says of items that were revealed so.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Full => Outcome::Done,
            Self::Masked(_) => Outcome::Masked,
        }
    }
}

#[cfg(test)]
mod tests {
    use vault_format::Bound;

    use super::*;

    #[test]
    fn what_is_masked_leaves_as_its_mask_and_is_called_so() {
        let mask = Mask::last4(false, Bound::Pci);
        let value = || Plaintext::new(b"4012888888881881".to_vec());
        let masked = Reveal::Masked(&mask).release(value());
        assert_eq!((masked.level, masked.value.expose()), (RevealLevel::Masked, b"************1881".as_slice()));
        assert_eq!(Reveal::Masked(&mask).outcome(), Outcome::Masked);
        let full = Reveal::Full.release(value());
        assert_eq!((full.level, full.value.expose()), (RevealLevel::Full, b"4012888888881881".as_slice()));
        assert_eq!(Reveal::Full.outcome(), Outcome::Done);
    }
}
