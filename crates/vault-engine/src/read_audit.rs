//! Reading the log: who saw what, when and why. To ask is itself an entry, which is on disk before the answer leaves.

mod count;
pub(crate) mod export;
mod index;
mod page_token;
mod prove;
mod single;
mod tail;

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use vault_catalog::Format;
use vault_domain::{
    AccessLogFilter, Action, Audience, Clock, CountBy, DataClass, Decision, LogIndex, Millis, PrincipalId, Purpose,
    Reason, Reference, Region, Tenant, TokenText, limits,
};
use vault_format::OpaqueToken;
use vault_journal::Receipt;
use vault_keys::{Opening, RegionKeys};
use vault_ledger::{
    Entry, EntryOpener, ItemFilter, People, PeopleQuery, Query, SPAN_RUNS, SUMMARY_ENTRIES, SealedPart, TokenHash,
    TreeHash, leaf_hash, log_time, sealed_part,
};
use vault_policy::{Log, PolicyId};
use vault_store::{
    Direction, Reader,
    table::{Entries, RunNumber, Tokens},
    wait,
};

use self::index::{InSpan, Indexed};
use crate::{
    Engine,
    authorize::authorize_log,
    budget::Allowance,
    call::Call,
    enter::Scope,
    error::Error,
    evidence::Evidence,
    token::{as_issued, record_number_row},
};

pub use count::{AccessLogCounts, Count};
pub use export::{Export, ExportRange, ExportStep, SignedExport};
pub use page_token::PageToken;
pub(crate) use prove::newest;
pub use prove::{Newest, ProvedConsistency, ProvedInclusion};
pub use single::{EntryAnswer, EntryQuery};
pub use tail::{Tail, TailStep};

/// A question to the log of a region.
#[derive(Debug)]
pub struct AccessLogQuery {
    /// Whose log.
    pub region: Region,
    /// Why.
    pub purpose: Option<Purpose>,
    /// The caller's reference.
    pub reference: Option<Reference>,
    /// Which entries.
    pub filter: AccessLogFilter,
    /// Whether the oldest come first.
    pub oldest_first: bool,
    /// Entries in the page, 1 to `limits::QUERY_PAGE_ENTRIES_MAX`.
    pub page_size: usize,
    /// Where the page begins, as the page before said it.
    pub page_token: Option<String>,
}

/// One entry of an answer.
#[derive(Debug)]
pub struct FoundEntry {
    /// Where it stands in the log.
    pub index: LogIndex,
    /// Its leaf hash.
    pub leaf: TreeHash,
    /// Its open part.
    pub entry: Entry,
    /// Its people part, opened.
    pub people: Option<People>,
}

impl FoundEntry {
    /// Opens an entry of the tenant.
    fn open(
        keys: &RegionKeys,
        tenant: &Tenant,
        index: LogIndex,
        (bytes, entry): (&[u8], Entry),
    ) -> Result<Self, Error> {
        let people = match &entry.people {
            SealedPart::None => None,
            SealedPart::Clear(people) => Some((**people).clone()),
            SealedPart::Sealed(sealed) => Some(keys.open(tenant, &entry.head.salt, sealed)?),
        };
        Ok(Self { index, leaf: leaf_hash(bytes), entry, people })
    }
}

/// A page of entries, in the order that was asked for.
#[derive(Debug)]
pub struct AccessLogPage {
    /// The entries.
    pub entries: Vec<FoundEntry>,
    /// For the next page, if there is one.
    pub next_page_token: Option<String>,
    /// The size of the log that the answer was taken from.
    pub log_size: u64,
    /// Entries below this index were pruned, and are not in the answer.
    pub minimum_index: u64,
    /// Where the log holds the entry of this question.
    pub receipt: Receipt,
}

impl Engine {
    /// Asks the log of a region.
    ///
    /// # Errors
    /// When the call is refused; the refusal is in the log then, if the log takes entries.
    pub async fn query_access_log(&self, call: &Call, query: AccessLogQuery) -> Result<AccessLogPage, Error> {
        let region = query.region.clone();
        let (page, receipt) = self.ask_log(call, query, None, Search::run).await?;
        let (Page { entries, next_page_token, log_size }, minimum_index) = (page, self.minimum_index(&region));
        Ok(AccessLogPage { entries, next_page_token, log_size, minimum_index, receipt })
    }

    /// The minimum index of a region's log as it is by now: what was pruned while a question was answered counts too.
    fn minimum_index(&self, region: &Region) -> u64 {
        self.regions.get(region).map_or(0, |vault| vault.journal.minimum_index())
    }

