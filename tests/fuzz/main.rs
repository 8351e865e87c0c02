//! What reads bytes or text from outside of a process keeps its promises whatever it is given: its seeds, and these
//! damaged at chance, in every run the same. `make campaign-fuzz` goes on from the same seeds, led by coverage.
//!
//! A round is one damaged input. `FUZZ_ROUNDS` and `FUZZ_SEED` ask for more or other ones.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail where it stands; the whole binary is one"
)]

mod damage;
mod seeds;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{damage::Damage, targets::TARGETS};

/// Rounds of each target, unless asked for more.
const ROUNDS: u32 = 20_000;
/// The memory of a target, beside what the process has: no input of these is worth more, and one more is an abort.
const MEMORY_BYTES_MAX: u64 = 1 << 30;

/// Feeds a target with its seeds and with damaged ones, and says which seed and round it was when that fails.
fn feed(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u32>().unwrap());
    let rounds = number("FUZZ_ROUNDS").unwrap_or(ROUNDS) / target.slower;
    let mut damage = Damage::seeded(number("FUZZ_SEED").unwrap_or(1));
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, memory_bytes() + MEMORY_BYTES_MAX, hard).unwrap();
    let seeds = seeds::of(name);
    for (file, seed) in &seeds {
        let survived = catch_unwind(AssertUnwindSafe(|| (target.run)(seed)));
        assert!(survived.is_ok(), "by the seed {file}");
    }
    let seeds: Vec<Vec<u8>> = seeds.into_values().collect();
    for round in 0..rounds {
        let input = damage.of(&seeds);
        let survived = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        assert!(survived.is_ok(), "in round {round}, by this input: {}", input.escape_ascii());
    }
}

/// The address space of this process, from the first field of `statm`, in pages.
fn memory_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn damaged_bodies_of_add_checkpoint() {
    feed("add_checkpoint");
}

#[test]
fn damaged_catalogs() {
    feed("catalog");
}

#[test]
fn damaged_certificates() {
    feed("certificate");
}

#[test]
fn damaged_checkpoints() {
    feed("checkpoint");
}

#[test]
fn damaged_configurations() {
    feed("configuration");
}

#[test]
fn damaged_cosignatures_and_keys_of_witnesses() {
    feed("cosignature");
}

#[test]
fn damaged_entries() {
    feed("entry");
}

#[test]
fn damaged_files() {
    feed("file");
}

#[test]
fn damaged_files_of_a_minimum_index() {
    feed("minimum_index");
}

#[test]
fn damaged_manifests_of_exports() {
    feed("manifest");
}

#[test]
fn damaged_names_of_logs_and_their_keys() {
    feed("log_name");
}

#[test]
fn damaged_notes() {
    feed("note");
}

#[test]
fn damaged_page_tokens() {
    feed("page_token");
}

#[test]
fn damaged_people_of_entries() {
    feed("people");
}

#[test]
fn damaged_policies() {
    feed("policy");
}

#[test]
fn damaged_proofs() {
    feed("proof");
}

#[test]
fn damaged_records() {
    feed("record");
}

#[test]
fn damaged_requests() {
    feed("request");
}

#[test]
fn damaged_rows_of_spans() {
    feed("span");
}

#[test]
fn damaged_states_of_verifications() {
    feed("state");
}

#[test]
fn damaged_summaries() {
    feed("summary");
}

#[test]
fn damaged_tokens() {
    feed("token");
}

#[test]
fn damaged_values() {
    feed("value");
}

#[test]
fn damaged_policies_of_witnesses() {
    feed("witness_policy");
}

/// By the text above: what is fed nowhere is tested nowhere.
#[test]
fn every_target_has_a_test() {
    let tests = include_str!("main.rs");
    for target in &TARGETS {
        assert_eq!(tests.matches(&format!("    feed(\"{}\");\n", target.name)).count(), 1, "{}", target.name);
    }
}
