//! Bytes: synced ones are there after the cut, the others are not.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use nix::{
    fcntl::{FallocateFlags, fallocate},
    libc,
};
use vault_tests::amnesia::{Amnesia, Options, Survivors};

use crate::{Machine, sync, wait_for};

/// A record of the writers: its number, and a filling that follows from it.
const RECORD: usize = 100;

fn record(number: u64) -> [u8; RECORD] {
    let mut record = [number.to_le_bytes()[0]; RECORD];
    record[..8].copy_from_slice(&number.to_be_bytes());
    record
}

/// How many whole records a file begins with. What follows them is less than one.
fn records(bytes: &[u8]) -> u64 {
    let whole = bytes.chunks_exact(RECORD);
    whole.zip(0..).take_while(|(bytes, number)| *bytes == record(*number)).count() as u64
}

/// Appends records until the power goes, and counts those that were acknowledged: written and, if so, synced.
fn append_until_cut(path: &Path, synced: bool, acknowledged: &AtomicU64) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    for number in 0.. {
        let done = file.write_all(&record(number)).and_then(|()| if synced { file.sync_data() } else { Ok(()) });
        if done.is_err() {
            return;
        }
        acknowledged.store(number + 1, Ordering::Release);
    }
}

/// A file `log0`, `log1`, … with a durable name for each writer.
fn started_with_logs(machine: &Machine, count: usize, options: Options) -> Amnesia {
    (0..count).for_each(|number| drop(File::create(machine.disk().join(format!("log{number}"))).unwrap()));
    machine.start(options)
}

/// Four writers that sync, and the power goes while they write.
fn writers_that_sync_lose_nothing(survivors: Survivors, cut: fn(Amnesia)) {
    let machine = Machine::new();
    let running = started_with_logs(&machine, 4, Options { survivors, ..Options::default() });
    let acknowledged = [const { AtomicU64::new(0) }; 4];
    thread::scope(|scope| {
        for (number, acknowledged) in acknowledged.iter().enumerate() {
            let path = running.path().join(format!("log{number}"));
            scope.spawn(move || append_until_cut(&path, true, acknowledged));
        }
        acknowledged.iter().for_each(|acknowledged| wait_for(acknowledged, 200));
        cut(running);
    });
    for (number, acknowledged) in acknowledged.iter().enumerate() {
        let left = records(&fs::read(machine.disk().join(format!("log{number}"))).unwrap());
        let acknowledged = acknowledged.load(Ordering::Acquire);
        // The one under way when the power went may be there or not.
        assert!(left == acknowledged || left == acknowledged + 1, "{left} of {acknowledged} are left");
    }
}

#[test]
fn concurrent_writers_that_sync_lose_nothing_acknowledged() {
    for survivors in [Survivors::Nothing, Survivors::Torn { seed: 1 }, Survivors::Torn { seed: 2 }] {
        writers_that_sync_lose_nothing(survivors, |running| assert!(running.power_cut().is_ok()));
    }
}

#[test]
fn nor_do_they_when_the_file_system_is_killed() {
    for _ in 0..5 {
        writers_that_sync_lose_nothing(Survivors::Nothing, drop);
    }
}

#[test]
fn canary_a_writer_that_does_not_sync_loses_data() {
    let machine = Machine::new();
    let running = started_with_logs(&machine, 1, Options::default());
    let (path, acknowledged) = (running.path().join("log0"), AtomicU64::new(0));
    let lost = thread::scope(|scope| {
        scope.spawn(|| append_until_cut(&path, false, &acknowledged));
        wait_for(&acknowledged, 500);
        running.power_cut().unwrap()
    });
    assert_eq!(fs::read(machine.disk().join("log0")).unwrap(), b"", "nothing was ever synced, nothing may be left");
    assert!(lost.bytes >= 500 * RECORD as u64, "{lost:?}");
}

#[test]
fn a_writer_in_another_process_loses_nothing_that_it_reported_after_its_sync() {
    let machine = Machine::new();
    fs::create_dir(machine.disk().join("data")).unwrap();
    File::create(machine.disk().join("data/log")).unwrap();
    let running = machine.start(Options::default());
    let script =
        r#"number=0; while echo "$number" >>"$1" && sync "$1"; do echo "$number"; number=$((number + 1)); done"#;
    let mut writer = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(running.path().join("data/log"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut reported = BufReader::new(writer.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..100 {
        line.clear();
        reported.read_line(&mut line).unwrap();
    }
    running.power_cut().unwrap();
    let mut rest = String::new();
    reported.read_to_string(&mut rest).unwrap();
    writer.wait().unwrap();
    let acknowledged: u64 = rest.lines().last().unwrap_or(&line).trim().parse::<u64>().unwrap() + 1;
    let left = fs::read_to_string(machine.disk().join("data/log")).unwrap();
    let expected: String = (0..acknowledged).map(|number| format!("{number}\n")).collect();
    assert!(acknowledged >= 100 && left.starts_with(&expected), "{acknowledged} acknowledged, left: {left}");
}

#[test]
fn reads_see_what_is_not_synced_and_the_disk_does_not() {
    let machine = Machine::new();
    let running = started_with_logs(&machine, 1, Options::default());
    let path = running.path().join("log0");
    let mut file = File::options().read(true).write(true).open(&path).unwrap();
    file.write_all(b"synced ").unwrap();
    file.sync_all().unwrap();
    file.write_all(b"and not").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"synced and not", "another descriptor");
    file.seek(SeekFrom::Start(3)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), file.metadata().unwrap().len()), ("ced and not", 14));
    assert_eq!(fs::read(machine.disk().join("log0")).unwrap(), b"synced ");
    assert_eq!(running.power_cut().unwrap().bytes, 7);
    assert_eq!(fs::read(machine.disk().join("log0")).unwrap(), b"synced ");
}

