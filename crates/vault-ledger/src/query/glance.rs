//! Whether an encoded entry can be asked for, told from its bytes as they lie: most entries of a run are not, and
//! taking one apart costs ten times as much.

use vault_domain::Millis;

use super::Query;
use crate::{
    bytes::Reader,
    entry::{ENTRY_VERSION, NumberRuns},
    error::LedgerError,
};

/// What an entry is called in errors, which nobody sees: who decodes it is told the same.
const ENTRY: &str = "an entry";

impl Query {
    /// Whether an encoded entry may be asked for. `false` is certain. `true` means that [`Query::matches`] has to
    /// decide, and is also said of bytes that are no entry, so that whoever decodes them is told why.
    #[must_use]
    pub fn may_match_bytes(&self, entry: &[u8]) -> bool {
        self.glance(entry).unwrap_or(true)
    }

    /// Goes through the fields in the order of the layout (see the module `entry`), and stops at the first that speaks
    /// against the entry.
    fn glance(&self, entry: &[u8]) -> Result<bool, LedgerError> {
        let mut from = Reader::new(ENTRY, entry);
        from.version(ENTRY_VERSION)?;
        let log_time = Millis(from.u48()?);
        // Wall time and salt.
        from.take(6 + 16)?;
        let (action, decision, reason) = (from.u8()?, from.u8()?, from.u16()?);
        let request_id: [u8; 16] = from.array()?;
        let is_fit = self.overlaps(log_time, log_time)
            && self.action.is_none_or(|asked| asked as u8 == action)
            && self.decision.is_none_or(|asked| asked as u8 == decision)
            && self.request_id.is_none_or(|asked| asked.0 == request_id);
        if !is_fit {
            return Ok(false);
        }
        // Trace id and count.
        from.take(16 + 4)?;
        let (purpose, audience) = (bytes8(&mut from)?, bytes8(&mut from)?);
        let is_fit = self.purpose.as_ref().is_none_or(|asked| asked.as_str().as_bytes() == purpose)
            && self.audience.as_ref().is_none_or(|asked| asked.as_str().as_bytes() == audience);
        if !is_fit {
            return Ok(false);
        }
        // The fingerprint of the policies, and their names.
        from.take(8)?;
        for _ in 0..from.u8()? {
            bytes8(&mut from)?;
        }
        let of_call = self.reason.is_none_or(|asked| asked as u16 == reason);
        Ok(self.glance_at_groups(of_call, &mut from)? && self.glance_at_tags(&mut from)?)
    }

    /// As `Query::has_items` has it for an entry.
    fn glance_at_groups(&self, of_call: bool, from: &mut Reader<'_>) -> Result<bool, LedgerError> {
        let mut found = of_call && self.data_class.is_none() && self.items.is_none();
        for _ in 0..from.u16()? {
            let class = bytes8(from)?;
            let outcome = from.u16()?;
            // How many items.
            from.take(4)?;
            let is_fit = (of_call || self.reason.is_some_and(|asked| asked as u16 == outcome))
                && self.data_class.as_ref().is_none_or(|asked| asked.as_str().as_bytes() == class);
            let items = self.items.as_ref().filter(|_| is_fit && !found);
            let Some(items) = items else {
                found |= is_fit && self.items.is_none();
                NumberRuns::skip(from)?;
                let hashes = from.u16()?;
                from.take(16 * usize::from(hashes))?;
                continue;
            };
            let numbers = NumberRuns::read(from)?;
            let hashes = from.u16()?;
            let (hashes, _) = from.take(16 * usize::from(hashes))?.as_chunks::<16>();
            found |= items.numbers.iter().any(|&number| numbers.contains(number))
                || items.token_hashes.iter().any(|asked| hashes.contains(&asked.0));
        }
        Ok(found)
    }

    /// Tenant and principal. Whether they are those of a sealed part is left to who decodes the entry.
    fn glance_at_tags(&self, from: &mut Reader<'_>) -> Result<bool, LedgerError> {
        let (tenant, principal): ([u8; 8], [u8; 8]) = (from.array()?, from.array()?);
        Ok(self.tenants.as_ref().is_none_or(|tags| tags.iter().any(|tag| tag.0 == tenant))
            && self.principals.as_ref().is_none_or(|tags| tags.iter().any(|tag| tag.0 == principal)))
    }
}

/// What stands behind its length in one byte.
fn bytes8<'a>(from: &mut Reader<'a>) -> Result<&'a [u8], LedgerError> {
    let length = from.u8()?;
    from.take(length.into())
}
