//! Deleting what has ended: records whose lifetime is over, whose uses are spent or that were revoked, with all that
//! leads to them (PCI DSS 3.2.1: nothing is kept for longer than it is needed).
//!
//! A record that will end by itself, or has ended, stands in the table `expiry` under that time, once. What stands
//! there for longer than [`limits::PURGE_DELAY`] is deleted, in steps of at most [`STEP_RECORDS`]; the rows of each
//! tenant go in one commit with an entry of the log that names the records, by which `audit verify --records` tells a
//! purge from a theft. Calls go on beside it: rows that a call changes meanwhile stay, and are due again at once.
//!
//! What a row of `expiry` says is not believed. A record goes once it has opened under its header and its state row has
//! verified: who writes to the disk can delete rows, and can't have the vault sign for it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU32,
    ops::Bound,
    sync::Arc,
};

use vault_catalog::{Catalog, Class, Determinism};
use vault_crypto::CallRandom;
use vault_domain::{
    Action, Audience, DataClass, Decision, Millis, Reason, RecordNumber, Region, RequestId, Tenant, limits,
};
use vault_keys::{ClassKeys, DeterminismScope, Digest16, Record, RecordFormat, RegionKeys};
use vault_ledger::{
    EntryBuilder, EntryHead, EntrySalt, EntrySealer, Outcome, People, PolicySetFingerprint, SealedPart,
};
use vault_store::{
    Direction, Snapshot, Table,
    table::{Expiry, ExpiryRow, Records, States, Tokens, Values},
};

use crate::{
    Engine,
    draft::Draft,
    error::Error,
    region::RegionVault,
    token::{self, StoredRecords, record_number_row},
};

/// Records of one step: so few that no call waits long for the commit.
const STEP_RECORDS: usize = 256;

/// How far a purge has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurgeStep {
    /// Records that were deleted by this step.
    pub purged: u64,
    /// Records that are due and were not: of a class that the catalog does not have any more, damaged, or changed at
    /// this moment.
    pub kept: u64,
    next: Option<ExpiryRow>,
}

impl PurgeStep {
    /// Whether more may be due.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.next.is_some()
    }
}

/// Where records of one kind lie.
struct Place<'a> {
    class: &'a Class,
    keys: Arc<ClassKeys>,
    addressee: &'a Audience,
}

/// The names of the catalog, by the codes that records have of them.
struct Names<'a> {
    keys: &'a RegionKeys,
    tenants: HashMap<[u8; 4], &'a Tenant>,
    classes: HashMap<[u8; 4], &'a Class>,
    addressees: HashMap<[u8; 4], &'a Audience>,
}

impl Engine {
    /// Deletes the next records of a region that are due; `after` is the step before, of the same round.
    ///
    /// # Errors
    /// When the region is not served here, the store can't be read or the log takes no entry; of several tenants some
    /// may have been purged then.
    pub async fn purge(&self, region: &Region, after: &PurgeStep) -> Result<PurgeStep, Error> {
        let vault = self.regions.get(region).ok_or(Error::new(Reason::RegionUnknown))?;
        let delay = u64::try_from(limits::PURGE_DELAY.as_millis()).unwrap_or(u64::MAX);
        let until = Millis(self.time_to_delete_by().0.saturating_sub(delay));
        let from = after.next.map_or(Bound::Unbounded, Bound::Excluded);
        let end = Bound::Included(ExpiryRow { at: until, number: RecordNumber::MAX });
        let snapshot = vault.reader.snapshot();
        let rows = snapshot.scan(Expiry, (from, end), Direction::Forward, STEP_RECORDS).await?;
        let due: Vec<ExpiryRow> = rows.iter().map(|(row, _)| *row).collect();
        if due.is_empty() {
            return Ok(PurgeStep::default());
        }
        let rules = self.rules();
        let names = Names::of(rules.policies.catalog(), &vault.keys);
        let mut of_tenants: BTreeMap<&Tenant, Vec<ExpiryRow>> = BTreeMap::new();
        for row in &due {
            let codes = |bytes: &[u8]| vault.keys.codes_of(&Record::parse(row.number, bytes)?);
            let codes = snapshot.look(Records, &row.number, codes).await?.flatten();
            if let Some(tenant) = codes.and_then(|codes| names.tenants.get(&codes.tenant)) {
                of_tenants.entry(tenant).or_default().push(*row);
            }
        }
        drop(snapshot);
        let mut purged = 0;
        for (tenant, rows) in of_tenants {
            purged += match self.purge_of((region, vault), tenant, &rows, &names, until).await {
                Ok(purged) => purged,
                Err(error) if error.reason() == Reason::CommitConflict => 0,
                Err(error) => return Err(error),
            };
        }
        let next = due.last().copied().filter(|_| rows.more());
        Ok(PurgeStep { purged, kept: (due.len() as u64).saturating_sub(purged), next })
    }

