//! `tokenvault scan`: card numbers and opaque tokens in files and folders. It tells where something is and of what
//! kind; it never repeats any of it, not even where a file's own name holds it.

mod pattern;
mod walk;

use std::{
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde_json::{Value, json};
use vault_format::{Found, Place, Scanner};
use zeroize::Zeroizing;

use crate::{
    exit::{Exit, Failure},
    output::{self, Column, OutputArguments, Records, grouped},
    scan::{
        pattern::Pattern,
        walk::{Step, Walk},
    },
    token::{CheckKeyArguments, KnownKeys},
};

/// What is read at once.
const READ_BYTES: usize = 256 << 10;
const COLUMNS: &[Column] = &[
    ("file", "/file"),
    ("line", "/line"),
    ("column", "/column"),
    ("offset", "/offset"),
    ("kind", "/kind"),
    ("brand", "/brand"),
    ("digits", "/digits"),
    ("region", "/region"),
    ("check", "/check"),
    ("tenant", "/tenant"),
    ("class", "/class"),
    ("problem", "/problem"),
];

const AFTER_HELP: &str = "\
Found are card numbers of 13 to 19 digits with the prefix, the length and the Luhn check of a known brand, in a row or
in groups with single blanks or hyphens, and opaque tokens. Not found is what is compressed, encrypted, encoded (base64,
UTF-16, images) or broken over lines; docs/OFFLINE.md has the rules. Links are not followed, except those named here.

Exit codes:
  0   nothing was found, and everything was read
  1   something was found, and everything was read, up to --max-findings
  2   wrong usage
  5   something could not be read; other things may have been found";

/// What to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Card numbers
    Pan,
    /// Opaque tokens
    Token,
}

/// Where to look, and for what.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ScanArguments {
    /// Files and folders, or - for standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Look for this kind alone
    #[arg(long, value_enum)]
    only: Option<Kind>,
    /// Leave out files and folders of this name; * and ? stand for any characters, and with a / in it the whole path
    /// has to fit. Give it once for each
    #[arg(long, value_name = "PATTERN", value_parser = Pattern::parse)]
    ignore: Vec<Pattern>,
    /// Stop after so many findings
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    max_findings: Option<u64>,
    #[command(flatten)]
    keys: CheckKeyArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// What became of the whole.
#[derive(Debug, Default)]
struct Tally {
    files: u64,
    bytes: u64,
    pans: u64,
    tokens: u64,
    unreadable: u64,
    skipped: u64,
    ignored: u64,
    is_stopped: bool,
}

impl Tally {
    fn found(&self) -> u64 {
        self.pans + self.tokens
    }

    fn exit(&self) -> Exit {
        match (self.unreadable, self.found()) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::Failure,
            _ => Exit::Incomplete,
        }
    }

    fn record(&self) -> Value {
        json!({
            "kind": "summary",
            "files": self.files,
            "bytes": self.bytes,
            "pans": self.pans,
            "tokens": self.tokens,
            "unreadable": self.unreadable,
            "skipped": self.skipped,
            "ignored": self.ignored,
            "stopped": self.is_stopped,
        })
    }
}

pub(crate) fn run(arguments: &ScanArguments) -> Result<Exit, Failure> {
    let keys = arguments.keys.read()?;
    let form = arguments.output.form();
    let records = Records::new(output::stdout(), form, COLUMNS);
    let mut scan = Scan { arguments, keys, records, tally: Tally::default(), failed: None };
    let mut buffer = Zeroizing::new(vec![0; READ_BYTES]);
    for path in &arguments.paths {
        if path == Path::new("-") {
            scan.content("(standard input)", &mut io::stdin().lock(), &mut buffer);
        } else {
            scan.below(path, &mut buffer);
        }
        if scan.is_over() {
            break;
        }
    }
    let Scan { mut records, tally, failed, .. } = scan;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if form == output::Output::Table {
        records.finish()?;
        let Tally { files, bytes, pans, tokens, unreadable, skipped, ignored, is_stopped } = &tally;
        let stopped = if *is_stopped { "; stopped at --max-findings" } else { "" };
        let [files, bytes, pans, tokens] = [files, bytes, pans, tokens].map(|count| grouped(*count));
        output::note(&format!(
            "{pans} card numbers and {tokens} tokens in {files} files of {bytes} bytes; {unreadable} could not be \
             read, {skipped} links and special files were left out, {ignored} ignored{stopped}"
        ));
    } else {
        records.push(&tally.record())?;
        records.finish()?;
    }
    Ok(tally.exit())
}

