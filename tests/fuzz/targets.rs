//! What reads bytes or text from outside of the process, one function each. A target takes any input and fails when it
//! finds a broken promise: a panic, a thing that is written otherwise than it was read, a limit that does not hold, an
//! error that repeats a secret.
//!
//! `main.rs` runs them in every `make test`, `libfuzzer.rs` for long in `make campaign-fuzz`.

mod files;
mod ledger;
mod requests;
mod settings;
mod tokens;
mod witnesses;

use std::borrow::Cow;

#[allow(unused_imports, reason = "libfuzzer.rs makes no seeds")]
pub(crate) use ledger::LOG;
#[allow(unused_imports, reason = "libfuzzer.rs makes no seeds")]
pub(crate) use witnesses::WITNESS;

/// One reader.
pub(crate) struct Target {
    /// Also the name of its folder in `corpus`.
    pub(crate) name: &'static str,
    /// One that takes long for an input has fewer rounds in `make test`: one for so many.
    #[allow(dead_code, reason = "libfuzzer.rs counts seconds")]
    pub(crate) slower: u32,
    pub(crate) run: fn(&[u8]),
}

/// All of them.
pub(crate) const TARGETS: [Target; 24] = [
    Target { name: "add_checkpoint", slower: 2, run: witnesses::add_checkpoint },
    Target { name: "catalog", slower: 40, run: settings::catalog },
    Target { name: "certificate", slower: 4, run: requests::certificate },
    Target { name: "checkpoint", slower: 10, run: ledger::checkpoint },
    Target { name: "configuration", slower: 4, run: settings::configuration },
    Target { name: "cosignature", slower: 2, run: witnesses::cosignature },
    Target { name: "entry", slower: 1, run: ledger::entry },
    Target { name: "file", slower: 2, run: files::file },
    Target { name: "log_name", slower: 2, run: ledger::log_name },
    Target { name: "manifest", slower: 10, run: witnesses::manifest },
    Target { name: "minimum_index", slower: 1, run: files::minimum_index },
    Target { name: "note", slower: 2, run: ledger::note },
    Target { name: "page_token", slower: 1, run: requests::page_token },
    Target { name: "people", slower: 1, run: ledger::people },
    Target { name: "policy", slower: 160, run: settings::policy },
    Target { name: "proof", slower: 2, run: ledger::proof },
    Target { name: "record", slower: 1, run: tokens::record },
    Target { name: "request", slower: 2, run: requests::request },
    Target { name: "span", slower: 2, run: ledger::span },
    Target { name: "state", slower: 2, run: files::state },
    Target { name: "summary", slower: 2, run: ledger::summary },
    Target { name: "token", slower: 1, run: tokens::token },
    Target { name: "value", slower: 1, run: tokens::value },
    Target { name: "witness_policy", slower: 2, run: witnesses::policy },
];

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// An error says something, in a few lines, and repeats nothing that could be a value or a token of the input: no word
/// of eight or more letters and digits, a digit among them. The vault's own words have none like it.
#[track_caller]
fn assert_clear(error: &str, input: &[u8]) {
    assert!((8..2000).contains(&error.len()), "an error of {} bytes", error.len());
    let words = error.split(|c: char| !c.is_ascii_alphanumeric());
    for word in words.filter(|word| word.len() >= 8 && word.bytes().any(|byte| byte.is_ascii_digit())) {
        let repeated = input.windows(word.len()).any(|part| part == word.as_bytes());
        assert!(!repeated, "an error repeats what it was given");
    }
}
