//! What is on disk, byte for byte, and what happens when a byte is changed.
//!
//! The goldens pin the layouts of every released format: a change that breaks one of them makes stored data unreadable.
//! Run with `UPDATE_GOLDENS=1` to write them anew, for a new format version only.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tempfile::TempDir;
use vault_crypto::{CallRandom, sha256};
use vault_domain::{
    Audience, DataClass, Entropy, EntropyError, Generation, ManualClock, Millis, PrincipalId, RecordNumber, Reference,
    Region, SubjectId, SubjectName, Tenant, VaultId,
};
use vault_ledger::{EntryOpener, EntrySalt, EntrySealer, People};
use vault_store::{Batch, Identity, Memory, Options, Scope, Store, wait};

use crate::{
    ClassKeys, DeterminismScope, Finding, KeysError, NewRecord, Presented, RECORD_HEADER_BYTES, Record, RecordState,
    RegionKeys, RootKey, SealingCall, TokenForm, Way,
};

/// The same bytes every time: SHA-256 of a counter.
#[derive(Debug, Default)]
struct CountedEntropy(AtomicU64);

impl Entropy for CountedEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in out.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            chunk.copy_from_slice(&sha256(&[&count])[..chunk.len()]);
        }
        Ok(())
    }
}

struct Fixture {
    _dir: TempDir,
    store: Store,
    root: RootKey,
    clock: Arc<ManualClock>,
    entropy: Arc<CountedEntropy>,
    keys: RegionKeys,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let entropy = Arc::new(CountedEntropy::default());
        let clock = Arc::new(ManualClock::at(Millis(1_800_000_000_000)));
        let path = dir.path().join("root.key");
        RootKey::create_file(&path, &*entropy).unwrap();
        let root = RootKey::from_file(&path).unwrap();
        let options = Options {
            create: true,
            identity: Identity { vault: vault(), scope: Scope::Region(region("eu")) },
            memory: Memory::default(),
            ballast_bytes: 0,
        };
        let mut store = Store::open(&dir.path().join("eu"), &options).unwrap();
        let rows = RegionKeys::create(&root, &vault(), &region("eu"), &*clock, &*entropy).unwrap();
        store.writer.commit([&rows]).unwrap();
        let keys = open(&store, &root, "eu", &clock, &entropy).unwrap();
        Self { _dir: dir, store, root, clock, entropy, keys }
    }

    fn sealing(&self) -> (SealingCall, CallRandom, Batch) {
        let mut random = CallRandom::seeded(&*self.entropy).unwrap();
        let mut batch = Batch::default();
        let call = self.keys.sealing(&mut random, &mut batch).unwrap();
        (call, random, batch)
    }
}

fn open(
    store: &Store,
    root: &RootKey,
    name: &str,
    clock: &Arc<ManualClock>,
    entropy: &Arc<CountedEntropy>,
) -> Result<RegionKeys, KeysError> {
    wait(RegionKeys::open(root, &vault(), &region(name), &store.reader, clock.clone(), entropy.clone()))
}

fn vault() -> VaultId {
    VaultId::parse("vault.example.org").unwrap()
}

fn region(name: &str) -> Region {
    Region::parse(name).unwrap()
}

fn tenant(name: &str) -> Tenant {
    Tenant::parse(name).unwrap()
}

fn class(name: &str) -> DataClass {
    DataClass::parse(name).unwrap()
}

fn audience(name: &str) -> Audience {
    Audience::parse(name).unwrap()
}

fn number(number: u64) -> RecordNumber {
    RecordNumber::new(number).unwrap()
}

fn new_record<'a>(of: u64, token: TokenForm<'a>, value: &'a [u8]) -> NewRecord<'a> {
    NewRecord {
        number: number(of),
        token,
        value,
        created: Millis(1_800_000_000_000),
        not_before: Millis(0),
        expires: Millis(1_900_000_000_000),
        max_uses: 0,
        subject: None,
        parent: None,
    }
}

