//! `tokenvault audit`: questions to the access log, its checkpoints and its proofs.

mod count;
mod export;
mod prove;
mod tail;
mod verify_export;

use std::{io::Write, path::PathBuf};

use serde_json::json;
use vault_client::{AccessLogQuery, ClientError, LogName, VerifiedCheckpoint};
use vault_domain::{
    AccessLogFilter, Action, Audience, Clock, DataClass, Decision, Millis, Network, PrincipalId, Purpose, Reason,
    Reference, Region, RequestId, SystemClock, TokenText, limits,
};
use vault_ledger::{Checkpoint, VerifierKey};
pub(crate) use vault_server::entry_json;

use crate::{
    audit_export::parse_key,
    connection::Connection,
    exit::{Exit, Failure},
    items::hex,
    output::{self, Column, Output, OutputArguments, Records},
    small_file, timestamp,
};

pub(crate) use count::{CountArguments, count};
pub(crate) use export::{ExportAccessLogArguments, export};
pub(crate) use prove::{ProveArguments, prove};
pub(crate) use tail::{TailArguments, tail};
pub(crate) use verify_export::{VerifyExportArguments, verify_export};

/// The columns of entries, for people; JSON has all fields.
pub(crate) const COLUMNS: &[Column] = &[
    ("time", "/time"),
    ("principal", "/principal"),
    ("action", "/action"),
    ("decision", "/decision"),
    ("what", "/summary"),
    ("purpose", "/purpose"),
    ("audience", "/audience"),
    ("request", "/request_id"),
];

/// Which entries are wanted.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Filters")]
struct Filters {
    /// Entries of this caller, as entries show it (spiffe://…, dns:…)
    #[arg(long, value_parser = PrincipalId::parse)]
    principal: Option<PrincipalId>,
    /// Entries of this action: tokenize, detokenize, query_access_log, …
    #[arg(long, value_parser = parse_action)]
    action: Option<Action>,
    /// Entries with this decision: allowed, denied, failed
    #[arg(long, value_parser = parse_decision)]
    decision: Option<Decision>,
    /// Entries that concern this data class
    #[arg(long, value_parser = DataClass::parse)]
    class: Option<DataClass>,
    /// Entries that concern this token, or with - the one on standard input; needs --class
    #[arg(long, value_name = "TOKEN|-", requires = "class")]
    token: Option<String>,
    /// Entries of calls in the name of this audience
    #[arg(long, value_parser = Audience::parse)]
    audience: Option<Audience>,
    /// Entries of calls that declared this purpose; --purpose is why you ask
    #[arg(long, value_name = "PURPOSE", value_parser = Purpose::parse)]
    entry_purpose: Option<Purpose>,
    /// Entries of calls that stated this reference; --reference is that of your question
    #[arg(long, value_name = "REFERENCE", value_parser = Reference::parse)]
    entry_reference: Option<Reference>,
    /// Entries of calls that were refused for this reason, or with an item that was: ACCESS_DENIED, TOKEN_UNKNOWN, …
    #[arg(long, value_parser = parse_reason)]
    reason: Option<Reason>,
    /// Entries of calls from this address or network: 192.0.2.7, 192.0.2.0/24, 2001:db8::/32
    #[arg(long, value_name = "ADDRESS|NETWORK", value_parser = Network::parse)]
    source: Option<Network>,
    /// Entries of this request, by the id that its answer, its errors and its entry bear
    #[arg(long, value_name = "ID", value_parser = parse_request_id)]
    request_id: Option<RequestId>,
}

/// From when on.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Filters")]
struct Since {
    /// Entries of the last 90s, 15m, 1h, 7d
    #[arg(long, value_name = "SPAN", value_parser = timestamp::parse_span, conflicts_with = "from")]
    since: Option<std::time::Duration>,
    /// Entries at or after this time (RFC 3339, a day, or milliseconds since 1970)
    #[arg(long, value_name = "TIME", value_parser = timestamp::parse)]
    from: Option<Millis>,
}

/// A part of the log's time.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Filters")]
struct Period {
    #[command(flatten)]
    since: Since,
    /// Entries before this time
    #[arg(long, value_name = "TIME", value_parser = timestamp::parse)]
    until: Option<Millis>,
}

impl Since {
    fn time(&self) -> Option<Millis> {
        let since = self.since.map(|span| {
            let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            Millis(SystemClock::new().wall().0.saturating_sub(span))
        });
        since.or(self.from)
    }
}

/// Refuses a time that no entry lies in: an empty answer would look like an empty log.
pub(crate) fn refuse_empty(from: Option<Millis>, until: Option<Millis>) -> Result<(), Failure> {
    match until {
        Some(until) if until <= from.unwrap_or_default() => {
            Err(Failure::usage("--until must be later than --from or --since: no entry lies between them"))
        }
        _ => Ok(()),
    }
}

