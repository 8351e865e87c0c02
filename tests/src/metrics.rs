//! Measurements of a vault, as who scrapes them reads them.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

/// A port that nobody listens on, for a vault of another process.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Asks over HTTP/1.1 without TLS (`GET /metrics`), and reads to the end.
#[must_use]
pub fn ask(address: SocketAddr, line: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a listener");
    stream.write_all(format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The value of the one line that begins with `name` and holds all of `labels`; None if there is none yet.
///
/// # Panics
/// If there are several.
#[must_use]
pub fn find(text: &str, name: &str, labels: &[&str]) -> Option<i64> {
    let alike = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
    let lines: Vec<&str> = text.lines().filter(alike).collect();
    assert!(lines.len() < 2, "{name} {labels:?}: {text}");
    lines.first()?.rsplit(' ').next()?.parse().ok()
}

/// The same, of a line that has to be there.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn value(text: &str, name: &str, labels: &[&str]) -> i64 {
    find(text, name, labels).unwrap_or_else(|| panic!("{name} {labels:?}: {text}"))
}

/// Whether an alarm is on for a log; None if nothing was watched yet.
#[must_use]
pub fn alarm(address: SocketAddr, alarm: &str, log: &str) -> Option<bool> {
    let labels = [format!("alarm=\"{alarm}\""), format!("log=\"{log}\"")];
    let text = ask(address, "GET /metrics");
    find(&text, "tokenvault_alarm{", &[&labels[0], &labels[1]]).map(|on| on == 1)
}