fn golden(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(format!("{name}.hex"));
    let hex: Vec<String> =
        bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    let text = hex.join("\n") + "\n";
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, golden, "the layout of {name} has changed");
}

fn sealed(keys: &ClassKeys, call: &SealingCall, record: &NewRecord<'_>) -> Vec<u8> {
    let mut row = Vec::new();
    keys.seal(call, &audience("payments"), record, &mut row).unwrap();
    row
}

#[test]
fn the_layouts_of_records_tokens_states_and_entries_are_pinned() {
    let vault = Fixture::new();
    let keys = vault.keys.class(&tenant("acme"), &class("card_number"));
    let (call, mut random, epoch_row) = vault.sealing();
    golden("epoch-batch", &batch_bytes(&epoch_row));

    let token = keys.mint(&[number(7)], &mut random)[0];
    let mut text = token.block.to_vec();
    text.extend(token.check.to_be_bytes());
    golden("token", &text);

    let plain = sealed(&keys, &call, &new_record(7, TokenForm::Block(&token.block), b"4111111111111111"));
    golden("record-opaque", &plain);
    let full = NewRecord {
        not_before: Millis(1_800_000_000_001),
        max_uses: 3,
        subject: Some(SubjectId([0x5B; 16])),
        parent: Some(number(6)),
        ..new_record(8, TokenForm::Text("9870123412341111"), b"4111111111111111")
    };
    golden("record-full", &sealed(&keys, &call, &full));

    let record = Record::parse(number(7), &plain).unwrap();
    let state =
        RecordState { suspended: true, revoked: false, expires: Millis(1_850_000_000_000), uses: 2, changes: 5 };
    golden("state", &keys.seal_state(&record, &audience("payments"), &state).unwrap());

    let payments = audience("payments");
    let for_payments = DeterminismScope { audience: &payments, subject: None };
    let mut names = keys.token_lookup("9870123412341111").to_vec();
    names.extend(keys.blind_index(&for_payments, b"4111111111111111"));
    names.extend(vault.keys.token_hash(&tenant("acme"), "tok_eu_x"));
    golden("names", &names);

    let salt = EntrySalt([3; 16]);
    let people = people();
    let part = vault.keys.entry_sealer(&call).seal(&tenant("acme"), &salt, &people).unwrap();
    golden("entry-people", &[&part.tenant_tag.0[..], &part.principal_tag.0, &part.nonce, &part.ciphertext].concat());
    assert_eq!(vault.keys.open(&tenant("acme"), &salt, &part).unwrap().encode(), people.encode());

    let uuid = new_record(9, TokenForm::Uuid(&[0x4A; 16]), b"4111111111111111");
    golden("record-uuid", &sealed(&keys, &call, &uuid));

    let mut computed = keys.one_way(&for_payments, b"4111111111111111").to_vec();
    let digits = [1, 1, 1, 1, 1, 1, 1, 1, 1];
    let kept = b"411111\0\0\0\0\0\0\0\0\0\0";
    let permute = |way, numerals: &mut [u8]| keys.permute(way, 10, numerals, &audience("payments"), kept);
    let mut permuted = digits;
    permute(Way::ToToken, &mut permuted).unwrap();
    computed.extend(permuted);
    golden("computed", &computed);
    permute(Way::ToValue, &mut permuted).unwrap();
    assert_eq!(permuted, digits);

    let jane = SubjectName::parse("jane@example.com".to_owned()).unwrap();
    let subject = vault.keys.subject(&tenant("acme"), &jane);
    let everybody = Audience::all_of_class();
    let mut scopes = subject.0.to_vec();
    for audience in [&payments, &everybody] {
        for subject in [None, Some(subject)] {
            scopes.extend(keys.blind_index(&DeterminismScope { audience, subject }, b"4111111111111111"));
        }
    }
    golden("scopes", &scopes);
}

fn people() -> People {
    People {
        tenant: Some(tenant("acme")),
        principal: Some(PrincipalId::parse("spiffe://example.org/payments").unwrap()),
        reference: Some(Reference::parse("CASE-1").unwrap()),
        ..People::default()
    }
}

