//! All keys of one region, and the two keys of a node's own log.
//!
//! # Rows of the key table
//!
//! | name | value |
//! |---|---|
//! | `seal/<8 hex digits: version>` | wrapped key (60 bytes) ‖ created (8 bytes, ms since 1970) |
//! | `lookup/<2 hex digits: generation>` | the same |
//! | `log` | the same, for the Ed25519 seed that signs checkpoints |
//! | `epoch/<16 hex digits: id>` | version (4 bytes) ‖ salt (32 bytes) ‖ begun (8 bytes) |
//!
//! A key is wrapped by AES-256-GCM under the root key with a random nonce; the associated data are
//! `"tokenvault/wrap/1" ‖ 0x00 ‖ lp16(vault) ‖ lp16(region or "node") ‖ lp16(row name)`, so that no row can stand in
//! for another one.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use arc_swap::ArcSwap;
use vault_crypto::{CallRandom, Key256, LogKey, WRAPPED_BYTES};
use vault_domain::{
    Audience, BudgetName, Clock, DataClass, Entropy, Generation, IdempotencyKey, KeyVersion, Nonce, PrincipalId,
    Purpose, Region, SubjectId, SubjectName, Tenant, VaultId,
};
use vault_ledger::Signer;
use vault_store::{
    Batch, Direction, Reader,
    table::{Keys, TextKey},
};

use crate::{
    class::ClassKeys,
    epoch::{Epoch, EpochId, SALT_BYTES, SealingCall, epoch_id},
    error::KeysError,
    lookup::{Digest16, PlaceCodes, RegionLookup},
    record::Record,
    root::RootKey,
};

const KEY_ROW_BYTES: usize = WRAPPED_BYTES + 8;
const EPOCH_ROW_BYTES: usize = 4 + SALT_BYTES + 8;
/// Rows of the key table that are read at once.
const KEY_ROWS_READ: usize = 1000;
/// How often that is done at start: there is one row for every start and day of the region's life.
const KEY_SCANS_MAX: usize = 1000;
/// Classes whose keys are kept ready.
const CLASSES_KEPT_MAX: usize = 16_384;

/// The unwrapped rings of a region.
pub(crate) struct Rings {
    seal: BTreeMap<KeyVersion, Key256>,
    pub(crate) lookup: RegionLookup,
    /// Salts of stored epochs: they open, and never seal.
    salts: RwLock<HashMap<EpochId, [u8; SALT_BYTES]>>,
}

impl Rings {
    pub(crate) fn seal_key(&self, version: KeyVersion) -> Option<&Key256> {
        self.seal.get(&version)
    }

    pub(crate) fn epoch_salt(&self, id: &EpochId) -> Option<[u8; SALT_BYTES]> {
        self.salts.read().unwrap_or_else(PoisonError::into_inner).get(id).copied()
    }

    fn remember(&self, epoch: &Epoch) {
        self.salts.write().unwrap_or_else(PoisonError::into_inner).insert(epoch.id, epoch.salt);
    }
}

