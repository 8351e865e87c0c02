//! Fast enough to put a vault on: small appends, each with a sync.

use std::{fs::File, io::Write, time::Instant};

use vault_tests::amnesia::{Directories, Options};

use crate::Machine;

/// Appends with a sync in one second, at least; an idle machine of two cores does about ten times as many.
const SYNCS_PER_SECOND_MIN: f64 = 2000.0;

#[test]
#[expect(clippy::disallowed_methods, reason = "it measures the time that really passed")]
fn small_appends_with_a_sync_each() {
    for directories in [Directories::Strict, Directories::Ext4Like] {
        let machine = Machine::new();
        let running = machine.start(Options { directories, ..Options::default() });
        let mut file = File::create(running.path().join("log")).unwrap();
        let count = 10_000;
        let start = Instant::now();
        for _ in 0..count {
            file.write_all(&[7; 100]).unwrap();
            file.sync_data().unwrap();
        }
        let speed = f64::from(count) / start.elapsed().as_secs_f64();
        println!("{directories:?}: {speed:.0} appends of 100 bytes with fdatasync per second");
        running.power_cut().unwrap();
        assert!(speed >= SYNCS_PER_SECOND_MIN, "{speed:.0} a second");
    }
}
