//! The clients' own books: what they were told and handed, kept outside of the vault's process and disk.
//!
//! They are held against the vault again and again as it comes back. A token is a register that is written once: it has
//! the one value for ever, and in a deterministic class a value has the one token.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use vault_proto::v1;

/// A data class of the test catalog.
pub(crate) type Class = &'static str;

/// The classes that loads use, and whether a value always has the same token there.
pub(crate) const CLASSES: [(Class, bool); 3] = [("card_number", true), ("email", false), ("customer_id", true)];

/// What an entry is expected to tell of a call that was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    /// `tokenize` or `detokenize`.
    pub(crate) action: &'static str,
    /// The items that were done.
    pub(crate) done: usize,
    /// Where the vault says that the entry is.
    pub(crate) receipt: v1::Receipt,
}

/// A request with an idempotency key, and the tokens that it was answered with, if it was.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) request: v1::TokenizeRequest,
    pub(crate) tokens: Option<Vec<String>>,
}

/// The pages.
#[derive(Default)]
pub(crate) struct Pages {
    /// Every token that was acknowledged, with its class and value, in the order in which they came.
    pub(crate) tokens: Vec<(String, Class, Vec<u8>)>,
    known: HashMap<String, usize>,
    by_value: HashMap<(Class, Vec<u8>), String>,
    /// Every call that was answered.
    pub(crate) answered: Vec<Answered>,
    /// Every checkpoint that was handed out, by its size.
    pub(crate) checkpoints: BTreeMap<u64, String>,
    /// The log's key, as it was told at first.
    pub(crate) verifier_key: Option<String>,
    /// Requests with an idempotency key.
    pub(crate) named: Vec<Named>,
    /// Values that were revealed.
    pub(crate) revealed: u64,
    /// Refusals by their reason; empty for calls that broke off.
    pub(crate) refused: BTreeMap<String, u64>,
}

/// The books of all clients of one vault.
#[derive(Default)]
pub(crate) struct Books(Mutex<Pages>);

impl Books {
    /// Opens them.
    pub(crate) fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// Notes a token that was acknowledged.
    ///
    /// # Panics
    /// If the token had another value before, or the value another token.
    pub(crate) fn acknowledged(&mut self, class: Class, value: &[u8], token: &str) {
        if let Some(&at) = self.known.get(token) {
            let (_, known_class, known_value) = &self.tokens[at];
            assert!(*known_class == class && known_value == value, "a token was given out for a second value");
            return;
        }
        if CLASSES.contains(&(class, true)) {
            let before = self.by_value.insert((class, value.to_vec()), token.to_owned());
            assert_eq!(before, None, "a value of {class} got a second token");
        }
        self.known.insert(token.to_owned(), self.tokens.len());
        self.tokens.push((token.to_owned(), class, value.to_vec()));
    }

    /// Notes the answer to a request with an idempotency key.
    ///
    /// # Panics
    /// If it had another answer before.
    pub(crate) fn named_answered(&mut self, at: usize, tokens: Vec<String>) {
        let named = &mut self.named[at];
        let before = named.tokens.get_or_insert_with(|| tokens.clone());
        assert_eq!(*before, tokens, "a request was answered differently when it was repeated");
    }

    /// Notes a checkpoint.
    ///
    /// # Panics
    /// If another one was handed out for the same size, or the log's key changed.
    pub(crate) fn checkpoint(&mut self, answer: v1::GetCheckpointResponse) {
        let key = self.verifier_key.get_or_insert_with(|| answer.verifier_key.clone());
        assert_eq!(*key, answer.verifier_key, "the log signs with another key");
        let size = size_of(&answer.checkpoint);
        let note = self.checkpoints.entry(size).or_insert_with(|| answer.checkpoint.clone());
        // Ed25519 signs the same text the same way.
        assert_eq!(*note, answer.checkpoint, "two checkpoints for the size {size}: the log forked");
    }
}

/// The size that a checkpoint states.
pub(crate) fn size_of(note: &str) -> u64 {
    note.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or_else(|| panic!("no checkpoint: {note:?}"))
}