/// The keys of one region.
pub struct RegionKeys {
    vault: VaultId,
    region: Region,
    pub(crate) rings: Arc<Rings>,
    log: LogKey,
    epoch: ArcSwap<Epoch>,
    /// Held while a new epoch begins, so that one does.
    begin: Mutex<()>,
    classes: RwLock<HashMap<(Tenant, DataClass), Arc<ClassKeys>>>,
    pub(crate) entries: crate::entry::EntryKeys,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl RegionKeys {
    /// The rows of a new region's keys, to be committed before [`RegionKeys::open`].
    ///
    /// # Errors
    /// When the source of randomness fails.
    pub fn create(
        root: &RootKey,
        vault: &VaultId,
        region: &Region,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Batch, KeysError> {
        let names = [seal_name(KeyVersion(1)), lookup_name(Generation::FIRST), LOG_NAME.to_owned()];
        create_rows(root, vault, region.as_str(), &names, clock, entropy)
    }

    /// Unwraps every key of the region and begins a new epoch.
    ///
    /// # Errors
    /// When a row is unknown, or does not unwrap under this root key for this vault and region.
    pub async fn open(
        root: &RootKey,
        vault: &VaultId,
        region: &Region,
        reader: &Reader,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, KeysError> {
        let mut rows = KeyRows::read(root, vault, region.as_str(), reader).await?;
        let missing = |name: &str| KeysError::KeyRowUnknown { name: name.to_owned() };
        let version = rows.seal.keys().last().copied().ok_or_else(|| missing("seal"))?;
        let (generation, ring) = rows.lookup.pop_last().ok_or_else(|| missing("lookup"))?;
        let rings = Arc::new(Rings {
            seal: rows.seal,
            lookup: RegionLookup::new(generation, ring),
            salts: RwLock::new(rows.salts),
        });
        let epoch = Epoch::begin(version, &*clock, &*entropy)?;
        rings.remember(&epoch);
        Ok(Self {
            vault: vault.clone(),
            region: region.clone(),
            rings,
            log: LogKey::from_seed(&rows.log.ok_or_else(|| missing(LOG_NAME))?),
            epoch: ArcSwap::new(epoch),
            begin: Mutex::new(()),
            classes: RwLock::default(),
            entries: crate::entry::EntryKeys::default(),
            clock,
            entropy,
        })
    }

    /// Whether the key table of this store is empty: the region is new.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn is_new(reader: &Reader) -> Result<bool, KeysError> {
        Ok(reader.snapshot().last_key(Keys).await?.is_none())
    }

    /// The keys of one class of one tenant.
    #[must_use]
    pub fn class(&self, tenant: &Tenant, class: &DataClass) -> Arc<ClassKeys> {
        let name = (tenant.clone(), class.clone());
        if let Some(keys) = self.classes.read().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return keys.clone();
        }
        let (vault, region) = (self.vault.clone(), self.region.clone());
        let keys = Arc::new(ClassKeys::new(vault, region, tenant.clone(), class.clone(), self.rings.clone()));
        let mut classes = self.classes.write().unwrap_or_else(PoisonError::into_inner);
        if classes.len() >= CLASSES_KEPT_MAX {
            classes.clear();
        }
        classes.entry(name).or_insert(keys).clone()
    }

    /// The right to seal during one call. When the epoch is not on disk yet, its row is put into `batch`, which is the
    /// batch that its first records are committed with; [`RegionKeys::committed`] tells when that has happened.
    ///
    /// # Errors
    /// When a new epoch is due and the source of randomness fails.
    pub fn sealing(&self, random: &mut CallRandom, batch: &mut Batch) -> Result<SealingCall, KeysError> {
        let mut epoch = self.epoch.load_full();
        if !epoch.fresh(&*self.clock) {
            epoch = self.next_epoch()?;
        }
        if !epoch.is_durable() {
            batch.put(Keys, &row_key(&epoch_name(&epoch.id))?, &epoch_row(&epoch, self.clock.wall().0));
        }
        Ok(SealingCall::new(epoch, random))
    }

    /// Tells that the batch given to [`RegionKeys::sealing`] is on disk.
    pub fn committed(&self, call: &SealingCall) {
        if !call.epoch.is_durable() {
            call.epoch.mark_durable();
        }
    }

    /// Two names of one kind whose 32-bit codes in record headers are the same, if there are any: tenants, classes,
    /// audiences. Nothing could be opened by it, but the log would mistake one for the other.
    #[must_use]
    pub fn colliding_names(&self, [tenants, classes, audiences]: [Vec<&str>; 3]) -> Option<String> {
        for (kind, names) in [(b't', tenants), (b'c', classes), (b'a', audiences)] {
            let mut seen = HashMap::new();
            for name in names {
                if let Some(other) = seen.insert(self.rings.lookup.code(kind, name), name) {
                    return Some(format!("{other} and {name}"));
                }
            }
        }
        None
    }

    /// The codes of the place that a record says it is of; `None` if its header was damaged. What they stand for is
    /// believed once the record has opened there.
    #[must_use]
    pub fn codes_of(&self, record: &Record<'_>) -> Option<PlaceCodes> {
        self.rings.lookup.place_of_seal(&record.place_seal(), record.number())
    }

    /// The code of a tenant.
    #[must_use]
    pub fn tenant_code(&self, tenant: &Tenant) -> [u8; 4] {
        self.rings.lookup.code(b't', tenant.as_str())
    }

    /// The code of a data class.
    #[must_use]
    pub fn class_code(&self, class: &DataClass) -> [u8; 4] {
        self.rings.lookup.code(b'c', class.as_str())
    }

    /// The code of an audience.
    #[must_use]
    pub fn audience_code(&self, audience: &Audience) -> [u8; 4] {
        self.rings.lookup.code(b'a', audience.as_str())
    }

    fn next_epoch(&self) -> Result<Arc<Epoch>, KeysError> {
        let _one_at_a_time = self.begin.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.epoch.load_full();
        if current.fresh(&*self.clock) {
            return Ok(current);
        }
        let next = Epoch::begin(current.version, &*self.clock, &*self.entropy)?;
        self.rings.remember(&next);
        self.epoch.store(next.clone());
        Ok(next)
    }

    /// The name of an idempotency row; `sequence` is the number of the message, where the key names a whole stream.
    #[must_use]
    pub fn idempotency_name(
        &self,
        tenant: &Tenant,
        principal: &PrincipalId,
        method: &'static str,
        key: &IdempotencyKey,
        sequence: Option<u64>,
    ) -> Digest16 {
        let sequence = sequence.map(|sequence| sequence.to_string());
        let parts = [tenant.as_str(), principal.as_str(), method, key.as_str()];
        let parts: Vec<&str> = parts.into_iter().chain(sequence.as_deref()).collect();
        self.rings.lookup.idempotency_name(&parts)
    }

    /// The name of the row of a nonce that is used up.
    #[must_use]
    pub fn nonce_name(&self, tenant: &Tenant, principal: &PrincipalId, nonce: &Nonce) -> Digest16 {
        self.rings.lookup.nonce_name(tenant.as_str(), principal.as_str(), &nonce.0)
    }

    /// The keyed hash of a request in its canonical form.
    #[must_use]
    pub fn request_hash(&self, parts: &[&[u8]]) -> Digest16 {
        self.rings.lookup.request_hash(parts)
    }

    /// The name of the row in which a caller's use of a budget is counted, for one class and purpose.
    #[must_use]
    pub fn budget_name(
        &self,
        budget: &BudgetName,
        principal: &PrincipalId,
        class: &DataClass,
        purpose: Option<&Purpose>,
    ) -> Digest16 {
        let purpose = purpose.map_or("", Purpose::as_str);
        self.rings.lookup.budget_name(&[budget.as_str(), principal.as_str(), class.as_str(), purpose])
    }

    /// How the log names a token that leads to no record.
    #[must_use]
    pub fn token_hash(&self, tenant: &Tenant, token: &str) -> Digest16 {
        self.rings.lookup.token_hash(tenant, token)
    }

    /// The id that stands for a person of this tenant, in this region.
    #[must_use]
    pub fn subject(&self, tenant: &Tenant, name: &SubjectName) -> SubjectId {
        SubjectId(self.rings.lookup.subject(tenant, name.expose()))
    }
}

impl Signer for RegionKeys {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.log.sign(message)
    }

