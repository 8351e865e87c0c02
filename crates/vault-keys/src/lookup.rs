//! The look-up ring of a region: what hides, checks and finds tokens. One generation is current, older ones only
//! verify.
//!
//! Keys of the region (tenant and class empty): token block, token seal, place seal, place code, entry tag,
//! idempotency, token hash, subject. Keys of a class (tenant and class named): check, token look-up, token text seal,
//! blind index, one way, FF1.

use vault_crypto::{Block, BlockKey, Ff1Key, Info, Key256, MacKey};
use vault_domain::{Audience, DataClass, Generation, RecordNumber, SubjectId, Tenant};

/// The label of every key derived from this ring.
const LABEL: &str = "tokenvault/look-up/1";
/// 62^6: the check is a number below it.
const CHECK_VALUES: u64 = 56_800_235_584;

/// A keyed hash cut to 16 bytes: the name of a row, or of a token in the log.
pub type Digest16 = [u8; 16];

/// An opaque token before it becomes text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MintedToken {
    /// The generation of the keys.
    pub generation: Generation,
    /// The encrypted block.
    pub block: Block,
    /// The check over it, below 62^6.
    pub check: u64,
}

/// The names of tenant, class and audience as 32-bit codes: what fits the one block that hides them in a record's
/// header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlaceCodes {
    /// That of the tenant.
    pub tenant: [u8; 4],
    /// That of the data class.
    pub class: [u8; 4],
    /// That of the audience.
    pub audience: [u8; 4],
}

/// The keys of one generation that belong to the region as a whole.
pub(crate) struct RegionLookup {
    pub(crate) generation: Generation,
    token_block: BlockKey,
    token_seal: BlockKey,
    place_seal: BlockKey,
    place_code: MacKey,
    entry_tag: MacKey,
    idempotency: MacKey,
    token_hash: MacKey,
    subject: MacKey,
    ring: Key256,
}

impl RegionLookup {
    pub(crate) fn new(generation: Generation, ring: Key256) -> Self {
        let derive = |usage| ring.derive(&Info { label: LABEL, tenant: "", class: "", usage, salt: &[] });
        Self {
            generation,
            token_block: BlockKey::new(&derive("token block")),
            token_seal: BlockKey::new(&derive("token seal")),
            place_seal: BlockKey::new(&derive("place seal")),
            place_code: MacKey::new(&derive("place code")),
            entry_tag: MacKey::new(&derive("entry tag")),
            idempotency: MacKey::new(&derive("idempotency")),
            token_hash: MacKey::new(&derive("token hash")),
            subject: MacKey::new(&derive("subject")),
            ring,
        }
    }

    pub(crate) fn class(&self, tenant: &Tenant, class: &DataClass) -> ClassLookup {
        let derive = |usage| {
            let (tenant, class) = (tenant.as_str(), class.as_str());
            self.ring.derive(&Info { label: LABEL, tenant, class, usage, salt: &[] })
        };
        ClassLookup {
            check: BlockKey::new(&check_key(&self.ring, tenant, class)),
            token_lookup: MacKey::new(&derive("token look-up")),
            token_text_seal: MacKey::new(&derive("token text seal")),
            blind_index: MacKey::new(&derive("blind index")),
            one_way: MacKey::new(&derive("one way")),
            ff1: Ff1Key::new(&derive("ff1")),
        }
    }

    /// Hides record numbers beside fresh random bits: `AES-256(token block key, number (7 bytes) ‖ random (9 bytes))`.
    pub(crate) fn token_blocks(&self, blocks: &mut [Block]) {
        self.token_block.encrypt_all(blocks);
    }

    /// The record number that a block hides. Any block hides one: whether it is the right one, the token seal tells.
    pub(crate) fn record_numbers(&self, blocks: &mut [Block]) {
        self.token_block.decrypt_all(blocks);
    }

    /// `AES-256(token-seal key, block)`.
    pub(crate) fn token_seal(&self, block: &Block) -> Block {
        self.token_seal.encrypt(block)
    }

    /// The block that [`RegionLookup::token_seal`] sealed.
    pub(crate) fn token_of_seal(&self, seal: &Block) -> Block {
        self.token_seal.decrypt(seal)
    }

    /// `AES-256(place-seal key, tenant code ‖ class code ‖ audience code ‖ low 32 bits of the record number)`: differs
    /// for every record, so that a stolen store shows no groups.
    pub(crate) fn place_seal(&self, codes: &PlaceCodes, number: RecordNumber) -> Block {
        self.place_seal.encrypt(&place_block(codes, number))
    }

