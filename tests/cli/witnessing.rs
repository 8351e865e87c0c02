//! `tokenvault witness`, running, and what goes to it and comes from it over HTTP.
#![allow(clippy::indexing_slicing, reason = "a fixture ends the test that can't go on, and says where")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Stdio},
    time::Duration,
};

use vault_tests::certificates::Authority;

use crate::shell::{run, tokenvault};

/// The files of a witness that speaks TLS.
const CERTIFICATE: &str = "tls.pem";
const TLS_KEY: &str = "tls.key";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A witness with a folder of its own below a test's.
pub(crate) struct Witness {
    folder: PathBuf,
    process: Child,
    pub(crate) address: SocketAddr,
    pub(crate) verifier_key: String,
    /// Kept open: a process whose reader is gone ends.
    _err: BufReader<ChildStderr>,
}

impl Witness {
    /// Makes a key and starts a witness of these logs.
    pub(crate) fn start(folder: &Path, name: &str, logs: &[String]) -> Self {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let key = folder.join("key");
        let words = ["witness", "key", "--name", &format!("witness.example/{name}"), "--output", "json", "--out"];
        let made = run(tokenvault(&words).arg(&key), "").with(0);
        let made: serde_json::Value = serde_json::from_str(&made.out).unwrap();
        fs::write(folder.join("logs"), format!("# of a test\n\n{}\n", logs.join("\n"))).unwrap();
        Self::on(folder, made["verifier_key"].as_str().unwrap().to_owned(), "127.0.0.1:0")
    }

    /// One that speaks TLS, with a certificate of this authority.
    pub(crate) fn start_tls(folder: &Path, name: &str, logs: &[String], authority: &Authority) -> Self {
        let (own, identity) = (folder.join(name), authority.server());
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join(CERTIFICATE), identity.certificate_pem()).unwrap();
        fs::write(own.join(TLS_KEY), identity.key_pem()).unwrap();
        Self::start(folder, name, logs)
    }

    /// The same witness once more, at the same address, after it was killed.
    pub(crate) fn again(mut self) -> Self {
        self.kill();
        let (folder, key, address) = (self.folder.clone(), self.verifier_key.clone(), self.address);
        Self::on(folder, key, &address.to_string())
    }

    fn on(folder: PathBuf, verifier_key: String, address: &str) -> Self {
        let mut command = tokenvault(&["witness", "serve", "--listen", address]);
        for name in ["key", "logs", "state"] {
            command.arg(format!("--{name}")).arg(folder.join(name));
        }
        if folder.join(CERTIFICATE).exists() {
            command.arg("--tls-certificate").arg(folder.join(CERTIFICATE)).arg("--tls-key").arg(folder.join(TLS_KEY));
        }
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut err = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert_ne!(err.read_line(&mut line).unwrap(), 0, "it ended: {said}");
            let message: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if message["fields"]["message"] == "serving" {
                break message["fields"]["address"].as_str().unwrap().parse().unwrap();
            }
            said.push_str(&line);
        };
        Self { folder, process, address, verifier_key, _err: err }
    }

    /// Ends it as a power cut does, as far as a process can tell.
    pub(crate) fn kill(&mut self) {
        // It may have ended before.
        let _ended = self.process.kill();
        let _status = self.process.wait().unwrap();
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The folder of what it remembers.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Its line in a policy.
    pub(crate) fn line(&self, name: &str) -> String {
        if self.folder.join(CERTIFICATE).exists() {
            return format!("witness {name} {} https://localhost:{}/\n", self.verifier_key, self.address.port());
        }
        format!("witness {name} {} http://{}/\n", self.verifier_key, self.address)
    }

    /// A request, and the status and body of its answer; None if it broke off.
    pub(crate) fn asked(&self, line: &str, body: &str) -> Option<(u16, String)> {
        exchange(self.address, line, body.as_bytes())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One request over HTTP/1.1.
pub(crate) fn exchange(address: SocketAddr, line: &str, body: &[u8]) -> Option<(u16, String)> {
    exchange_of(address, line, body, body.len())
}

/// The same with a body that is said to be of this length.
pub(crate) fn exchange_of(address: SocketAddr, line: &str, body: &[u8], length: usize) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut answer = Vec::new();
    let _to_the_end = stream.read_to_end(&mut answer).is_ok();
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let status = head.split(' ').nth(1)?.parse().ok()?;
    (length == Some(body.len())).then(|| (status, body.to_owned()))
}
