//! Reads logs for a report: the range first, then a checkpoint that covers it, then for each entry that is cited its
//! bytes and a proof under that one checkpoint. Each question for entries is itself an entry of the log.

use std::collections::{BTreeMap, BTreeSet};

use vault_client::{AccessLogEntry, AccessLogQuery, Client, LogName, VerifiedCheckpoint};
use vault_domain::{AccessLogFilter, LogIndex, Millis, Purpose, Reference, Region, TokenText};
use vault_ledger::{LedgerError, LogProof, TreeHash, VerifierKey};

use super::{
    document::{Asked, LogRead, Row},
    facts::place_of,
};
use crate::{
    audit::note_pruned,
    exit::{Exit, Failure},
    items::hex,
};

/// Entries that one report counts at most: they are held in memory.
const ROWS_MAX: usize = 50_000;
/// Entries that one report cites at most: each takes a question, which is an entry.
const CITED_MAX: usize = 10_000;
/// Entries that were not shown and are asked for one by one at most, to find those of nobody.
const UNSHOWN_MAX: usize = 1000;
/// The most entries of a page.
const PAGE_ENTRIES: u32 = 1000;

/// Who asks, why, and about which time.
pub(crate) struct Collector<'a> {
    pub(crate) client: &'a Client,
    pub(crate) purpose: Option<&'a Purpose>,
    pub(crate) reference: Option<&'a Reference>,
    pub(crate) from: Option<Millis>,
    pub(crate) until: Option<Millis>,
    pub(crate) keys: &'a [VerifierKey],
}

/// What was read of a log.
pub(crate) struct Collected {
    pub(crate) log: LogRead,
    pub(crate) checkpoint: VerifiedCheckpoint,
    pub(crate) rows: Vec<Row>,
    /// Bytes of entries that had to be asked for.
    bytes: BTreeMap<u64, Vec<u8>>,
}

/// A range of a log as it was read.
struct Scanned {
    first: u64,
    end: u64,
    shown: Option<u64>,
    of_nobody: Option<u64>,
    rows: Vec<Row>,
    bytes: BTreeMap<u64, Vec<u8>>,
}