    /// The codes in a place seal, if it was made for this record number.
    pub(crate) fn place_of_seal(&self, seal: &Block, number: RecordNumber) -> Option<PlaceCodes> {
        let [t0, t1, t2, t3, c0, c1, c2, c3, a0, a1, a2, a3, n0, n1, n2, n3] = self.place_seal.decrypt(seal);
        let codes = PlaceCodes { tenant: [t0, t1, t2, t3], class: [c0, c1, c2, c3], audience: [a0, a1, a2, a3] };
        let [_, _, _, _, number @ ..] = number.get().to_be_bytes();
        ([n0, n1, n2, n3] == number).then_some(codes)
    }

    /// The 32-bit code of a name: the first bytes of `HMAC(place-code key, kind ‖ name)`. A chance collision can't open
    /// anything, for the associated data hold the names themselves; the catalog's names are checked for one at start.
    pub(crate) fn code(&self, kind: u8, name: &str) -> [u8; 4] {
        let [a, b, c, d, ..] = self.place_code.tag(&[&[kind], name.as_bytes()]);
        [a, b, c, d]
    }

    pub(crate) fn codes(&self, tenant: &Tenant, class: &DataClass, audience: &Audience) -> PlaceCodes {
        PlaceCodes {
            tenant: self.code(b't', tenant.as_str()),
            class: self.code(b'c', class.as_str()),
            audience: self.code(b'a', audience.as_str()),
        }
    }

    /// The first 8 bytes of `HMAC(entry-tag key, kind ‖ parts)`, each part behind its 16-bit length.
    pub(crate) fn entry_tag(&self, kind: u8, parts: &[&str]) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = keyed(&self.entry_tag, kind, parts);
        [a, b, c, d, e, f, g, h]
    }

    /// `HMAC(idempotency key, 'n' ‖ lp16(tenant) ‖ lp16(principal) ‖ lp16(method) ‖ lp16(key))`, cut to 16 bytes; of a
    /// message of a stream, its sequence number in decimal follows, as lp16 too.
    pub(crate) fn idempotency_name(&self, parts: &[&str]) -> Digest16 {
        keyed(&self.idempotency, b'n', parts)
    }

    /// `HMAC(idempotency key, 'r' ‖ canonical request)`, cut to 16 bytes.
    pub(crate) fn request_hash(&self, parts: &[&[u8]]) -> Digest16 {
        let mut all = Vec::with_capacity(parts.len() + 1);
        all.push(b"r".as_slice());
        all.extend(parts);
        self.idempotency.tag(&all)
    }

    /// `HMAC(idempotency key, 'u' ‖ lp16(tenant) ‖ lp16(principal) ‖ nonce)`, cut to 16 bytes.
    pub(crate) fn nonce_name(&self, tenant: &str, principal: &str, nonce: &[u8; 16]) -> Digest16 {
        let (tenant_length, principal_length) = (length(tenant), length(principal));
        let names = [&tenant_length, tenant.as_bytes(), &principal_length, principal.as_bytes()];
        let [a, b, c, d] = names;
        self.idempotency.tag(&[b"u", a, b, c, d, nonce])
    }

    /// `HMAC(idempotency key, 'b' ‖ lp16(budget) ‖ lp16(principal) ‖ lp16(class) ‖ lp16(purpose))`, cut to 16 bytes; no
    /// purpose is one of no byte.
    pub(crate) fn budget_name(&self, parts: &[&str]) -> Digest16 {
        keyed(&self.idempotency, b'b', parts)
    }

    /// `HMAC(token-hash key, 't' ‖ lp16(tenant) ‖ token)`, cut to 16 bytes: how the log names a token that leads
    /// to no record.
    pub(crate) fn token_hash(&self, tenant: &Tenant, token: &str) -> Digest16 {
        self.token_hash.tag(&[b"t", &length(tenant.as_str()), tenant.as_str().as_bytes(), token.as_bytes()])
    }

    /// `HMAC(subject key, 's' ‖ lp16(tenant) ‖ name)`, cut to 16 bytes: who a value is about, without saying who.
    pub(crate) fn subject(&self, tenant: &Tenant, name: &str) -> Digest16 {
        self.subject.tag(&[b"s", &length(tenant.as_str()), tenant.as_str().as_bytes(), name.as_bytes()])
    }
}

