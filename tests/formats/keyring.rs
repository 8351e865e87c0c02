//! The keys of a region, made from a fixed seed, and the names that the tests use.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tempfile::TempDir;
use vault_crypto::CallRandom;
use vault_domain::{Audience, DataClass, Entropy, EntropyError, ManualClock, Millis, Region, Tenant, VaultId};
use vault_keys::{ClassKeys, RegionKeys, RootKey};
use vault_store::{Identity, Memory, Options, Scope, Store, wait};

/// The same bytes in every run: splitmix64 over a counter.
#[derive(Debug, Default)]
struct Seeded(AtomicU64);

impl Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in out.chunks_mut(8) {
            let mut mixed = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(mixed ^ mixed >> 31).to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// A region's keys, and randomness.
pub(crate) struct Keyring {
    _directory: TempDir,
    _store: Store,
    keys: RegionKeys,
    entropy: Arc<Seeded>,
}

impl Keyring {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let entropy = Arc::new(Seeded::default());
        let clock = Arc::new(ManualClock::at(Millis(1_800_000_000_000)));
        let path = directory.path().join("root.key");
        RootKey::create_file(&path, &*entropy).unwrap();
        let root = RootKey::from_file(&path).unwrap();
        let vault = VaultId::parse("vault.example.org").unwrap();
        let options = Options {
            create: true,
            identity: Identity { vault: vault.clone(), scope: Scope::Region(region()) },
            memory: Memory::default(),
            ballast_bytes: 0,
        };
        let mut store = Store::open(&directory.path().join("eu"), &options).unwrap();
        let rows = RegionKeys::create(&root, &vault, &region(), &*clock, &*entropy).unwrap();
        store.writer.commit([&rows]).unwrap();
        let keys = wait(RegionKeys::open(&root, &vault, &region(), &store.reader, clock, entropy.clone())).unwrap();
        Self { keys, _directory: directory, _store: store, entropy }
    }

    pub(crate) fn class(&self, name: &str) -> Arc<ClassKeys> {
        self.keys.class(&Tenant::parse("acme").unwrap(), &DataClass::parse(name).unwrap())
    }

    pub(crate) fn random(&self) -> CallRandom {
        CallRandom::seeded(&*self.entropy).unwrap()
    }
}

pub(crate) fn region() -> Region {
    Region::parse("eu").unwrap()
}

pub(crate) fn audience(name: &str) -> Audience {
    Audience::parse(name).unwrap()
}
