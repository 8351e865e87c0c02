//! `token inspect`, `token export-check-keys` and `scan`: what can be told of tokens and files without asking a vault.

use std::{
    fs::{self, Permissions},
    io::{Seek, SeekFrom, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::Path,
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::shell::{DevVault, Ended, run, tokenvault, write};

const NUMBER: &str = "4111111111111111";
const UNSEEN: &str = "tok_eu_00000000000000000000000000000";

/// A stopped vault, its check keys of one region in a file, and tokens of two classes.
struct Offline {
    vault: DevVault,
    keys: String,
    tokens: Vec<String>,
}

impl Offline {
    fn new() -> Self {
        let mut vault = DevVault::start();
        let mut tokens = vault.tokens("email", &["ada@example.com", "bob@example.com"]);
        tokens.extend(vault.tokens("customer_id", &["123456"]));
        assert_eq!(vault.stop(), Some(0));
        let keys = vault.path("check-keys.toml");
        let offline = Self { vault, keys, tokens };
        offline.export(&["--region", "eu", "--out", &offline.keys]).with(0);
        offline
    }

    fn export(&self, words: &[&str]) -> Ended {
        export(&self.vault, words)
    }

    fn inspect(&self, words: &[&str], input: &str) -> Ended {
        let ended = run(&mut tokenvault(&[&["token", "inspect", "--output", "jsonl"], words].concat()), input);
        for token in input.lines().filter(|line| line.len() > 6) {
            assert!(!ended.out.contains(token) && !ended.err.contains(token), "a token came back");
        }
        ended
    }
}

fn export(vault: &DevVault, words: &[&str]) -> Ended {
    let config = vault.place().join("vault.toml");
    let mut command = tokenvault(&["token", "export-check-keys", "--output", "jsonl", "--config"]);
    run(command.arg(config).args(words), "")
}

#[test]
fn check_keys_tell_the_class_of_a_token_and_hold_nothing_else() {
    let offline = Offline::new();
    let mode = fs::metadata(&offline.keys).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&offline.keys).unwrap();
    for said in
        ["tokenvault/check-keys/1", "warning = \"Secret: ", "region = \"eu\"", "tenant = \"acme\"", "class = \"email\""]
    {
        assert!(text.contains(said), "{said}");
    }
    assert!(!text.contains("card_number"), "its tokens are not opaque, and have no check");

    let keys = ["--check-keys", &offline.keys];
    let lines = offline.inspect(&keys, &offline.tokens.join("\n")).with(0).lines();
    for (line, class) in lines.iter().zip(["email", "email", "customer_id"]) {
        assert_eq!((&line["form"], &line["region"], &line["generation"]), (&"valid".into(), &"eu".into(), &0.into()));
        assert_eq!((&line["check"], &line["tenant"], &line["class"]), (&"holds".into(), &"acme".into(), &class.into()));
    }
    assert_eq!(lines.len(), 3);

    // One changed character, a made-up token, one of another region and one of another generation.
    let last = if offline.tokens[0].ends_with('a') { 'b' } else { 'a' };
    let changed = format!("{}{last}", &offline.tokens[0][..offline.tokens[0].len() - 1]);
    let elsewhere = offline.tokens[0].replace("tok_eu_", "tok_us_");
    let later = offline.tokens[0].replace("tok_eu_0", "tok_eu_1");
    let input = [&changed, UNSEEN, &elsewhere, &later].join("\n");
    let lines = offline.inspect(&keys, &input).with(1).lines();
    let checks: Vec<_> = lines.iter().map(|line| line["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["fails", "fails", "no_key", "no_key"]);

    // One class alone: the others' tokens do not fit it.
    let one = offline.vault.path("one.toml");
    let said = offline
        .export(&["--region", "eu", "--tenant", "acme", "--class", "customer_id", "--out", &one])
        .with(0)
        .lines();
    assert_eq!(said[0]["keys"], 1);
    let lines = offline.inspect(&["--check-keys", &one], &offline.tokens.join("\n")).with(1).lines();
    assert_eq!(
        lines.iter().map(|line| line["check"].as_str().unwrap()).collect::<Vec<_>>(),
        ["fails", "fails", "holds"]
    );
}

#[test]
fn without_keys_the_form_is_told_and_nothing_is_said_to_be_verified() {
    let token = "tok_eu_0000000000000000000000abcdef1";
    let bad = [
        ("4111111111111111", "prefix"),
        ("", "prefix"),
        ("tok_eu_0", "length"),
        ("tok_EU_00000000000000000000000000000", "region"),
        ("tok_eu_0000000000000000000000000000-", "digit"),
        ("tok_eu_0zzzzzzzzzzzzzzzzzzzzzz000000", "overflow"),
    ];
    let input: String =
        [UNSEEN, token].into_iter().chain(bad.map(|(text, _)| text)).map(|line| format!("{line}\r\n")).collect();
    let dir = TempDir::new().unwrap();
    let file = write(dir.path().join("tokens").to_str().unwrap(), &input);
    let inspect = |words: &[&str], input: &str| run(&mut tokenvault(&[&["token", "inspect"], words].concat()), input);
    for ended in [inspect(&[], &input), inspect(&[&file], "")] {
        let lines = ended.with(1).lines();
        assert_eq!(lines.len(), 2 + bad.len());
        for line in &lines[..2] {
            assert_eq!((&line["form"], &line["check"]), (&"valid".into(), &"not_verified".into()));
        }
        for ((line, (_, rule)), number) in lines[2..].iter().zip(bad).zip(3..) {
            assert_eq!(
                (&line["line"], &line["form"], &line["rule"]),
                (&number.into(), &"malformed".into(), &rule.into())
            );
        }
        assert!(lines.iter().all(|line| !line.to_string().contains(NUMBER)));
    }
    inspect(&[], UNSEEN).with(0);
    let table = inspect(&["--output", "table"], UNSEEN).with(0);
    assert!(table.out.contains("not_verified") && !table.out.contains(UNSEEN), "{}", table.out);
    let array: Vec<Value> = serde_json::from_str(&inspect(&["--output", "json"], UNSEEN).with(0).out).unwrap();
    assert_eq!(array.len(), 1);
    // A token in the place of the file's name is not repeated.
    let misplaced = inspect(&[UNSEEN], "").with(2);
    assert!(!misplaced.err.contains(UNSEEN), "{}", misplaced.err);
}

#[test]
fn check_keys_are_exported_from_a_vault_at_rest_by_who_has_its_root_key() {
    let mut vault = DevVault::start();
    let out = vault.path("keys.toml");
    let busy = export(&vault, &["--region", "eu", "--out", &out]).with(1);
    assert!(busy.err.contains("is open in another process") && busy.err.contains("stop the other one"), "{}", busy.err);
    assert_eq!(vault.stop(), Some(0));
    for (words, said) in [
        (&["--region", "apac"][..], "apac is not served"),
        (&["--region", "eu", "--class", "nothing"], "there is no data class nothing"),
        (&["--region", "eu", "--class", "card_number"], "opaque ones alone have a check"),
        (&["--region", "eu", "--tenant", "nobody"], "there is no tenant nobody"),
    ] {
        let refused = export(&vault, &[words, &["--out", &out]].concat()).with(2);
        assert!(refused.err.contains(said), "{}", refused.err);
    }
    assert!(!Path::new(&out).exists());
    export(&vault, &["--region", "eu", "--out", &out]).with(0);
    let refused = export(&vault, &["--region", "eu", "--out", &out]).with(1);
    assert!(refused.err.contains("File exists"), "{}", refused.err);

    let inspect = || run(&mut tokenvault(&["token", "inspect", "--check-keys", &out]), UNSEEN);
    inspect().with(1);
    fs::set_permissions(&out, Permissions::from_mode(0o644)).unwrap();
    assert!(inspect().with(2).err.contains("0644"));
    fs::set_permissions(&out, Permissions::from_mode(0o600)).unwrap();
    let good = fs::read_to_string(&out).unwrap();
    for (from, to) in
        [("keys/1", "keys/2"), ("generation = 0", "generation = 99"), ("[[key]]", "[[kay]]"), ("key = \"", "key = \"0")]
    {
        fs::write(&out, good.replacen(from, to, 1)).unwrap();
        let refused = inspect().with(2);
        let secret = good.lines().find_map(|line| line.strip_prefix("key = \"")).unwrap();
        assert!(refused.err.contains("check keys") && !refused.err.contains(&secret[..16]), "{}", refused.err);
    }
    let key = vault.place().join("root.key");
    fs::write(&key, format!("{}\n", "0123456789abcdef".repeat(4))).unwrap();
    fs::remove_file(&out).unwrap();
    let refused = export(&vault, &["--region", "eu", "--out", &out]).with(1);
    assert!(refused.err.contains("does not unwrap") && !Path::new(&out).exists(), "{}", refused.err);
}

/// Scans with the answer as JSON lines: findings and the summary. No number and no token may come back.
fn scan(words: &[&str], code: i32) -> (Vec<Value>, Value) {
    let ended = run(&mut tokenvault(&[&["scan", "--output", "jsonl"], words].concat()), "").with(code);
    assert!(!ended.out.contains(NUMBER) && !ended.err.contains(NUMBER) && !ended.out.contains(UNSEEN), "{ended:?}");
    let mut lines = ended.lines();
    let summary = lines.pop().unwrap();
    assert_eq!(summary.get("kind").unwrap(), "summary");
    (lines, summary)
}

fn at(found: &Value) -> (&str, u64, u64, u64) {
    let number = |key: &str| found[key].as_u64().unwrap();
    (found["kind"].as_str().unwrap(), number("line"), number("column"), number("offset"))
}

#[test]
fn a_scan_tells_kind_and_place_and_never_what_it_found() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().to_str().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    write(&path("clean.csv"), "id,name\n1,Ada\n");
    let (found, summary) = scan(&[root], 0);
    assert_eq!((found.len(), &summary["files"], &summary["bytes"]), (0, &1.into(), &14.into()));

    fs::create_dir_all(path("a/b")).unwrap();
    write(&path("a/b/cards.csv"), &format!("id,pan\n1,{NUMBER}\n2,3782 822463 10005\n"));
    write(&path("a/tokens.log"), &format!("{UNSEEN}\n\n x={UNSEEN}\n"));
    fs::write(path("blob.bin"), [b"\0\xff\xfe".as_slice(), NUMBER.as_bytes(), b"\0"].concat()).unwrap();
    let (found, summary) = scan(&[root], 1);
    let places: Vec<_> = found.iter().map(at).collect();
    let expected = [("pan", 2, 3, 9), ("pan", 3, 3, 28), ("token", 1, 1, 0), ("token", 3, 4, 41), ("pan", 1, 4, 3)];
    assert_eq!(places, expected);
    let files: Vec<_> = found.iter().map(|found| found["file"].as_str().unwrap().to_owned()).collect();
    assert_eq!(files, ["a/b/cards.csv", "a/b/cards.csv", "a/tokens.log", "a/tokens.log", "blob.bin"].map(path));
    assert_eq!((&found[0]["brand"], &found[0]["digits"]), (&"visa".into(), &16.into()));
    assert_eq!((&found[1]["brand"], &found[1]["digits"]), (&"american_express".into(), &15.into()));
    assert_eq!((&summary["pans"], &summary["tokens"], &summary["stopped"]), (&3.into(), &2.into(), &false.into()));

    assert_eq!(scan(&["--only", "token", root], 1).0.len(), 2);
    assert_eq!(scan(&["--only", "pan", root], 1).0.len(), 3);
    let (found, summary) = scan(&["--max-findings", "2", root], 1);
    assert_eq!((found.len(), &summary["stopped"]), (2, &true.into()));
    let (found, summary) = scan(&["--ignore", "*.csv", "--ignore", "tokens.*", root], 1);
    assert_eq!((found.len(), &summary["ignored"]), (1, &3.into()));
    scan(&["--ignore", "a", "--ignore", "*.bin", root], 0);

    let piped = run(&mut tokenvault(&["scan", "-"]), &format!("x {NUMBER}")).with(1);
    assert_eq!(at(&piped.lines()[0]), ("pan", 1, 3, 2));
    let table = run(&mut tokenvault(&["scan", "--output", "table", root]), "").with(1);
    assert!(table.out.contains("visa") && table.err.contains("3 card numbers and 2 tokens"), "{table:?}");
    assert!(!table.out.contains(NUMBER) && !table.out.contains("summary"), "{table:?}");
    run(&mut tokenvault(&["scan"]), "").with(2);
    run(&mut tokenvault(&["scan", "--max-findings", "0", root]), "").with(2);
}

#[test]
fn a_scan_says_what_it_could_not_read_follows_no_link_and_waits_for_no_pipe() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("scanned");
    fs::create_dir(&root).unwrap();
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, NUMBER).unwrap();
    symlink(&elsewhere, root.join("link")).unwrap();
    symlink(dir.path(), root.join("folder")).unwrap();
    nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (found, summary) = scan(&[root.to_str().unwrap()], 0);
    assert_eq!((found.len(), &summary["skipped"], &summary["files"]), (0, &3.into(), &0.into()));
    assert_eq!(scan(&[&path("link")], 1).0.len(), 1, "a link that is named is looked through");

    let missing = path("missing");
    let (found, summary) = scan(&[&missing, elsewhere.to_str().unwrap()], 5);
    assert_eq!((&found[0]["kind"], &found[0]["file"]), (&"unreadable".into(), &missing.into()));
    assert_eq!((&found[1]["kind"], &summary["unreadable"]), (&"pan".into(), &1.into()));

    // What a name holds is found and starred out, in every report about the file.
    let name = root.join(format!("receipt-{NUMBER}.txt"));
    fs::write(&name, format!("paid by {NUMBER}")).unwrap();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"odd\x1b[31m\n\xff")), NUMBER).unwrap();
    let (found, _) = scan(&[root.to_str().unwrap()], 1);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[1]["file"].as_str().unwrap().ends_with("/receipt-****************.txt"), "{found:?}");
    assert_eq!(found[1]["problem"], "in the file's name");
    assert_eq!(at(&found[2]), ("pan", 1, 9, 8));
    assert!(!found[0]["file"].as_str().unwrap().contains(char::is_control), "{found:?}");
}

