//! Tokens in, values out. No value leaves before the entry of its reveal is on disk.

use std::ops::Range;

use vault_catalog::{Catalog, Format};
use vault_crypto::CallRandom;
use vault_domain::{
    Action, Audience, DataClass, LevelAsked, Millis, Plaintext, Purpose, Reason, RecordNumber, Reference, Region,
    RevealLevel, TokenText, limits,
};
use vault_format::{Numerals, OpaqueToken, Parts, UuidToken};
use vault_journal::Receipt;
use vault_keys::{ClassKeys, Digest16, Finding, Presented, Record, Way};
use vault_ledger::{Outcome, TokenHash};
use vault_store::table::{Records, States, Tokens};

use crate::{
    Engine,
    authorize::Permit,
    call::Call,
    draft::Draft,
    enter::Scope,
    error::Error,
    evidence::{About, Evidence, ItemEvidence},
    idempotency::{Part, Repeat, RequestHash, StoredOutcome},
    region::RegionVault,
    reveal::{Reveal, Revealed},
    token::{self, ClassKeySet, StoredRecords, record_number_row},
};

/// A request to detokenize, parsed.
pub struct DetokenizeRequest {
    /// Where the records live.
    pub region: Region,
    /// Why.
    pub purpose: Option<Purpose>,
    /// The caller's reference.
    pub reference: Option<Reference>,
    /// The audience that the caller belongs to.
    pub audience: Audience,
    /// How much of the values is to be shown.
    pub level: LevelAsked,
    /// What was sent together, and what the caller calls it; together all of the items.
    pub parts: Vec<Part>,
    /// The distinct classes named, at most `limits::REQUEST_CLASSES_MAX`; `None` for a text that is no class's name.
    pub classes: Vec<Option<DataClass>>,
    /// The items.
    pub items: Vec<DetokenizeItem>,
}

/// A token to be revealed.
pub struct DetokenizeItem {
    /// Which of the request's classes.
    pub class: usize,
    /// The token.
    pub token: TokenText,
}

/// The answer: one result for each item, and where the log holds the call.
pub struct Detokenized {
    /// In the order of the request.
    pub results: Vec<Result<Revealed, Error>>,
    /// Where the log holds the entry.
    pub receipt: Receipt,
}

/// What is known of an item before its record is read.
enum Located {
    /// Where its record would be, and what has to agree with that record's header.
    At(RecordNumber, Seen),
    /// Nowhere: its value is computed from it.
    Computed(Numerals, Parts),
    Refused(Error),
}

/// What the caller presented.
enum Seen {
    Opaque { block: [u8; 16], check: u64 },
    Uuid(UuidToken),
    Text,
}

/// What is known of a token beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The format of its class.
    pub format: Format,
    /// When it was made; `None` if it is computed and nothing is stored of it.
    pub created: Option<Millis>,
    /// When it expires; zero for never.
    pub expires: Millis,
}

/// The answer to a question about tokens.
pub struct Described {
    /// In the order of the request.
    pub results: Vec<Result<Description, Error>>,
    /// Where the log holds the entry.
    pub receipt: Receipt,
}

impl Engine {
    /// Detokenizes a batch: one commit, one entry, a result for every item.
    ///
    /// # Errors
    /// When the call as a whole is refused; the refusal is in the log then, if the log takes entries.
    pub async fn detokenize(&self, call: &Call, request: &DetokenizeRequest) -> Result<Detokenized, Error> {
        let (results, receipt) = self.present(call, Action::Detokenize, request, Checked::open).await?;
        Ok(Detokenized { results, receipt })
    }

    /// Tells of a batch of tokens what is known of them beside their values, to whom the values could be shown: one
    /// commit, one entry, a result for every item.
    ///
    /// # Errors
    /// As of [`Engine::detokenize`].
    pub async fn describe(&self, call: &Call, request: &DetokenizeRequest) -> Result<Described, Error> {
        let (results, receipt) = self.present(call, Action::Describe, request, Checked::describe).await?;
        Ok(Described { results, receipt })
    }

