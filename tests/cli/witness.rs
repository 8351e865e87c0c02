//! Witnesses of the log: real ones, beside a vault, and what stands in their place on a bad day.
#![allow(clippy::indexing_slicing, reason = "a fixture ends the test that can't go on, and says where")]

use std::{
    collections::HashSet,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use vault_crypto::{Key256, LogKey};
use vault_domain::{Clock, SystemClock};
use vault_ledger::{
    AddCheckpoint, Checkpoint, Frontier, Note, Origin, Signer, TileMap, TreeHash, TreeSize, VerifierKey, WitnessKey,
    leaf_hash, prove_consistency,
};

use vault_tests::certificates::Authority;

use crate::{
    served::Served,
    shell::{DevVault, Ended, LOAD, run, tokenvault},
    witnessing::{Witness, exchange, exchange_of},
};

/// How long something may take to be seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A vault that is stopped, and the verifier keys of all its logs.
fn stopped() -> (DevVault, Vec<String>) {
    let mut vault = DevVault::start();
    vault.tokens("email", &["ada@example.com"]);
    let key = |log: &str| {
        let line = format!("audit checkpoint --region {log} --output jsonl");
        let checkpoint = vault.run("auditor", &line, "").with(0).lines().remove(0);
        checkpoint["verifier_key"].as_str().unwrap().to_owned()
    };
    let keys = ["eu", "us", "node"].map(key).to_vec();
    assert_eq!(vault.stop(), Some(0));
    (vault, keys)
}

/// `serve`, with these witnesses, where measurements are told at `port`.
fn serve(vault: &DevVault, policy: &str, port: u16) -> Command {
    let file = vault.path("policy");
    fs::write(&file, policy).unwrap();
    let mut command = tokenvault(&["serve", "--config"]);
    command.arg(vault.place().join("vault.toml")).env("TOKENVAULT_LISTEN_ADDRESS", "127.0.0.1:0");
    command.env("TOKENVAULT_LISTEN_METRICS", format!("127.0.0.1:{port}")).env("TOKENVAULT_WITNESSES_POLICY", file);
    command
}

/// `serve`, which has to end by itself with this code.
fn refused(mut command: Command, code: i32) -> Ended {
    run(&mut command, "").with(code)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Looks until `find` finds something.
fn until<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let clock = SystemClock::new();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(clock.monotonic() < PATIENCE, "not seen: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn tokenize(served: &Served, vault: &DevVault, value: &str) {
    run(&mut served.command(vault, "loader", &format!("tokenize --class email {LOAD}")), value).with(0);
}

fn checkpoint(served: &Served, vault: &DevVault) -> Value {
    let ended = run(&mut served.command(vault, "auditor", "audit checkpoint --region eu --output jsonl"), "");
    ended.with(0).lines().remove(0)
}

/// The witnessed checkpoint that covers at least `size` entries.
fn witnessed(served: &Served, vault: &DevVault, size: u64) -> String {
    until("a witnessed checkpoint", || {
        let answer = checkpoint(served, vault);
        let note = answer["witnessed_note"].as_str()?.to_owned();
        let key = VerifierKey::parse(answer["verifier_key"].as_str().unwrap()).unwrap();
        (Checkpoint::open(&note, &key).unwrap().head.size.0 >= size).then_some(note)
    })
}

/// The values of a measurement, by the place and log of its labels.
fn measured(port: u16, name: &str, place: &str, log: &str) -> Option<u64> {
    let (_, text) = metrics(port)?;
    let labels = [format!("place=\"{place}\""), format!("log=\"{log}\"")];
    let is_it = |line: &&str| line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label));
    text.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
}

fn metrics(port: u16) -> Option<(u16, String)> {
    exchange(SocketAddr::from(([127, 0, 0, 1], port)), "GET /metrics", b"")
}

