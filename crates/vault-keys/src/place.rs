//! Where a value belongs: everything that must be the same when a record is opened as it was when it was sealed.
//!
//! `place = SHA-256("tokenvault/place/1" ‖ 0x00 ‖ lp16(vault) ‖ lp16(region) ‖ lp16(tenant) ‖ lp16(class) ‖
//! lp16(audience))`, where lp16 is a big-endian 16-bit length and the bytes. It is the first part of the associated
//! data of a record; number, header, subject and parent follow in fixed width (`record`).

use vault_crypto::sha256;
use vault_domain::{Audience, DataClass, Region, Tenant, VaultId};

/// The hash of a place.
pub(crate) type PlaceHash = [u8; 32];

const LABEL: &[u8] = b"tokenvault/place/1\0";

/// The hash of one place.
pub(crate) fn place_hash(
    vault: &VaultId,
    region: &Region,
    tenant: &Tenant,
    class: &DataClass,
    audience: &Audience,
) -> PlaceHash {
    let fields = [vault.as_str(), region.as_str(), tenant.as_str(), class.as_str(), audience.as_str()];
    // Names are at most 64 bytes (vault_domain::limits): the lengths always fit.
    let lengths = fields.map(|field| u16::try_from(field.len()).unwrap_or(u16::MAX).to_be_bytes());
    let mut parts = Vec::with_capacity(1 + 2 * fields.len());
    parts.push(LABEL);
    for (length, field) in lengths.iter().zip(&fields) {
        parts.extend([length.as_slice(), field.as_bytes()]);
    }
    sha256(&parts)
}