    /// Holds tokens against their records, writes the entry, and makes of each that is right what was asked for.
    async fn present<T>(
        &self,
        call: &Call,
        action: Action,
        request: &DetokenizeRequest,
        finish: Finish<T>,
    ) -> Result<(Vec<Result<T, Error>>, Receipt), Error> {
        let rules = self.rules();
        let mut scope = self.enter(&rules, call, action, &request.region).await?;
        let mut asked = scope.evidence(call, action);
        asked.purpose = request.purpose.as_ref();
        asked.reference = request.reference.as_ref();
        asked.audience = Some(&request.audience);
        asked.classes = &request.classes;
        if let Err(error) = self.judge_freshness(&mut scope, call, action) {
            return Err(self.refuse(&scope, &asked, error).await);
        }
        let authorized = match self.authorize_data(&scope, &asked, &request.region, &request.audience, request.level) {
            Ok(authorized) => authorized,
            Err(error) => return Err(self.refuse(&scope, &asked, error).await),
        };
        asked.policies = &authorized.policies;
        self.present_permitted(&scope, &asked, request, &authorized.permits, finish).await
    }

    /// The same for who is permitted to.
    pub(crate) async fn present_permitted<T>(
        &self,
        scope: &Scope<'_>,
        asked: &Evidence<'_>,
        request: &DetokenizeRequest,
        permits: &[Result<Permit<'_>, Reason>],
        finish: Finish<T>,
    ) -> Result<(Vec<Result<T, Error>>, Receipt), Error> {
        for _ in 0..limits::COMMIT_TRIES_MAX {
            if let Err(late) = asked.call.check_deadline(&*self.clock) {
                return Err(self.refuse(scope, asked, late).await);
            }
            match self.try_present(scope, asked, request, permits, finish).await {
                Ok(presented) => {
                    asked.call.check_deadline(&*self.clock)?;
                    return Ok(presented);
                }
                Err(error) if error.reason() == Reason::CommitConflict => {}
                Err(error) if error.is_unrecorded() => return Err(error),
                Err(error) => return Err(self.refuse(scope, asked, error).await),
            }
        }
        Err(self.refuse(scope, asked, Error::new(Reason::CommitConflict)).await)
    }

    async fn try_present<T>(
        &self,
        scope: &Scope<'_>,
        asked: &Evidence<'_>,
        request: &DetokenizeRequest,
        permits: &[Result<Permit<'_>, Reason>],
        finish: Finish<T>,
    ) -> Result<(Vec<Result<T, Error>>, Receipt), Error> {
        let vault = scope.vault;
        let mut random = CallRandom::seeded(&*self.entropy)?;
        let (mut draft, snapshot) = scope.draft(&*self.clock).await?;
        let sealing = vault.keys.sealing(&mut random, &mut draft.batch)?;
        let hash = |items| request_hash(vault, request, items);
        let (parts, now) = (&request.parts, draft.now);
        let repeats = Repeat::of_parts(asked.call, scope, method(asked.action), parts, hash, &snapshot, now).await?;

        let keys = token::class_keys(&vault.keys, permits);
        let located = locate(scope.rules.policies.catalog(), &keys, permits, request, &snapshot).await?;
        let numbers = located.iter().filter_map(Located::number).collect();
        let stored = StoredRecords::read(&snapshot, numbers).await?;
        drop(snapshot);
        let mut checked = check(&keys, permits, request, located, &stored, &mut draft);
        if asked.action == Action::ExplainAccess {
            checked.iter_mut().for_each(Checked::hide_other_tenants);
        }
        let evidence: Vec<_> = checked
            .iter()
            .zip(&request.items)
            .map(|(checked, item)| {
                let permit = permits.get(item.class).and_then(|permit| permit.as_ref().ok());
                let done = permit.and_then(Permit::reveal).map_or(Outcome::Done, Reveal::outcome);
                checked.evidence(item.class, done, || {
                    let format = permit.map(|permit| permit.class().format());
                    vault.keys.token_hash(scope.account.tenant(), &token::as_issued(item.token.expose(), format))
                })
            })
            .collect();
        Repeat::remember_all(&repeats, parts, evidence.iter().map(StoredOutcome::of), vault, &mut draft);
        let entry = asked.with(&evidence).seal(&vault.keys, &sealing, &mut random, &*self.clock)?;
        let commit = draft.commit(&vault.journal, entry);
        // Opened while the entry is on its way to the disk, and released only when it is there.
        let finished: Vec<_> = checked
            .into_iter()
            .zip(&request.items)
            .map(|(checked, item)| finish(checked, &keys, permits, item.class, &stored))
            .collect();
        let receipt = commit.await?;
        vault.keys.committed(&sealing);
        Ok((finished, receipt))
    }
}

/// What is made of an item that was checked.
pub(crate) type Finish<T> =
    fn(Checked, &ClassKeySet, &[Result<Permit<'_>, Reason>], usize, &StoredRecords) -> Result<T, Error>;

/// The name of the method in the names of idempotency rows.
fn method(action: Action) -> &'static str {
    match action {
        Action::Describe => "DescribeTokens",
        _ => "Detokenize",
    }
}

impl Located {
    fn number(&self) -> Option<RecordNumber> {
        match self {
            Self::At(number, _) => Some(*number),
            Self::Computed(..) | Self::Refused(_) => None,
        }
    }
}

/// Finds where every item's record would be: a block for opaque tokens, a look-up for the others.
async fn locate(
    catalog: &Catalog,
    keys: &ClassKeySet,
    permits: &[Result<Permit<'_>, Reason>],
    request: &DetokenizeRequest,
    snapshot: &vault_store::Snapshot<'_>,
) -> Result<Vec<Located>, Error> {
    let mut located: Vec<Located> = Vec::with_capacity(request.items.len());
    let mut look_ups: Vec<(usize, Digest16, Seen)> = Vec::new();
    for (at, item) in request.items.iter().enumerate() {
        let permit = match permits.get(item.class) {
            Some(Ok(permit)) => permit,
            Some(Err(reason)) => {
                located.push(Located::Refused(Error::new(*reason)));
                continue;
            }
            None => return Err(Error::new(Reason::Internal)),
        };
        let keys = keys.get(item.class).and_then(Option::as_ref).ok_or(Reason::Internal)?;
        located.push(match permit.class().format() {
            Format::Opaque => locate_opaque(catalog, keys, permit, item.token.expose()),
            Format::Uuid => match UuidToken::parse(item.token.expose()) {
                Ok(uuid) => {
                    // Whatever case it came in, it is found under the text that it was issued as.
                    look_ups.push((at, keys.token_lookup(uuid.to_text().expose()), Seen::Uuid(uuid)));
                    Located::Refused(Error::new(Reason::TokenUnknown))
                }
                Err(malformed) => Located::Refused(Error::new(malformed.reason())),
            },
            Format::Ff1(permuted) => match permuted.of_token(item.token.expose()) {
                Some(parts) => Located::Computed(permuted.numerals, parts),
                None => Located::Refused(Error::new(Reason::TokenMalformed)),
            },
            Format::OneWay => {
                Located::Refused(Error::new(vault_policy::revealable(permit.class()).err().unwrap_or(Reason::Internal)))
            }
            Format::FormatPreserving(config) => {
                let refused = if config.is_well_formed(item.token.expose()) {
                    look_ups.push((at, keys.token_lookup(item.token.expose()), Seen::Text));
                    Reason::TokenUnknown
                } else {
                    Reason::TokenMalformed
                };
                Located::Refused(Error::new(refused))
            }
        });
    }
    if !look_ups.is_empty() {
        let names: Vec<Digest16> = look_ups.iter().map(|(_, name, _)| *name).collect();
        let rows = snapshot.get_many(Tokens, &names).await?;
        for (row, (at, _, seen)) in look_ups.into_iter().enumerate() {
            let number = rows.get(row).and_then(record_number_row);
            if let (Some(number), Some(slot)) = (number, located.get_mut(at)) {
                *slot = Located::At(number, seen);
            }
        }
    }
    Ok(located)
}

fn locate_opaque(catalog: &Catalog, keys: &ClassKeys, permit: &Permit<'_>, text: &str) -> Located {
    let token = match OpaqueToken::parse(text) {
        Ok(token) => token,
        Err(malformed) => return Located::Refused(Error::new(malformed.reason())),
    };
    if token.region() != permit.region().as_str() {
        // The text says where it belongs, to everybody: to repeat it gives nothing away and helps the honest.
        return Located::Refused(match catalog.region(token.region()) {
            Some(region) => Error::elsewhere(region.id().clone(), region.endpoint()),
            None => Error::new(Reason::TokenMalformed),
        });
    }
    if token.generation() != keys.generation() {
        return Located::Refused(Error::new(Reason::TokenUnknown));
    }
    match keys.record_number(token.block()) {
        Some(number) => Located::At(number, Seen::Opaque { block: *token.block(), check: token.check() }),
        None => Located::Refused(Error::new(Reason::TokenUnknown)),
    }
}

/// What the headers said of an item.
pub(crate) enum Checked {
    /// May be opened: the place among the records read.
    Reveal(usize, RecordNumber),
    /// Was computed from its token: what may be shown of it.
    Computed(Revealed),
    /// Could be computed from its token, which nobody asked for.
    Computable,
    /// Refused; the record that it led to, if the token was that record's.
    Refused(Error, Option<RecordNumber>),
}

/// Holds every item against its record's header. No record is opened here; what stands for itself is computed.
fn check(
    keys: &ClassKeySet,
    permits: &[Result<Permit<'_>, Reason>],
    request: &DetokenizeRequest,
    located: Vec<Located>,
    stored: &StoredRecords,
    draft: &mut Draft<'_>,
) -> Vec<Checked> {
    let mut row = 0;
    let mut checked = Vec::with_capacity(located.len());
    for (located, item) in located.into_iter().zip(&request.items) {
        let place = (permits.get(item.class), keys.get(item.class));
        let (number, seen, permit, keys) = match (located, place) {
            (Located::Refused(error), _) => {
                checked.push(Checked::Refused(error, None));
                continue;
            }
            (Located::Computed(numerals, parts), (Some(Ok(permit)), Some(Some(keys)))) => {
                checked.push(match permit.action() {
                    Action::Detokenize => match compute(permit, keys, numerals, parts) {
                        Ok(value) => Checked::Computed(value),
                        Err(error) => Checked::Refused(error, None),
                    },
                    _ => Checked::Computable,
                });
                continue;
            }
            (Located::At(number, seen), (Some(Ok(permit)), Some(Some(keys)))) => (number, seen, permit, keys),
            // Only what is permitted was located.
            (Located::At(..) | Located::Computed(..), _) => {
                checked.push(Checked::Refused(Error::new(Reason::Internal), None));
                continue;
            }
        };
        let presented = match &seen {
            Seen::Opaque { block, check } => Presented::Opaque { block, check: *check },
            Seen::Uuid(uuid) => Presented::Uuid(uuid.bytes()),
            Seen::Text => Presented::Text(item.token.expose()),
        };
        checked.push(match check_one(keys, permit, presented, stored, row, draft) {
            Ok(()) => {
                draft.must_stay(States, &number);
                draft.must_stay(Records, &number);
                Checked::Reveal(row, number)
            }
            Err((error, its_own)) => Checked::Refused(error, its_own.then_some(number)),
        });
        row += 1;
    }
    checked
}

/// One item's header checks, in the order of the policy: token, tenant, class, audience, then its life. The error comes
/// with whether the token was the record's.
fn check_one(
    keys: &ClassKeys,
    permit: &Permit<'_>,
    presented: Presented<'_>,
    stored: &StoredRecords,
    row: usize,
    draft: &mut Draft<'_>,
) -> Result<(), (Error, bool)> {
    let record = match stored.record(row) {
        Some(record) => record.map_err(|error| (error, false))?,
        None => return Err((Error::new(Reason::TokenUnknown), false)),
    };
    let reason = match keys.check(&record, presented, permit.addressee()) {
        Finding::Matches => {
            let life = stored.life(row, keys, &record, permit.addressee(), draft.now);
            let expires = life.map_err(|error| (error, true))?;
            draft.must_precede(expires);
            return Ok(());
        }
        Finding::OtherToken => return Err((Error::new(Reason::TokenUnknown), false)),
        Finding::CheckFailed => Reason::TokenCheckFailed,
        Finding::OtherTenant => Reason::TokenOfAnotherTenant,
        Finding::OtherClass => Reason::TokenOfAnotherClass,
        Finding::OtherAudience => Reason::TokenOfAnotherAudience,
        Finding::Corrupt => Reason::RecordCorrupt,
    };
    Err((Error::new(reason), true))
}

impl Checked {
    /// Makes of a token of another tenant one that never was, also for the log of who asks.
    fn hide_other_tenants(&mut self) {
        if let Self::Refused(error, _) = self
            && error.reason() == Reason::TokenOfAnotherTenant
        {
            *self = Self::Refused(Error::new(Reason::TokenUnknown), None);
        }
    }

    /// What the log says of the item: `done` of one that is carried out.
    fn evidence(&self, class: usize, done: Outcome, token_hash: impl FnOnce() -> Digest16) -> ItemEvidence {
        let (outcome, number) = match self {
            Self::Reveal(_, number) => (done, Some(*number)),
            Self::Computed(_) | Self::Computable => (done, None),
            Self::Refused(error, number) => (Outcome::Refused(error.reason()), *number),
        };
        let about = match (number, outcome.refused()) {
            (Some(number), _) => About::Record(number),
            // Of an item that was refused before its token was looked at, the log keeps nothing of the token.
            (
                None,
                Some(
                    Reason::AccessDenied
                    | Reason::DataClassUnknown
                    | Reason::PurposeRequired
                    | Reason::LevelNotPermitted
                    | Reason::MaskUnavailable,
                ),
            ) => About::Nothing,
            (None, _) => About::Token(TokenHash(token_hash())),
        };
        ItemEvidence { class, outcome, about }
    }

    fn open(
        self,
        keys: &ClassKeySet,
        permits: &[Result<Permit<'_>, Reason>],
        class: usize,
        stored: &StoredRecords,
    ) -> Result<Revealed, Error> {
        let row = match self {
            Self::Reveal(row, _) => row,
            Self::Computed(value) => return Ok(value),
            Self::Computable => return Err(Error::new(Reason::Internal)),
            Self::Refused(error, _) => return Err(error),
        };
        let (Some(Ok(permit)), Some(Some(keys))) = (permits.get(class), keys.get(class)) else {
            return Err(Error::new(Reason::Internal));
        };
        let record: Record<'_> = stored.record(row).ok_or(Reason::Internal)??;
        open_permitted(permit, keys, &record)
    }

    /// Whether it would be shown, and how much: nothing is opened.
    pub(crate) fn explain(
        self,
        _: &ClassKeySet,
        permits: &[Result<Permit<'_>, Reason>],
        class: usize,
        _: &StoredRecords,
    ) -> Result<RevealLevel, Error> {
        match (self, permits.get(class)) {
            (Self::Refused(error, _), _) => Err(error),
            (_, Some(Ok(permit))) => Ok(reveal(permit)?.level()),
            _ => Err(Error::new(Reason::Internal)),
        }
    }

    fn describe(
        self,
        keys: &ClassKeySet,
        permits: &[Result<Permit<'_>, Reason>],
        class: usize,
        stored: &StoredRecords,
    ) -> Result<Description, Error> {
        let (Some(Ok(permit)), Some(Some(keys))) = (permits.get(class), keys.get(class)) else {
            return Err(match self {
                Self::Refused(error, _) => error,
                _ => Error::new(Reason::Internal),
            });
        };
        let format = permit.class().format();
        match self {
            Self::Reveal(row, _) => {
                let record: Record<'_> = stored.record(row).ok_or(Reason::Internal)??;
                let expires = stored.expires(row, keys, &record, permit.addressee())?;
                Ok(Description { format, created: Some(record.created()), expires })
            }
            Self::Computed(_) | Self::Computable => {
                Ok(Description { format, created: None, expires: Millis::default() })
            }
            Self::Refused(error, _) => Err(error),
        }
    }
}

/// Computes the value of a token that stands for itself. Any text of the domain has one: what breaks the rule of the
/// class was never given a token.
fn compute(permit: &Permit<'_>, keys: &ClassKeys, numerals: Numerals, mut parts: Parts) -> Result<Revealed, Error> {
    let reveal = reveal(permit)?;
    token::permute(keys, permit.addressee(), Way::ToValue, numerals, &mut parts)?;
    let value = Plaintext::new(std::mem::take(&mut *parts.into_value()));
    match permit.class().rule().validate(value.expose()) {
        Ok(()) => Ok(reveal.release(value)),
        Err(_) => Err(Error::new(Reason::TokenUnknown)),
    }
}

/// Opens one record. Takes the permit, as everything does that touches data.
fn open_permitted(permit: &Permit<'_>, keys: &ClassKeys, record: &Record<'_>) -> Result<Revealed, Error> {
    let reveal = reveal(permit)?;
    Ok(reveal.release(keys.open(record, permit.addressee())?.value))
}

/// How much a permit to detokenize lets out.
fn reveal<'a>(permit: &Permit<'a>) -> Result<Reveal<'a>, Error> {
    let reveal = permit.reveal().filter(|_| permit.action() == Action::Detokenize);
    reveal.ok_or(Error::new(Reason::Internal))
}

/// The keyed hash of the request in its canonical form.
fn request_hash(vault: &RegionVault, request: &DetokenizeRequest, items: Range<usize>) -> Digest16 {
    let items = request.items.get(items).unwrap_or_default();
    let bytes = items.iter().map(|item| item.token.expose().len()).sum();
    let mut hash = RequestHash::with_capacity(items.len(), bytes);
    hash.field(request.audience.as_str().as_bytes());
    hash.field(request.purpose.as_ref().map_or("", Purpose::as_str).as_bytes());
    hash.field(request.reference.as_ref().map_or("", Reference::as_str).as_bytes());
    // Two fields follow for each item: an odd one more can't be taken for another request. A request for all stays what
    // it was before there were levels.
    if request.level != LevelAsked::FULL {
        hash.field(request.level.name().as_bytes());
    }
    for item in items {
        let class = request.classes.get(item.class).and_then(Option::as_ref);
        hash.field(class.map_or("", DataClass::as_str).as_bytes());
        hash.field(item.token.expose().as_bytes());
    }
    hash.finish(&vault.keys)
}
