//! What entries have in common that a count can't tell apart, their hour aside: tenant, principal, action, decision,
//! reason, purpose, audience, and the pairs of data class and outcome.
//!
//! Only entries that are sealed for a tenant are of a kind: of others nobody asks by a tenant's question.
//!
//! # Layout
//!
//! `compact` is the number format of the module `bytes`; lists are those of the row, of rising tags.
//!
//! | bytes | field |
//! |---|---|
//! | compact, compact | tenant and principal, by their place in the lists |
//! | 1, 1 | action, decision |
//! | compact | reason of the call; 0 for none |
//! | compact, compact | purpose and audience, by their place in the lists from 1 on; 0 for none |
//! | 1 | number of pairs, at most 32 |
//! | compact, 2 each | data class by its place in the list, and outcome; rising |

use vault_domain::{Action, Decision, Millis, Reason};

use super::{class_tag, tag_of};
use crate::{
    bytes::{Reader, put_compact},
    entry::{Entry, Outcome, SealedPart},
    error::LedgerError,
    query::Query,
};

/// Pairs of data class and outcome that one kind has.
pub(super) const KIND_GROUPS_MAX: usize = 32;
/// The longest form, of lists of at most 8192 tags.
pub(super) const KIND_BYTES_MAX: usize = 2 + 2 + 1 + 1 + 3 + 2 + 2 + 1 + KIND_GROUPS_MAX * (2 + 2);
/// One hour.
pub(super) const HOUR_MS: u64 = 3_600_000;

const INVALID: LedgerError = LedgerError::FieldInvalid { field: "kinds of entries" };

/// What entries of one kind have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Kind {
    pub(super) tenant: u64,
    pub(super) principal: u64,
    action: Action,
    decision: Decision,
    reason: Option<Reason>,
    /// Tags of the names.
    pub(super) purpose: Option<u64>,
    pub(super) audience: Option<u64>,
    /// Tag of the class, and number of the outcome; rising.
    pub(super) groups: Vec<(u64, u16)>,
}

/// The lists by whose places kinds are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists<'a> {
    pub(super) tenants: &'a [u64],
    pub(super) principals: &'a [u64],
    pub(super) classes: &'a [u64],
    pub(super) purposes: &'a [u64],
    pub(super) audiences: &'a [u64],
}

/// Entries of one kind, and of one hour where they were told apart by hours.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    pub(super) first: u16,
    pub(super) entries: u32,
    pub(super) hour: u64,
    pub(super) kind: &'a Kind,
}

impl Cell<'_> {
    /// Where the first of them stands in the run or span.
    #[must_use]
    pub fn first(&self) -> u16 {
        self.first
    }

    /// How many they are.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// Their action.
    #[must_use]
    pub fn action(&self) -> Action {
        self.kind.action
    }

    /// Their decision.
    #[must_use]
    pub fn decision(&self) -> Decision {
        self.kind.decision
    }

    /// The tag of their principal, as a number.
    #[must_use]
    pub fn principal(&self) -> u64 {
        self.kind.principal
    }

    /// The hour of their log time, as its first millisecond; zero where hours were not told apart.
    #[must_use]
    pub fn hour(&self) -> Millis {
        Millis(self.hour.saturating_mul(HOUR_MS))
    }

    /// The tags of the data classes that they concern ([`class_tag`]), rising; each once.
    pub fn classes(&self) -> impl Iterator<Item = u64> + '_ {
        let tags = self.kind.groups.iter().map(|(class, _)| *class);
        tags.scan(None, |last, tag| Some((last.replace(tag) != Some(tag)).then_some(tag))).flatten()
    }
}

