//! `audit export` and `audit verify-export`: a file with a signed manifest, and what is refused.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use vault_domain::Millis;
use vault_tests::export_reader::read_export;

use crate::shell::{DevVault, Ended, LOAD, SETTLE, run, third_party, tokenvault};

const EXPORT: &str = "audit export --region eu --purpose audit";

/// A vault with some entries, and its log's key.
fn vault() -> (DevVault, String) {
    let vault = DevVault::start();
    let token = vault.tokens("email", &["ada@example.com", "bob@example.com"]).remove(0);
    vault.run("payments", &format!("detokenize --class email {SETTLE}"), &token).with(0);
    vault.run("loader", &format!("tokenize --class email --reference=-1/2 {LOAD}"), "eve@example.com").with(0);
    let own = vault.run("auditor", "audit checkpoint --region eu", "").with(0).lines().remove(0);
    let key = own.get("verifier_key").and_then(Value::as_str).unwrap().to_owned();
    (vault, key)
}

fn verify(words: &[&str]) -> Ended {
    run(&mut tokenvault(&[&["audit", "verify-export", "--output", "jsonl"], words].concat()), "")
}

#[test]
fn an_export_is_written_and_verified_offline_and_a_changed_one_is_refuted() {
    let (vault, key) = vault();
    for format in ["jsonl", "csv", "ocsf", "cef", "parquet"] {
        let file = vault.path(&format!("log.{format}"));
        let line = format!("{EXPORT} --format {format} --to {file} --verifier-key {key}");
        let said = vault.run("auditor", &line, "").with(0).lines().remove(0);
        assert!(said["entries"].as_u64().unwrap() >= 3, "{said}");
        let manifest = format!("{file}.manifest");
        for written in [&file, &manifest] {
            assert_eq!(fs::metadata(written).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(!Path::new(&format!("{file}.part")).exists());
        let verified = verify(&[&file, "--verifier-key", &key]).with(0).lines().remove(0);
        assert_eq!((&verified["sha256"], &verified["rows"]), (&said["sha256"], &said["rows"]), "{format}");

        let (bytes, note) = (fs::read(&file).unwrap(), fs::read_to_string(&manifest).unwrap());
        // So do tools that are not the vault's: those of the documents.
        let by_others = || third_party("evidence.py", &[&manifest, "--key", &key]);
        let whole = format!("verified: {} entries of {}..{}, {format}\n", said["entries"], said["from"], said["to"]);
        assert_eq!(by_others(), (Some(0), whole));
        let refuted = || {
            assert!(verify(&[&file, "--verifier-key", &key]).with(4).out.is_empty(), "{format}");
            let (code, said) = by_others();
            assert!(code == Some(4) && said.starts_with("NOT VERIFIED: "), "{format}: {said}");
        };
        // Bytes changed, cut, added; rows exchanged.
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() / 2);
        let (first, rest) = bytes.split_at(end + 1);
        for changed in
            [flipped, bytes[..bytes.len() - 1].to_vec(), [&bytes[..], b"\n"].concat(), [rest, first].concat()]
        {
            fs::write(&file, changed).unwrap();
            refuted();
        }
        fs::write(&file, &bytes).unwrap();
        // A manifest of other rows, cut, and of another kind: the checkpoint that it holds.
        let object = note.split_once('\n').unwrap().1.split("\n\n").next().unwrap();
        let parsed: Value = serde_json::from_str(object).unwrap();
        let rows = format!("\"rows\": {}", parsed["rows"]);
        let checkpoint = parsed["checkpoint"].as_str().unwrap().to_owned();
        let cut = note[..note.len() - 30].to_owned();
        for changed in [note.replace(&rows, "\"rows\": 99"), cut, checkpoint] {
            assert_ne!(changed, note);
            fs::write(&manifest, changed).unwrap();
            refuted();
        }
        fs::write(&manifest, &note).unwrap();
        verify(&[&file, "--verifier-key", &key]).with(0);
    }
    vault.run("payments", &format!("{EXPORT} --format csv --to {}", vault.path("no")), "").with(3);
    assert!(!Path::new(&vault.path("no")).exists() && !Path::new(&vault.path("no.part")).exists());
}

#[test]
fn an_export_of_json_lines_is_what_a_query_shows_and_its_rows_can_be_proved() {
    let (vault, key) = vault();
    let line = "audit query --region eu --purpose audit --all --output jsonl";
    let mut shown = vault.run("auditor", line, "").with(0).lines();
    shown.reverse();
    let file = vault.path("log.jsonl");
    vault.run("auditor", &format!("{EXPORT} --format jsonl --to {file}"), "").with(0);
    let text = fs::read_to_string(&file).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows[..shown.len()], shown);
    let receipts: String = rows.iter().map(|row| format!("{}\n", row["receipt"])).collect();
    let proved = vault.run("auditor", &format!("audit prove - --verifier-key {key}"), &receipts).with(0).lines();
    assert!(proved.len() == rows.len() && proved.iter().all(|record| record["proved"] == true));
}