    /// Decides on a question, has it answered on a thread that may block, and writes its entry before the answer may
    /// leave. `counted` tells the pages of counts from those of entries.
    ///
    /// # Errors
    /// When the question is refused, which is in the log then, if the log takes entries.
    async fn ask_log<T: Send + 'static>(
        &self,
        call: &Call,
        query: AccessLogQuery,
        counted: Option<Option<CountBy>>,
        answer: impl FnOnce(Search) -> Result<T, Error> + Send + 'static,
    ) -> Result<(T, Receipt), Error> {
        let region = query.region.clone();
        let rules = self.rules();
        let mut scope = self.enter(&rules, call, Action::QueryAccessLog, &region).await?;
        let (purpose, reference) = (query.purpose.clone(), query.reference.clone());
        let mut asked = scope.evidence(call, Action::QueryAccessLog);
        asked.purpose = purpose.as_ref();
        asked.reference = reference.as_ref();
        let (tenant, deciding) = self.admit_to_log(&mut scope, &asked, &region).await?;
        asked.policies = &deciding;
        let search = Search::new(&scope, tenant, query, counted, (self.clock.clone(), call.deadline)).await;
        let slot = self.searches.clone().acquire_owned().await.map_err(|_| Reason::ShuttingDown)?;
        let found = match search {
            // A page can read a million entries: not on a thread that serves other calls. The slot goes with it, for
            // the search goes on when its caller is gone.
            Ok(search) => {
                let searching = move || {
                    let found = answer(search);
                    drop(slot);
                    found
                };
                tokio::task::spawn_blocking(searching).await.map_err(|error| Error::because(Reason::Internal, error))?
            }
            Err(error) => Err(error),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return Err(self.refuse(&scope, &asked, error).await),
        };
        call.check_deadline(&*self.clock)?;
        let receipt = self.record(&scope, &asked).await?;
        call.check_deadline(&*self.clock)?;
        Ok((found, receipt))
    }

    /// Decides on a question to a region's log before anything is read: whose entries may be shown, and the policies
    /// that say so.
    ///
    /// # Errors
    /// When the question is refused, which is in the log then.
    async fn admit_to_log(
        &self,
        scope: &mut Scope<'_>,
        asked: &Evidence<'_>,
        region: &Region,
    ) -> Result<(Tenant, Vec<PolicyId>), Error> {
        if let Err(error) = self.judge_freshness(scope, asked.call, asked.action) {
            return Err(self.refuse(scope, asked, error).await);
        }
        let (log, now) = (Log::Region(region), self.clock.wall());
        let (policies, account) = (&scope.rules.policies, scope.account);
        let (permit, deciding) = authorize_log(policies, asked.call, account, asked.action, log, asked.purpose, now);
        let decided = Evidence { policies: &deciding, ..*asked };
        let admitted = permit.and_then(|permit| asked.call.check_deadline(&*self.clock).map(|()| permit));
        match admitted {
            Ok(permit) => Ok((permit.tenant().clone(), deciding)),
            Err(error) => Err(self.refuse(scope, &decided, error).await),
        }
    }

    /// Writes the entry of a question that was answered.
    async fn record(&self, scope: &Scope<'_>, asked: &Evidence<'_>) -> Result<Receipt, Error> {
        self.try_in_turn(scope, asked, || self.try_record(scope, asked)).await
    }

    async fn try_record(&self, scope: &Scope<'_>, asked: &Evidence<'_>) -> Result<Receipt, Error> {
        let vault = scope.vault;
        let mut random = vault_crypto::CallRandom::seeded(&*self.entropy)?;
        let (mut draft, snapshot) = scope.draft(&*self.clock, &Allowance::default()).await?;
        drop(snapshot);
        let sealing = vault.keys.sealing(&mut random, &mut draft.batch)?;
        let entry = asked.seal(&vault.keys, &sealing, &mut random, &*self.clock)?;
        let receipt = draft.commit(&vault.journal, entry).await?;
        vault.keys.committed(&sealing);
        Ok(receipt)
    }
}

/// A page before its receipt.
struct Page {
    entries: Vec<FoundEntry>,
    next_page_token: Option<String>,
    log_size: u64,
}

/// What is looked for, and with what it is found.
struct Finder {
    reader: Reader,
    keys: Arc<RegionKeys>,
    tenant: Tenant,
    query: Query,
    people: PeopleQuery,
    /// Locked by nobody but the one thread that searches.
    opening: Mutex<Opening>,
}