    /// Deletes those of these records of one tenant that have ended, in one commit.
    async fn purge_of(
        &self,
        (region, vault): (&Region, &RegionVault),
        tenant: &Tenant,
        rows: &[ExpiryRow],
        names: &Names<'_>,
        until: Millis,
    ) -> Result<u64, Error> {
        let mut random = CallRandom::seeded(&*self.entropy)?;
        let (mut draft, snapshot) = Draft::begin(&vault.journal, &vault.reader, &*self.clock, None).await?;
        let sealing = vault.keys.sealing(&mut random, &mut draft.batch)?;
        let stored = StoredRecords::read(&snapshot, numbers(rows)).await?;
        let mut gone: BTreeMap<&DataClass, Vec<RecordNumber>> = BTreeMap::new();
        let (mut values, mut tokens) = (Vec::new(), Vec::new());
        for (at, row) in rows.iter().enumerate() {
            let Some(Ok(record)) = stored.record(at) else { continue };
            let Some(place) = names.place(tenant, &record) else { continue };
            let ways = match place.ways_if_over(region, (&stored, at), &record, *row, until) {
                Ok(Some(ways)) => ways,
                Ok(None) => continue,
                // What is damaged stays where it is, for whoever looks into it.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(record = row.number.get(), error, "a record that has ended can't be deleted");
                    continue;
                }
            };
            values.extend(ways.value.map(|name| (name, row.number)));
            tokens.extend(ways.token.map(|name| (name, row.number)));
            draft.must_stay(Records, &row.number);
            draft.must_stay(States, &row.number);
            draft.batch.delete(Records, &row.number);
            if stored.has_state(at) {
                draft.batch.delete(States, &row.number);
            }
            draft.batch.delete(Expiry, row);
            gone.entry(place.class.id()).or_default().push(row.number);
        }
        if gone.is_empty() {
            return Ok(0);
        }
        delete_ways(Values, &values, &snapshot, &mut draft).await?;
        delete_ways(Tokens, &tokens, &snapshot, &mut draft).await?;
        drop(snapshot);

        let head = EntryHead {
            wall_time: self.clock.wall().min(Millis::MAX),
            salt: EntrySalt(random.bytes()),
            action: Action::Purge,
            decision: Decision::Allowed,
            reason: None,
            request_id: RequestId(random.bytes()),
            trace_id: None,
            count: NonZeroU32::MIN,
            purpose: None,
            audience: None,
            // By no rules: nobody asked.
            policy_set: PolicySetFingerprint([0; 8]),
        };
        let mut entry = EntryBuilder::new(&head, [""; 0])?;
        let mut purged = 0;
        for (class, mut numbers) in gone {
            numbers.sort_unstable();
            let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            entry.group(class, Outcome::Done, count, numbers, [])?;
            purged += u64::from(count);
        }
        let people = People { tenant: Some(tenant.clone()), ..People::default() };
        let people = SealedPart::Sealed(vault.keys.entry_sealer(&sealing).seal(tenant, &head.salt, &people)?);
        let entry = entry.finish(&people)?;
        draft.commit(&vault.journal, entry).await?;
        vault.keys.committed(&sealing);
        Ok(purged)
    }
}