/// Verifies a cosigned checkpoint by Python's standard library alone; gives the names and times of those who cosigned.
fn by_python(note: &str, keys: &[&str]) -> Ended {
    let script = r#"
import base64, json, sys
sys.path.insert(0, sys.argv[1])
import verify
job = json.load(sys.stdin)
text, lines = job["note"].rsplit("\n\n", 1)
text += "\n"
for key in job["keys"]:
    name, key_id, data = key.split("+", 2)
    data = base64.b64decode(data)
    assert data[0] == 4 and len(data) == 33, "no key of a witness"
    assert verify.sha256(name.encode(), b"\n", data)[:4].hex() == key_id, "the key id is of another key"
    own = [line.split(" ")[2] for line in lines.splitlines() if line.startswith("\u2014 " + name + " ")]
    found = [s for s in map(base64.b64decode, own) if s[:4].hex() == key_id]
    assert len(found) == 1 and len(found[0]) == 76, "no cosignature"
    time = int.from_bytes(found[0][4:12], "big")
    message = f"cosignature/v1\ntime {time}\n{text}".encode()
    if not verify.signed_by(data[1:], message, found[0][12:]):
        sys.exit(4)
    print(name, time)
"#;
    let audit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/audit");
    let job = json!({ "note": note, "keys": keys }).to_string();
    run(Command::new("python3").args(["-B", "-c", script]).arg(audit), &job)
}

#[test]
fn checkpoints_that_two_witnesses_cosigned_verify_by_another_program_and_outlive_a_restart() {
    let (vault, keys) = stopped();
    let [first, second] = ["w1", "w2"].map(|name| Witness::start(vault.folder.path(), name, &keys));
    let policy = format!("{}{}group both all one two\nquorum both\n", first.line("one"), second.line("two"));
    let port = free_port();
    let served = Served::start(serve(&vault, &policy, port));
    let before = checkpoint(&served, &vault)["size"].as_u64().unwrap();
    tokenize(&served, &vault, "bob@example.com");
    let note = witnessed(&served, &vault, before + 1);

    let both = [first.verifier_key.as_str(), &second.verifier_key];
    let verified = by_python(&note, &both).with(0).out;
    let now = SystemClock::new().wall().0 / 1000;
    for (line, name) in verified.lines().zip(["witness.example/w1 ", "witness.example/w2 "]) {
        let time: u64 = line.strip_prefix(name).unwrap().parse().unwrap();
        assert!((now - 60..=now).contains(&time), "{line}");
    }
    let size = note.lines().nth(1).unwrap();
    by_python(&note.replacen(&format!("\n{size}\n"), &format!("\n{size}0\n"), 1), &both).with(4);

    // The witnesses serve it too, and every log has one.
    let logs = fs::read_dir(first.state()).unwrap().map(|entry| entry.unwrap().path());
    let logs: Vec<PathBuf> =
        logs.filter(|path| path.extension().is_some_and(|extension| extension == "checkpoint")).collect();
    assert_eq!(logs.len(), 3, "{logs:?}");
    for log in logs {
        let hash = log.file_stem().unwrap().to_str().unwrap().to_owned();
        let (status, note) = first.asked(&format!("GET /{hash}/checkpoint"), "").unwrap();
        assert_eq!(status, 200);
        let key = WitnessKey::parse(&first.verifier_key).unwrap();
        assert!(key.verify(&Note::parse(&note).unwrap()).is_ok());
    }
    for place in ["one", "two", "witnesses.policy"] {
        until("all are well", || {
            let is = |name: &str| measured(port, name, place, "eu");
            let well = is("tokenvault_outside_failing")? == 0 && is("tokenvault_outside_waiting_seconds")? == 0;
            (well && is("tokenvault_outside_accepted_age_seconds")? < 60).then_some(())
        });
        assert_eq!(measured(port, "tokenvault_outside_failures_total", place, "eu"), Some(0));
    }
    served.stop();

    // With both away it is still there, and tells of them.
    drop((first, second));
    let served = Served::start(serve(&vault, &policy, port));
    assert!(checkpoint(&served, &vault)["witnessed_note"].as_str().unwrap().contains("witness.example/w2"));
    for place in ["one", "two", "witnesses.policy"] {
        until(place, || (measured(port, "tokenvault_outside_failing", place, "eu")? == 1).then_some(()));
    }
    served.stop();
}

