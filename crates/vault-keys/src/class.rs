//! What one data class of one tenant does with its keys: mint, check, seal, open, index.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use vault_crypto::{AeadKey, Block, CallRandom, Domain, Ff1Error, Info, MacKey, same};
use vault_domain::{
    Audience, DataClass, Generation, KeyVersion, Plaintext, RecordNumber, Region, Tenant, TokenText, VaultId, limits,
};
use zeroize::Zeroizing;

use crate::{
    epoch::{EpochId, SALT_BYTES, SealingCall},
    error::KeysError,
    lookup::{ClassLookup, DeterminismScope, Digest16, MintedToken, PlaceCodes, RegionLookup},
    place::{PlaceHash, place_hash},
    record::{
        NewRecord, RECORD_HEADER_BYTES, Record, SealFields, TokenForm, aad, put_header, put_sealed_part,
        split_sealed_part,
    },
    region::Rings,
    state::{RecordState, StatePlace},
};

/// The label of every key derived from the seal ring.
pub(crate) const SEAL_LABEL: &str = "tokenvault/seal/1";
/// Sealing keys of past epochs that one class keeps ready.
const EPOCH_KEYS_KEPT_MAX: usize = 1024;

/// The keys of one epoch that belong to one class of one tenant.
struct EpochKeys {
    value: AeadKey,
    state: MacKey,
}

/// Where a class seals for one audience.
struct AudiencePlace {
    hash: PlaceHash,
    codes: PlaceCodes,
}

/// What a caller presents to be checked against a record.
#[derive(Clone, Copy)]
pub enum Presented<'a> {
    /// The block of an opaque token, and the check that came with it.
    Opaque {
        /// The block.
        block: &'a Block,
        /// The check.
        check: u64,
    },
    /// A UUID.
    Uuid(&'a Block),
    /// The text of a token that is no block.
    Text(&'a str),
}

/// What the header of a record says of a presented token. Only `Matches` may lead to the value; which of the others it
/// was is for the log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The record is of this token, tenant, class and audience.
    Matches,
    /// The record is of another token: the number was a guess.
    OtherToken,
    /// The token is the record's, its check characters are not.
    CheckFailed,
    /// The token is the record's, and belongs to another tenant.
    OtherTenant,
    /// The token is the record's, and belongs to another class of this tenant.
    OtherClass,
    /// The token is the record's, and was issued for another audience.
    OtherAudience,
    /// The header is damaged.
    Corrupt,
}

/// A value taken out of its record.
pub struct Opened {
    /// The value.
    pub value: Plaintext,
    /// The token that is kept beside it, for formats that are no block.
    pub token: Option<TokenText>,
}

/// The keys of one class of one tenant in one region.
pub struct ClassKeys {
    vault: VaultId,
    region: Region,
    tenant: Tenant,
    class: DataClass,
    rings: Arc<Rings>,
    lookup: ClassLookup,
    places: RwLock<HashMap<Audience, Arc<AudiencePlace>>>,
    epochs: RwLock<HashMap<(KeyVersion, EpochId), Arc<EpochKeys>>>,
    domains: RwLock<HashMap<(u32, usize), Arc<Domain>>>,
}

/// Which way FF1 goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A value becomes its token.
    ToToken,
    /// A token becomes its value.
    ToValue,
}

impl ClassKeys {
    pub(crate) fn new(vault: VaultId, region: Region, tenant: Tenant, class: DataClass, rings: Arc<Rings>) -> Self {
        let lookup = rings.lookup.class(&tenant, &class);
        let (places, epochs, domains) = (RwLock::default(), RwLock::default(), RwLock::default());
        Self { vault, region, tenant, class, rings, lookup, places, epochs, domains }
    }