    fn public_key(&self) -> [u8; 32] {
        self.log.public()
    }
}

/// The key of a node's own log; a node seals nothing.
pub struct NodeKeys {
    log: LogKey,
}

impl NodeKeys {
    /// The rows of a new node's keys.
    ///
    /// # Errors
    /// When the source of randomness fails.
    pub fn create(
        root: &RootKey,
        vault: &VaultId,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Batch, KeysError> {
        create_rows(root, vault, "node", &[LOG_NAME.to_owned()], clock, entropy)
    }

    /// Unwraps the node's key.
    ///
    /// # Errors
    /// When a row is unknown, or does not unwrap under this root key for this vault.
    pub async fn open(root: &RootKey, vault: &VaultId, reader: &Reader) -> Result<Self, KeysError> {
        let rows = KeyRows::read(root, vault, "node", reader).await?;
        let seed = rows.log.ok_or_else(|| KeysError::KeyRowUnknown { name: LOG_NAME.to_owned() })?;
        Ok(Self { log: LogKey::from_seed(&seed) })
    }
}

impl Signer for NodeKeys {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.log.sign(message)
    }

    fn public_key(&self) -> [u8; 32] {
        self.log.public()
    }
}

const LOG_NAME: &str = "log";

fn seal_name(version: KeyVersion) -> String {
    format!("seal/{:08x}", version.0)
}

fn lookup_name(generation: Generation) -> String {
    format!("lookup/{:02x}", generation.get())
}

fn epoch_name(id: &EpochId) -> String {
    format!("epoch/{:016x}", u64::from_be_bytes(*id))
}

fn epoch_row(epoch: &Epoch, begun_ms: u64) -> [u8; EPOCH_ROW_BYTES] {
    let mut row = [0; EPOCH_ROW_BYTES];
    let fields = [epoch.version.0.to_be_bytes().as_slice(), &epoch.salt, &begun_ms.to_be_bytes()].concat();
    row.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    row
}

