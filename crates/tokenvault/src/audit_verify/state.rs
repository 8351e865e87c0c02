//! How far a verification came, in a file of the auditor's own.
//!
//! The file is believed for one thing alone: that the entries before the position were read once and were in order.
//! Which entries they were is part of the hashes, and these are part of every root behind them: a false or foreign
//! state can't make another log pass. The checkpoint in it has to be met too, so that a log that was rolled back since
//! is told.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde_json::{Value, json};
use vault_domain::Millis;
use vault_ledger::{Checkpoint, LogPosition, TILE_HASHES, TreeHash, VerifierKey};

use crate::{
    exit::{Exit, Failure},
    items::{hex, unhex},
    small_file,
};

const FORMAT: &str = "tokenvault audit state 1";
/// The longest file that is read: far above any that is written.
const BYTES_MAX: u64 = 512 << 10;

/// What a state file holds.
pub(crate) struct State {
    pub(crate) position: LogPosition,
    /// The signed note that the log had when this was written.
    pub(crate) checkpoint: String,
}

impl State {
    /// Reads the file, if there is one.
    pub(crate) fn read(path: &Path, key: &VerifierKey) -> Result<Option<Self>, Failure> {
        let text = match small_file::read(path, BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| Failure::file(path, error))?,
        };
        let state = parse(&text).ok_or_else(|| refuse(path, "it is none, or damaged"))?;
        let (stated, state) = state;
        if stated != key.to_string() {
            return Err(refuse(path, "it is of another log, or of another key"));
        }
        let checkpoint = Checkpoint::open(&state.checkpoint, key)
            .map_err(|error| Failure::new(Exit::NotVerified, format!("{}: its checkpoint: {error}", path.display())))?;
        if checkpoint.head.size.0 < state.position.entries {
            return Err(refuse(path, "its checkpoint does not reach its position"));
        }
        Ok(Some(state))
    }

    /// Replaces the file whole.
    pub(crate) fn write(
        path: &Path,
        key: &VerifierKey,
        position: &LogPosition,
        checkpoint: &str,
    ) -> Result<(), Failure> {
        let text = text(&key.to_string(), position, checkpoint);
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let written = || {
            let mut file = File::create(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, path)
        };
        written().map_err(|error| Failure::file(path, error))
    }
}

/// The text of a state as it is written, of a text that can be read as one.
#[must_use]
pub fn read_state(from: &str) -> Option<String> {
    parse(from).map(|(key, state)| text(&key, &state.position, &state.checkpoint))
}

fn text(key: &str, position: &LogPosition, checkpoint: &str) -> String {
    let state = json!({
        "format": FORMAT,
        "verifier_key": key,
        "checkpoint": checkpoint,
        "entries": position.entries,
        "log_time_ms": position.log_time.0,
        "pruned_to": position.pruned_to,
        "hashes": position.hashes.iter().map(|hash| hex(&hash.0)).collect::<Vec<_>>(),
    });
    format!("{state:#}\n")
}

fn refuse(path: &Path, problem: &str) -> Failure {
    Failure::usage(format!("{}: the state can't be used: {problem}; name another file to begin anew", path.display()))
}

/// The key's text, and the rest.
fn parse(text: &str) -> Option<(String, State)> {
    let value: Value = serde_json::from_str(text).ok()?;
    let field = |name: &str| value.get(name);
    if field("format")?.as_str()? != FORMAT {
        return None;
    }
    let entries = field("entries")?.as_u64()?;
    let hashes: Vec<_> =
        field("hashes")?.as_array()?.iter().map(|hash| unhex(hash.as_str()?).map(TreeHash)).collect::<Option<_>>()?;
    let fits = entries.is_multiple_of(TILE_HASHES.into()) && hashes.len() == entries.count_ones() as usize;
    // Releases that pruned nothing wrote none.
    let pruned_to = field("pruned_to").map_or(Some(0), Value::as_u64)?;
    let log_time = Millis(field("log_time_ms")?.as_u64()?);
    let position = LogPosition { entries, hashes, log_time, pruned_to };
    let state = State { position, checkpoint: field("checkpoint")?.as_str()?.to_owned() };
    fits.then_some((field("verifier_key")?.as_str()?.to_owned(), state))
}
