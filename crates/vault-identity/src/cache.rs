//! Tokens that were verified: a signature costs a hundred times what a look here costs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use vault_domain::Millis;

use crate::{keys::KeySet, verify::Verified};

/// Tokens that are remembered at once.
const TOKENS_MAX: usize = 16_384;

/// SHA-256 of the token, and of the certificate that it came with.
pub(crate) type Name = ([u8; 32], Option<[u8; 32]>);

/// Verified tokens, each until it expires or its issuer's keys change.
#[derive(Default)]
pub(crate) struct Cache(Mutex<HashMap<Name, Known>>);

struct Known {
    verified: Arc<Verified>,
    /// The keys that it was verified by.
    keys: Arc<KeySet>,
}

impl Cache {
    /// What is known of a token, and the keys that it was verified by.
    pub(crate) fn find(&self, name: &Name) -> Option<(Arc<Verified>, Arc<KeySet>)> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(name).map(|known| (known.verified.clone(), known.keys.clone()))
    }

    pub(crate) fn keep(&self, name: Name, verified: Arc<Verified>, keys: Arc<KeySet>, now: Millis) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= TOKENS_MAX {
            tokens.retain(|_, known| known.verified.expires > now);
        }
        if tokens.len() >= TOKENS_MAX {
            // Only good tokens are here; whoever has so many of them pays for verifying them again.
            tokens.clear();
        }
        tokens.insert(name, Known { verified, keys });
    }

    pub(crate) fn forget(&self, name: &Name) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}
