//! Commands to copy, for who wants to go on by hand.

use std::{io::Write, net::SocketAddr, path::Path};

use crate::{
    dev::furnish::Place,
    exit::Failure,
    output::{self, BOLD, PLAIN},
};

/// A file to try: numbers that card schemes publish for tests, and names of nobody.
const SAMPLE: &str = "\
name,card,email
Ada,4111111111111111,ada@example.com
Bob,5555555555554444,bob@example.com
Eve,378282246310005,eve@example.com
";

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// Where the vault is, and a function by which a shell takes an account's identity.
fn client_environment(folder: &str, address: SocketAddr) -> String {
    format!(
        "export TOKENVAULT_ENDPOINT=https://{address} TOKENVAULT_CA={folder}/ca.pem\n\
         as() {{ export TOKENVAULT_CERT={folder}/clients/$1.pem TOKENVAULT_KEY={folder}/clients/$1.key; }}\n"
    )
}

/// Prints them, and leaves where the vault is in a file, for scripts.
pub(crate) fn print(place: &Place, address: SocketAddr) -> Result<(), Failure> {
    let mut out = output::stdout();
    let folder = quoted(&place.absolute()?);
    let lines = client_environment(&folder, address);
    let client_environment = quoted(&place.write_client_environment(&lines)?);
    let customers = place.write_sample(SAMPLE)?;
    let (customers, tokens) = (quoted(&customers), quoted(&customers.with_file_name("tokens.csv")));
    let rejects = quoted(&place.absolute()?.join("rejects.csv"));
    let names: Vec<_> = place.accounts().iter().map(|account| account.name.as_str()).collect();
    writeln!(
        out,
        "\n{BOLD}The vault listens on https://{address}{PLAIN}, for this machine alone. In another shell:\n"
    )?;
    if let Some(programs) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        writeln!(out, "export PATH={}:\"$PATH\"", quoted(programs))?;
    }
    write!(out, "{lines}")?;
    writeln!(out, "\n# a token for the payments service; the value comes by standard input")?;
    writeln!(out, "as loader")?;
    let load = "--audience payments --region eu --purpose bulk_load";
    writeln!(out, "echo 4111111111111111 | tokenvault tokenize --class card_number {load}")?;
    writeln!(out, "\n# its value again; then the same as another service, which gets no more than NOT_FOUND")?;
    writeln!(out, "as payments")?;
    writeln!(
        out,
        "echo TOKEN | tokenvault detokenize --class card_number --audience payments --region eu --purpose settlement"
    )?;
    writeln!(out, "as globex-payments")?;
    writeln!(
        out,
        "echo TOKEN | tokenvault detokenize --class card_number --audience payments --region eu --purpose settlement"
    )?;
    writeln!(out, "\n# a whole file")?;
    writeln!(out, "as loader")?;
    writeln!(
        out,
        "tokenvault bulk tokenize --in {customers} --out {tokens} --rejects {rejects} \\\n  \
         --column card=card_number --column email=email {load}"
    )?;
    writeln!(out, "\n# who saw what")?;
    writeln!(out, "as auditor")?;
    writeln!(out, "tokenvault audit query --region eu --purpose audit --since 1h")?;
    writeln!(out, "tokenvault audit checkpoint --region eu")?;
    writeln!(out, "\nAccounts: {}. What each may do stands in {folder}/catalog.toml.", names.join(", "))?;
    writeln!(
        out,
        "For scripts: {client_environment} is there while the vault serves; it holds the second and third line."
    )?;
    let end = if place.is_temporary() { "deletes all of it" } else { "stops it; the folder is kept" };
    writeln!(out, "Ctrl-C {end}.")?;
    Ok(out.flush()?)
}