#[test]
fn an_old_copy_and_a_second_history_are_refused_at_the_start_by_what_a_witness_knows() {
    let (vault, keys) = stopped();
    let witness = Witness::start(vault.folder.path(), "w1", &keys);
    let policy = format!("{}quorum one\n", witness.line("one"));
    let (data, old) = (vault.place().join("vault-data"), vault.place().join("old"));
    let checkpoints = vault.place().join("vault-data-checkpoints");
    assert!(data.is_dir() && checkpoints.is_dir());
    let copy = |from: &Path, to: &Path| {
        fs::remove_dir_all(to).unwrap_or_default();
        run(Command::new("cp").arg("-a").args([from, to]), "").with(0);
    };
    copy(&data, &old);
    let port = free_port();
    let served = Served::start(serve(&vault, &policy, port));
    let before = checkpoint(&served, &vault)["size"].as_u64().unwrap();
    tokenize(&served, &vault, "bob@example.com");
    witnessed(&served, &vault, before + 1);
    served.stop();

    // Whoever brings an old copy brings no file that speaks against it.
    let roll_back = || {
        copy(&old, &data);
        for entry in fs::read_dir(&checkpoints).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    };
    roll_back();
    let ended = refused(serve(&vault, &policy, port), 1);
    assert!(ended.err.contains("the witness one has cosigned") && ended.err.contains("old copy"), "{}", ended.err);

    // It goes on by itself, unwitnessed, until it is longer than what the witness knows.
    let mut alone = serve(&vault, &policy, port);
    alone.env_remove("TOKENVAULT_WITNESSES_POLICY");
    let served = Served::start(alone);
    for n in 0..12 {
        tokenize(&served, &vault, &format!("user{n}@example.com"));
    }
    served.stop();
    // The other logs have grown by their start and stop alone, and would speak first.
    let kept = fs::read_dir(witness.state()).unwrap().map(|entry| entry.unwrap().path());
    let of_others = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|note| !note.contains("/audit/eu/"));
    let others: Vec<PathBuf> = kept.filter(|path| path.ends_with("lock") || of_others(path)).collect();
    for other in others.iter().filter(|path| !path.ends_with("lock")) {
        fs::remove_file(other).unwrap();
    }
    let witness = witness.again();
    let ended = refused(serve(&vault, &policy, port), 1);
    assert!(ended.err.contains("does not continue what the witness one has cosigned"), "{}", ended.err);

    // A witness that is away is an alarm; where it is demanded, a refusal.
    drop(witness);
    let mut demanding = serve(&vault, &policy, port);
    demanding.env("TOKENVAULT_WITNESSES_REQUIRE_AT_START", "on");
    let ended = refused(demanding, 1);
    assert!(ended.err.contains("could not be asked") && ended.err.contains("require_at_start"), "{}", ended.err);
    let served = Served::start(serve(&vault, &policy, port));
    tokenize(&served, &vault, "eve@example.com");
    served.stop();
}

/// Answers every connection with `answer`, or never.
fn pretender(answer: Option<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if let Some(answer) = answer.clone() {
                std::thread::spawn(move || {
                    let mut request = vec![0; 64 * 1024];
                    let _asked = stream.read(&mut request).is_ok();
                    let _told = stream.write_all(&answer).is_ok();
                });
            } else {
                open.push(stream);
            }
        }
    });
    address
}

fn answer(status: &str, body: &[u8]) -> Option<Vec<u8>> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    Some([head.as_bytes(), body].concat())
}

/// Answers every checkpoint with its own size, as a witness does that has cosigned another root of that size.
fn contradictor() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let (mut request, mut piece) = (String::new(), [0; 4096]);
                let size = loop {
                    let length = stream.read(&mut piece).unwrap();
                    request.push_str(std::str::from_utf8(&piece[..length]).unwrap());
                    // Head, the old size with the proof, the checkpoint.
                    let body = request.split_once("\r\n\r\n").and_then(|(_, body)| body.split_once("\n\n"));
                    let checkpoint: Option<Vec<_>> = body.map(|(_, note)| note.split('\n').collect());
                    if let Some(lines) = checkpoint.filter(|lines| lines.len() > 3) {
                        break lines[1].to_owned();
                    }
                };
                stream.write_all(&answer("409 Conflict", format!("{size}\n").as_bytes()).unwrap()).unwrap();
            });
        }
    });
    address
}