/// A question, ready to be answered on a thread of its own.
struct Search {
    finder: Finder,
    oldest_first: bool,
    page_size: usize,
    /// Entries that are still to be looked at.
    left: Range<u64>,
    size: u64,
    indexed: Indexed,
    in_span: InSpan,
    /// The span whose entries were found not to be counted by its row.
    untold: Option<u64>,
    fingerprint: [u8; 8],
    clock: Arc<dyn Clock>,
    deadline: Duration,
}

impl Search {
    async fn new(
        scope: &Scope<'_>,
        tenant: Tenant,
        asked: AccessLogQuery,
        counted: Option<Option<CountBy>>,
        (clock, deadline): (Arc<dyn Clock>, Duration),
    ) -> Result<Self, Error> {
        let vault = scope.vault;
        let (reader, keys) = (vault.reader.clone(), vault.keys.clone());
        let fingerprint = fingerprint(&keys, &tenant, &asked, counted);
        let size = vault.journal.size();
        let left = match &asked.page_token {
            Some(text) => PageToken::parse(text).and_then(|page| page.of(fingerprint)).filter(|left| left.end <= size),
            None => Some(0..size),
        };
        let mut left = left.ok_or(Reason::PageTokenInvalid)?;
        left.start = left.start.max(vault.journal.minimum_index()).min(left.end);
        let filter = asked.filter;
        let items = match (&filter.token, &filter.data_class) {
            (None, _) => None,
            (Some(token), Some(class)) => Some(items(&reader, &keys, &tenant, class, token).await?),
            (Some(_), None) => return Err(Error::field("filter.data_class", "must be named when a token is")),
        };
        let query = Query {
            from: filter.from,
            until: filter.until,
            tenants: Some(vec![keys.tenant_tag(&tenant)]),
            principals: filter.principal.as_ref().map(|principal| vec![keys.principal_tag(&tenant, principal)]),
            action: filter.action,
            decision: filter.decision,
            data_class: filter.data_class,
            items,
            audience: filter.audience,
            purpose: filter.purpose,
            reason: filter.reason,
            request_id: filter.request_id,
        };
        let people = PeopleQuery { source: filter.source, reference: filter.reference };
        let finder = Finder { reader, keys, tenant, query, people, opening: Mutex::default() };
        let (indexed, in_span) = (Indexed::now(&vault.journal), InSpan::default());
        let page_size = asked.page_size.clamp(1, limits::QUERY_PAGE_ENTRIES_MAX);
        let oldest_first = asked.oldest_first;
        let untold = None;
        Ok(Self { finder, oldest_first, page_size, left, size, indexed, in_span, untold, fingerprint, clock, deadline })
    }

    fn run(mut self) -> Result<Page, Error> {
        let (mut entries, mut cost) = (Vec::new(), 0_u64);
        self.narrow()?;
        while !self.left.is_empty() && entries.len() < self.page_size && cost < limits::QUERY_SCAN_ENTRIES_MAX {
            if self.clock.monotonic() >= self.deadline {
                return Err(Error::new(Reason::DeadlineExceeded));
            }
            let run = self.next_run();
            let glance = self.finder.glance(run_number(run.start), self.indexed, &mut self.in_span)?;
            cost += glance.rows * ROW_COST;
            if glance.skips {
                self.looked_at(&run);
                continue;
            }
            let (places, rows) = self.finder.places(&run, self.indexed, &mut self.in_span)?;
            cost += rows * ROW_COST;
            let each = if self.finder.people.is_empty() { 1 } else { OPENED_COST };
            match places.filter(|places| places.len() < FEW) {
                Some(places) => {
                    cost += places.len() as u64 * (FOUND_COST + each);
                    self.read_places(&run, &places, &mut entries)?;
                }
                None => {
                    cost += (run.end - run.start) * each;
                    self.read_run(run, &mut entries)?;
                }
            }
        }
        let next_page_token = self.next_page_token();
        Ok(Page { entries, next_page_token, log_size: self.size })
    }

    /// Where the next page begins, if there is one.
    fn next_page_token(&self) -> Option<String> {
        (!self.left.is_empty()).then(|| PageToken::new(self.left.clone(), self.fingerprint).to_string())
    }

