//! `tokenvault token`: opaque tokens by themselves. No vault is asked, no record is read, and a token is never
//! repeated: answers go by its line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use vault_domain::{DataClass, Region, Tenant, TokenText};
use vault_format::OpaqueToken;
use vault_server::{CheckKeys, Checked, Config, StartError};

use crate::{
    exit::{Exit, Failure},
    items::read_lines,
    output::{self, Column, OutputArguments, Records, write_summary},
    process::keep_memory_private,
    serve::environment,
};

const COLUMNS: &[Column] = &[
    ("line", "/line"),
    ("form", "/form"),
    ("region", "/region"),
    ("generation", "/generation"),
    ("check", "/check"),
    ("tenant", "/tenant"),
    ("class", "/class"),
    ("problem", "/problem"),
];

/// Files of check keys, for the commands that take some.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CheckKeyArguments {
    /// A file of check keys from `tokenvault token export-check-keys`; give it once for each region
    #[arg(long, value_name = "FILE")]
    check_keys: Vec<PathBuf>,
}

impl CheckKeyArguments {
    pub(crate) fn read(&self) -> Result<KnownKeys, Failure> {
        let read = |path: &PathBuf| CheckKeys::from_file(path).map_err(|error| Failure::usage(error.to_string()));
        self.check_keys.iter().map(read).collect::<Result<_, _>>().map(KnownKeys)
    }
}

/// All check keys that were given.
pub(crate) struct KnownKeys(Vec<CheckKeys>);

impl KnownKeys {
    /// What they say of a token: a word, and whose it is.
    pub(crate) fn judge(&self, token: &OpaqueToken<'_>) -> Judgement<'_> {
        let of_region = self.0.iter().filter(|keys| keys.region().as_str() == token.region());
        let mut judgement = if self.0.is_empty() { Judgement::NotVerified } else { Judgement::NoKey };
        for keys in of_region {
            match keys.check(token.generation(), token.block(), token.check()) {
                Checked::Holds { tenant, class } => {
                    return Judgement::Holds { vault: keys.vault().as_str(), tenant, class };
                }
                Checked::Fails => judgement = Judgement::Fails,
                Checked::NoKey => {}
            }
        }
        judgement
    }
}

/// What is known of a token's check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement<'k> {
    Holds { vault: &'k str, tenant: &'k Tenant, class: &'k DataClass },
    Fails,
    NoKey,
    NotVerified,
}

impl Judgement<'_> {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Holds { .. } => "holds",
            Self::Fails => "fails",
            Self::NoKey => "no_key",
            Self::NotVerified => "not_verified",
        }
    }

    /// Adds what is known to a record.
    pub(crate) fn put_into(self, record: &mut Value) {
        let Some(record) = record.as_object_mut() else { return };
        record.insert("check".to_owned(), json!(self.word()));
        if let Self::Holds { vault, tenant, class } = self {
            record.insert("vault".to_owned(), json!(vault));
            record.insert("tenant".to_owned(), json!(tenant.as_str()));
            record.insert("class".to_owned(), json!(class.as_str()));
        }
    }
}

