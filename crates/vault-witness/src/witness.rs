//! The judgement of a request: which answer it gets, and what has to be on the disk before that.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use thiserror::Error;
use vault_domain::Clock;
use vault_ledger::{
    AddCheckpoint, Checkpoint, EMPTY_ROOT, LedgerError, Note, TreeHead, TreeSize, VerifierKey, WitnessKey, cosign,
    verify_consistency,
};

use crate::{
    signer::WitnessSigner,
    state::{self, Folder},
};

/// Why a witness can't begin.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder of the state, or a file in it, can't be used.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state of a log is not what this witness wrote.
    #[error(
        "{path}: what this witness remembers of a log does not verify ({source}). Whoever changed it could make it \
         vouch for a second history: restore the file, or begin anew under another key"
    )]
    State {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        source: LedgerError,
    },
    /// The key can't be used.
    #[error(transparent)]
    Key(#[from] LedgerError),
}

/// What a request is answered with, by the status of HTTP that the protocol gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: the cosignature, a line with its newline.
    Cosigned(String),
    /// 400: this is no request.
    Malformed,
    /// 403: no key that is known for this log signed the checkpoint, or a signature in its name is false.
    SignatureRefused,
    /// 404: no such log is known here.
    LogUnknown,
    /// 409: this is the size of the newest checkpoint that was cosigned, and the request begins at another, or has
    /// another root for this size.
    Elsewhere(u64),
    /// 422: the checkpoint does not continue what was cosigned.
    Inconsistent,
    /// 500: the state can't be written; nothing is signed.
    StateFailed,
}

/// A witness of some logs.
pub struct Witness {
    signer: WitnessSigner,
    key: WitnessKey,
    folder: Folder,
    logs: BTreeMap<String, Log>,
    clock: Arc<dyn Clock>,
}

struct Log {
    keys: Vec<VerifierKey>,
    /// SHA-256 of the origin, in hex.
    hash: String,
    /// Held from the check until the new state is on the disk: two requests at once must not both find the old one.
    state: Mutex<State>,
}

struct State {
    head: TreeHead,
    /// The newest checkpoint with both signatures; none was cosigned yet.
    note: Option<Arc<str>>,
    /// A write failed: what is on the disk is not known, and so nothing may be signed.
    is_lost: bool,
}

impl Witness {
    /// Takes the folder and reads what was cosigned of each log. A log may have several keys, an old and a new one for
    /// instance.
    ///
    /// # Errors
    /// When the folder can't be used, another process has it, or a file in it does not verify.
    pub fn open(
        signer: WitnessSigner,
        keys: Vec<VerifierKey>,
        folder: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let fault = |source| OpenError::Folder { path: folder.to_owned(), source };
        let folder = Folder::open(folder).map_err(fault)?;
        let key = signer.verifier_key()?;
        let mut by_origin: BTreeMap<String, Vec<VerifierKey>> = BTreeMap::new();
        for key in keys {
            by_origin.entry(key.origin().as_str().to_owned()).or_default().push(key);
        }
        let mut logs = BTreeMap::new();
        for (origin, keys) in by_origin {
            let hash = hex(&vault_crypto::sha256(&[origin.as_bytes()]));
            let path = folder.file(&hash);
            let note = state::read(&path).map_err(|source| OpenError::Folder { path: path.clone(), source })?;
            let head = match &note {
                None => TreeHead { size: TreeSize(0), root: EMPTY_ROOT },
                Some(note) => remembered(note, &keys, &key).map_err(|source| OpenError::State { path, source })?,
            };
            let state = Mutex::new(State { head, note: note.map(Into::into), is_lost: false });
            logs.insert(origin, Log { keys, hash, state });
        }
        Ok(Self { signer, key, folder, logs, clock })
    }

    /// The key that its cosignatures verify with.
    #[must_use]
    pub fn verifier_key(&self) -> &WitnessKey {
        &self.key
    }

    /// The logs that it knows, with the size of the newest checkpoint that it cosigned.
    pub fn logs(&self) -> impl Iterator<Item = (&str, u64)> {
        self.logs.iter().map(|(origin, log)| (origin.as_str(), log.lock().head.size.0))
    }