#[test]
fn a_proof_of_an_entry_is_verified_by_who_has_nothing_of_the_vault_and_no_changed_one_is() {
    let (vault, key) = vault();
    let (file, key_file, folder) = (vault.path("log.jsonl"), vault.path("eu.vkey"), vault.path("proofs"));
    fs::write(&key_file, format!("{key}\n")).unwrap();
    vault.run("auditor", &format!("{EXPORT} --format jsonl --to {file} --verifier-key {key_file}"), "").with(0);
    let rows = fs::read_to_string(&file).unwrap();
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let receipts: String = rows.iter().map(|row| format!("{}\n", row["receipt"])).collect();
    for (number, with_entries) in ["--with-entries --purpose audit", ""].into_iter().enumerate() {
        let folder = format!("{folder}{number}");
        let line = format!("audit prove - --verifier-key {key_file} --out {folder} {with_entries}");
        let proved = vault.run("auditor", &line, &receipts).with(0).lines();
        assert!(proved.len() == rows.len() && rows.len() >= 3);
        for (record, row) in proved.iter().zip(&rows) {
            let proof = record["file"].as_str().unwrap();
            let verify = || third_party("evidence.py", &[proof, "--key", &key_file]);
            if with_entries.is_empty() {
                let (code, said) = verify();
                assert!(code == Some(4) && said.contains("give its bytes by --entry"), "{said}");
                continue;
            }
            let (code, said) = verify();
            let leaf = row["receipt"]["leaf_hash"].as_str().unwrap();
            assert!(code == Some(0) && said.contains(&format!("leaf hash {leaf}")), "{said}");
            // The same bytes, given beside a proof without them.
            let text = fs::read_to_string(proof).unwrap();
            let (first, rest) = text.split_once("\nextra ").unwrap();
            let (entry, rest) = rest.split_once('\n').unwrap();
            let bytes = STANDARD.decode(entry).unwrap();
            let own = vault.path("entry");
            let by_entry = || third_party("evidence.py", &[proof, "--key", &key_file, "--entry", &own]);
            fs::write(proof, format!("{first}\n{rest}")).unwrap();
            fs::write(&own, &bytes).unwrap();
            assert_eq!(by_entry().0, Some(0));
            fs::write(&own, &bytes[1..]).unwrap();
            assert_eq!(by_entry().0, Some(4));
            // Another index, another entry, a hash less or changed, another tree.
            let index = format!("index {}\n", row["receipt"]["index"]);
            let changed = bytes.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 40)).collect::<Vec<_>>();
            let after = text.split_once(&index).unwrap().1;
            let less = after.split_once('\n').unwrap().1;
            let size = format!("\n{}\n", record["tree_size"]);
            for wrong in [
                text.replace(&index, &format!("index {}\n", row["receipt"]["index"].as_u64().unwrap() ^ 1)),
                text.replace(entry, &STANDARD.encode(changed)),
                text.replace(after, less),
                text.replace(&index, &format!("{index}{}\n", STANDARD.encode([7; 32]))),
                text.replace(&size, &format!("\n{}\n", record["tree_size"].as_u64().unwrap() + 1)),
            ] {
                assert_ne!(wrong, text);
                fs::write(proof, wrong).unwrap();
                let (code, said) = verify();
                assert!(code == Some(4) && said.starts_with("NOT VERIFIED: "), "{said}");
            }
        }
    }
}

#[test]
fn an_export_of_parquet_is_row_by_row_that_of_json_lines_to_a_reader_of_others() {
    let (vault, key) = vault();
    let refused = vault.run("payments", "audit query --region eu --purpose audit", "");
    refused.with(3);
    let (lines, columns) = (vault.path("log.jsonl"), vault.path("log.parquet"));
    vault.run("auditor", &format!("{EXPORT} --format jsonl --to {lines}"), "").with(0);
    let end = fs::read_to_string(&lines).unwrap().lines().count();
    let line = format!("{EXPORT} --format parquet --to {columns}");
    let said = vault.run("auditor", &line, "").with(0).lines().remove(0);
    let read = read_export("parquet", Path::new(&columns));
    assert_eq!((&read["sha256"], &read["rows"].as_array().unwrap().len().into()), (&said["sha256"], &said["rows"]));
    let rows = &read["rows"].as_array().unwrap()[..end];
    let text = fs::read_to_string(&lines).unwrap();
    for (row, line) in rows.iter().zip(text.lines()) {
        let (mut row, line): (_, Value) = (row.clone(), serde_json::from_str(line).unwrap());
        for time in ["time", "wall_time"] {
            row[time] = vault_server::moment(Millis(row[time].as_u64().unwrap())).into();
        }
        assert_eq!(row, line);
    }
    let has = |what: fn(&Value) -> bool| rows.iter().any(what);
    assert!(has(|row| row["items"][0]["record_numbers"][0].is_u64()), "records were in it");
    assert!(has(|row| row["items"].as_array().unwrap().is_empty() && row["reason"] != ""), "and refusals");
    // An export of nothing is a file too.
    let none = vault.path("none.parquet");
    vault.run("auditor", &format!("{EXPORT} --format parquet --until-index 0 --to {none}"), "").with(0);
    assert_eq!(verify(&[&none, "--verifier-key", &key]).with(0).lines().remove(0)["rows"], 0);
    assert_eq!(read_export("parquet", Path::new(&none))["rows"], Value::Array(Vec::new()));
}