impl Kind {
    /// The kind of an entry; `None` if it is not sealed for a tenant.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let SealedPart::Sealed(people) = &entry.people else { return None };
        let mut groups: Vec<_> =
            entry.groups.iter().map(|group| (class_tag(&group.class), group.outcome.number())).collect();
        groups.sort_unstable();
        groups.dedup();
        let head = &entry.head;
        Some(Self {
            tenant: u64::from_be_bytes(people.tenant_tag.0),
            principal: u64::from_be_bytes(people.principal_tag.0),
            action: head.action,
            decision: head.decision,
            reason: head.reason,
            purpose: head.purpose.as_ref().map(|purpose| tag_of(purpose.as_str())),
            audience: head.audience.as_ref().map(|audience| tag_of(audience.as_str())),
            groups,
        })
    }

    /// Whether it has more pairs than can be written.
    pub(super) fn is_long(&self) -> bool {
        self.groups.len() > KIND_GROUPS_MAX
    }

    pub(super) fn put(&self, lists: Lists<'_>, out: &mut Vec<u8>) -> Result<(), LedgerError> {
        let place = |list: &[u64], tag: u64| list.binary_search(&tag).map(|at| at as u64).map_err(|_| INVALID);
        let optional = |list: &[u64], tag: Option<u64>| tag.map_or(Ok(0), |tag| place(list, tag).map(|at| at + 1));
        put_compact(out, place(lists.tenants, self.tenant)?);
        put_compact(out, place(lists.principals, self.principal)?);
        out.extend([self.action as u8, self.decision as u8]);
        put_compact(out, self.reason.map_or(0, |reason| reason as u64));
        put_compact(out, optional(lists.purposes, self.purpose)?);
        put_compact(out, optional(lists.audiences, self.audience)?);
        out.push(u8::try_from(self.groups.len()).map_err(|_| INVALID)?);
        for (class, outcome) in &self.groups {
            put_compact(out, place(lists.classes, *class)?);
            out.extend_from_slice(&outcome.to_be_bytes());
        }
        Ok(())
    }

    pub(super) fn read(lists: Lists<'_>, from: &mut Reader<'_>) -> Result<Self, LedgerError> {
        const FIELD: &str = "kinds of entries";
        let tag = |list: &[u64], at: u64| usize::try_from(at).ok().and_then(|at| list.get(at)).copied().ok_or(INVALID);
        let optional = |list: &[u64], at: u64| at.checked_sub(1).map(|at| tag(list, at)).transpose();
        let tenant = tag(lists.tenants, from.compact(FIELD)?)?;
        let principal = tag(lists.principals, from.compact(FIELD)?)?;
        let action = Action::from_number(from.u8()?).ok_or(INVALID)?;
        let decision = Decision::from_number(from.u8()?).ok_or(INVALID)?;
        let reason = match u16::try_from(from.compact(FIELD)?).map_err(|_| INVALID)? {
            0 => None,
            number => Some(Reason::from_number(number).ok_or(INVALID)?),
        };
        let purpose = optional(lists.purposes, from.compact(FIELD)?)?;
        let audience = optional(lists.audiences, from.compact(FIELD)?)?;
        let count = usize::from(from.u8()?);
        let mut groups: Vec<(u64, u16)> = Vec::with_capacity(count.min(KIND_GROUPS_MAX));
        for _ in 0..count {
            groups.push((tag(lists.classes, from.compact(FIELD)?)?, from.u16()?));
        }
        let valid = count <= KIND_GROUPS_MAX && groups.is_sorted_by(|left, right| left < right);
        let kind = Self { tenant, principal, action, decision, reason, purpose, audience, groups };
        if valid { Ok(kind) } else { Err(INVALID) }
    }
}

/// What a question asks of kinds: all of it but time, single items and requests.
pub(super) struct KindFilter {
    tenants: Option<Vec<u64>>,
    principals: Option<Vec<u64>>,
    action: Option<Action>,
    decision: Option<Decision>,
    purpose: Option<u64>,
    audience: Option<u64>,
    class: Option<u64>,
    reason: Option<Reason>,
}

impl KindFilter {
    pub(super) fn of(query: &Query) -> Self {
        let tags = |tags: &[[u8; 8]]| tags.iter().map(|tag| u64::from_be_bytes(*tag)).collect();
        let tenants = query.tenants.as_ref().map(|all| all.iter().map(|tag| tag.0).collect::<Vec<_>>());
        let principals = query.principals.as_ref().map(|all| all.iter().map(|tag| tag.0).collect::<Vec<_>>());
        Self {
            tenants: tenants.as_deref().map(tags),
            principals: principals.as_deref().map(tags),
            action: query.action,
            decision: query.decision,
            purpose: query.purpose.as_ref().map(|purpose| tag_of(purpose.as_str())),
            audience: query.audience.as_ref().map(|audience| tag_of(audience.as_str())),
            class: query.data_class.as_ref().map(class_tag),
            reason: query.reason,
        }
    }

    /// Whether entries of this kind are asked for.
    pub(super) fn takes(&self, kind: &Kind) -> bool {
        self.tenants.as_ref().is_none_or(|tags| tags.contains(&kind.tenant))
            && self.principals.as_ref().is_none_or(|tags| tags.contains(&kind.principal))
            && self.action.is_none_or(|action| action == kind.action)
            && self.decision.is_none_or(|decision| decision == kind.decision)
            && self.purpose.is_none_or(|purpose| kind.purpose == Some(purpose))
            && self.audience.is_none_or(|audience| kind.audience == Some(audience))
            && self.takes_groups(kind)
    }

    /// As `Query::has_items` has it for an entry.
    fn takes_groups(&self, kind: &Kind) -> bool {
        let of_call = self.reason.is_none_or(|reason| kind.reason == Some(reason));
        if of_call && self.class.is_none() {
            return true;
        }
        let refused = self.reason.map(|reason| Outcome::Refused(reason).number());
        let mut groups = kind.groups.iter();
        groups.any(|(tag, outcome)| {
            (of_call || Some(*outcome) == refused) && self.class.is_none_or(|class| class == *tag)
        })
    }
}
