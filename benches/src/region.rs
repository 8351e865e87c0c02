//! One region without a server: store, keys and journal, put together as the engine does.

use std::{
    num::NonZeroU32,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use vault_crypto::CallRandom;
use vault_domain::{
    Action, Audience, Clock, DataClass, Decision, PrincipalId, Purpose, RecordNumber, Region, RequestId, SystemClock,
    SystemEntropy, Tenant, VaultId,
};
use vault_journal::{FIRST_LIFE, Journal, Parts, Running};
use vault_keys::{RegionKeys, RootKey, SealingCall};
use vault_ledger::{
    CertificateSha256, EntryBuilder, EntryHead, EntrySalt, EntrySealer, Origin, Outcome, People, PolicySetFingerprint,
    SealedPart,
};
use vault_store::{Batch, Identity, Memory, Options, Reader, Scope, Store, Writer, table::Records, wait};

use crate::Failure;

/// Bytes of the records that are committed: an opaque one with a value of 12 bytes has as many.
pub const RECORD_BYTES: usize = 132;
/// What record rows are cut from.
const FILL_BYTES: usize = 1 << 20;

/// Names that everything here is done in.
pub struct Names {
    /// The vault.
    pub vault: VaultId,
    /// The region.
    pub region: Region,
    /// The tenant.
    pub tenant: Tenant,
    /// The data class.
    pub class: DataClass,
    /// The audience.
    pub audience: Audience,
    purpose: Purpose,
    principal: PrincipalId,
}

impl Names {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            vault: VaultId::parse("bench.tokenvault.internal")?,
            region: Region::parse("eu")?,
            tenant: Tenant::parse("acme")?,
            class: DataClass::parse("customer_id")?,
            audience: Audience::parse("payments")?,
            purpose: Purpose::parse("settlement")?,
            principal: PrincipalId::parse("spiffe://dev.tokenvault.internal/bench")?,
        })
    }
}

/// A region's store and keys, and the one writer until the journal takes it.
pub struct Ground {
    /// The names.
    pub names: Names,
    /// The keys.
    pub keys: Arc<RegionKeys>,
    /// The reader.
    pub reader: Reader,
    store: Store,
    clock: Arc<SystemClock>,
    next: AtomicU64,
    fill: Vec<u8>,
}

impl Ground {
    /// A new store with new keys in the folder `name` under `folder`.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create(folder: &Path, name: &str) -> Result<Self, Failure> {
        let names = Names::new()?;
        let clock = Arc::new(SystemClock::new());
        let options = Options {
            create: true,
            identity: Identity { vault: names.vault.clone(), scope: Scope::Region(names.region.clone()) },
            memory: Memory::default(),
            ballast_bytes: 0,
        };
        let mut store = Store::open(&folder.join(name), &options)?;
        let root_file = folder.join(format!("{name}.key"));
        RootKey::create_file(&root_file, &SystemEntropy)?;
        let root = RootKey::from_file(&root_file)?;
        store.writer.commit([&RegionKeys::create(&root, &names.vault, &names.region, &*clock, &SystemEntropy)?])?;
        let keys = wait(RegionKeys::open(
            &root,
            &names.vault,
            &names.region,
            &store.reader,
            clock.clone(),
            Arc::new(SystemEntropy),
        ))?;
        let mut fill = vec![0; FILL_BYTES];
        vault_domain::Entropy::fill(&SystemEntropy, &mut fill)?;
        let reader = store.reader.clone();
        Ok(Self { names, keys: Arc::new(keys), reader, store, clock, next: AtomicU64::new(0), fill })
    }

    /// Hands the writer to a journal.
    ///
    /// # Errors
    /// When the journal does not open.
    pub fn into_journal(self) -> Result<(Work, Journal, Running), Failure> {
        let (work, Store { writer, reader, summaries, .. }) = self.split();
        let (journal, running) = Journal::open(Parts {
            writer,
            free_bytes_min: 0,
            summaries,
            reader,
            origin: Origin::of_region(&work.names.vault, &work.names.region, FIRST_LIFE),
            signer: work.keys.clone(),
            clock: work.clock.clone(),
            known_outside: None,
        })?;
        Ok((work, journal, running))
    }

    /// Keeps the writer bare.
    #[must_use]
    pub fn into_writer(self) -> (Work, Writer) {
        let (work, store) = self.split();
        (work, store.writer)
    }

    fn split(self) -> (Work, Store) {
        let Self { names, keys, reader, store, clock, next, fill } = self;
        (Work { names, keys, reader, clock, next, fill }, store)
    }
}

/// What a caller of the journal does by itself: rows and entry. Shared by all callers.
pub struct Work {
    /// The names.
    pub names: Names,
    /// The keys.
    pub keys: Arc<RegionKeys>,
    /// The reader.
    pub reader: Reader,
    clock: Arc<SystemClock>,
    next: AtomicU64,
    fill: Vec<u8>,
}

impl Work {
    /// Rows of `items` fresh records, and the numbers that they have.
    ///
    /// # Errors
    /// When the numbers are used up.
    pub fn rows(&self, items: usize) -> Result<(Batch, Vec<RecordNumber>), Failure> {
        let count = u64::try_from(items)?;
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        let numbers: Option<Vec<_>> = (first..first + count).map(RecordNumber::new).collect();
        let numbers = numbers.ok_or("record numbers are used up")?;
        let mut batch = Batch::with_capacity(items * (RECORD_BYTES + 16));
        for number in &numbers {
            let start = usize::try_from(number.get())? * RECORD_BYTES % (FILL_BYTES - RECORD_BYTES);
            batch.put(Records, number, self.fill.get(start..start + RECORD_BYTES).unwrap_or_default());
        }
        Ok((batch, numbers))
    }

    /// The entry of a call that made these records, sealed and encoded as the engine's are.
    ///
    /// # Errors
    /// When it can't be sealed or encoded.
    pub fn entry(&self, numbers: &[RecordNumber], batch: &mut Batch) -> Result<(Vec<u8>, SealingCall), Failure> {
        let mut random = CallRandom::seeded(&SystemEntropy)?;
        let sealing = self.keys.sealing(&mut random, batch)?;
        let salt = EntrySalt(random.bytes());
        let people = People {
            tenant: Some(self.names.tenant.clone()),
            principal: Some(self.names.principal.clone()),
            issuer: None,
            certificate: CertificateSha256::of(b"bench"),
            source: Some([127, 0, 0, 1].into()),
            ..People::default()
        };
        let sealed = self.keys.entry_sealer(&sealing).seal(&self.names.tenant, &salt, &people)?;
        let head = EntryHead {
            wall_time: self.clock.wall(),
            salt,
            action: Action::Tokenize,
            decision: Decision::Allowed,
            reason: None,
            request_id: RequestId(random.bytes()),
            trace_id: None,
            count: NonZeroU32::MIN,
            purpose: Some(self.names.purpose.clone()),
            audience: Some(self.names.audience.clone()),
            policy_set: PolicySetFingerprint::default(),
        };
        let mut entry = EntryBuilder::new(&head, ["grant"])?;
        let items = u32::try_from(numbers.len())?;
        entry.group(&self.names.class, Outcome::Done, items, numbers.iter().copied(), [])?;
        Ok((entry.finish(&SealedPart::Sealed(sealed))?, sealing))
    }
}