    /// Leaves out what is older or newer than all that is asked for. Log time never runs backwards, so a bound of time
    /// is a bound of indexes, which halving finds.
    fn narrow(&mut self) -> Result<(), Error> {
        let (from, until) = (self.finder.query.from, self.finder.query.until);
        if let Some(from) = from {
            self.left.start = self.first_at(from)?;
        }
        if let Some(until) = until {
            self.left.end = self.first_at(until)?;
        }
        Ok(())
    }

    /// The first of the entries that are left whose log time is at or after `time`; their end if there is none.
    fn first_at(&self, time: Millis) -> Result<u64, Error> {
        let snapshot = self.finder.reader.snapshot();
        let Range { start: mut before, end: mut after } = self.left;
        while before < after {
            let middle = before + (after - before) / 2;
            // Absent is what was pruned since the search began.
            let entry = wait(snapshot.get(Entries, &LogIndex(middle)))?.ok_or(Reason::EntryPruned)?;
            if log_time(&entry)? < time { before = middle + 1 } else { after = middle }
        }
        Ok(before.min(after))
    }

    /// What is left of the run that comes next.
    fn next_run(&self) -> Range<u64> {
        if self.oldest_first {
            self.left.start..run_end(self.left.start).min(self.left.end)
        } else {
            let start = run_number(self.left.end - 1).0 * RUN;
            start.max(self.left.start)..self.left.end
        }
    }

    /// Notes that these entries, which come next, were looked at.
    fn looked_at(&mut self, entries: &Range<u64>) {
        if self.oldest_first {
            self.left.start = entries.end;
        } else {
            self.left.end = entries.start;
        }
    }

    /// Reads entries of one run, as far as the page has room.
    fn read_run(&mut self, run: Range<u64>, entries: &mut Vec<FoundEntry>) -> Result<(), Error> {
        let reader = self.finder.reader.clone();
        let snapshot = reader.snapshot();
        let range = LogIndex(run.start)..LogIndex(run.end);
        // The engine goes forward twice as fast as backward. A scan ends early when the entries are large.
        let limit = usize::from(SUMMARY_ENTRIES);
        let mut rows = wait(snapshot.scan(Entries, range.clone(), Direction::Forward, limit))?;
        let mut in_order: Vec<_> = rows.iter().collect();
        if !self.oldest_first {
            if rows.more() {
                rows = wait(snapshot.scan(Entries, range, Direction::Backward, limit))?;
                in_order = rows.iter().collect();
            } else {
                in_order.reverse();
            }
        }
        for (index, bytes) in in_order {
            if entries.len() >= self.page_size {
                return Ok(());
            }
            self.looked_at(&(index.0..index.0 + 1));
            entries.extend(self.finder.take(*index, bytes)?);
        }
        if rows.is_empty() {
            self.looked_at(&run);
        }
        Ok(())
    }

    /// Reads those entries of a run, rising, that could be asked for, as far as the page has room.
    fn read_places(&mut self, run: &Range<u64>, places: &[u64], entries: &mut Vec<FoundEntry>) -> Result<(), Error> {
        let mut places: Vec<LogIndex> = places.iter().map(|place| LogIndex(*place)).collect();
        if !self.oldest_first {
            places.reverse();
        }
        let reader = self.finder.reader.clone();
        let rows = wait(reader.snapshot().get_many(Entries, &places))?;
        for (index, bytes) in places.iter().zip(rows.iter()) {
            if entries.len() >= self.page_size {
                return Ok(());
            }
            self.looked_at(&(index.0..index.0 + 1));
            // Absent is what was pruned since the search began.
            if let Some(bytes) = bytes {
                entries.extend(self.finder.take(*index, bytes)?);
            }
        }
        self.looked_at(run);
        Ok(())
    }
}

impl Finder {
    /// The entry, if it is asked for. What can be told without taking it apart is, and what can be told without opening
    /// it, so that none is opened but those of the tenant that meet everything else.
    fn asked_for(&self, bytes: &[u8]) -> Result<Option<Entry>, Error> {
        if !self.query.may_match_bytes(bytes) || !self.is_of_people(bytes)? {
            return Ok(None);
        }
        let entry = Entry::decode(bytes)?;
        Ok(self.query.matches(&entry).then_some(entry))
    }

    /// Whether what only an opened entry shows is as it is asked for.
    fn is_of_people(&self, bytes: &[u8]) -> Result<bool, Error> {
        if self.people.is_empty() {
            return Ok(true);
        }
        let Some((salt, sealed)) = sealed_part(bytes)? else { return Ok(false) };
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let body = self.keys.open_next(&self.tenant, &salt, &sealed, &mut opening)?;
        Ok(self.people.matches_body(body)?)
    }

