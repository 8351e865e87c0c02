//! Randomness, injected: tokens, salts, keys and nonces all come from an [`Entropy`].

use std::fmt;

use thiserror::Error;

/// The source of randomness failed. Nothing random may be made up instead: the caller must refuse the call.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the source of randomness is not available")]
pub struct EntropyError;

/// A source of uniformly random bytes that are unpredictable to everybody else.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills `out` whole or fails.
    ///
    /// # Errors
    /// When the source can't deliver; `out` must not be used then.
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError>;
}

/// The kernel's generator (`getrandom(2)`), one system call per fill, nothing kept between calls, so that a forked or
/// cloned process can't repeat what another one drew.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(out).map_err(|_| EntropyError)
    }
}
