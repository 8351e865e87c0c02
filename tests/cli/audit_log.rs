//! `audit export-log` and `audit verify`: a vault's log, taken out and verified offline; what is told when it is not as
//! it was signed, and when records are not those of the log.

use std::{fs, path::Path};

use serde_json::{Value, json};
use vault_domain::{Action, RecordNumber};
use vault_store::{
    Batch, Direction,
    table::{Checkpoints, Records, States},
    wait,
};
use vault_tests::{
    requests::{change, detokenize, email, tokenize},
    roles::Role,
    stored_log,
    vault::VAULT,
};

use crate::{
    audited::{Audited, contents, copy, verify},
    shell::{DevVault, run, third_party, tokenvault},
};

/// Runs the verifier that third parties are shown.
fn python(words: &[&str]) -> (Option<i32>, String) {
    third_party("verify.py", words)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_exported_and_verified_by_who_knows_its_key_and_the_data_stay_as_they_are() {
    let audited = Audited::after(280).await;
    let data = audited.vault.data_directory();
    let before = contents(&data);
    let said = audited.export("eu", "eu");
    let key = said["verifier_key"].as_str().unwrap();
    let entries = said["entries"].as_u64().unwrap();
    assert!(entries > 256 && said["unsigned_entries"] == 0, "{said}");
    assert_eq!(audited.export("node", "node")["log"], format!("{VAULT}/audit/node/node-1"));

    // The files are those of the layout, and of this size no others.
    let folder = audited.path("eu");
    let width = entries - 256;
    let mut names: Vec<_> = contents(&folder).into_iter().map(|(path, ..)| path).collect();
    names.iter_mut().for_each(|path| *path = path.strip_prefix(&folder).unwrap().to_owned());
    let expected = [
        "checkpoint".to_owned(),
        "tile/0/000".to_owned(),
        format!("tile/0/001.p/{width}"),
        "tile/1/000.p/1".to_owned(),
        "tile/entries/000".to_owned(),
        format!("tile/entries/001.p/{width}"),
        "vkey".to_owned(),
    ];
    assert_eq!(names, expected.map(std::path::PathBuf::from));

    let outside = audited.checkpoint("eu");
    let outside = outside.to_str().unwrap();
    let good = verify(&folder, &["--verifier-key", key, "--checkpoint", outside]).with(0);
    let line = &good.lines()[0];
    assert_eq!((&line["verified"], &line["entries"]), (&json!(true), &json!(entries)));
    assert_eq!((&line["verifier_key_given"], &line["checkpoints"]), (&json!(true), &json!(2)));
    assert!(!good.err.contains("agrees with itself"), "{}", good.err);
    let alone = verify(&folder, &[]).with(0);
    assert!(alone.err.contains("agrees with itself") && alone.lines()[0]["verifier_key_given"] == false, "{alone:?}");

    // The data directory itself: each log in it, and one.
    let all = verify(&data, &["--checkpoint", outside, "--records"]).with(0).lines();
    let logs: Vec<_> = all.iter().map(|line| line["log"].as_str().unwrap()).collect();
    assert_eq!(logs, ["vault.test/audit/eu/1", "vault.test/audit/node/node-1", "vault.test/audit/us/1"]);
    assert_eq!((&all[0]["root"], &all[0]["entries"]), (&line["root"], &json!(entries)));
    assert!(all[0]["checkpoints"].as_u64().unwrap() >= 2 && all[0]["records"].as_u64().unwrap() > 50, "{}", all[0]);
    assert_eq!(verify(&data, &["--region", "eu", "--key", key]).with(0).lines().len(), 1);
    let array = run(&mut tokenvault(&["audit", "verify", data.to_str().unwrap(), "--output", "json"]), "").with(0);
    assert_eq!(serde_json::from_str::<Vec<Value>>(&array.out).unwrap().len(), 3);
    assert_eq!(contents(&data), before, "nothing was changed");

    let (code, said) = python(&[folder.to_str().unwrap(), "--key", key, "--checkpoint", outside]);
    assert_eq!((code, said.trim()), (Some(0), format!("verified: {entries} entries").as_str()));
    let (code, said) = python(&[folder.to_str().unwrap()]);
    assert!(code == Some(0) && said.contains("consistency alone"), "{said}");
    audited.vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_the_one_that_was_signed_is_told_with_its_first_wrong_entry() {
    let mut audited = Audited::after(30).await;
    audited.keep("older");
    let key = audited.export("eu", "exported")["verifier_key"].as_str().unwrap().to_owned();
    let older = audited.export("us", "of-us")["entries"].as_u64().unwrap();
    let size = audited.vault.stored_log("eu").entries.len();
    let older_note = audited.path("older").join("checkpoints/eu.checkpoint");
    audited.go_on(1000, 30).await;
    audited.keep("newer");
    let newest = audited.checkpoint("eu");
    let outside = ["--region", "eu", "--verifier-key", &key, "--checkpoint", newest.to_str().unwrap()];
    verify(&audited.vault.data_directory(), &outside).with(0);
    assert!(older > 0);

    // Rolled back: by itself it is whole.
    let rolled_back = audited.path("older").join("data");
    verify(&rolled_back, &["--region", "eu", "--verifier-key", &key]).with(0);
    let line = verify(&rolled_back, &outside).with(4).lines().remove(0);
    assert_eq!((&line["verified"], &line["first_bad_entry"]), (&json!(false), &json!(size)));
    assert!(line["problem"].as_str().unwrap().contains("cut off or rolled back"), "{line}");
    // So is the folder that was exported of it, to both.
    let folder = audited.path("exported");
    verify(&folder, &["--key", &key, "--checkpoint", newest.to_str().unwrap()]).with(4);
    let words = [folder.to_str().unwrap(), "--key", &key, "--checkpoint", newest.to_str().unwrap()];
    let (code, said) = python(&words);
    assert!(code == Some(4) && said.contains(&format!("entry {size}: ")), "{said}");

    // Forked: the same vault, from the same past, with another future of its own signing.
    audited.put_back("older");
    audited.go_on(2000, 40).await;
    verify(&audited.vault.data_directory(), &["--region", "eu", "--verifier-key", &key]).with(0);
    let both = [outside.as_slice(), &["--checkpoint", older_note.to_str().unwrap()]].concat();
    let newer = audited.path("newer").join("checkpoints/eu.checkpoint");
    let both: Vec<_> = both
        .iter()
        .map(|word| if *word == newest.to_str().unwrap() { newer.to_str().unwrap() } else { word })
        .collect();
    let line = verify(&audited.vault.data_directory(), &both).with(4).lines().remove(0);
    assert_eq!(line["first_bad_entry"], size, "{line}");

    // Changed within the store: the entry is named, and nothing is exported.
    audited.put_back("newer");
    let mut entry = audited.vault.stored_log("eu").entries[7].clone();
    entry[20] ^= 1;
    audited.vault.overwrite_entry("eu", 7, &entry);
    let line = verify(&audited.vault.data_directory(), &["--region", "eu"]).with(4).lines().remove(0);
    assert!(line["first_bad_entry"].as_u64().unwrap() <= 7 && line["last_bad_entry"].as_u64().unwrap() >= 7, "{line}");
    let out = audited.path("never");
    let words = ["audit", "export-log", "--data", &audited.data(), "--region", "eu", "--out", out.to_str().unwrap()];
    let refused = run(&mut tokenvault(&words), "").with(4);
    assert!(refused.err.contains("not those of the newest checkpoint") && !out.join("checkpoint").exists());
    audited.vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_goes_on_from_its_state_and_believes_no_false_one() {
    let mut audited = Audited::after(100).await;
    let note = audited.path("early");
    fs::copy(audited.checkpoint("eu"), &note).unwrap();
    audited.go_on(500, 200).await;
    let state = audited.path("state");
    let state = state.to_str().unwrap();
    let data = audited.vault.data_directory();
    let words = ["--region", "eu", "--state", state];
    let first = verify(&data, &words).with(0).lines().remove(0);
    assert_eq!((&first["resumed_from"], &first["verified"]), (&json!(0), &json!(true)));
    let kept = fs::read_to_string(state).unwrap();
    audited.keep("older");
    audited.go_on(1000, 250).await;
    let second = verify(&data, &words).with(0).lines().remove(0);
    assert_eq!(second["resumed_from"], 256, "{second}");
    assert_eq!(verify(&data, &words).with(0).lines()[0]["resumed_from"], 512);

    // Its checkpoint has to be met: a log that was rolled back since is told.
    let older = audited.path("older").join("data");
    let line = verify(&older, &words).with(4).lines().remove(0);
    assert!(line["problem"].as_str().unwrap().contains("the checkpoint in --state is of"), "{line}");
    // A false hash passes nothing, and leaves the file as it is.
    let hash = serde_json::from_str::<Value>(&kept).unwrap()["hashes"][0].as_str().unwrap().to_owned();
    fs::write(state, kept.replace(&hash, &"00".repeat(32))).unwrap();
    let before = fs::read_to_string(state).unwrap();
    verify(&data, &words).with(4);
    assert_eq!(fs::read_to_string(state).unwrap(), before);
    // What is no state of this log is refused.
    fs::write(state, &kept).unwrap();
    assert!(verify(&data, &["--region", "us", "--state", state]).with(2).err.contains("of another log"));
    for (from, to) in [("state 1", "state 2"), ("\"entries\": 256", "\"entries\": 255"), ("{", "")] {
        assert!(kept.contains(from), "{from}");
        fs::write(state, kept.replacen(from, to, 1)).unwrap();
        assert!(verify(&data, &words).with(2).err.contains("the state can't be used"));
    }
    // A checkpoint of before the state is not left out: the log is read once more.
    fs::write(state, &kept).unwrap();
    let line =
        verify(&data, &[&words[..], &["--checkpoint", note.to_str().unwrap()]].concat()).with(0).lines().remove(0);
    assert_eq!(line["resumed_from"], 0);
    audited.vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_checkpoints_were_taken_away_vouches_for_nothing() {
    let audited = Audited::after(20).await;
    let eu = audited.vault.data_directory().join("eu");
    verify(&eu, &[]).with(0);
    let key = audited.export("eu", "exported")["verifier_key"].as_str().unwrap().to_owned();
    let mut store = stored_log::open(&eu, VAULT, "eu").unwrap();
    let mut batch = Batch::default();
    let rows = wait(store.reader.snapshot().scan(Checkpoints, .., Direction::Forward, 1000)).unwrap();
    rows.iter().for_each(|row| batch.delete(Checkpoints, row.0));
    assert!(!batch.is_empty());
    store.writer.commit([&batch]).unwrap();
    drop(store);
    let line = verify(&eu, &[]).with(4).lines().remove(0);
    assert!(line["problem"].as_str().unwrap().contains("nobody has signed this log"), "{line}");
    // A folder of pipes holds nobody up, and a key that never ends fills no memory.
    let folder = audited.path("pipes");
    fs::create_dir_all(&folder).unwrap();
    nix::unistd::mkfifo(&folder.join("checkpoint"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let fifo = folder.join("checkpoint");
    for option in ["--verifier-key", "--checkpoint", "--state"] {
        for file in [fifo.to_str().unwrap(), "/dev/zero"] {
            let refused = verify(&eu, &[option, file]);
            assert!(
                [Some(1), Some(2)].contains(&refused.code) && refused.err.contains("no regular file"),
                "{refused:?}"
            );
        }
    }
    let refused = verify(&folder, &["--verifier-key", &key]).with(1);
    assert!(refused.err.contains("no regular file"), "{refused:?}");
    fs::rename(&fifo, folder.join("STORE")).unwrap();
    let refused = verify(&folder, &[]);
    assert!(refused.code != Some(0) && refused.err.contains("no regular file"), "{refused:?}");
    audited.vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_removed_put_in_or_exchanged_behind_the_log_are_found() {
    let audited = Audited::after(40).await;
    let sound = audited.path("sound");
    copy(&audited.vault.data_directory().join("eu"), &sound);
    let row = |number: u64| {
        let store = stored_log::open(&sound, VAULT, "eu").unwrap();
        wait(store.reader.snapshot().get(Records, &RecordNumber::new(number).unwrap())).unwrap()
    };
    let number = (0..5000).find(|number| row(*number).is_some()).unwrap();
    let original = row(number).unwrap();
    let with = |name: &str, change: &dyn Fn(&mut Batch)| record_fault(&audited, name, change);
    let records = verify(&sound, &["--records"]).with(0).lines().remove(0)["records"].as_u64().unwrap();
    assert!(records > 10, "{records}");
    let key = |number| RecordNumber::new(number).unwrap();
    let said = with("removed", &|batch| batch.delete(Records, &key(number)));
    assert!(said.contains(&format!("record {number} is gone")), "{said}");
    let said = with("planted", &|batch| batch.put(Records, &key(1 << 40), &original));
    assert!(said.contains(&format!("record {} was put into the store", 1_u64 << 40)), "{said}");
    // The time of its making, a day earlier.
    let mut exchanged = original.clone();
    exchanged[62] = exchanged[62].wrapping_sub(6);
    let said = with("exchanged", &|batch| batch.put(Records, &key(number), &exchanged));
    assert!(said.contains(&format!("record {number} is not the one that entry")), "{said}");
    let said = with("broken", &|batch| batch.put(Records, &key(number), b"no record"));
    assert!(said.contains("is no record of this version"), "{said}");
    let unused = (number..).find(|number| {
        let log = audited.vault.stored_log("eu");
        let used = |entry: &vault_ledger::Entry| {
            entry.head.action != vault_domain::Action::Tokenize
                && entry.groups.iter().any(|group| group.numbers.contains(key(*number)))
        };
        row(*number).is_some() && !log.decoded().iter().any(used)
    });
    let unused = unused.unwrap();
    let said = with("state", &|batch| batch.put(States, &key(unused), &[1; 32]));
    assert!(said.contains(&format!("the state of record {unused} was changed")), "{said}");
    audited.vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_to_the_life_of_tokens_behind_the_log_is_found() {
    let mut audited = Audited::after(4).await;
    audited.vault.start_again().await;
    let mut request = tokenize("email", [email(900)]);
    request.items[0].max_uses = 2;
    let counted = audited.vault.caller(Role::Loader).await.tokenize(request).await.unwrap().tokens().remove(0);
    let revoked = audited.vault.give("email", [email(901)]).await.remove(0);
    let plain = audited.vault.give("email", [email(902)]).await.remove(0);
    let (payments, steward) = (audited.vault.caller(Role::Payments).await, audited.vault.caller(Role::Steward).await);
    let reveal = |token: &str| payments.detokenize(detokenize("email", [token]));
    let (mut rows, mut number_of) = (Vec::new(), Vec::new());
    for token in [&counted, &revoked, &plain] {
        let mark = audited.vault.mark("eu").await;
        assert!(reveal(token).await.unwrap().results[0].is_ok());
        number_of.push(audited.vault.entry_since(&mark).await.items[0].record_numbers[0]);
    }
    let [counted_at, revoked_at, plain_at] = number_of.try_into().unwrap();
    for action in [Action::Suspend, Action::Suspend, Action::Resume, Action::Revoke] {
        if action == Action::Revoke {
            // As it was before the revocation.
            audited.vault.stop().await;
            rows.push(state(&audited, revoked_at).unwrap());
            audited.vault.start_again().await;
        }
        let steward =
            if action == Action::Revoke { audited.vault.caller(Role::Steward).await } else { steward.clone() };
        assert!(steward.change(action, change("email", [&revoked])).await.unwrap().only().is_ok());
    }
    audited.vault.stop().await;
    rows.push(state(&audited, counted_at).unwrap());
    let key = |number| RecordNumber::new(number).unwrap();
    let sound = audited.path("sound");
    copy(&audited.vault.data_directory().join("eu"), &sound);
    verify(&sound, &["--records"]).with(0);
    let with = |name: &str, change: &dyn Fn(&mut Batch)| record_fault(&audited, name, change);
    let said = with("undone", &|batch| batch.put(States, &key(revoked_at), &rows[0]));
    assert!(said.contains(&format!("the state of record {revoked_at} was changed")), "{said}");
    assert!(said.contains("counts 3 changes, and the log tells of 4"), "{said}");
    for (name, number, told) in [("revoked", revoked_at, 4), ("counted", counted_at, 1)] {
        let said = with(name, &|batch| batch.delete(States, &key(number)));
        assert!(said.contains(&format!("the state of record {number} is gone: the log tells of {told}")), "{said}");
    }
    // One that was put in for a record that was revealed, and never changed.
    let said = with("put in", &|batch| batch.put(States, &key(plain_at), &rows[1]));
    assert!(said.contains(&format!("the state of record {plain_at} was changed")), "{said}");
    audited.vault.finish().await;
}

/// What `audit verify --records` says of a copy of the data to which this was done: one fault; the log itself is whole.
fn record_fault(audited: &Audited, name: &str, change: &dyn Fn(&mut Batch)) -> String {
    let path = audited.path(name);
    copy(&audited.vault.data_directory().join("eu"), &path);
    let mut store = stored_log::open(&path, VAULT, "eu").unwrap();
    let mut batch = Batch::default();
    change(&mut batch);
    store.writer.commit([&batch]).unwrap();
    drop(store);
    verify(&path, &[]).with(0);
    let line = verify(&path, &["--records"]).with(4).lines().remove(0);
    let said = |name| line.get(name).unwrap_or_else(|| panic!("{name} is missing in {line}"));
    assert_eq!((said("verified"), said("record_faults")), (&json!(false), &json!(1)), "{line}");
    said("problem").as_str().unwrap().to_owned()
}

/// A record's state row, of a stopped vault.
fn state(audited: &Audited, number: u64) -> Option<Vec<u8>> {
    let store = stored_log::open(&audited.vault.data_directory().join("eu"), VAULT, "eu").unwrap();
    wait(store.reader.snapshot().get(States, &RecordNumber::new(number).unwrap())).unwrap()
}

#[test]
fn what_can_not_be_verified_or_exported_is_refused_with_what_to_do() {
    let mut vault = DevVault::start();
    vault.tokens("email", &["ada@example.com"]);
    let data = vault.place().join("vault-data");
    let data = data.to_str().unwrap().to_owned();
    let out = vault.path("out");
    let export = |words: &[&str]| run(&mut tokenvault(&[&["audit", "export-log"], words].concat()), "");
    let good = ["--data", &data, "--region", "eu", "--out", &out];
    let busy = export(&good).with(1);
    assert!(busy.err.contains("is open in another process"), "{}", busy.err);
    verify(Path::new(&data), &[]).with(1);
    assert_eq!(vault.stop(), Some(0));
    let said = export(&good).with(0).lines().remove(0);
    let again = export(&good).with(1);
    assert!(again.err.contains("it holds something"), "{}", again.err);
    export(&["--data", &data, "--region", "nowhere", "--out", &vault.path("other")]).with(1);
    let key = said["verifier_key"].as_str().unwrap().to_owned();

    let folder = Path::new(&out);
    let refused = |words: &[&str], code: i32, said: &str| {
        let ended = verify(folder, words).with(code);
        assert!(ended.err.contains(said) || ended.out.contains(said), "{said}: {ended:?}");
    };
    refused(&["--key", "nothing"], 2, "neither a verifier key nor a file");
    refused(&["--key", "a+b+c"], 2, "--verifier-key: ");
    refused(&["--records"], 2, "for data directories");
    refused(&["--checkpoint", "/nonexistent"], 2, "/nonexistent");
    let other = key.replace("/audit/eu/1", "/audit/us/1");
    refused(&["--key", &other], 2, "key id");
    // Another key of the same log's name: the key inside does not step in for the one that was given.
    let mut foreign = DevVault::start();
    assert_eq!(foreign.stop(), Some(0));
    let place = foreign.place().join("vault-data");
    let of_foreign = ["--data", place.to_str().unwrap(), "--region", "eu", "--out", &foreign.path("out")];
    let foreign_key = export(&of_foreign).with(0).lines().remove(0)["verifier_key"].as_str().unwrap().to_owned();
    assert_eq!(foreign_key.split('+').next(), key.split('+').next(), "both logs have one name");
    refused(&["--key", &foreign_key], 4, "bears no signature of this key");
    let ended = verify(Path::new(&data), &["--key", &foreign_key]).with(4);
    assert!(ended.out.contains("bears no signature of this key"), "{ended:?}");
    fs::remove_file(folder.join("checkpoint")).unwrap();
    refused(&["--key", &key], 4, "the checkpoint is missing");
    let nothing = vault.path("nothing");
    fs::create_dir(&nothing).unwrap();
    let ended = verify(Path::new(&nothing), &[]).with(2);
    assert!(ended.err.contains("neither an exported log"), "{}", ended.err);
}