    /// The entry, opened, if it is asked for.
    fn take(&self, index: LogIndex, bytes: &[u8]) -> Result<Option<FoundEntry>, Error> {
        let entry = self.asked_for(bytes)?;
        entry.map(|entry| FoundEntry::open(&self.keys, &self.tenant, index, (bytes, entry))).transpose()
    }
}

/// What to look at a summary costs, of what a page may: as much as to read so many entries.
const ROW_COST: u64 = 4;
/// The same of an entry that is opened.
const OPENED_COST: u64 = 4;
/// What it costs more to find an entry by its index than to read it with its neighbours.
const FOUND_COST: u64 = 8;
/// Entries of a run of which fewer are found by their indexes; of more the run is read.
const FEW: usize = 24;
/// Entries that a summary is about.
const RUN: u64 = SUMMARY_ENTRIES as u64;
/// Entries that the rows of a span are about.
const SPAN: u64 = RUN * SPAN_RUNS as u64;

/// The run that an entry is in.
fn run_number(index: u64) -> RunNumber {
    RunNumber(index / RUN)
}

/// Where the run that an entry is in ends.
fn run_end(index: u64) -> u64 {
    (index / RUN + 1).saturating_mul(RUN)
}

/// What a token can stand as in the log: the number of its record, or its keyed hash.
async fn items(
    reader: &Reader,
    keys: &RegionKeys,
    tenant: &Tenant,
    class: &DataClass,
    token: &TokenText,
) -> Result<ItemFilter, Error> {
    let class = keys.class(tenant, class);
    let by_block = OpaqueToken::parse(token.expose()).ok().and_then(|token| class.record_number(token.block()));
    // As it was presented, and as a class of UUIDs would have issued it: which of the two it was is the class's affair,
    // whose format was perhaps another one then.
    let issued = as_issued(token.expose(), Some(Format::Uuid));
    let spellings = [token.expose(), &*issued];
    let rows = reader.snapshot().get_many(Tokens, &spellings.map(|text| class.token_lookup(text))).await?;
    let by_row = (0..spellings.len()).filter_map(|at| record_number_row(rows.get(at)?));
    Ok(ItemFilter {
        numbers: by_block.into_iter().chain(by_row).collect(),
        token_hashes: spellings.map(|text| TokenHash(keys.token_hash(tenant, text))).into(),
    })
}

/// What ties a page token to its question.
fn fingerprint(
    keys: &RegionKeys,
    tenant: &Tenant,
    asked: &AccessLogQuery,
    counted: Option<Option<CountBy>>,
) -> [u8; 8] {
    let filter = &asked.filter;
    let number = |time: Option<Millis>| time.map_or([0xFF; 8], |time| time.0.to_be_bytes());
    let (from, until) = (number(filter.from), number(filter.until));
    let (source, request) =
        (filter.source.map(|source| source.to_string()), filter.request_id.map(|id| id.to_string()));
    let counted = counted.map_or("entries", |by| by.map_or("sum", CountBy::name));
    let fields: [&[u8]; 16] = [
        tenant.as_str().as_bytes(),
        &from,
        &until,
        filter.principal.as_ref().map_or("", PrincipalId::as_str).as_bytes(),
        filter.action.map_or("", Action::name).as_bytes(),
        filter.decision.map_or("", Decision::name).as_bytes(),
        filter.data_class.as_ref().map_or("", DataClass::as_str).as_bytes(),
        filter.token.as_ref().map_or("", TokenText::expose).as_bytes(),
        filter.audience.as_ref().map_or("", Audience::as_str).as_bytes(),
        filter.purpose.as_ref().map_or("", Purpose::as_str).as_bytes(),
        filter.reference.as_ref().map_or("", Reference::as_str).as_bytes(),
        filter.reason.map_or("", Reason::name).as_bytes(),
        source.as_deref().unwrap_or_default().as_bytes(),
        request.as_deref().unwrap_or_default().as_bytes(),
        if asked.oldest_first { b"oldest" } else { b"newest" },
        counted.as_bytes(),
    ];
    let bytes = fields.iter().map(|field| field.len()).sum();
    let mut hash = crate::idempotency::RequestHash::with_capacity(fields.len(), bytes);
    hash.field(b"access log page");
    for field in fields {
        hash.field(field);
    }
    let [a, b, c, d, e, f, g, h, ..] = hash.finish(keys);
    [a, b, c, d, e, f, g, h]
}
