//! Which entries are asked for. All filters must be met; a filter that is absent is met by every entry.
//!
//! Names of people are compared by their tags, so that nothing has to be opened: a tag of 8 bytes can be that of
//! another principal by chance once in 2^64, which the caller sees when it opens the entry. What has no tag (where a
//! call came from, and the reference that it stated) is a [`PeopleQuery`], which only who opens an entry can hold
//! against it.

mod glance;

use vault_domain::{
    Action, Audience, DataClass, Decision, Millis, Network, Purpose, Reason, RecordNumber, Reference, RequestId,
};

use crate::{
    entry::{Entry, EntryHead, Group, People, PrincipalTag, SealedPart, TenantTag, TokenHash, source_and_reference},
    error::LedgerError,
};

/// What is asked for.
///
/// Tags and token hashes change with the generation of the key that they are made with: hence lists, of which any
/// member will do. An empty list is met by no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// At or after this log time.
    pub from: Option<Millis>,
    /// Before this log time.
    pub until: Option<Millis>,
    /// Of one of these tenants.
    pub tenants: Option<Vec<TenantTag>>,
    /// Of one of these principals.
    pub principals: Option<Vec<PrincipalTag>>,
    /// Of this action.
    pub action: Option<Action>,
    /// With this decision.
    pub decision: Option<Decision>,
    /// With an item of this data class.
    pub data_class: Option<DataClass>,
    /// With one of these items; if a data class is asked for too, in a group of that class.
    pub items: Option<ItemFilter>,
    /// Made in the name of this audience.
    pub audience: Option<Audience>,
    /// That declared this purpose.
    pub purpose: Option<Purpose>,
    /// Refused for this reason as a whole, or with an item that was; if a data class or items are asked for too, with
    /// one of those that was.
    pub reason: Option<Reason>,
    /// Of this request.
    pub request_id: Option<RequestId>,
}

/// What is asked about the sealed part of an entry, and decided on when that is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeopleQuery {
    /// That came from here.
    pub source: Option<Network>,
    /// That stated this reference.
    pub reference: Option<Reference>,
}

impl PeopleQuery {
    /// Whether it asks for nothing, so that no entry has to be opened for it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an entry with these people is asked for; `None` for those of an entry that names nobody.
    #[must_use]
    pub fn matches(&self, people: Option<&People>) -> bool {
        let source = people.and_then(|people| people.source);
        let reference = people.and_then(|people| people.reference.as_ref());
        self.source.is_none_or(|network| source.is_some_and(|source| network.holds(source)))
            && self.reference.as_ref().is_none_or(|asked| reference == Some(asked))
    }

    /// As [`PeopleQuery::matches`] has it, of an opened body that is not taken apart but where it is asked about.
    ///
    /// # Errors
    /// When the bytes are no body up to there.
    pub fn matches_body(&self, body: &[u8]) -> Result<bool, LedgerError> {
        let (source, reference) = source_and_reference(body)?;
        if self.reference.as_ref().is_some_and(|asked| asked.as_str() != reference) {
            return Ok(false);
        }
        let Some(network) = &self.source else { return Ok(true) };
        Ok(source.parse().is_ok_and(|source| network.holds(source)))
    }
}

/// Items that are asked for; any of them will do. A token is asked for by the number of its record and by its keyed
/// hashes, since an entry holds the one or the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemFilter {
    /// Records.
    pub numbers: Vec<RecordNumber>,
    /// Tokens without a record.
    pub token_hashes: Vec<TokenHash>,
}

impl Query {
    /// Whether `entry` is asked for.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        self.overlaps(entry.log_time, entry.log_time)
            && self.action.is_none_or(|action| action == entry.head.action)
            && self.decision.is_none_or(|decision| decision == entry.head.decision)
            && self.request_id.is_none_or(|id| id == entry.head.request_id)
            && self.purpose.as_ref().is_none_or(|purpose| entry.head.purpose.as_ref() == Some(purpose))
            && self.audience.as_ref().is_none_or(|audience| entry.head.audience.as_ref() == Some(audience))
            && self.is_of(&entry.people)
            && self.has_items(&entry.head, &entry.groups)
    }

    /// Whether a log time from `first` to `last` is asked for.
    pub(crate) fn overlaps(&self, first: Millis, last: Millis) -> bool {
        self.from.is_none_or(|from| last >= from) && self.until.is_none_or(|until| first < until)
    }

    fn is_of(&self, people: &SealedPart) -> bool {
        if self.tenants.is_none() && self.principals.is_none() {
            return true;
        }
        let SealedPart::Sealed(people) = people else { return false };
        self.tenants.as_ref().is_none_or(|tags| tags.contains(&people.tenant_tag))
            && self.principals.as_ref().is_none_or(|tags| tags.contains(&people.principal_tag))
    }

    fn has_items(&self, head: &EntryHead, groups: &[Group]) -> bool {
        let of_call = self.reason.is_none_or(|reason| head.reason == Some(reason));
        if of_call && self.data_class.is_none() && self.items.is_none() {
            return true;
        }
        groups.iter().any(|group| {
            (of_call || group.outcome.refused() == self.reason)
                && self.data_class.as_ref().is_none_or(|class| *class == group.class)
                && self.items.as_ref().is_none_or(|items| items.any_in(group))
        })
    }
}

impl ItemFilter {
    fn any_in(&self, group: &Group) -> bool {
        self.numbers.iter().any(|&number| group.numbers.contains(number))
            || self.token_hashes.iter().any(|hash| group.token_hashes.contains(hash))
    }
}

#[cfg(test)]
mod tests;