/// The rows by which a record is found.
struct Ways {
    value: Option<Digest16>,
    token: Option<Digest16>,
}

impl Place<'_> {
    /// Of a record that has ended by then, the rows by which it is found: it is opened to name them, and nothing of it
    /// leaves. None: it has not ended.
    fn ways_if_over(
        &self,
        region: &Region,
        (stored, at): (&StoredRecords, usize),
        record: &Record<'_>,
        row: ExpiryRow,
        until: Millis,
    ) -> Result<Option<Ways>, Error> {
        let life = stored.life(at, &self.keys, record, self.addressee)?;
        if life.end(row.at).is_none_or(|end| end > until) {
            return Ok(None);
        }
        let opened = self.keys.open(record, self.addressee)?;
        let value = (self.class.determinism() != Determinism::None).then(|| {
            let scope = DeterminismScope { audience: self.addressee, subject: record.subject() };
            self.keys.blind_index(&scope, self.class.rule().canonical(opened.value.expose()).expose())
        });
        let token = match record.format() {
            RecordFormat::Opaque => None,
            RecordFormat::Uuid => Some(token::text_of(region, &self.keys, record, self.addressee)?),
            RecordFormat::FormatPreserving => Some(opened.token.ok_or(Error::new(Reason::RecordCorrupt))?),
        };
        Ok(Some(Ways { value, token: token.map(|token| self.keys.token_lookup(token.expose())) }))
    }
}

/// Deletes those of these rows that lead to the records named with them: another may have taken its place.
async fn delete_ways<T: Table<Key = Digest16>>(
    table: T,
    ways: &[(Digest16, RecordNumber)],
    snapshot: &Snapshot<'_>,
    draft: &mut Draft<'_>,
) -> Result<(), Error> {
    let names: Vec<Digest16> = ways.iter().map(|(name, _)| *name).collect();
    let rows = snapshot.get_many(table, &names).await?;
    for ((name, number), row) in ways.iter().zip(rows.iter()) {
        if row.and_then(record_number_row) == Some(*number) {
            draft.must_stay(table, name);
            draft.batch.delete(table, name);
        }
    }
    Ok(())
}

fn numbers(rows: &[ExpiryRow]) -> Vec<RecordNumber> {
    rows.iter().map(|row| row.number).collect()
}

impl<'a> Names<'a> {
    fn of(catalog: &'a Catalog, keys: &'a RegionKeys) -> Self {
        let tenants = catalog.tenants().map(|tenant| tenant.id());
        let audiences = || catalog.audiences().map(|audience| audience.id());
        let addressees: BTreeSet<&Audience> =
            catalog.classes().flat_map(|class| audiences().filter_map(|audience| class.addressee(audience))).collect();
        Self {
            keys,
            tenants: tenants.map(|tenant| (keys.tenant_code(tenant), tenant)).collect(),
            classes: catalog.classes().map(|class| (keys.class_code(class.id()), class)).collect(),
            addressees: addressees.into_iter().map(|addressee| (keys.audience_code(addressee), addressee)).collect(),
        }
    }

    /// Where a record of this tenant says that it lies, which is believed once it has opened there.
    fn place(&self, tenant: &Tenant, record: &Record<'_>) -> Option<Place<'a>> {
        let codes = self.keys.codes_of(record).filter(|codes| self.tenants.get(&codes.tenant) == Some(&tenant))?;
        let class = *self.classes.get(&codes.class)?;
        let addressee = *self.addressees.get(&codes.audience)?;
        Some(Place { class, keys: self.keys.class(tenant, class.id()), addressee })
    }
}