/// A scan under way.
struct Scan<'a, W: io::Write> {
    arguments: &'a ScanArguments,
    keys: KnownKeys,
    records: Records<W>,
    tally: Tally,
    /// Why nothing more can be reported.
    failed: Option<io::Error>,
}

impl<W: io::Write> Scan<'_, W> {
    fn is_over(&self) -> bool {
        self.tally.is_stopped || self.failed.is_some()
    }

    /// Scans a file, or all files of a folder.
    fn below(&mut self, path: &Path, buffer: &mut [u8]) {
        for step in Walk::new(path, &self.arguments.ignore) {
            match step {
                Step::File(path, mut file) => {
                    let name = self.name(&path);
                    self.content(&name, &mut file, buffer);
                }
                Step::Skipped => self.tally.skipped += 1,
                Step::Ignored => self.tally.ignored += 1,
                Step::Unreadable(path, problem) => {
                    let name = masked(&path);
                    self.unreadable(&name, &problem);
                }
            }
            if self.is_over() {
                return;
            }
        }
    }

    /// A file's name as it can be shown; what is found in its last part is reported.
    fn name(&mut self, path: &Path) -> String {
        let shown = masked(path);
        let last = path.file_name().unwrap_or_default();
        let mut scanner = Scanner::default();
        let mut report = |_: Place, found: Found<'_>| self.report(&shown, None, &found);
        scanner.feed(last.as_bytes(), &mut report);
        scanner.finish(&mut report);
        shown
    }

    /// Scans what can be read.
    fn content(&mut self, name: &str, source: &mut dyn Read, buffer: &mut [u8]) {
        let mut scanner = Scanner::default();
        self.tally.files += 1;
        loop {
            let read = match source.read(buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.unreadable(name, &error.to_string());
                    break;
                }
            };
            self.tally.bytes += read as u64;
            let piece = buffer.get(..read).unwrap_or_default();
            scanner.feed(piece, &mut |place, found| self.report(name, Some(place), &found));
            if self.is_over() {
                return;
            }
        }
        scanner.finish(&mut |place, found| self.report(name, Some(place), &found));
    }

    fn unreadable(&mut self, name: &str, problem: &str) {
        self.tally.unreadable += 1;
        output::warn(&format!("{name}: {problem}"));
        self.push(&json!({"file": name, "kind": "unreadable", "problem": problem}));
    }

    /// Reports one finding; without a place, it is in the file's name.
    fn report(&mut self, name: &str, place: Option<Place>, found: &Found<'_>) {
        let kind = match found {
            Found::Card { .. } => Kind::Pan,
            Found::Token(_) => Kind::Token,
        };
        if self.is_over() || self.arguments.only.is_some_and(|only| only != kind) {
            return;
        }
        let mut record = match place {
            Some(Place { line, column, offset, .. }) => {
                json!({"file": name, "line": line, "column": column, "offset": offset})
            }
            None => json!({"file": name, "problem": "in the file's name"}),
        };
        self.describe(&mut record, found);
        self.push(&record);
        self.tally.is_stopped = self.arguments.max_findings.is_some_and(|most| self.tally.found() >= most);
    }

    fn describe(&mut self, record: &mut Value, found: &Found<'_>) {
        let described = match found {
            Found::Card { brand, digits, is_grouped } => {
                self.tally.pans += 1;
                json!({"kind": "pan", "brand": brand.name(), "digits": digits, "grouped": is_grouped})
            }
            Found::Token(token) => {
                self.tally.tokens += 1;
                let generation = token.generation().get();
                let mut described = json!({"kind": "token", "region": token.region(), "generation": generation});
                self.keys.judge(token).put_into(&mut described);
                described
            }
        };
        if let (Some(record), Value::Object(described)) = (record.as_object_mut(), described) {
            record.extend(described);
        }
    }

    fn push(&mut self, record: &Value) {
        if let Err(error) = self.records.push(record) {
            self.failed.get_or_insert(error);
        }
    }
}

/// A path as it can be shown: what is a card number or a token in it is starred out, and so are control characters,
/// which a terminal would obey.
fn masked(path: &Path) -> String {
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    let mut spans = Vec::new();
    let mut scanner = Scanner::default();
    let mut note = |place: Place, _: Found<'_>| spans.push(place);
    scanner.feed(&bytes, &mut note);
    scanner.finish(&mut note);
    for place in spans {
        let start = usize::try_from(place.offset).unwrap_or(usize::MAX);
        let hidden = bytes.get_mut(start..start.saturating_add(place.bytes));
        hidden.unwrap_or_default().fill(b'*');
    }
    String::from_utf8_lossy(&bytes).chars().map(|c| if c.is_control() { '*' } else { c }).collect()
}