#[test]
fn a_second_history_of_the_same_size_is_refused_at_the_start_by_the_answer_that_the_protocol_has_for_it() {
    let (vault, keys) = stopped();
    let witness = Witness::start(vault.folder.path(), "w1", &keys);
    let policy = format!("witness one {} http://{}/\nquorum one\n", witness.verifier_key, contradictor());
    let ended = refused(serve(&vault, &policy, free_port()), 1);
    assert!(ended.err.contains("does not continue what the witness one has cosigned"), "{}", ended.err);
}

#[test]
fn a_witness_that_is_away_slow_or_false_is_told_of_and_calls_and_good_witnesses_go_on() {
    let (vault, keys) = stopped();
    let folder = vault.folder.path();
    let good = Witness::start(folder, "good", &keys);
    let mut away = Witness::start(folder, "away", &keys);
    away.kill();
    let stranger = Witness::start(folder, "stranger", &keys);
    let unknowing = Witness::start(folder, "unknowing", &keys[..1]);
    let key = |name: &str| {
        let key = LogKey::from_seed(&Key256::from_bytes(&[name.bytes().fold(0, u8::wrapping_add); 32]));
        WitnessKey::new(Origin::parse(&format!("witness.example/{name}")).unwrap(), &key.public()).unwrap()
    };
    let at = |name: &str, address: SocketAddr| format!("witness {name} {} http://{address}/\n", key(name));
    let policy = [
        good.line("good"),
        away.line("away"),
        unknowing.line("unknowing"),
        // It cosigns, but not by the key that the policy has.
        at("another", stranger.address),
        at("silent", pretender(None)),
        at("babbler", pretender(answer("200 OK", b"who goes there\n"))),
        at("bottomless", pretender(answer("200 OK", &vec![b'x'; 10 << 20]))),
        at("nowhere-", pretender(answer("409 Conflict", b"-1\n"))),
        at("redirects", pretender(answer("302 Found", b""))),
        "quorum good\n".to_owned(),
    ]
    .concat();
    let port = free_port();
    let mut served = Served::start(serve(&vault, &policy, port));
    let before = checkpoint(&served, &vault)["size"].as_u64().unwrap();
    let clock = SystemClock::new();
    tokenize(&served, &vault, "bob@example.com");
    assert!(clock.monotonic() < Duration::from_secs(4), "no call waits for a witness");
    let note = witnessed(&served, &vault, before + 1);
    let signed: HashSet<&str> =
        note.lines().filter_map(|line| line.strip_prefix("\u{2014} ")?.split(' ').next()).collect();
    assert!(signed.contains("witness.example/good"), "{note}");
    assert!(
        signed.iter().all(|name| name.ends_with("/audit/eu/1") || name.ends_with("/good") || name.ends_with("ing"))
    );
    for place in ["away", "another", "silent", "babbler", "bottomless", "nowhere-", "redirects"] {
        until(place, || (measured(port, "tokenvault_outside_failing", place, "eu")? == 1).then_some(()));
        assert!(measured(port, "tokenvault_outside_failures_total", place, "eu").unwrap() > 0);
        assert_eq!(measured(port, "tokenvault_outside_accepted_size", place, "eu"), None, "{place}");
    }
    assert_eq!(measured(port, "tokenvault_outside_failing", "good", "eu"), Some(0));
    assert_eq!(measured(port, "tokenvault_outside_failing", "unknowing", "us"), Some(1), "it knows one log");
    until("it waits", || (measured(port, "tokenvault_outside_waiting_seconds", "away", "eu")? > 0).then_some(()));

    let _back = away.again();
    tokenize(&served, &vault, "carol@example.com");
    served.says("checkpoints are taken outside again");
    until("it is well", || (measured(port, "tokenvault_outside_failing", "away", "eu")? == 0).then_some(()));
    served.stop();
}

