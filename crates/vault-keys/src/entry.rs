//! Sealing the part of an entry that concerns people, per tenant and epoch.
//!
//! `AES-256-GCM(key, nonce, body)` with the key derived like a record's, class empty, use "entry"; associated data:
//! `"tokenvault/entry/1" ‖ 0x00 ‖ salt (16) ‖ tenant tag (8) ‖ principal tag (8)`. The tenant's name is in the key,
//! vault and region are in the ring. The tags let a query skip entries: the tenant's is `HMAC(entry-tag key, 't' ‖
//! tenant)`, the principal's `HMAC(entry-tag key, 'p' ‖ tenant ‖ principal)`, each part behind its length, cut to 8
//! bytes.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use vault_crypto::{AeadKey, Info, TAG_BYTES};
use vault_domain::{KeyVersion, PrincipalId, Tenant};
use vault_ledger::{EntryOpener, EntrySalt, EntrySealer, People, PeopleSlice, PrincipalTag, SealedPeople, TenantTag};
use zeroize::Zeroizing;

use crate::{
    class::SEAL_LABEL,
    epoch::{EpochId, SALT_BYTES, SealingCall},
    error::KeysError,
    region::RegionKeys,
};

/// Keys and tags that are kept ready at once.
const KEPT_MAX: usize = 16_384;
const LABEL: &[u8] = b"tokenvault/entry/1\0";
const AAD_BYTES: usize = LABEL.len() + 16 + 8 + 8;

/// Ready keys and tags.
#[derive(Default)]
pub(crate) struct EntryKeys {
    keys: RwLock<HashMap<(Tenant, KeyVersion, EpochId), Arc<AeadKey>>>,
    tags: RwLock<HashMap<(Tenant, PrincipalId), PrincipalTag>>,
    tenants: RwLock<HashMap<Tenant, TenantTag>>,
}

impl RegionKeys {
    /// The tag by which entries of a tenant are found.
    #[must_use]
    pub fn tenant_tag(&self, tenant: &Tenant) -> TenantTag {
        remembered(&self.entries.tenants, tenant, || TenantTag(self.rings.lookup.entry_tag(b't', &[tenant.as_str()])))
    }

    /// The tag by which entries of a principal of a tenant are found.
    #[must_use]
    pub fn principal_tag(&self, tenant: &Tenant, principal: &PrincipalId) -> PrincipalTag {
        remembered(&self.entries.tags, &(tenant.clone(), principal.clone()), || {
            PrincipalTag(self.rings.lookup.entry_tag(b'p', &[tenant.as_str(), principal.as_str()]))
        })
    }

    /// The sealer of the entry of one call.
    #[must_use]
    pub fn entry_sealer<'a>(&'a self, call: &'a SealingCall) -> impl EntrySealer<Error = KeysError> + 'a {
        CallSealer { keys: self, call }
    }

    fn entry_key(
        &self,
        tenant: &Tenant,
        version: KeyVersion,
        id: EpochId,
        salt: impl FnOnce() -> Option<[u8; SALT_BYTES]>,
    ) -> Option<Arc<AeadKey>> {
        let name = (tenant.clone(), version, id);
        if let Some(key) = self.entries.keys.read().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Some(key.clone());
        }
        let (ring, salt) = (self.rings.seal_key(version)?, salt()?);
        let info = Info { label: SEAL_LABEL, tenant: tenant.as_str(), class: "", usage: "entry", salt: &salt };
        let key = Arc::new(AeadKey::new(&ring.derive(&info)));
        let mut kept = self.entries.keys.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(name, key.clone());
        Some(key)
    }
}

fn remembered<K: Clone + Eq + std::hash::Hash, V: Copy>(
    kept: &RwLock<HashMap<K, V>>,
    name: &K,
    make: impl FnOnce() -> V,
) -> V {
    if let Some(value) = kept.read().unwrap_or_else(PoisonError::into_inner).get(name) {
        return *value;
    }
    let value = make();
    let mut kept = kept.write().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= KEPT_MAX {
        kept.clear();
    }
    kept.insert(name.clone(), value);
    value
}

struct CallSealer<'a> {
    keys: &'a RegionKeys,
    call: &'a SealingCall,
}

impl EntrySealer for CallSealer<'_> {
    type Error = KeysError;

    fn seal(&self, tenant: &Tenant, salt: &EntrySalt, people: &People) -> Result<SealedPeople, KeysError> {
        let epoch = &self.call.epoch;
        let key =
            self.keys.entry_key(tenant, epoch.version, epoch.id, || Some(epoch.salt)).ok_or(KeysError::EntryCorrupt)?;
        let tenant_tag = self.keys.tenant_tag(tenant);
        let principal_tag = match &people.principal {
            Some(principal) => self.keys.principal_tag(tenant, principal),
            None => PrincipalTag([0; 8]),
        };
        let nonce = self.call.nonce()?;
        let mut ciphertext = people.encode()?;
        let tag = key.seal_in_place(&nonce, &aad(salt, tenant_tag, principal_tag), &mut ciphertext);
        ciphertext.extend_from_slice(&tag);
        let (key_version, epoch_id) = (epoch.version, epoch.id);
        Ok(SealedPeople { tenant_tag, principal_tag, key_version, epoch_id, nonce, ciphertext })
    }
}

impl EntryOpener for RegionKeys {
    type Error = KeysError;

    fn open_body(
        &self,
        tenant: &Tenant,
        salt: &EntrySalt,
        part: &PeopleSlice<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let mut opening = Opening::default();
        self.open_next(tenant, salt, part, &mut opening)?;
        Ok(opening.body)
    }
}

/// What is kept from one people part that is opened to the next: the key, which neighbours share, and room for a body.
#[derive(Default)]
pub struct Opening {
    key: Option<(KeyVersion, EpochId, Arc<AeadKey>)>,
    body: Zeroizing<Vec<u8>>,
}

impl RegionKeys {
    /// As [`EntryOpener::open_body`], for many parts of one tenant, one after the other.
    ///
    /// # Errors
    /// When the part belongs to another tenant, is damaged, or its key is gone.
    pub fn open_next<'a>(
        &self,
        tenant: &Tenant,
        salt: &EntrySalt,
        part: &PeopleSlice<'_>,
        opening: &'a mut Opening,
    ) -> Result<&'a [u8], KeysError> {
        let (ciphertext, tag) = part.ciphertext.split_last_chunk::<TAG_BYTES>().ok_or(KeysError::EntryCorrupt)?;
        let Opening { key: last, body } = opening;
        let (version, id) = (part.key_version, part.epoch_id);
        let key = match last.take().filter(|(of, epoch, _)| (*of, *epoch) == (version, id)) {
            Some((.., key)) => key,
            None => {
                self.entry_key(tenant, version, id, || self.rings.epoch_salt(&id)).ok_or(KeysError::EntryCorrupt)?
            }
        };
        body.clear();
        body.extend_from_slice(ciphertext);
        let aad = aad(salt, part.tenant_tag, part.principal_tag);
        key.open_in_place(&part.nonce, &aad, body, tag).map_err(|_| KeysError::EntryCorrupt)?;
        *last = Some((version, id, key));
        Ok(body)
    }
}

fn aad(salt: &EntrySalt, tenant: TenantTag, principal: PrincipalTag) -> [u8; AAD_BYTES] {
    let mut out = [0; AAD_BYTES];
    let fields = [LABEL, &salt.0, &tenant.0, &principal.0];
    for (to, from) in out.iter_mut().zip(fields.into_iter().flatten()) {
        *to = *from;
    }
    out
}