    /// Makes the tokens of `numbers`: one block each, a record number beside 72 fresh random bits.
    #[must_use]
    pub fn mint(&self, numbers: &[RecordNumber], random: &mut CallRandom) -> Vec<MintedToken> {
        let mut blocks: Vec<Block> = numbers
            .iter()
            .map(|number| {
                let [_, number @ ..] = number.get().to_be_bytes();
                let mut block: Block = random.bytes();
                block.iter_mut().zip(number).for_each(|(to, from)| *to = from);
                block
            })
            .collect();
        self.region_lookup().token_blocks(&mut blocks);
        let tokens = blocks.clone();
        let generation = self.region_lookup().generation;
        tokens
            .into_iter()
            .zip(self.lookup.checks(&mut blocks))
            .map(|(block, check)| MintedToken { generation, block, check })
            .collect()
    }

    /// The generation whose tokens this class can verify.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.region_lookup().generation
    }

    /// The record number that a block hides. Any block hides one; [`ClassKeys::check`] tells whether it is the right
    /// one.
    #[must_use]
    pub fn record_number(&self, block: &Block) -> Option<RecordNumber> {
        let mut blocks = [*block];
        self.region_lookup().record_numbers(&mut blocks);
        let [[a, b, c, d, e, f, g, ..]] = blocks;
        RecordNumber::new(u64::from_be_bytes([0, a, b, c, d, e, f, g]))
    }

    /// The row of the table `tokens` for a token that can't carry its record number.
    #[must_use]
    pub fn token_lookup(&self, token: &str) -> Digest16 {
        self.lookup.token_lookup(token)
    }

    /// The row of the table `values` for a value of this class, in its canonical form.
    #[must_use]
    pub fn blind_index(&self, scope: &DeterminismScope<'_>, canonical: &[u8]) -> Digest16 {
        self.lookup.blind_index(scope, canonical)
    }

    /// The digest of a one-way token for a value of this class, in its canonical form.
    #[must_use]
    pub fn one_way(&self, scope: &DeterminismScope<'_>, canonical: &[u8]) -> Digest16 {
        self.lookup.one_way(scope, canonical)
    }

    /// Permutes numerals in place: FF1 under the key of this class, with place, audience and `kept` as the tweak.
    ///
    /// # Errors
    /// When numerals or `kept` are not of a domain that FF1 takes.
    pub fn permute(
        &self,
        way: Way,
        radix: u32,
        numerals: &mut [u8],
        audience: &Audience,
        kept: &[u8],
    ) -> Result<(), Ff1Error> {
        let domain = self.domain(radix, numerals.len())?;
        let names = [self.region.as_str(), self.tenant.as_str(), self.class.as_str(), audience.as_str()];
        let mut tweak = Zeroizing::new(Vec::with_capacity(names.len() * (2 + limits::NAME_BYTES_MAX) + 2 + kept.len()));
        for field in names.iter().map(|name| name.as_bytes()).chain([kept]) {
            let length = u16::try_from(field.len()).map_err(|_| Ff1Error::TweakTooLong)?;
            tweak.extend_from_slice(&length.to_be_bytes());
            tweak.extend_from_slice(field);
        }
        let tweak = self.lookup.ff1.tweak(&domain, &tweak)?;
        match way {
            Way::ToToken => self.lookup.ff1.encrypt(&domain, &tweak, numerals),
            Way::ToValue => self.lookup.ff1.decrypt(&domain, &tweak, numerals),
        }
    }

    /// Holds what a caller presents against a record's header: one block and one constant-time comparison, the same for
    /// every outcome. Nothing is opened.
    #[must_use]
    pub fn check(&self, record: &Record<'_>, presented: Presented<'_>, audience: &Audience) -> Finding {
        let (seal, check_right) = match presented {
            Presented::Opaque { block, check } => {
                (self.region_lookup().token_seal(block), self.lookup.check(block) == check)
            }
            Presented::Uuid(bytes) => (self.region_lookup().token_seal(bytes), true),
            Presented::Text(text) => (self.lookup.token_text_seal(text), true),
        };
        let is_token = same(&seal, &record.token_seal());
        let codes = self.region_lookup().place_of_seal(&record.place_seal(), record.number());
        let own = self.place(audience).codes;
        match codes {
            _ if !is_token => Finding::OtherToken,
            None => Finding::Corrupt,
            Some(codes) if codes.tenant != own.tenant => Finding::OtherTenant,
            Some(codes) if codes.class != own.class => Finding::OtherClass,
            Some(_) if !check_right => Finding::CheckFailed,
            Some(codes) if codes.audience != own.audience => Finding::OtherAudience,
            Some(_) => Finding::Matches,
        }
    }

    /// Whether the record is of this class, tenant and audience, whatever its token: for replies that are rebuilt from
    /// rows of the vault's own.
    #[must_use]
    pub fn is_of(&self, record: &Record<'_>, audience: &Audience) -> bool {
        self.region_lookup().place_of_seal(&record.place_seal(), record.number()) == Some(self.place(audience).codes)
    }

    /// The token of a record, to give it again: rebuilt from the token seal, without opening anything.
    #[must_use]
    pub fn token_of(&self, record: &Record<'_>) -> MintedToken {
        let block = self.region_lookup().token_of_seal(&record.token_seal());
        MintedToken { generation: record.generation(), block, check: self.lookup.check(&block) }
    }

    /// Seals a record and appends its row to `out`.
    ///
    /// # Errors
    /// When the epoch's counter is used up.
    pub fn seal(
        &self,
        call: &SealingCall,
        audience: &Audience,
        record: &NewRecord<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), KeysError> {
        let place = self.place(audience);
        let (token_seal, kept) = match record.token {
            TokenForm::Block(block) | TokenForm::Uuid(block) => (self.region_lookup().token_seal(block), ""),
            TokenForm::Text(text) => (self.lookup.token_text_seal(text), text),
        };
        let fields = SealFields {
            generation: self.generation(),
            key_version: call.epoch.version,
            epoch: call.epoch.id,
            nonce: call.nonce()?,
            token_seal,
            place_seal: self.region_lookup().place_seal(&place.codes, record.number),
        };
        let start = out.len();
        put_header(out, record, &fields);
        let sealed_at = out.len();
        put_sealed_part(out, record.value, kept);
        let (head, part) = out.split_at_mut(sealed_at);
        let header = head.get(start..).and_then(<[u8]>::first_chunk::<RECORD_HEADER_BYTES>);
        let aad = aad(&place.hash, record.number, header.unwrap_or(&[0; _]), record.subject, record.parent);
        let tag = self.sealing_keys(call, record.number)?.value.seal_in_place(&fields.nonce, &aad, part);
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens a record whose header was checked.
    ///
    /// # Errors
    /// [`KeysError::RecordCorrupt`] when it is not what was sealed for this place; [`KeysError::KeyMissing`] when its
    /// key is not there.
    pub fn open(&self, record: &Record<'_>, audience: &Audience) -> Result<Opened, KeysError> {
        let corrupt = || KeysError::RecordCorrupt { number: record.number() };
        let (ciphertext, tag) = record.sealed().ok_or_else(corrupt)?;
        let keys = self.keys_of(record)?;
        let mut part = Zeroizing::new(ciphertext.to_vec());
        let aad = record.aad(&self.place(audience).hash);
        keys.value.open_in_place(&record.nonce(), &aad, &mut part, tag).map_err(|_| corrupt())?;
        let (value, token) = split_sealed_part(part).ok_or_else(corrupt)?;
        Ok(Opened { value, token })
    }

    /// Reads a record's state row.
    ///
    /// # Errors
    /// When the row is not authentic, or the record's key is not there.
    pub fn state(&self, record: &Record<'_>, audience: &Audience, row: &[u8]) -> Result<RecordState, KeysError> {
        let corrupt = || KeysError::RecordCorrupt { number: record.number() };
        let (_, value_tag) = record.sealed().ok_or_else(corrupt)?;
        let of = StatePlace { place: &self.place(audience).hash, number: record.number(), value_tag };
        RecordState::decode(row, &self.keys_of(record)?.state, &of).ok_or_else(corrupt)
    }

    /// Writes a record's state row.
    ///
    /// # Errors
    /// When the record's key is not there.
    pub fn seal_state(
        &self,
        record: &Record<'_>,
        audience: &Audience,
        state: &RecordState,
    ) -> Result<[u8; crate::STATE_BYTES], KeysError> {
        let (_, value_tag) = record.sealed().ok_or(KeysError::RecordCorrupt { number: record.number() })?;
        let of = StatePlace { place: &self.place(audience).hash, number: record.number(), value_tag };
        Ok(state.encode(&self.keys_of(record)?.state, &of))
    }

    /// What FF1 computes once for a radix and a length. Bounded: lengths are at most [`vault_crypto::LENGTH_MAX`].
    fn domain(&self, radix: u32, length: usize) -> Result<Arc<Domain>, Ff1Error> {
        if let Some(domain) = self.domains.read().unwrap_or_else(PoisonError::into_inner).get(&(radix, length)) {
            return Ok(domain.clone());
        }
        let domain = Arc::new(Domain::new(radix, length)?);
        self.domains.write().unwrap_or_else(PoisonError::into_inner).insert((radix, length), domain.clone());
        Ok(domain)
    }

    fn region_lookup(&self) -> &RegionLookup {
        &self.rings.lookup
    }

    fn place(&self, audience: &Audience) -> Arc<AudiencePlace> {
        if let Some(place) = self.places.read().unwrap_or_else(PoisonError::into_inner).get(audience) {
            return place.clone();
        }
        let place = Arc::new(AudiencePlace {
            hash: place_hash(&self.vault, &self.region, &self.tenant, &self.class, audience),
            codes: self.region_lookup().codes(&self.tenant, &self.class, audience),
        });
        // Bounded: callers name audiences of the catalog, and nothing else gets here.
        self.places.write().unwrap_or_else(PoisonError::into_inner).insert(audience.clone(), place.clone());
        place
    }

    fn sealing_keys(&self, call: &SealingCall, number: RecordNumber) -> Result<Arc<EpochKeys>, KeysError> {
        let epoch = &call.epoch;
        self.epoch_keys(epoch.version, epoch.id, || Some(epoch.salt))
            .ok_or(KeysError::KeyMissing { number, version: epoch.version })
    }

    fn keys_of(&self, record: &Record<'_>) -> Result<Arc<EpochKeys>, KeysError> {
        let (version, id) = (record.key_version(), record.epoch());
        self.epoch_keys(version, id, || self.rings.epoch_salt(&id))
            .ok_or(KeysError::KeyMissing { number: record.number(), version })
    }

    fn epoch_keys(
        &self,
        version: KeyVersion,
        id: EpochId,
        salt: impl FnOnce() -> Option<[u8; SALT_BYTES]>,
    ) -> Option<Arc<EpochKeys>> {
        if let Some(keys) = self.epochs.read().unwrap_or_else(PoisonError::into_inner).get(&(version, id)) {
            return Some(keys.clone());
        }
        let (ring, salt) = (self.rings.seal_key(version)?, salt()?);
        let derive = |usage| {
            ring.derive(&Info {
                label: SEAL_LABEL,
                tenant: self.tenant.as_str(),
                class: self.class.as_str(),
                usage,
                salt: &salt,
            })
        };
        let keys = Arc::new(EpochKeys { value: AeadKey::new(&derive("value")), state: MacKey::new(&derive("state")) });
        let mut kept = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= EPOCH_KEYS_KEPT_MAX {
            kept.clear();
        }
        kept.insert((version, id), keys.clone());
        Some(keys)
    }
}