impl Filters {
    /// The filter of a question, of entries of a period.
    fn read(self, from: Option<Millis>, until: Option<Millis>) -> Result<AccessLogFilter, Failure> {
        refuse_empty(from, until)?;
        Ok(AccessLogFilter {
            from,
            until,
            principal: self.principal,
            action: self.action,
            decision: self.decision,
            data_class: self.class,
            token: self.token.map(read_token).transpose()?,
            audience: self.audience,
            purpose: self.entry_purpose,
            reference: self.entry_reference,
            reason: self.reason,
            source: self.source,
            request_id: self.request_id,
        })
    }

    /// The same for a period.
    fn within(self, period: &Period) -> Result<AccessLogFilter, Failure> {
        self.read(period.since.time(), period.until)
    }
}

/// A question to the log.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct QueryArguments {
    /// The region whose log is asked
    #[arg(long, value_parser = Region::parse)]
    pub(crate) region: Region,
    /// Why you ask: the name of a purpose in the catalog
    #[arg(long, value_parser = Purpose::parse)]
    pub(crate) purpose: Option<Purpose>,
    /// A ticket, for the entry of this question
    #[arg(long, value_parser = Reference::parse)]
    pub(crate) reference: Option<Reference>,
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    filters: Filters,
    /// The oldest entries first
    #[arg(long, help_heading = "Pages")]
    pub(crate) oldest_first: bool,
    /// Entries in one page, 1 to 1000 [default: 100]
    #[arg(long, value_parser = parse_page_size, help_heading = "Pages")]
    pub(crate) page_size: Option<u32>,
    /// Where to go on, as the page before said it, with the same filters
    #[arg(long, value_name = "TOKEN", help_heading = "Pages")]
    pub(crate) page_token: Option<String>,
    /// All pages; each is an entry of its own
    #[arg(long, help_heading = "Pages")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

pub(crate) async fn query(arguments: QueryArguments) -> Result<Exit, Failure> {
    let mut query = AccessLogQuery {
        purpose: arguments.purpose,
        reference: arguments.reference,
        oldest_first: arguments.oldest_first,
        page_size: arguments.page_size,
        page_token: arguments.page_token,
        filter: arguments.filters.within(&arguments.period)?,
        ..AccessLogQuery::all(arguments.region)
    };
    let client = arguments.connection.connect().await?;
    let mut records = Records::new(output::stdout(), arguments.output.form(), COLUMNS);
    let mut wanted = arguments.page_size.map_or(limits::QUERY_PAGE_ENTRIES_DEFAULT, |size| size as usize);
    loop {
        let page = client.query_access_log(&query).await?;
        page.entries.iter().try_for_each(|entry| records.push(&entry_json(entry)))?;
        query.page_token = page.next_page_token;
        wanted = wanted.saturating_sub(page.entries.len());
        match &query.page_token {
            Some(_) if arguments.all => {}
            // The vault ends a page early that takes long: what is missing of it is on the next.
            Some(_) if wanted > 0 => query.page_size = u32::try_from(wanted).ok(),
            Some(token) => {
                output::note(&format!("there may be more: --all, or --page-token {token}"));
                break;
            }
            None => {
                note_pruned(page.minimum_index);
                break;
            }
        }
    }
    records.finish()?;
    Ok(Exit::Done)
}

/// Says that there is more than was looked at, if entries were pruned.
pub(crate) fn note_pruned(minimum_index: u64) {
    if minimum_index > 0 {
        output::note(&format!("entries below {minimum_index} were pruned: they are in the log's archive alone"));
    }
}

fn parse_page_size(text: &str) -> Result<u32, &'static str> {
    text.parse().ok().filter(|size| (1..=1000).contains(size)).ok_or("must be 1 to 1000")
}

/// The token to look for: `-` stands for one line of standard input.
fn read_token(given: String) -> Result<TokenText, Failure> {
    if given != "-" {
        return Ok(TokenText::new(given));
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::usage("there is no token on standard input")),
        token => Ok(TokenText::new(token.to_owned())),
    }
}

/// Which log's checkpoint.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CheckpointArguments {
    /// The region whose log is asked; `node` for the node's own log
    #[arg(long, value_parser = parse_log)]
    pub(crate) region: LogName,
    /// Check the signature by this key, which you got by another way: ORIGIN+ID+KEY, or a file with it
    #[arg(long, value_name = "KEY|FILE", value_parser = parse_key)]
    pub(crate) verifier_key: Option<VerifierKey>,
    /// Have the log prove that it goes on from this checkpoint, which you kept: nothing was altered or dropped since
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

