//! Which entries are asked for. All filters must be met; a filter that is absent is met by every entry.
//!
//! Names of people are compared by their tags, so that nothing has to be opened: a tag of 8 bytes can be that of
//! another principal by chance once in 2^64, which the caller sees when it opens the entry.

use vault_domain::{Action, DataClass, Decision, Millis, RecordNumber};

use crate::entry::{Entry, Group, PrincipalTag, SealedPart, TenantTag, TokenHash};

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
            && self.is_of(&entry.people)
            && self.has_items(&entry.groups)
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

    fn has_items(&self, groups: &[Group]) -> bool {
        if self.data_class.is_none() && self.items.is_none() {
            return true;
        }
        groups.iter().any(|group| {
            self.data_class.as_ref().is_none_or(|class| *class == group.class)
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