#[test]
fn over_tls_a_witness_is_verified_and_one_that_others_vouch_for_is_told_nothing() {
    let (vault, keys) = stopped();
    let (authority, stranger) = (Authority::new("witnesses"), Authority::new("strangers"));
    let good = Witness::start_tls(vault.folder.path(), "good", &keys, &authority);
    let other = Witness::start_tls(vault.folder.path(), "other", &keys, &stranger);
    let ca = vault.path("witnesses.pem");
    fs::write(&ca, authority.certificate_pem()).unwrap();
    let port = free_port();
    let policy = format!("{}{}quorum good\n", good.line("good"), other.line("other"));
    let mut command = serve(&vault, &policy, port);
    command.env("TOKENVAULT_WITNESSES_CA", &ca);
    let served = Served::start(command);
    let note = witnessed(&served, &vault, 1);
    assert!(note.contains("\u{2014} witness.example/good "), "{note}");
    until("it fails", || (measured(port, "tokenvault_outside_failing", "other", "eu")? == 1).then_some(()));
    assert_eq!(measured(port, "tokenvault_outside_accepted_size", "other", "eu"), None);
    served.stop();
    assert!(fs::read_dir(other.state()).unwrap().all(|file| file.unwrap().file_name() == "lock"), "it was told");
}

#[test]
fn a_policy_that_can_not_be_used_is_refused_with_its_line() {
    let (vault, keys) = stopped();
    let witness = Witness::start(vault.folder.path(), "w1", &keys);
    let port = free_port();
    let line = witness.line("one");
    for (policy, said) in [
        (format!("{line}quorum two\n"), "line 2"),
        (line.clone(), "quorum"),
        ("quorum none\n".to_owned(), "names no witness"),
        (format!("{}quorum one\n", line.replace("127.0.0.1", "192.0.2.1")), "must be https"),
        (format!("{}quorum one\n", line.replace("http:", "https:")), "witnesses.ca"),
        (format!("witness one {}\nquorum one\n", witness.verifier_key), "is missing"),
        (format!("{}quorum one\n", line.replace("example/w1+", "example/w2+")), "line 1"),
    ] {
        let ended = refused(serve(&vault, &policy, port), 2);
        assert!(ended.err.contains(said), "{said}: {}", ended.err);
    }
}

struct LogSigner(LogKey);

impl Signer for LogSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.public()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// One of two histories of a log, both signed by its key.
struct History {
    origin: Origin,
    signer: LogSigner,
    leaves: Vec<TreeHash>,
}

impl History {
    fn new(name: &str) -> Self {
        let signer = LogSigner(LogKey::from_seed(&Key256::from_bytes(&[9; 32])));
        let leaves = (0..255).map(|index| leaf_hash(format!("{name} {index}").as_bytes())).collect();
        Self { origin: Origin::parse("log.example/1").unwrap(), signer, leaves }
    }

    fn key(&self) -> String {
        VerifierKey::of(self.origin.clone(), &self.signer).unwrap().to_string()
    }

    fn frontier(&self, size: u64) -> Frontier {
        let leaves = &self.leaves[..usize::try_from(size).unwrap()];
        Frontier::restore(TreeSize(size), &TileMap::default(), leaves).unwrap()
    }

    fn request(&self, old: u64, new: u64) -> String {
        let proof = match old {
            0 => Vec::new(),
            _ => prove_consistency(&self.frontier(new), TreeSize(old), TreeSize(new)).unwrap(),
        };
        let checkpoint = Checkpoint { origin: self.origin.clone(), head: self.frontier(new).head() };
        AddCheckpoint { old: TreeSize(old), proof, checkpoint: checkpoint.sign(&self.signer).unwrap() }.text()
    }

    /// Has it grow until the witness is gone; gives the sizes that were cosigned.
    fn grow(&self, witness: SocketAddr, stop: &AtomicBool) -> Vec<u64> {
        let (mut at, mut cosigned) = (0, Vec::new());
        while !stop.load(Ordering::SeqCst) {
            let next = (at + 1).min(255);
            match exchange(witness, "POST /add-checkpoint", self.request(at, next).as_bytes()) {
                Some((200, line)) => {
                    assert!(line.starts_with("\u{2014} witness.example/w1 "), "{line}");
                    cosigned.push(next);
                    at = next;
                }
                Some((409, size)) => at = size.trim_end().parse().unwrap(),
                // Another history: go on at its size, as one that hopes for a race.
                Some((422, _)) => {}
                Some((status, body)) => panic!("{status} {body}"),
                None => {}
            }
        }
        cosigned
    }
}

