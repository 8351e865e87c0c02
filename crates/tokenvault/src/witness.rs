//! `tokenvault witness`: a witness of logs as a process, and its key.
//!
//! It needs no vault and sees no entry: who runs it should be somebody else than who runs the vault.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;
use tokio::net::TcpListener;
use vault_domain::{SystemClock, SystemEntropy};
use vault_engine::{create_private, read_private};
use vault_ledger::VerifierKey;
use vault_server::{LogFormat, start_telemetry_at};
use vault_witness::{SIGNER_BYTES_MAX, TlsFiles, Witness, WitnessSigner, serve as serve_http};

use crate::{
    exit::{Exit, Failure},
    output::{self, OutputArguments, write_summary},
    process::{StopSignals, keep_memory_private},
    small_file,
};

/// The longest file of verifier keys.
const LOGS_BYTES_MAX: u64 = 1 << 20;
/// How much a witness says on standard error.
const LOG_LEVEL: &str = "info";

/// Whose key.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WitnessKeyArguments {
    /// The witness's name, an address without a scheme for instance: witness.example.org/w1. Every cosignature bears it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The file to write the key to, with mode 0600; never over one that is there
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    output: OutputArguments,
}

/// Which witness.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WitnessServeArguments {
    /// The file of the witness's key, made by `witness key`
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file of the logs that it knows: a verifier key a line, `tokenvault audit checkpoint` tells it. Lines that
    /// begin with # mean nothing
    #[arg(long, value_name = "FILE")]
    logs: PathBuf,
    /// The folder of what it remembers, on a real disk. Whoever empties it has it forget what it vouched for
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Where to listen. Port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8480")]
    listen: SocketAddr,
    /// The certificate of the server with its chain, leaf first (PEM); without it, plain HTTP on this machine alone
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
}

/// Makes a key.
pub(crate) fn key(arguments: &WitnessKeyArguments) -> Result<Exit, Failure> {
    keep_memory_private()?;
    let (signer, text) = WitnessSigner::generate(&arguments.name, &SystemEntropy)
        .map_err(|error| Failure::usage(format!("--name: {error}")))?;
    let verifier_key = signer.verifier_key().map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    create_private(&arguments.out, text.as_bytes()).map_err(|problem| Failure::file(&arguments.out, problem))?;
    let record = json!({ "file": arguments.out.display().to_string(), "verifier_key": verifier_key.to_string() });
    write_summary(output::stdout(), arguments.output.form(), &record)?;
    Ok(Exit::Done)
}

/// Runs a witness.
pub(crate) async fn serve(arguments: WitnessServeArguments) -> Result<Exit, Failure> {
    keep_memory_private()?;
    start_telemetry_at(LOG_LEVEL, LogFormat::Json);
    let mut signals = StopSignals::listen()?;
    let text = read_private(&arguments.key, SIGNER_BYTES_MAX + 1)
        .map_err(|problem| Failure::usage(format!("{}: {problem}", arguments.key.display())))?;
    let signer =
        WitnessSigner::parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", arguments.key.display())))?;
    let logs = logs(&arguments.logs)?;
    let tls = match (arguments.tls_certificate, arguments.tls_key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }.acceptor().map_err(Failure::usage)?),
        _ if arguments.listen.ip().is_loopback() => None,
        _ => {
            return Err(Failure::usage(
                "--listen can be reached from other machines: give --tls-certificate and --tls-key, or listen on a \
                 loopback address behind a server that speaks TLS",
            ));
        }
    };
    let state = arguments.state;
    let opening = move || Witness::open(signer, logs, &state, Arc::new(SystemClock::new()));
    let opened = tokio::task::spawn_blocking(opening).await;
    let witness = opened
        .map_err(|_| Failure::new(Exit::Failure, "the start was interrupted"))?
        .map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    let cant_listen = |error| Failure::new(Exit::Failure, format!("can't listen on {}: {error}", arguments.listen));
    let listener = TcpListener::bind(arguments.listen).await.map_err(cant_listen)?;
    let address = listener.local_addr().map_err(cant_listen)?;
    for (origin, size) in witness.logs() {
        tracing::info!(origin, size, "a log is known");
    }
    tracing::info!(%address, witness = %witness.verifier_key(), "serving");
    let stop = async {
        let signal = signals.next().await;
        tracing::info!(signal, "stopping");
    };
    serve_http(listener, Arc::new(witness), tls, stop).await;
    Ok(Exit::Done)
}

/// The verifier keys in a file, one at least.
fn logs(path: &Path) -> Result<Vec<VerifierKey>, Failure> {
    let text = small_file::read(path, LOGS_BYTES_MAX).map_err(|error| Failure::file(path, error))?;
    let refuse = |problem: String| Failure::usage(format!("{}: {problem}", path.display()));
    let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys: Result<Vec<_>, _> = lines
        .map(|(number, line): (u32, &str)| {
            VerifierKey::parse(line).map_err(|error| refuse(format!("line {number}: {error}")))
        })
        .collect();
    let keys = keys?;
    if keys.is_empty() {
        Err(refuse("names no log: write the verifier key of one a line".to_owned()))
    } else {
        Ok(keys)
    }
}
