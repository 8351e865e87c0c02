//! Checkpoints sent to a collector of logs, which is a socket of the test.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    time::Duration,
};

use vault_ledger::{Checkpoint, VerifierKey};

use crate::{
    served::Served,
    shell::{DevVault, LOAD, run, tokenvault},
};

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One message behind its length (RFC 6587 section 3.4.1).
fn message(stream: &mut impl BufRead) -> String {
    let mut length = Vec::new();
    stream.read_until(b' ', &mut length).unwrap();
    let length: usize = String::from_utf8(length).unwrap().trim_end().parse().unwrap();
    let mut message = vec![0; length];
    stream.read_exact(&mut message).unwrap();
    String::from_utf8(message).unwrap()
}

#[test]
fn a_collector_of_logs_gets_every_logs_checkpoints_as_signed_notes() {
    let mut vault = DevVault::start();
    let line = "audit checkpoint --region eu --output jsonl";
    let key = vault.run("auditor", line, "").with(0).lines().remove(0)["verifier_key"].as_str().unwrap().to_owned();
    let key = VerifierKey::parse(&key).unwrap();
    assert_eq!(vault.stop(), Some(0));
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = tokenvault(&["serve", "--config"]);
    command.arg(vault.place().join("vault.toml")).env("TOKENVAULT_LISTEN_ADDRESS", "127.0.0.1:0");
    command.env("TOKENVAULT_SYSLOG_ADDRESS", collector.local_addr().unwrap().to_string());
    command.env("TOKENVAULT_SYSLOG_TRANSPORT", "tcp");
    let served = Served::start(command);
    // A connection for each log: two regions, and the node.
    let mut streams: Vec<_> = (0..3)
        .map(|_| {
            let stream = collector.accept().unwrap().0;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            BufReader::new(stream)
        })
        .collect();
    let first: Vec<String> = streams.iter_mut().map(message).collect();
    let of_eu = first.iter().position(|message| message.contains("/audit/eu/")).unwrap();
    run(&mut served.command(&vault, "loader", &format!("tokenize --class email {LOAD}")), "ada@example.com").with(0);
    let size = |message: &str| {
        let (head, note) = message.split_once('\u{feff}').unwrap();
        assert!(
            head.starts_with("<109>1 20") && head.contains(" tokenvault ") && head.contains(" checkpoint ["),
            "{head}"
        );
        let checkpoint = Checkpoint::open(note, &key).unwrap();
        let size = checkpoint.head.size.0;
        assert!(head.contains(&format!("origin=\"{}\" size=\"{size}\" root=\"", checkpoint.origin)), "{head}");
        size
    };
    let before = size(&first[of_eu]);
    // The start is an entry, and the call is one.
    let mut now = before;
    while now < before + 2 {
        let next = size(&message(&mut streams[of_eu]));
        assert!(next > now, "each is sent once");
        now = next;
    }
    served.stop();
}