/// Tokens to look at.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "For each line: its form, and if that is valid region and generation, which the text of a token \
                        tells. The check `holds` for the class that is named; it `fails` if no key of its region and \
                        generation fits; there is `no_key` of these; or it is `not_verified` without a file of keys. \
                        A check that holds says nothing about whether the token was given out, or lives.\n\n\
                        Exit code 1: a form is malformed, a check fails, or there is no key for it."
)]
pub(crate) struct InspectArguments {
    /// The file with the tokens, one a line, or - for standard input
    #[arg(value_name = "FILE|-", default_value = "-")]
    source: PathBuf,
    #[command(flatten)]
    keys: CheckKeyArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn inspect(arguments: &InspectArguments) -> Result<Exit, Failure> {
    let keys = arguments.keys.read()?;
    let mut lines = open(&arguments.source)?;
    let mut records = Records::new(output::stdout(), arguments.output.form(), COLUMNS);
    let mut exit = Exit::Done;
    let mut line = 0_u64;
    loop {
        let batch = read_lines(&mut *lines)?;
        if batch.is_empty() {
            break;
        }
        for token in batch {
            line += 1;
            let (record, is_good) = inspected(line, token, &keys);
            if !is_good {
                exit = Exit::Failure;
            }
            records.push(&record)?;
        }
    }
    records.finish()?;
    Ok(exit)
}

/// The file is not named when it can't be opened: what stands there can be a token in the wrong place.
fn open(source: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if source == Path::new("-") {
        if io::stdin().is_terminal() {
            output::note("reading from the terminal: one token a line, Ctrl-D at the end");
        }
        return Ok(Box::new(io::stdin().lock()));
    }
    let refuse = |error| {
        Failure::usage(format!(
            "the file of tokens can't be read: {error}; tokens stand in a file or on \
                                                 standard input, never on the command line"
        ))
    };
    Ok(Box::new(BufReader::new(File::open(source).map_err(refuse)?)))
}

fn inspected(line: u64, token: Vec<u8>, keys: &KnownKeys) -> (Value, bool) {
    let malformed = |rule: &str, problem: &str| {
        (json!({"line": line, "form": "malformed", "rule": rule, "problem": problem}), false)
    };
    let Ok(text) = String::from_utf8(token) else {
        return malformed("digit", "an opaque token is ASCII");
    };
    let text = TokenText::new(text);
    let token = match OpaqueToken::parse(text.expose()) {
        Ok(token) => token,
        Err(error) => return malformed(error.rule(), &error.to_string()),
    };
    let judgement = keys.judge(&token);
    let generation = token.generation().get();
    let mut record = json!({"line": line, "form": "valid", "region": token.region(), "generation": generation});
    judgement.put_into(&mut record);
    (record, matches!(judgement, Judgement::Holds { .. } | Judgement::NotVerified))
}

/// Which keys, and where to.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ExportArguments {
    /// The configuration of the vault; TOKENVAULT_SECTION_KEY in the environment overrides a key
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The region whose tokens shall be checked
    #[arg(long, value_parser = Region::parse)]
    region: Region,
    /// Keys of this tenant alone; give it once for each [default: all tenants of the catalog]
    #[arg(long = "tenant", value_name = "TENANT", value_parser = Tenant::parse)]
    tenants: Vec<Tenant>,
    /// Keys of this data class alone; give it once for each [default: all classes with opaque tokens]
    #[arg(long = "class", value_name = "CLASS", value_parser = DataClass::parse)]
    classes: Vec<DataClass>,
    /// The file to write, with mode 0600; never over one that is there
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) async fn export_check_keys(arguments: ExportArguments) -> Result<Exit, Failure> {
    keep_memory_private()?;
    let config = Config::load(&arguments.config, &environment())
        .map_err(|error| Failure::usage(format!("the configuration can't be used: {error}")))?;
    let ExportArguments { region, tenants, classes, out, output, .. } = arguments;
    let export = move || {
        let (keys, version) = config.check_keys(&region, &tenants, &classes).map_err(|error| {
            let exit = if matches!(error, StartError::Config(_)) { Exit::Usage } else { Exit::Failure };
            Failure::new(exit, error.to_string())
        })?;
        keys.create_file(&out).map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
        Ok::<_, Failure>(json!({
            "file": out.display().to_string(),
            "vault": keys.vault().as_str(),
            "region": region.as_str(),
            "keys": keys.len(),
            "version": version,
        }))
    };
    let interrupted = |_| Failure::new(Exit::Failure, "the export was interrupted");
    let record = tokio::task::spawn_blocking(export).await.map_err(interrupted)??;
    if let Some(version) = record.get("version").and_then(Value::as_u64) {
        output::note(&format!(
            "rules_from = \"applied\": tenants and classes are those of version {version}, which the vault serves by, \
             whatever the files say"
        ));
    }
    output::note("whoever has this file can tell which texts are tokens of these classes; keep it private");
    write_summary(output::stdout(), output.form(), &record)?;
    Ok(Exit::Done)
}