#[test]
fn sizes_and_holes_are_durable_with_a_sync_only() {
    let machine = Machine::new();
    fs::write(machine.disk().join("file"), vec![1; 20_000]).unwrap();
    let running = machine.start(Options::default());
    let file = File::options().read(true).write(true).open(running.path().join("file")).unwrap();
    file.set_len(10_000).unwrap();
    let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(&file, hole, 4096, 4096).unwrap();
    fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, 1 << 20).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 10_000);
    fallocate(&file, FallocateFlags::empty(), 0, 12_000).unwrap();
    assert_eq!(fs::read(machine.disk().join("file")).unwrap(), vec![1; 20_000]);
    file.sync_data().unwrap();
    file.set_len(0).unwrap();
    running.power_cut().unwrap();
    let mut expected = vec![1; 10_000];
    expected[4096..8192].fill(0);
    expected.resize(12_000, 0);
    assert!(fs::read(machine.disk().join("file")).unwrap() == expected);
}

#[test]
fn a_file_opened_for_synchronous_writes_needs_no_sync() {
    for flag in [libc::O_SYNC, libc::O_DSYNC] {
        let machine = Machine::new();
        let running = started_with_logs(&machine, 1, Options::default());
        let path = running.path().join("log0");
        let mut file = OpenOptions::new().append(true).custom_flags(flag).open(path).unwrap();
        file.write_all(b"durable").unwrap();
        running.power_cut().unwrap();
        assert_eq!(fs::read(machine.disk().join("log0")).unwrap(), b"durable");
    }
}

#[test]
fn after_the_cut_nothing_can_be_acknowledged() {
    let machine = Machine::new();
    let running = started_with_logs(&machine, 1, Options::default());
    let mut file = OpenOptions::new().append(true).open(running.path().join("log0")).unwrap();
    file.write_all(b"written").unwrap();
    running.power_cut().unwrap();
    assert!(file.sync_all().is_err());
    assert!(file.write_all(b"more").is_err());
}

#[test]
fn of_a_torn_append_some_seed_leaves_a_part_and_the_same_seed_the_same_part() {
    let left = |seed| {
        let machine = Machine::new();
        let options = Options { survivors: Survivors::Torn { seed }, ..Options::default() };
        let running = started_with_logs(&machine, 1, options);
        fs::write(running.path().join("log0"), vec![7; 10_000]).unwrap();
        let lost = running.power_cut().unwrap();
        let left = fs::read(machine.disk().join("log0")).unwrap();
        assert!(left.iter().all(|&byte| byte == 7));
        assert!(left.len().is_multiple_of(512) || left.len() == 10_000, "{} bytes", left.len());
        assert_eq!(lost.bytes, 10_000 - left.len() as u64);
        left.len()
    };
    let lengths: Vec<usize> = (0..8).map(left).collect();
    assert!(lengths.iter().any(|&length| length > 0 && length < 10_000), "{lengths:?}");
    assert_eq!(lengths, (0..8).map(left).collect::<Vec<_>>());
}

#[test]
fn the_power_can_be_cut_before_each_sync_in_turn() {
    for cut in 1..=10 {
        let machine = Machine::new();
        let options = Options { cut_before_sync: Some(cut), ..Options::default() };
        let running = started_with_logs(&machine, 1, options);
        let acknowledged = AtomicU64::new(0);
        append_until_cut(&running.path().join("log0"), true, &acknowledged);
        assert!(File::open(running.path()).is_err(), "it stays dark");
        let lost = running.power_cut().unwrap();
        assert_eq!(acknowledged.into_inner(), cut - 1);
        assert_eq!(lost.bytes, RECORD as u64);
        assert_eq!(fs::read(machine.disk().join("log0")).unwrap().len() as u64, (cut - 1) * RECORD as u64);
    }
}

#[test]
fn the_disk_goes_on_where_the_power_left_it() {
    let machine = Machine::new();
    for start in 0..5 {
        let running = started_with_logs_once(&machine, start);
        let path = running.path().join("log0");
        assert_eq!(fs::read(&path).unwrap().len() as u64, start * RECORD as u64);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&record(start), start * RECORD as u64).unwrap();
        sync(&path);
        file.write_all_at(b"not synced", (start + 1) * RECORD as u64).unwrap();
        running.power_cut().unwrap();
    }
    assert_eq!(records(&fs::read(machine.disk().join("log0")).unwrap()), 5);
}

fn started_with_logs_once(machine: &Machine, start: u64) -> Amnesia {
    if start == 0 { started_with_logs(machine, 1, Options::default()) } else { machine.start(Options::default()) }
}