fn row_key(name: &str) -> Result<TextKey, KeysError> {
    TextKey::new(name).ok_or_else(|| KeysError::KeyRowUnknown { name: name.to_owned() })
}

fn wrap_place(vault: &VaultId, region: &str, name: &str) -> Vec<u8> {
    let mut place = b"tokenvault/wrap/1\0".to_vec();
    for field in [vault.as_str(), region, name] {
        place.extend_from_slice(&u16::try_from(field.len()).unwrap_or(u16::MAX).to_be_bytes());
        place.extend_from_slice(field.as_bytes());
    }
    place
}

fn create_rows(
    root: &RootKey,
    vault: &VaultId,
    region: &str,
    names: &[String],
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Batch, KeysError> {
    let mut batch = Batch::default();
    for name in names {
        let key = Key256::generate(entropy)?;
        let mut row = root.0.wrap(&key, &wrap_place(vault, region, name), entropy)?.to_vec();
        row.extend_from_slice(&clock.wall().0.to_be_bytes());
        batch.put(Keys, &row_key(name)?, &row);
    }
    Ok(batch)
}

/// The look-up rings of a region, of every generation.
pub(crate) async fn lookup_rings(
    root: &RootKey,
    vault: &VaultId,
    region: &Region,
    reader: &Reader,
) -> Result<BTreeMap<Generation, Key256>, KeysError> {
    let rows = KeyRows::read(root, vault, region.as_str(), reader).await?;
    if rows.lookup.is_empty() { Err(KeysError::KeyRowUnknown { name: "lookup".to_owned() }) } else { Ok(rows.lookup) }
}

/// The key table, read and unwrapped.
#[derive(Default)]
struct KeyRows {
    seal: BTreeMap<KeyVersion, Key256>,
    lookup: BTreeMap<Generation, Key256>,
    log: Option<Key256>,
    salts: HashMap<EpochId, [u8; SALT_BYTES]>,
}

impl KeyRows {
    async fn read(root: &RootKey, vault: &VaultId, region: &str, reader: &Reader) -> Result<Self, KeysError> {
        let mut rows = Self::default();
        let snapshot = reader.snapshot();
        let mut after = Bound::Unbounded;
        for _ in 0..KEY_SCANS_MAX {
            let found = snapshot.scan(Keys, (after, Bound::Unbounded), Direction::Forward, KEY_ROWS_READ).await?;
            for (name, value) in found.iter() {
                rows.take(root, vault, region, name.as_str(), value)?;
            }
            match found.last_key() {
                Some(last) if found.more() => after = Bound::Excluded(last.clone()),
                _ => return Ok(rows),
            }
        }
        Err(KeysError::TooManyKeys)
    }

    fn take(
        &mut self,
        root: &RootKey,
        vault: &VaultId,
        region: &str,
        name: &str,
        value: &[u8],
    ) -> Result<(), KeysError> {
        let unknown = || KeysError::KeyRowUnknown { name: name.to_owned() };
        if let Some(id) = name.strip_prefix("epoch/") {
            let row: &[u8; EPOCH_ROW_BYTES] = value.try_into().map_err(|_| unknown())?;
            let salt = row.get(4..).and_then(<[u8]>::first_chunk::<SALT_BYTES>).ok_or_else(unknown)?;
            let id = u64::from_str_radix(id, 16).map_err(|_| unknown())?.to_be_bytes();
            if epoch_id(salt) != id {
                return Err(unknown());
            }
            self.salts.insert(id, *salt);
            return Ok(());
        }
        if value.len() != KEY_ROW_BYTES {
            return Err(unknown());
        }
        let wrapped = value.get(..WRAPPED_BYTES).ok_or_else(unknown)?;
        let key = root.0.unwrap(wrapped, &wrap_place(vault, region, name)).map_err(|_| {
            KeysError::KeyDoesNotUnwrap { name: name.to_owned(), place: format!("vault {vault}, region {region}") }
        })?;
        if let Some(version) = name.strip_prefix("seal/") {
            self.seal.insert(KeyVersion(u32::from_str_radix(version, 16).map_err(|_| unknown())?), key);
        } else if let Some(generation) = name.strip_prefix("lookup/") {
            let generation = u8::from_str_radix(generation, 16).map_err(|_| unknown())?;
            self.lookup.insert(Generation::new(generation).ok_or_else(unknown)?, key);
        } else if name == LOG_NAME {
            self.log = Some(key);
        } else {
            return Err(unknown());
        }
        Ok(())
    }
}