impl Collector<'_> {
    /// Reads every entry of the range, and counts those that are asked for.
    pub(crate) async fn read(&self, region: &Region, asked: &Asked) -> Result<Collected, Failure> {
        let first = self.first(region).await?;
        let mut tail = self.client.tail_access_log(self.question(region), Some(first));
        let (mut rows, mut shown, mut end) = (Vec::new(), BTreeSet::new(), None);
        let end = loop {
            let step = tail.next().await?;
            let mut end = *end.get_or_insert(step.log_size);
            for entry in step.entries {
                let row = row(region, entry, Vec::new())?;
                // Log time does not run backwards: behind the first entry that is too late there is none of the time.
                if self.until.is_some_and(|until| row.entry.log_time_ms >= until.0) {
                    end = end.min(row.index);
                }
                if row.index < end {
                    shown.insert(row.index);
                    if asked.keeps(&row.entry) {
                        push(&mut rows, row)?;
                    }
                }
            }
            if step.next_index >= end {
                break end.max(first);
            }
        };
        let mut scanned =
            Scanned { first, end, shown: Some(shown.len() as u64), of_nobody: None, rows, bytes: BTreeMap::new() };
        if matches!(asked, Asked::Pci(_)) {
            let unshown: Vec<u64> = (first..end).filter(|index| !shown.contains(index)).take(UNSHOWN_MAX + 1).collect();
            if unshown.len() <= UNSHOWN_MAX {
                self.read_of_nobody(region, &unshown, &mut scanned).await?;
            }
        }
        self.sign(region, scanned).await
    }

    /// Reads the entries of the range that concern these tokens, each under its place from 1.
    pub(crate) async fn read_tokens(
        &self,
        region: &Region,
        asked: &Asked,
        tokens: &[TokenText],
    ) -> Result<Collected, Failure> {
        let first = self.first(region).await?;
        let mut end = self.bound(region, self.until).await?;
        let Asked::Subject(class, _) = asked else { return Err(Failure::usage("tokens are of a subject")) };
        let mut found: BTreeMap<u64, Row> = BTreeMap::new();
        for (place, token) in (1..).zip(tokens) {
            let mut query = self.question(region);
            query.page_size = Some(PAGE_ENTRIES);
            query.filter = AccessLogFilter {
                from: self.from,
                until: self.until,
                data_class: Some(class.clone()),
                token: Some(TokenText::new(token.expose().to_owned())),
                ..AccessLogFilter::default()
            };
            loop {
                let page = self.client.query_access_log(&query).await?;
                let end = *end.get_or_insert(page.log_size);
                for entry in page.entries {
                    let row = row(region, entry, vec![place])?;
                    if row.index >= end {
                        continue;
                    }
                    if found.len() >= ROWS_MAX && !found.contains_key(&row.index) {
                        return Err(too_many(ROWS_MAX));
                    }
                    let known = found.entry(row.index).or_insert(row);
                    if known.tokens.last() != Some(&place) {
                        known.tokens.push(place);
                    }
                }
                query.page_token = page.next_page_token;
                if query.page_token.is_none() {
                    break;
                }
            }
        }
        let (end, rows) = (end.unwrap_or_default().max(first), found.into_values().collect());
        self.sign(region, Scanned { first, end, shown: None, of_nobody: None, rows, bytes: BTreeMap::new() }).await
    }

    /// The tenant of who asks: that of every entry that it is shown, such as the ones of these questions.
    pub(crate) async fn tenant(&self, region: &Region) -> Result<String, Failure> {
        let newest = self.newest(region, None).await?;
        newest.map(|entry| entry.tenant).filter(|tenant| !tenant.is_empty()).ok_or_else(|| {
            Failure::new(Exit::Failure, "the log shows no entry of the caller: its tenant can't be told")
        })
    }

    /// The bytes of the entries that are cited, with their proofs: of each kind of example the first so many, or all.
    pub(crate) async fn cite(
        &self,
        asked: &Asked,
        examples: Option<usize>,
        collected: &mut [Collected],
    ) -> Result<Vec<(String, LogProof)>, Failure> {
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        let mut cited = 0;
        for row in collected.iter_mut().flat_map(|log| &mut log.rows) {
            let kinds = asked.examples_of(row);
            row.is_proved = kinds.is_empty()
                || examples.is_none_or(|examples| {
                    kinds.iter().any(|kind| counted.get(kind).copied().unwrap_or_default() < examples)
                });
            if row.is_proved {
                cited += 1;
                kinds.into_iter().for_each(|kind| *counted.entry(kind).or_default() += 1);
            }
        }
        if cited > CITED_MAX {
            return Err(too_many(CITED_MAX));
        }
        let mut proofs = Vec::new();
        for log in collected {
            for row in log.rows.iter().filter(|row| row.is_proved) {
                let bytes = log.bytes.remove(&row.index);
                proofs.push((row.proof_file(), self.prove(row, bytes, &log.checkpoint).await?));
            }
        }
        Ok(proofs)
    }

    async fn prove(&self, row: &Row, known: Option<Vec<u8>>, under: &VerifiedCheckpoint) -> Result<LogProof, Failure> {
        let refuted = || Failure::from(vault_client::ClientError::ProofRefuted(LedgerError::InclusionRefuted));
        let (index, log) = (LogIndex(row.index), LogName::Region(row.region.clone()));
        let (_, _, leaf) = place_of(&row.entry).ok_or_else(refuted)?;
        let leaf = TreeHash(leaf);
        let bytes = match known {
            Some(bytes) => bytes,
            None => {
                let found = self.client.log_entry(&row.region, index, self.purpose, self.reference).await?;
                let (_, bytes) = found.shown.filter(|_| found.leaf == leaf).ok_or_else(refuted)?;
                bytes
            }
        };
        Ok(self.client.prove_entry_under(&log, index, &leaf, under).await?.into_file(Some(bytes)))
    }

    /// Asks for the entries that were not shown: those that belong to nobody are given to every reader of the log.
    async fn read_of_nobody(&self, region: &Region, unshown: &[u64], scanned: &mut Scanned) -> Result<(), Failure> {
        let mut found = 0;
        for index in unshown {
            let entry = self.client.log_entry(region, LogIndex(*index), self.purpose, self.reference).await?;
            let Some((entry, bytes)) = entry.shown else { continue };
            let time = Millis(entry.log_time_ms);
            if self.from.is_some_and(|from| time < from) || self.until.is_some_and(|until| time >= until) {
                continue;
            }
            push(&mut scanned.rows, row(region, entry, Vec::new())?)?;
            scanned.bytes.insert(*index, bytes);
            found += 1;
        }
        scanned.rows.sort_by_key(|row| row.index);
        scanned.of_nobody = Some(found);
        Ok(())
    }

    /// Has the range covered by a signed checkpoint.
    async fn sign(&self, region: &Region, scanned: Scanned) -> Result<Collected, Failure> {
        let checkpoint = self.client.checkpoint(&LogName::Region(region.clone()), self.pinned(region)).await?;
        let Scanned { first, end, shown, of_nobody, rows, bytes } = scanned;
        let head = &checkpoint.checkpoint.head;
        if head.size.0 < end {
            let problem = "the newest checkpoint does not cover what was read: ask again";
            return Err(Failure::new(Exit::Failure, format!("{region}: {problem}")));
        }
        let log = LogRead {
            region: region.clone(),
            origin: checkpoint.checkpoint.origin.to_string(),
            verifier_key: checkpoint.verifier_key.to_string(),
            size: head.size.0,
            root: hex(&head.root.0),
            first,
            end,
            shown,
            of_nobody,
        };
        Ok(Collected { log, checkpoint, rows, bytes })
    }

    /// Where the range begins. What was pruned of it is told: the report begins behind that.
    async fn first(&self, region: &Region) -> Result<u64, Failure> {
        let bound = self.bound(region, self.from).await?.unwrap_or_default();
        let checkpoint = self.client.checkpoint(&LogName::Region(region.clone()), self.pinned(region)).await?;
        let minimum = checkpoint.minimum_index.unwrap_or_default();
        if bound < minimum {
            note_pruned(minimum);
        }
        Ok(bound.max(minimum))
    }

    fn pinned(&self, region: &Region) -> Option<&VerifierKey> {
        self.keys.iter().find(|key| key.origin().as_str().split('/').nth(2) == Some(region.as_str()))
    }

    /// Behind the newest entry before a time: no entry before it that the caller is shown is of the time or later.
    async fn bound(&self, region: &Region, time: Option<Millis>) -> Result<Option<u64>, Failure> {
        let Some(time) = time else { return Ok(None) };
        let newest = self.newest(region, Some(time)).await?;
        Ok(Some(newest.as_ref().and_then(place_of).map_or(0, |(_, index, _)| index + 1)))
    }

    async fn newest(&self, region: &Region, until: Option<Millis>) -> Result<Option<AccessLogEntry>, Failure> {
        let filter = AccessLogFilter { until, ..AccessLogFilter::default() };
        let mut query = AccessLogQuery { filter, page_size: Some(1), ..self.question(region) };
        loop {
            let page = self.client.query_access_log(&query).await?;
            query.page_token = page.next_page_token;
            match page.entries.into_iter().next() {
                None if query.page_token.is_some() => {}
                found => return Ok(found),
            }
        }
    }

    fn question(&self, region: &Region) -> AccessLogQuery {
        let (purpose, reference) = (self.purpose.cloned(), self.reference.cloned());
        AccessLogQuery { purpose, reference, ..AccessLogQuery::all(region.clone()) }
    }
}

fn push(rows: &mut Vec<Row>, row: Row) -> Result<(), Failure> {
    if rows.len() >= ROWS_MAX {
        return Err(too_many(ROWS_MAX));
    }
    rows.push(row);
    Ok(())
}

fn too_many(max: usize) -> Failure {
    let what = "entries are more than one report holds: ask for a shorter time by --from and --until, or for less by \
                --examples";
    Failure::usage(format!("{max} {what}"))
}

fn row(region: &Region, entry: AccessLogEntry, tokens: Vec<u64>) -> Result<Row, Failure> {
    let (_, index, _) = place_of(&entry)
        .ok_or_else(|| Failure::new(Exit::Failure, "the vault gave an entry without its place in the log"))?;
    Ok(Row { region: region.clone(), index, entry, is_proved: false, tokens })
}