pub(crate) async fn checkpoint(arguments: CheckpointArguments) -> Result<Exit, Failure> {
    let client = arguments.connection.connect().await?;
    let pinned = arguments.verifier_key.as_ref();
    let verified = match &arguments.since {
        None => client.checkpoint(&arguments.region, pinned).await?,
        Some(path) => {
            let note = small_file::read(path, small_file::CHECKPOINT_BYTES_MAX);
            let note = note.map_err(|error| Failure::file(path, error))?;
            let stated = client.checkpoint(&arguments.region, pinned).await?;
            let since = Checkpoint::open(&note, &stated.verifier_key).map_err(ClientError::CheckpointRefuted)?;
            let grown = client.prove_growth(&arguments.region, &since, Some(&stated.verifier_key)).await?;
            let VerifiedCheckpoint { witnessed, minimum_index, .. } = stated;
            VerifiedCheckpoint { witnessed, minimum_index, ..grown }
        }
    };
    let mut out = output::stdout();
    match arguments.output.form() {
        // The note alone, so that it can be redirected into a file and checked by other programs.
        Output::Table => write!(out, "{}", verified.note)?,
        form => {
            let checkpoint = &verified.checkpoint;
            let record = json!({
                "origin": checkpoint.origin.as_str(),
                "size": checkpoint.head.size.0,
                "root": hex(&checkpoint.head.root.0),
                "note": verified.note,
                "verifier_key": verified.verifier_key.to_string(),
                "verifier_key_pinned": pinned.is_some(),
                "goes_on_from_since": arguments.since.is_some(),
                "witnessed_note": verified.witnessed,
                "minimum_index": verified.minimum_index,
            });
            output::write_summary(&mut out, form, &record)?;
        }
    }
    out.flush()?;
    if let Some(path) = &arguments.since {
        output::note(&format!("the log goes on from the checkpoint in {}", path.display()));
    }
    match pinned {
        Some(_) => output::note("the signature is that of the key you gave"),
        None => output::note(&format!(
            "the signature is that of the key the vault states itself; keep it, and check by it from now on:\n  {}",
            verified.verifier_key
        )),
    }
    Ok(Exit::Done)
}

fn parse_action(text: &str) -> Result<Action, String> {
    let names = || Action::ALL.iter().map(|action| action.name()).collect::<Vec<_>>().join(", ");
    Action::parse(text).ok_or_else(|| format!("must be one of {}", names()))
}

fn parse_decision(text: &str) -> Result<Decision, String> {
    Decision::parse(text).ok_or_else(|| "must be allowed, denied or failed".to_owned())
}

fn parse_reason(text: &str) -> Result<Reason, &'static str> {
    Reason::parse(text).ok_or("must be a reason's name, as docs/ERRORS.md lists them: ACCESS_DENIED, TOKEN_UNKNOWN, …")
}

fn parse_request_id(text: &str) -> Result<RequestId, &'static str> {
    RequestId::parse(text).ok_or("must be 32 lowercase hex digits")
}

pub(crate) fn parse_log(text: &str) -> Result<LogName, vault_domain::IdError> {
    if text == LogName::Node.to_string() { Ok(LogName::Node) } else { Region::parse(text).map(LogName::Region) }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use vault_client::{AccessLogEntry, AccessLogItems};

    use super::*;

    fn entry() -> AccessLogEntry {
        let items = |class: &str, outcome: &str, count| AccessLogItems {
            data_class: class.to_owned(),
            outcome: outcome.to_owned(),
            count,
            record_numbers: vec![7],
            token_hashes: vec![vec![0xab; 16]],
            level: if outcome == "ok" { "masked" } else { "" }.to_owned(),
        };
        AccessLogEntry {
            log_time_ms: 1_795_343_400_123,
            items: vec![items("card_number", "ok", 3), items("email", "TOKEN_UNKNOWN", 1)],
            count: 1,
            ..AccessLogEntry::default()
        }
    }

    #[test]
    fn an_entry_is_shown_whole() {
        let json = entry_json(&entry());
        assert_eq!(json.pointer("/time").unwrap(), "2026-11-22T10:30:00.123Z");
        assert_eq!(json.pointer("/items/0/record_numbers/0").unwrap(), 7);
        assert_eq!(json.pointer("/items/0/level").unwrap(), "masked");
        assert_eq!(json.pointer("/items/1/token_hashes/0").unwrap(), &Value::String("ab".repeat(16)));
        for (_, pointer) in COLUMNS {
            assert!(json.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn a_log_is_a_regions_or_the_nodes() {
        assert_eq!(parse_log("node"), Ok(LogName::Node));
        assert_eq!(parse_log("eu"), Ok(LogName::Region(Region::parse("eu").unwrap())));
        assert!(parse_log("EU").is_err());
    }
}
