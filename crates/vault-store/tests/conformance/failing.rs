//! When the disk does not take what is written.

use vault_domain::LogIndex;
use vault_store::{WriteError, table::Entries};

use crate::harness::{entry, get_now, is_role, open, place, puts};

const NAME: &str = "failing::after_a_failed_write_the_writer_is_finished_and_readers_go_on";

/// In the child, files may not grow beyond 2 MiB (a limit of the shell that starts it), so the write-ahead log does not
/// either.
#[test]
fn after_a_failed_write_the_writer_is_finished_and_readers_go_on() {
    if is_role("limited") {
        return run_limited();
    }
    let directory = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let mut command = std::process::Command::new("bash");
    command.args(["-c", "trap '' XFSZ; ulimit -S -f 2048; exec \"$0\" \"$@\""]).arg(program);
    crate::harness::prepare(&mut command, NAME, "limited", directory.path());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("failed as expected"), "{text}");

    // Everything acknowledged is there afterwards; what failed may be, but nothing beyond.
    let acknowledged: u64 = text.lines().find_map(|line| line.strip_prefix("acknowledged ")?.parse().ok()).unwrap();
    let store = open(directory.path());
    for index in 0..acknowledged {
        assert_eq!(get_now(&store.reader, Entries, &LogIndex(index)).unwrap(), entry(index));
    }
    assert_eq!(get_now(&store.reader, Entries, &LogIndex(acknowledged + 1)), None);
}

fn run_limited() {
    let mut store = open(&place());
    let mut commit = |index| store.writer.commit([&puts(Entries, &[(LogIndex(index), &entry(index)[..])])]);
    let mut index = 0;
    let first = loop {
        match commit(index) {
            Ok(_) => index += 1,
            Err(error) => break error,
        }
        assert!(index < 100_000, "the limit was never met");
    };
    assert!(matches!(first, WriteError::Failed { .. }), "{first}");
    println!("\nacknowledged {index}");
    // There is room again, and still nothing is written.
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_FSIZE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    for later in 1..4 {
        assert_eq!(commit(index + later), Err(first.clone()));
    }
    assert_eq!(store.writer.close(), Err(first));
    assert_eq!(get_now(&store.reader, Entries, &LogIndex(0)).unwrap(), entry(0));
    println!("failed as expected");
}