#[test]
fn a_killed_export_leaves_no_pair_that_does_not_belong_together_and_the_next_one_begins_anew() {
    let (vault, key) = vault();
    let file = vault.path("log.csv");
    let line = format!("{EXPORT} --format csv --to {file} --force");
    let words: Vec<_> = line.split_whitespace().collect();
    vault.run("auditor", &line, "").with(0);
    let (mut left, mut whole) = (0, 0);
    for round in 0..40_u64 {
        let mut export = vault.command("auditor", &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(10 + round * 3));
        // It may have ended before.
        let _ended = export.kill();
        let _status = export.wait().unwrap();
        left += u32::from(Path::new(&format!("{file}.part")).exists());
        if Path::new(&format!("{file}.manifest")).exists() {
            verify(&[&file, "--verifier-key", &key]).with(0);
            whole += 1;
        } else {
            let ended = verify(&[&file, "--verifier-key", &key]).with(1);
            assert!(ended.err.contains("did not come to its end"), "{}", ended.err);
        }
    }
    assert!(whole > 0, "{left} parts were left");
    // What one has left is not in the way of the next, and what one writes is not taken from it.
    fs::write(format!("{file}.part"), "left").unwrap();
    fs::write(format!("{file}.manifest.part"), "left").unwrap();
    let said = vault.run("auditor", &line, "").with(0);
    assert!(said.err.contains("begins anew"), "{}", said.err);
    verify(&[&file, "--verifier-key", &key]).with(0);
    let other = fs::File::create(format!("{file}.part")).unwrap();
    other.lock().unwrap();
    assert!(vault.run("auditor", &line, "").with(2).err.contains("being written by another export"));
    drop(other);
    vault.run("auditor", &line, "").with(0);
    assert!(!Path::new(&format!("{file}.part")).exists());
}

#[test]
fn an_export_replaces_nothing_unasked_and_follows_no_link() {
    let (vault, key) = vault();
    let (file, target) = (vault.path("log.csv"), vault.path("target"));
    let line = format!("{EXPORT} --format csv --to {file}");
    for taken in [file.clone(), format!("{file}.manifest")] {
        fs::write(&taken, "mine").unwrap();
        assert!(vault.run("auditor", &line, "").with(2).err.contains("--force"));
        assert_eq!(fs::read_to_string(&taken).unwrap(), "mine");
        fs::remove_file(&taken).unwrap();
    }
    for name in [file.clone(), format!("{file}.manifest"), format!("{file}.part")] {
        fs::write(&target, "untouched").unwrap();
        std::os::unix::fs::symlink(&target, &name).unwrap();
        for line in [line.clone(), format!("{line} --force")] {
            vault.run("auditor", &line, "").with(2);
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
        fs::remove_file(&name).unwrap();
    }
    vault.run("auditor", &line, "").with(0);
    let before = fs::read(&file).unwrap();
    vault.run("auditor", &format!("{line} --force"), "").with(0);
    assert_ne!(fs::read(&file).unwrap(), before, "the log has grown");
    verify(&[&file, "--verifier-key", &key]).with(0);
}

#[test]
fn a_verifier_takes_no_other_key_manifest_or_history() {
    let (vault, key) = vault();
    let (file, other) = (vault.path("a.jsonl"), vault.path("b.jsonl"));
    vault.run("auditor", &format!("{EXPORT} --format jsonl --until-index 3 --to {file}"), "").with(0);
    vault.run("auditor", &format!("{EXPORT} --format jsonl --to {other}"), "").with(0);
    verify(&[&file, "--manifest", &format!("{other}.manifest"), "--verifier-key", &key]).with(4);
    let us = vault.run("auditor", "audit checkpoint --region us", "").with(0).lines().remove(0);
    verify(&[&file, "--verifier-key", us["verifier_key"].as_str().unwrap()]).with(4);
    verify(&[&file, "--verifier-key", "nonsense"]).with(2);
    verify(&["nowhere", "--verifier-key", &key]).with(1);
    // A checkpoint of the log is looked at, one of another log is none of its own.
    let kept = vault.path("kept");
    for (region, code) in [("eu", 0), ("us", 4)] {
        let line = format!("audit checkpoint --region {region} --output table");
        fs::write(&kept, vault.run("auditor", &line, "").with(0).out).unwrap();
        verify(&[&file, "--verifier-key", &key, "--checkpoint", &kept]).with(code);
    }
}