    /// Judges a request, and writes the new state before it answers. To be called on a thread that may block.
    #[must_use]
    pub fn add_checkpoint(&self, body: &str) -> Answer {
        let Ok(request) = AddCheckpoint::parse(body) else { return Answer::Malformed };
        let Ok(note) = Note::parse(&request.checkpoint) else { return Answer::Malformed };
        let Some(log) = self.logs.get(note.claimed_origin()) else { return Answer::LogUnknown };
        let (checkpoint, key) = match log.open(&request.checkpoint, &note) {
            Ok(opened) => opened,
            Err(LedgerError::SignatureMissing | LedgerError::SignatureInvalid) => return Answer::SignatureRefused,
            Err(LedgerError::EmptyRootRefuted) => return Answer::Inconsistent,
            Err(_) => return Answer::Malformed,
        };
        if request.old > checkpoint.head.size {
            return Answer::Malformed;
        }
        let mut state = log.lock();
        if state.is_lost {
            return Answer::StateFailed;
        }
        if request.old != state.head.size {
            return Answer::Elsewhere(state.head.size.0);
        }
        if verify_consistency(&state.head, &checkpoint.head, &request.proof).is_err() {
            self.contradicted(log, &state.head, &checkpoint, &note, key);
            // The protocol tells another root of the same size by the answer of another size.
            let is_same_size = checkpoint.head.size == state.head.size && checkpoint.head.root != state.head.root;
            return if is_same_size { Answer::Elsewhere(state.head.size.0) } else { Answer::Inconsistent };
        }
        let Ok(own) = note.signed_by_alone(key) else { return Answer::SignatureRefused };
        let line = cosign(note.text(), self.signer.name(), self.clock.wall().0 / 1000, &self.signer);
        let cosigned = own + &line;
        if let Err(error) = state::write(&self.folder.file(&log.hash), &cosigned) {
            state.is_lost = true;
            let origin = &checkpoint.origin;
            tracing::error!(%error, %origin, "the state can't be written: nothing is signed any more");
            return Answer::StateFailed;
        }
        (state.head, state.note) = (checkpoint.head, Some(cosigned.into()));
        Answer::Cosigned(line)
    }

    /// The newest cosigned checkpoint of the log whose origin has this SHA-256, in hex.
    #[must_use]
    pub fn newest(&self, origin_hash: &str) -> Option<Arc<str>> {
        self.logs.values().find(|log| log.hash == origin_hash)?.lock().note.clone()
    }

    /// Tells of a checkpoint that is signed and does not continue the one before. Two roots for one size, both signed,
    /// prove that the log has two histories: the second is kept.
    fn contradicted(&self, log: &Log, before: &TreeHead, now: &Checkpoint, note: &Note<'_>, key: &VerifierKey) {
        let (origin, size, before_size) = (now.origin.as_str(), now.head.size.0, before.size.0);
        if size != before_size || now.head.root == before.root {
            tracing::warn!(origin, size, before_size, "a checkpoint came without a proof of what is before it");
            return;
        }
        let path = self.folder.evidence(&log.hash);
        let kept = path.display();
        tracing::error!(origin, size, %kept, "A LOG HAS TWO HISTORIES: it signed two roots for one size");
        let written = note.signed_by_alone(key).map(|note| state::write(&path, &note));
        if let Ok(Err(error)) = written {
            tracing::error!(%error, "the second checkpoint can't be kept");
        }
    }
}

impl Log {
    /// The checkpoint, by the first key that signed it. A false signature in the name of any of them spoils it.
    fn open(&self, text: &str, note: &Note<'_>) -> Result<(Checkpoint, &VerifierKey), LedgerError> {
        let mut signed_by = None;
        for key in &self.keys {
            match note.verify(key) {
                Ok(_) => signed_by = signed_by.or(Some(key)),
                Err(LedgerError::SignatureMissing) => {}
                Err(error) => return Err(error),
            }
        }
        let key = signed_by.ok_or(LedgerError::SignatureMissing)?;
        Ok((Checkpoint::open(text, key)?, key))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // What is remembered changes in one step, after the write: a panic before that leaves it as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a file of the state says, if the log and this witness both signed it.
fn remembered(note: &str, keys: &[VerifierKey], own: &WitnessKey) -> Result<TreeHead, LedgerError> {
    own.verify(&Note::parse(note)?)?;
    let opened = keys.iter().map(|key| Checkpoint::open(note, key));
    let mut last = Err(LedgerError::SignatureMissing);
    for checkpoint in opened {
        match checkpoint {
            Ok(checkpoint) => return Ok(checkpoint.head),
            Err(error) => last = Err(error),
        }
    }
    last
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
