//! A log of millions of entries, made by a real journal in this process, into the data directory of a vault that serves
//! it afterwards. Entries are built, sealed and encoded as the engine does it, log time goes through a whole year, and
//! the index is built by the journal's own follower.
//!
//! What they are about is drawn so that it looks like the log of a company: few callers make most of the calls, few
//! tokens are used again and again, days are busier than nights. No values are stored: the log names record numbers,
//! and nothing here asks for more.

use std::{
    fs,
    num::NonZeroU32,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use vault_crypto::CallRandom;
use vault_domain::{
    Action, Audience, Clock, DataClass, Decision, ManualClock, Millis, PrincipalId, Purpose, Reason, RecordNumber,
    Reference, Region, RequestId, SystemClock, SystemEntropy, Tenant, VaultId,
};
use vault_format::OpaqueToken;
use vault_journal::{FIRST_LIFE, Journal, Parts, Running, Submission};
use vault_keys::{RegionKeys, RootKey, SealingCall};
use vault_ledger::{
    CertificateSha256, EntryBuilder, EntryHead, EntrySalt, EntrySealer, Origin, Outcome, People, PolicySetFingerprint,
    SUMMARY_ENTRIES, SealedPart, TokenHash,
};
use vault_store::{Batch, Identity, Memory, Options, Scope, Store, table::Records, wait};

use crate::{
    Failure,
    draw::Draw,
    site::{REGION, Site, VAULT},
};

/// Callers of the tenant that is asked for, by how much they call; those of every twentieth place are another tenant's.
pub const PRINCIPALS: u64 = 200;
/// The tenant that is asked for.
pub const TENANT: &str = "acme";
/// The class of the tokens that are asked for.
pub const CLASS: &str = "class-0";
/// An address that one call in 50,000 comes from.
pub const RARE_SOURCE: &str = "192.0.2.77";
/// A caller of one call in 100,000.
pub const RARE_PRINCIPAL: &str = "spiffe://dev.tokenvault.internal/yearly-report";

const OTHER_TENANT: &str = "globex";
const CLASSES: u64 = 12;
const AUDIENCES: u64 = 6;
const PURPOSES: u64 = 8;
const RARE_PRINCIPAL_EVERY: u64 = 100_000;
const RARE_SOURCE_EVERY: u64 = 50_000;
const RARE_REASON_EVERY: u64 = 20_000;
/// The reason of one call in 20,000.
pub const RARE_REASON: Reason = Reason::NonceReplayed;
/// What log time goes through.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// The newest entry is as old as this when the log is made.
const AGE: Duration = Duration::from_secs(3600);
/// Entries that are committed together, at one log time: 13 minutes of a log of 10,000,000.
const WAVE: u64 = 256;
/// Tokens whose texts are kept for questions, of each kind.
const TOKENS_KEPT: u64 = 200;
/// What is known of a log that was made.
const FACTS: &str = "log.json";

/// A log that was made.
#[derive(Clone, Debug)]
pub struct LongLog {
    /// Entries that were made; the vault adds its own.
    pub entries: u64,
    /// Log time of the first.
    pub first: Millis,
    /// Log time of the last.
    pub last: Millis,
    /// Tokens that were used more often than most.
    pub hot_tokens: Vec<String>,
    /// Tokens that were used once or a few times.
    pub cold_tokens: Vec<String>,
    /// How long the journal took for all of it.
    pub took: Duration,
    /// How long its index took after that.
    pub index_took: Duration,
}

/// The name of the principal at this place of how much they call.
#[must_use]
pub fn principal(place: u64) -> String {
    format!("spiffe://dev.tokenvault.internal/service-{place:03}")
}

/// Where calls of the principal at this place come from.
#[must_use]
pub fn source(place: u64, instance: u64) -> [u8; 4] {
    let byte = |number: u64| u8::try_from(number % 256).unwrap_or(0);
    [10, byte(place / 256), byte(place), byte(instance)]
}

/// The audience of the principal at this place.
#[must_use]
pub fn audience(place: u64) -> String {
    format!("audience-{}", place % AUDIENCES)
}

/// One of the two purposes of the principal at this place.
#[must_use]
pub fn purpose(place: u64, which: u64) -> String {
    format!("purpose-{}", (place + which * 3) % PURPOSES)
}

/// The reference with this number.
#[must_use]
pub fn reference(number: u64) -> String {
    format!("CASE-{number}")
}

impl LongLog {
    /// Makes a log of so many entries in the data directory of a site that no vault has served from yet; or takes the
    /// one that is there.
    ///
    /// # Errors
    /// When the store can't be made or written.
    pub fn make(site: &Site, entries: u64) -> Result<Self, Failure> {
        let file = site.folder().join(FACTS);
        if let Ok(facts) = fs::read(&file) {
            return Self::read(&serde_json::from_slice(&facts)?);
        }
        let log = Maker::open(site, entries)?.make()?;
        fs::write(&file, log.facts().to_string())?;
        Ok(log)
    }

    /// Log time that far into the log, from 0 to 1.
    #[must_use]
    pub fn time_at(&self, part: f64) -> Millis {
        let span = Duration::from_millis(self.last.0.saturating_sub(self.first.0));
        self.first.saturating_add(span.mul_f64(part.clamp(0.0, 1.0)))
    }

    fn facts(&self) -> Value {
        json!({
            "entries": self.entries, "first": self.first.0, "last": self.last.0, "hot": self.hot_tokens,
            "cold": self.cold_tokens, "took_s": self.took.as_secs_f64(), "index_took_s": self.index_took.as_secs_f64(),
        })
    }

    fn read(facts: &Value) -> Result<Self, Failure> {
        let number = |name: &str| facts.get(name).and_then(Value::as_u64).ok_or("the log's facts are damaged");
        let texts = |name: &str| {
            let list = facts.get(name).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let took = |name: &str| Duration::from_secs_f64(facts.get(name).and_then(Value::as_f64).unwrap_or(0.0));
        Ok(Self {
            entries: number("entries")?,
            first: Millis(number("first")?),
            last: Millis(number("last")?),
            hot_tokens: texts("hot"),
            cold_tokens: texts("cold"),
            took: took("took_s"),
            index_took: took("index_took_s"),
        })
    }
}

/// What a log is made with.
struct Maker {
    entries: u64,
    names: Names,
    keys: Arc<RegionKeys>,
    journal: Journal,
    running: Running,
    clock: ManualClock,
    first: Millis,
}

impl Maker {
    fn open(site: &Site, entries: u64) -> Result<Self, Failure> {
        let now = SystemClock::new().wall();
        let first = Millis(now.0.saturating_sub(u64::try_from((YEAR + AGE).as_millis())?));
        let clock = ManualClock::at(first);
        let (vault, region) = (VaultId::parse(VAULT)?, Region::parse(REGION)?);
        let options = Options {
            create: true,
            identity: Identity { vault: vault.clone(), scope: Scope::Region(region.clone()) },
            memory: Memory::default(),
            ballast_bytes: 0,
        };
        fs::create_dir_all(site.data())?;
        let mut store = Store::open(&site.data().join(REGION), &options)?;
        let root = RootKey::from_file(&site.root_key())?;
        store.writer.commit([&RegionKeys::create(&root, &vault, &region, &clock, &SystemEntropy)?])?;
        let shared = Arc::new(clock.clone());
        let keys = RegionKeys::open(&root, &vault, &region, &store.reader, shared.clone(), Arc::new(SystemEntropy));
        let keys = Arc::new(wait(keys)?);
        let Store { writer, reader, summaries, .. } = store;
        let (journal, running) = Journal::open(Parts {
            writer,
            free_bytes_min: 1 << 30,
            summaries,
            reader,
            origin: Origin::of_region(&vault, &region, FIRST_LIFE),
            signer: keys.clone(),
            clock: shared,
            known_outside: None,
        })?;
        Ok(Self { entries, names: Names::new(entries)?, keys, journal, running, clock, first })
    }

    /// Builds waves on one thread and commits them from another.
    fn make(self) -> Result<LongLog, Failure> {
        let real = SystemClock::new();
        let waves = self.entries.div_ceil(WAVE);
        let (sender, receiver) = mpsc::sync_channel::<Result<Wave, Failure>>(4);
        let mut last = self.first;
        thread::scope(|scope| {
            let maker = &self;
            scope.spawn(move || {
                for wave in 0..waves {
                    let built = maker.wave(wave, waves);
                    let failed = built.is_err();
                    if sender.send(built).is_err() || failed {
                        return;
                    }
                }
            });
            for wave in receiver {
                last = self.commit(wave?)?;
            }
            Ok::<_, Failure>(())
        })?;
        let took = real.monotonic();
        let whole = self.entries - self.entries % u64::from(SUMMARY_ENTRIES);
        while self.journal.index_progress().entries() < whole && !self.journal.index_progress().stopped() {
            thread::sleep(Duration::from_millis(10));
        }
        let index_took = real.monotonic().saturating_sub(took);
        let (hot_tokens, cold_tokens) = self.tokens()?;
        let Self { entries, first, running, .. } = self;
        running.stop();
        Ok(LongLog { entries, first, last, hot_tokens, cold_tokens, took, index_took })
    }

    fn commit(&self, wave: Wave) -> Result<Millis, Failure> {
        let ahead = wave.time.0.saturating_sub(self.clock.wall().0);
        self.clock.advance(Duration::from_millis(ahead));
        let answers: Vec<_> = wave.submissions.into_iter().map(|submission| self.journal.commit(submission)).collect();
        for answer in answers {
            wait(answer)?;
        }
        self.keys.committed(&wave.sealing);
        Ok(wave.time)
    }

    fn wave(&self, number: u64, waves: u64) -> Result<Wave, Failure> {
        let time = time_of(self.first, number, waves);
        let mut draw = Draw::seeded(usize::try_from(number)?);
        let mut random = CallRandom::seeded(&SystemEntropy)?;
        let mut rows = Batch::default();
        let sealing = self.keys.sealing(&mut random, &mut rows)?;
        if number == 0 {
            // Numbers that the log names are not given to others.
            let newest = RecordNumber::new(self.names.tokens * CLASSES).ok_or("record numbers are used up")?;
            rows.put(Records, &newest, &[]);
        }
        let mut submissions = Vec::with_capacity(usize::try_from(WAVE)?);
        for index in number * WAVE..((number + 1) * WAVE).min(self.entries) {
            let entry = self.names.entry(index, time, &self.keys, &sealing, &mut random, &mut draw)?;
            let batch = std::mem::take(&mut rows);
            submissions.push(Submission { batch, entry, ..Submission::default() });
        }
        Ok(Wave { time, submissions, sealing })
    }

    /// Texts of tokens that the log has often, and of some that it has once or a few times.
    fn tokens(&self) -> Result<(Vec<String>, Vec<String>), Failure> {
        let keys = self.keys.class(&Tenant::parse(TENANT)?, &DataClass::parse(CLASS)?);
        let (region, mut random) = (Region::parse(REGION)?, CallRandom::seeded(&SystemEntropy)?);
        let mut texts = |places: &mut dyn Iterator<Item = u64>| {
            let numbers: Option<Vec<_>> = places.map(|place| self.names.token(0, place)).collect();
            let minted = keys.mint(&numbers.ok_or("record numbers are used up")?, &mut random);
            let text = |token: vault_keys::MintedToken| {
                let token = OpaqueToken::new(&region, token.generation, token.block, token.check);
                Ok(token.ok_or("a token can't be written")?.to_text().expose().to_owned())
            };
            minted.into_iter().map(text).collect::<Result<Vec<_>, Failure>>()
        };
        let cold = self.names.tokens / 8;
        Ok((texts(&mut (0..TOKENS_KEPT.min(10)))?, texts(&mut (cold..cold + TOKENS_KEPT))?))
    }
}

/// Entries of one log time.
struct Wave {
    time: Millis,
    submissions: Vec<Submission>,
    sealing: SealingCall,
}

/// Of each day, three quarters of the entries fall between 8 and 20 o'clock.
fn time_of(first: Millis, wave: u64, waves: u64) -> Millis {
    const HOUR: f64 = 3600.0;
    let days = (wave + 1) as f64 / waves as f64 * (YEAR.as_secs_f64() / (24.0 * HOUR));
    let part = days.fract();
    let seconds = match part {
        night if night < 0.125 => night / 0.125 * 8.0 * HOUR,
        day if day < 0.875 => 8.0 * HOUR + (day - 0.125) / 0.75 * 12.0 * HOUR,
        evening => 20.0 * HOUR + (evening - 0.875) / 0.125 * 4.0 * HOUR,
    };
    first.saturating_add(Duration::from_secs_f64(days.floor() * 24.0 * HOUR + seconds))
}

/// The words that entries are made of.
struct Names {
    tenants: [Tenant; 2],
    principals: Vec<PrincipalId>,
    rare: PrincipalId,
    classes: Vec<DataClass>,
    /// Tokens of each class, a power of two.
    tokens: u64,
}

/// What an entry says.
struct Drawn {
    place: u64,
    /// One of the three classes of the principal.
    class: u64,
    action: Action,
    decision: Decision,
    reason: Option<Reason>,
    items: u64,
    outcome: Outcome,
}

impl Names {
    fn new(entries: u64) -> Result<Self, Failure> {
        let class = |number: u64| DataClass::parse(&format!("class-{number}"));
        Ok(Self {
            tenants: [Tenant::parse(TENANT)?, Tenant::parse(OTHER_TENANT)?],
            principals: (0..PRINCIPALS).map(|place| PrincipalId::parse(&principal(place))).collect::<Result<_, _>>()?,
            rare: PrincipalId::parse(RARE_PRINCIPAL)?,
            classes: (0..CLASSES).map(class).collect::<Result<_, _>>()?,
            tokens: (entries / 48).next_power_of_two().max(256),
        })
    }

    /// The record of the token of a class that is used the `place`-th most: those are not next to each other.
    fn token(&self, class: u64, place: u64) -> Option<RecordNumber> {
        let scattered = place.wrapping_mul(0x9E37_79B9_7F4A_7C15) & (self.tokens - 1);
        RecordNumber::new(scattered * CLASSES + class)
    }

    fn drawn(&self, index: u64, draw: &mut Draw) -> Drawn {
        let items = match draw.below(100) {
            0..90 => 1,
            90..99 => 2 + draw.below(19),
            _ => 100,
        };
        let action = match draw.below(100) {
            0..70 => Action::Detokenize,
            70..92 => Action::Tokenize,
            92..96 => Action::Describe,
            96 => Action::ExplainAccess,
            97 | 98 => Action::QueryAccessLog,
            _ => Action::ExportAccessLog,
        };
        let (decision, reason, outcome) = match draw.below(100) {
            _ if index % RARE_REASON_EVERY == RARE_REASON_EVERY / 3 => {
                (Decision::Denied, Some(RARE_REASON), Outcome::Refused(RARE_REASON))
            }
            0..94 => (Decision::Allowed, None, Outcome::Done),
            94..99 => (Decision::Denied, None, Outcome::Refused(Reason::AccessDenied)),
            _ => (Decision::Failed, None, Outcome::Refused(Reason::TokenNotFound)),
        };
        let items = if matches!(action, Action::QueryAccessLog | Action::ExportAccessLog) { 0 } else { items };
        let place = draw.zipf(PRINCIPALS);
        Drawn { place, class: (place / 5 + draw.zipf(3)) % CLASSES, action, decision, reason, items, outcome }
    }

    fn entry(
        &self,
        index: u64,
        time: Millis,
        keys: &RegionKeys,
        sealing: &SealingCall,
        random: &mut CallRandom,
        draw: &mut Draw,
    ) -> Result<Vec<u8>, Failure> {
        let drawn = self.drawn(index, draw);
        let place = usize::try_from(drawn.place)?;
        let salt = EntrySalt(random.bytes());
        let is_rare = index % RARE_PRINCIPAL_EVERY == RARE_PRINCIPAL_EVERY / 2;
        let principal = if is_rare { Some(&self.rare) } else { self.principals.get(place) };
        let [own, other] = &self.tenants;
        let tenant = if drawn.place % 20 == 19 && !is_rare { other } else { own };
        let is_rare_source = index % RARE_SOURCE_EVERY == RARE_SOURCE_EVERY / 3;
        let from = source(drawn.place, draw.below(4));
        let people = People {
            tenant: Some(tenant.clone()),
            principal: principal.cloned(),
            certificate: CertificateSha256::of(&drawn.place.to_be_bytes()),
            source: Some(if is_rare_source { RARE_SOURCE.parse()? } else { from.into() }),
            reference: (draw.below(10) < 3).then(|| Reference::parse(&reference(draw.below(1 << 20)))).transpose()?,
            ..People::default()
        };
        let sealed = keys.entry_sealer(sealing).seal(tenant, &salt, &people)?;
        let head = EntryHead {
            wall_time: time,
            salt,
            action: drawn.action,
            decision: drawn.decision,
            reason: drawn.reason,
            request_id: RequestId(random.bytes()),
            trace_id: None,
            count: NonZeroU32::MIN,
            purpose: Some(Purpose::parse(&purpose(drawn.place, draw.below(2)))?),
            audience: Some(Audience::parse(&audience(drawn.place))?),
            policy_set: PolicySetFingerprint::default(),
        };
        let mut entry = EntryBuilder::new(&head, ["grant"])?;
        if drawn.items > 0 {
            let class = usize::try_from(drawn.class)?;
            let class = self.classes.get(class).ok_or("a class without a name")?;
            let listed = |listed: bool| if listed { drawn.items } else { 0 };
            let (known, unknown) = (listed(drawn.outcome == Outcome::Done), listed(drawn.decision == Decision::Failed));
            let numbers: Vec<_> = (0..known).filter_map(|_| self.token(drawn.class, draw.zipf(self.tokens))).collect();
            let hashes: Vec<_> = (0..unknown).map(|_| TokenHash(random.bytes())).collect();
            entry.group(class, drawn.outcome, u32::try_from(drawn.items)?, numbers, hashes)?;
        }
        Ok(entry.finish(&SealedPart::Sealed(sealed))?)
    }
}

/// Bytes of a folder's files, whatever is in them.
///
/// # Errors
/// When it can't be read.
pub fn folder_bytes(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for file in fs::read_dir(folder)? {
        let (file, meta) = {
            let file = file?;
            (file.path(), file.metadata()?)
        };
        bytes += if meta.is_dir() { folder_bytes(&file)? } else { meta.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