#[test]
fn a_witness_that_is_killed_at_any_moment_cosigns_one_history_alone() {
    let folder = tempfile::TempDir::new().unwrap();
    let histories = [History::new("a"), History::new("b")];
    let mut witness = Witness::start(folder.path(), "w1", &[histories[0].key()]);
    let cosigned = Mutex::new([HashSet::new(), HashSet::new()]);
    let mut largest = 0;
    for round in 0..25_u64 {
        let stop = AtomicBool::new(false);
        let address = witness.address;
        std::thread::scope(|scope| {
            for (which, history) in histories.iter().enumerate() {
                let (stop, cosigned) = (&stop, &cosigned);
                scope.spawn(move || {
                    let sizes = history.grow(address, stop);
                    cosigned.lock().unwrap()[which].extend(sizes);
                });
            }
            std::thread::sleep(Duration::from_millis(3 + round * 7 % 40));
            kill(Pid::from_raw(witness.process_id().try_into().unwrap()), Signal::SIGKILL).unwrap();
            stop.store(true, Ordering::SeqCst);
        });
        witness = witness.again();
        let (status, size) = witness.asked("POST /add-checkpoint", &histories[0].request(0, 0)).unwrap();
        let size: u64 = if status == 409 { size.trim_end().parse().unwrap() } else { 0 };
        let known = cosigned.lock().unwrap().iter().flatten().copied().max().unwrap_or(0);
        assert!(size >= known && size >= largest, "what was cosigned is remembered: {size} {known} {largest}");
        largest = size;
    }
    let [a, b] = cosigned.into_inner().unwrap();
    assert!(a.is_empty() != b.is_empty(), "one of them: {} and {}", a.len(), b.len());
    assert!(a.len() + b.len() > 5, "it had something to do: {} and {}", a.len(), b.len());
}

#[test]
fn a_witness_answers_what_the_protocol_says_and_reads_no_more_than_a_request() {
    let folder = tempfile::TempDir::new().unwrap();
    let log = History::new("a");
    let witness = Witness::start(folder.path(), "w1", &[log.key()]);
    let post = "POST /add-checkpoint";
    let good = log.request(0, 3);
    let status = |line: &str, body: &str| witness.asked(line, body).map(|(status, _)| status);
    assert_eq!(status(post, ""), Some(400));
    assert_eq!(status(post, &good.replace("old 0", "old 4")), Some(400));
    assert_eq!(status(post, &good.replace("\n3\n", "\n4\n")), Some(403));
    assert_eq!(status(post, &good.replace("log.example", "log.elsewhere")), Some(404));
    let too_long = exchange_of(witness.address, post, b"", 1 << 20);
    assert_eq!(too_long.map(|(status, _)| status), Some(413));
    assert_eq!(status("GET /add-checkpoint", ""), Some(405));
    assert_eq!(status("GET /", ""), Some(404));
    assert_eq!(status(&format!("GET /{}/checkpoint", "0".repeat(64)), ""), Some(404));
    assert_eq!(status(post, &good), Some(200));
    assert_eq!(witness.asked(post, &good), Some((409, "3\n".to_owned())));
    assert_eq!(witness.asked(post, &History::new("b").request(3, 3)), Some((409, "3\n".to_owned())));
    assert_eq!(status(post, &History::new("b").request(3, 5)), Some(422));
    assert_eq!(status(post, &log.request(3, 3)), Some(200));
    // Its key is its own alone, and is not written over.
    let key = witness.state().with_file_name("key");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&key).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let again = run(tokenvault(&["witness", "key", "--name", "witness.example/w1", "--out"]).arg(&key), "").with(1);
    assert!(!again.err.contains("PRIVATE"), "{}", again.err);
}
