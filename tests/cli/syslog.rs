//! Checkpoints sent to a collector of logs, which is a socket of the test.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{TcpListener, UdpSocket},
    process::Command,
    sync::Arc,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use vault_ledger::{Checkpoint, VerifierKey};
use vault_tests::certificates::Authority;

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

/// A vault that is stopped, and the verifier key of its log of eu.
fn stopped() -> (DevVault, VerifierKey) {
    let mut vault = DevVault::start();
    let line = "audit checkpoint --region eu --output jsonl";
    let newest = vault.run("auditor", line, "").with(0).lines().remove(0);
    assert_eq!(vault.stop(), Some(0));
    (vault, VerifierKey::parse(newest.get("verifier_key").and_then(|key| key.as_str()).unwrap()).unwrap())
}

/// `serve`, with a collector at this address.
fn serve(vault: &DevVault, transport: &str, address: &str) -> Command {
    let mut command = tokenvault(&["serve", "--config"]);
    command.arg(vault.place().join("vault.toml")).env("TOKENVAULT_LISTEN_ADDRESS", "127.0.0.1:0");
    command.env("TOKENVAULT_SYSLOG_ADDRESS", address).env("TOKENVAULT_SYSLOG_TRANSPORT", transport);
    command
}

/// The checkpoint of eu in a message, once one comes.
fn of_eu(key: &VerifierKey, mut message: impl FnMut() -> String) -> Checkpoint {
    loop {
        let message = message();
        let (head, note) = message.split_once('\u{feff}').unwrap();
        assert!(head.starts_with("<109>1 20") && head.contains(" checkpoint [checkpoint@32473 origin="), "{head}");
        if message.contains("/audit/eu/") {
            return Checkpoint::open(note, key).unwrap();
        }
    }
}

#[test]
fn over_udp_each_checkpoint_is_one_datagram() {
    let (vault, key) = stopped();
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(PATIENCE)).unwrap();
    let served = Served::start(serve(&vault, "udp", &collector.local_addr().unwrap().to_string()));
    let checkpoint = of_eu(&key, || {
        let mut message = vec![0; 65_536];
        let length = collector.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    });
    assert!(checkpoint.head.size.0 > 0);
    served.stop();
}

#[test]
fn over_tls_a_collector_is_verified_before_it_is_told_anything() {
    let (vault, key) = stopped();
    let (authority, stranger) = (Authority::new("collectors"), Authority::new("strangers"));
    let ca = vault.path("collectors.pem");
    fs::write(&ca, authority.certificate_pem()).unwrap();
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("localhost:{}", collector.local_addr().unwrap().port());
    let mut command = serve(&vault, "tls", &address);
    command.env("TOKENVAULT_SYSLOG_CA", &ca);
    let mut served = Served::start(command);
    // Whoever speaks in the collector's place is told nothing, and that it failed is.
    for _ in 0..3 {
        let mut stream = accept(&collector, &stranger);
        let mut message = Vec::new();
        assert!(stream.read_until(b' ', &mut message).is_err() && message.is_empty(), "a stranger is told a message");
    }
    served.says("checkpoints are not taken outside");
    let mut told = None;
    while told.is_none() {
        let mut stream = accept(&collector, &authority);
        let mut first = Vec::new();
        // A connection may be one that was given up meanwhile.
        if stream.read_until(b' ', &mut first).is_ok_and(|length| length > 0) {
            let length: usize = String::from_utf8(first).unwrap().trim_end().parse().unwrap();
            let mut message = vec![0; length];
            stream.read_exact(&mut message).unwrap();
            let message = String::from_utf8(message).unwrap();
            told = message.contains("/audit/eu/").then(|| of_eu(&key, || message.clone()));
        }
    }
    assert!(told.is_some_and(|checkpoint| checkpoint.head.size.0 > 0));
    served.stop();
}

/// A connection to a collector whose certificate this authority has signed.
fn accept(
    collector: &TcpListener,
    authority: &Authority,
) -> BufReader<StreamOwned<ServerConnection, std::net::TcpStream>> {
    let identity = authority.server();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate().clone()], identity.key())
        .unwrap();
    let stream = collector.accept().unwrap().0;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream))
}

#[test]
fn a_collector_of_logs_gets_every_logs_checkpoints_as_signed_notes() {
    let (vault, key) = stopped();
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let served = Served::start(serve(&vault, "tcp", &collector.local_addr().unwrap().to_string()));
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
