//! The targets under libFuzzer, which is led by what new input reaches: `FUZZ_TARGET` names the one of a run. It is
//! built and run by `make campaign-fuzz` alone, with code that counts where it goes (`.ci/instrument.sh`).
#![no_main]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a target fails where it stands; the whole binary is one"
)]

mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

use crate::targets::TARGETS;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let names = TARGETS.map(|target| target.name);
        let found = TARGETS.into_iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("FUZZ_TARGET must be one of {names:?}")).run
    });
    target(bytes);
});