#[test]
fn a_scan_with_check_keys_tells_tokens_of_this_vault_from_texts_that_look_like_some() {
    let offline = Offline::new();
    let file = offline.vault.path("dump.txt");
    write(&file, &format!("{}\n{UNSEEN}\n{}\n", offline.tokens[0], offline.tokens[2]));
    let (found, _) = scan(&["--check-keys", &offline.keys, &file], 1);
    let checks: Vec<_> =
        found.iter().map(|found| (found["check"].as_str().unwrap(), found["class"].as_str())).collect();
    assert_eq!(checks, [("holds", Some("email")), ("fails", None), ("holds", Some("customer_id"))]);
    assert!(found.iter().all(|found| !found.to_string().contains(&offline.tokens[0])));
    let (found, _) = scan(&[&file], 1);
    assert!(found.iter().all(|found| found["check"] == "not_verified"));
}

/// The most memory that a command ever held, in KiB.
fn peak_kib(command: &mut Command) -> i64 {
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0).max(peak);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    peak
}

#[test]
fn a_file_of_any_size_is_scanned_to_its_end_in_little_memory() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("large");
    let mut file = fs::File::create(&path).unwrap();
    let size = 600_000_000;
    file.seek(SeekFrom::Start(size)).unwrap();
    file.write_all(format!(" {NUMBER}").as_bytes()).unwrap();
    let (found, summary) = scan(&[path.to_str().unwrap()], 1);
    assert_eq!(at(&found[0]), ("pan", 1, size + 2, size + 1));
    assert_eq!(summary["bytes"], size + 17);
    let peak = peak_kib(&mut tokenvault(&["scan", path.to_str().unwrap()]));
    assert!((1..200_000).contains(&peak), "{peak} KiB");
}