/// What a batch writes, in a form of its own: the store's encoding is not this crate's.
fn batch_bytes(batch: &Batch) -> Vec<u8> {
    batch
        .operations()
        .flat_map(|operation| match operation {
            vault_store::Operation::Put { key, value, .. } => [key, value].concat(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_record_opens_only_in_its_place_and_only_unchanged() {
    let vault = Fixture::new();
    let keys = vault.keys.class(&tenant("acme"), &class("card_number"));
    let (call, mut random, _) = vault.sealing();
    let token = keys.mint(&[number(7)], &mut random)[0];
    let row = sealed(&keys, &call, &new_record(7, TokenForm::Block(&token.block), b"4111111111111111"));
    let payments = audience("payments");
    let opens = |keys: &ClassKeys, at: u64, row: &[u8], audience: &Audience| {
        Record::parse(number(at), row).is_some_and(|record| keys.open(&record, audience).is_ok())
    };
    assert!(opens(&keys, 7, &row, &payments));
    assert!(!opens(&keys, 8, &row, &payments), "under another number");
    assert!(!opens(&keys, 7, &row, &audience("support")), "for another audience");
    assert!(!opens(&vault.keys.class(&tenant("globex"), &class("card_number")), 7, &row, &payments));
    assert!(!opens(&vault.keys.class(&tenant("acme"), &class("email")), 7, &row, &payments));
    for at in 0..row.len() {
        for bit in 0..8 {
            let mut changed = row.clone();
            changed[at] ^= 1 << bit;
            assert!(!opens(&keys, 7, &changed, &payments), "byte {at}, bit {bit}");
        }
    }
    for length in 0..row.len() {
        assert!(!opens(&keys, 7, &row[..length], &payments), "cut to {length}");
    }
}

#[test]
fn a_header_tells_token_tenant_class_and_audience_apart() {
    let vault = Fixture::new();
    let keys = vault.keys.class(&tenant("acme"), &class("card_number"));
    let (call, mut random, _) = vault.sealing();
    let token = keys.mint(&[number(7)], &mut random)[0];
    let row = sealed(&keys, &call, &new_record(7, TokenForm::Block(&token.block), b"4111111111111111"));
    let record = Record::parse(number(7), &row).unwrap();
    let payments = audience("payments");
    let right = Presented::Opaque { block: &token.block, check: token.check };
    let find = |keys: &ClassKeys, presented, audience: &Audience| keys.check(&record, presented, audience);

    assert_eq!(keys.record_number(&token.block), Some(number(7)));
    assert_eq!(find(&keys, right, &payments), Finding::Matches);
    assert_eq!(find(&keys, right, &audience("support")), Finding::OtherAudience);
    let (email, globex) = (
        vault.keys.class(&tenant("acme"), &class("email")),
        vault.keys.class(&tenant("globex"), &class("card_number")),
    );
    assert_eq!(find(&email, right, &payments), Finding::OtherClass);
    assert_eq!(find(&globex, right, &payments), Finding::OtherTenant);
    let wrong_check = Presented::Opaque { block: &token.block, check: token.check ^ 1 };
    assert_eq!(find(&keys, wrong_check, &payments), Finding::CheckFailed);
    let guess = keys.mint(&[number(7)], &mut random)[0];
    assert_ne!(guess.block, token.block, "two tokens of one number differ");
    let guessed = Presented::Opaque { block: &guess.block, check: guess.check };
    assert_eq!(find(&keys, guessed, &payments), Finding::OtherToken);
    assert!(keys.token_of(&record) == token, "the token is rebuilt from its seal");
    assert!(keys.is_of(&record, &payments) && !keys.is_of(&record, &audience("support")));
    assert_eq!(keys.generation(), Generation::FIRST);
}

#[test]
fn a_state_row_belongs_to_its_record_and_shows_any_change() {
    let vault = Fixture::new();
    let keys = vault.keys.class(&tenant("acme"), &class("card_number"));
    let (call, mut random, _) = vault.sealing();
    let payments = audience("payments");
    let tokens = keys.mint(&[number(7), number(8)], &mut random);
    let rows: Vec<_> = [7, 8]
        .iter()
        .zip(&tokens)
        .map(|(at, token)| sealed(&keys, &call, &new_record(*at, TokenForm::Block(&token.block), b"4111111111111111")))
        .collect();
    let records: Vec<_> = [7, 8].iter().zip(&rows).map(|(at, row)| Record::parse(number(*at), row).unwrap()).collect();
    let state = RecordState { suspended: false, revoked: true, expires: Millis(5), uses: 1, changes: 1 };
    let row = keys.seal_state(&records[0], &payments, &state).unwrap();
    assert_eq!(keys.state(&records[0], &payments, &row).unwrap(), state);
    assert!(keys.state(&records[1], &payments, &row).is_err(), "moved to another record");
    for at in 0..row.len() {
        let mut changed = row;
        changed[at] ^= 1;
        assert!(keys.state(&records[0], &payments, &changed).is_err(), "byte {at}");
    }
}

#[test]
fn a_later_process_opens_what_an_earlier_one_sealed_under_its_own_epoch() {
    let mut vault = Fixture::new();
    let (call, mut random, batch) = vault.sealing();
    let keys = vault.keys.class(&tenant("acme"), &class("card_number"));
    let token = keys.mint(&[number(7)], &mut random)[0];
    let row = sealed(&keys, &call, &new_record(7, TokenForm::Block(&token.block), b"4111111111111111"));
    vault.store.writer.commit([&batch]).unwrap();
    vault.keys.committed(&call);
    let (_, _, again) = vault.sealing();
    assert!(again.is_empty(), "the epoch's row is written until it is known to be on disk, and not after");

    let later = open(&vault.store, &vault.root, "eu", &vault.clock, &vault.entropy).unwrap();
    let record = Record::parse(number(7), &row).unwrap();
    let opened = later.class(&tenant("acme"), &class("card_number")).open(&record, &audience("payments")).unwrap();
    assert_eq!(opened.value.expose(), b"4111111111111111");
    let mut fresh = Batch::default();
    let next = later.sealing(&mut random, &mut fresh).unwrap();
    let next_row = sealed(
        &later.class(&tenant("acme"), &class("card_number")),
        &next,
        &new_record(9, TokenForm::Block(&token.block), b"x"),
    );
    assert_ne!(next_row[8..16], row[8..16], "a start is a new epoch");
    assert_eq!(RECORD_HEADER_BYTES, 84);
}

#[test]
fn keys_unwrap_only_for_their_vault_region_and_root() {
    let vault = Fixture::new();
    let other_region = open(&vault.store, &vault.root, "us", &vault.clock, &vault.entropy);
    assert!(matches!(other_region, Err(KeysError::KeyDoesNotUnwrap { .. })));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.key");
    RootKey::create_file(&path, &*vault.entropy).unwrap();
    let other_root = RootKey::from_file(&path).unwrap();
    let wrong = open(&vault.store, &other_root, "eu", &vault.clock, &vault.entropy);
    assert!(matches!(wrong, Err(KeysError::KeyDoesNotUnwrap { .. })));
}

#[test]
fn the_people_of_an_entry_open_only_for_their_tenant_and_entry() {
    let vault = Fixture::new();
    let (call, _, _) = vault.sealing();
    let salt = EntrySalt([9; 16]);
    let part = vault.keys.entry_sealer(&call).seal(&tenant("acme"), &salt, &people()).unwrap();
    assert!(vault.keys.open(&tenant("acme"), &salt, &part).is_ok());
    assert!(vault.keys.open(&tenant("globex"), &salt, &part).is_err());
    assert!(vault.keys.open(&tenant("acme"), &EntrySalt([8; 16]), &part).is_err());
    let mut retagged = part.clone();
    retagged.principal_tag.0[0] ^= 1;
    assert!(vault.keys.open(&tenant("acme"), &salt, &retagged).is_err());
}