/// The check key of one class, from the ring of its generation.
pub(crate) fn check_key(ring: &Key256, tenant: &Tenant, class: &DataClass) -> Key256 {
    ring.derive(&Info { label: LABEL, tenant: tenant.as_str(), class: class.as_str(), usage: "check", salt: &[] })
}

/// The first 8 bytes of `AES-256(check key, block)` mod 62^6.
pub(crate) fn check_of(key: &BlockKey, block: &Block) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = key.encrypt(block);
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) % CHECK_VALUES
}

fn length(text: &str) -> [u8; 2] {
    u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes()
}

fn keyed(key: &MacKey, kind: u8, parts: &[&str]) -> Digest16 {
    let kind = [kind];
    let lengths: Vec<_> = parts.iter().map(|part| length(part)).collect();
    let mut all: Vec<&[u8]> = Vec::with_capacity(1 + 2 * parts.len());
    all.push(&kind);
    for (length, part) in lengths.iter().zip(parts) {
        all.extend([length.as_slice(), part.as_bytes()]);
    }
    key.tag(&all)
}

fn place_block(codes: &PlaceCodes, number: RecordNumber) -> Block {
    let mut block = Block::default();
    let [_, _, _, _, low @ ..] = number.get().to_be_bytes();
    let fields = [codes.tenant, codes.class, codes.audience, low];
    for (to, from) in block.chunks_exact_mut(4).zip(fields) {
        to.copy_from_slice(&from);
    }
    block
}

/// Inside of what the same value has the same token.
///
/// | scope | bytes under the key, before the canonical value |
/// |---|---|
/// | an audience | `'a' ‖ lp16(audience)` |
/// | a subject, inside of an audience | `'s' ‖ lp16(audience) ‖ subject id (16)` |
///
/// All audiences of a class are one audience here, `*`.
#[derive(Clone, Copy, Debug)]
pub struct DeterminismScope<'a> {
    /// Who the token is meant for.
    pub audience: &'a Audience,
    /// The person that the value is about, where the class tells persons apart.
    pub subject: Option<SubjectId>,
}

impl DeterminismScope<'_> {
    fn tag(&self, key: &MacKey, canonical: &[u8]) -> Digest16 {
        let audience = self.audience.as_str();
        match &self.subject {
            None => key.tag(&[b"a", &length(audience), audience.as_bytes(), canonical]),
            Some(subject) => key.tag(&[b"s", &length(audience), audience.as_bytes(), &subject.0, canonical]),
        }
    }
}

/// The keys of one generation that belong to one class of one tenant.
pub(crate) struct ClassLookup {
    check: BlockKey,
    token_lookup: MacKey,
    token_text_seal: MacKey,
    blind_index: MacKey,
    one_way: MacKey,
    pub(crate) ff1: Ff1Key,
}

impl ClassLookup {
    /// The check over a token block: the first 8 bytes of `AES-256(check key, block)` mod 62^6. It filters junk and
    /// tells the class to who holds check keys; it authorizes nothing.
    pub(crate) fn check(&self, block: &Block) -> u64 {
        check_of(&self.check, block)
    }

    /// The checks of many blocks at once; `blocks` holds their images afterwards.
    pub(crate) fn checks(&self, blocks: &mut [Block]) -> impl Iterator<Item = u64> {
        self.check.encrypt_all(blocks);
        blocks
            .iter()
            .map(|[a, b, c, d, e, f, g, h, ..]| u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) % CHECK_VALUES)
    }

    /// `HMAC(token look-up key, token)`: the row of `tokens` for a format that can't carry the record number.
    pub(crate) fn token_lookup(&self, token: &str) -> Digest16 {
        self.token_lookup.tag(&[token.as_bytes()])
    }

    /// `HMAC(token text seal key, token)`: the token seal of a format that is no block.
    pub(crate) fn token_text_seal(&self, token: &str) -> Digest16 {
        self.token_text_seal.tag(&[token.as_bytes()])
    }

    /// `HMAC(one-way key, scope ‖ canonical value)`, cut to 16 bytes: a token that leads nowhere.
    pub(crate) fn one_way(&self, scope: &DeterminismScope<'_>, canonical: &[u8]) -> Digest16 {
        scope.tag(&self.one_way, canonical)
    }

    /// `HMAC(blind-index key, scope ‖ canonical value)`: the row of `values` for one scope.
    pub(crate) fn blind_index(&self, scope: &DeterminismScope<'_>, canonical: &[u8]) -> Digest16 {
        scope.tag(&self.blind_index, canonical)
    }
}
