//! The life of a token: whether its value may be shown now, and what changes that.
//!
//! What a record was made with stands in its header and never changes; what changed since stands in its state row
//! (`vault_keys`, state.rs). [`Life`] is both together. docs/TOKENS.md draws its states.

use std::time::Duration;

use vault_catalog::{Class, Format, TTL_SECONDS_MAX};
use vault_domain::{Millis, Reason, limits};
use vault_keys::{Record, RecordState};

/// What the maker of a token may ask of its life, within what its data class allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LifeAsked {
    /// How long it shall live, from when it is made; `None` for as long as its class says.
    pub ttl: Option<Duration>,
    /// From when on it may be revealed; zero for at once.
    pub not_before: Millis,
    /// How often it may be revealed; zero for as often as may be.
    pub max_uses: u32,
}

/// A change in the life of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It expires so long from now; `None` for as long as its class says, and never later than that allows.
    Renew(Option<Duration>),
    /// It leads nowhere until it is resumed.
    Suspend,
    /// It leads to its value again.
    Resume,
    /// It leads nowhere, for ever.
    Revoke,
}

/// What a call does with a token that it has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It is looked at, and stays as it is.
    Look,
    /// Its value is shown, which uses it up if its uses are counted.
    Show,
    /// Its life is changed.
    Change(Change),
}

/// How it stands with a token that may be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenLife {
    /// Whether it is suspended.
    pub suspended: bool,
    /// Whether it was revoked.
    pub revoked: bool,
    /// From when on it may be revealed; zero for from the beginning.
    pub not_before: Millis,
    /// When it expires; zero for never.
    pub expires: Millis,
    /// How often it was revealed, if that is counted.
    pub uses: u32,
    /// How often it may be; zero for no bound.
    pub max_uses: u32,
}

/// A record's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    created: Millis,
    not_before: Millis,
    max_uses: u32,
    state: RecordState,
}

impl Life {
    /// That of a record with its state row, if it has one.
    pub(crate) fn of(record: &Record<'_>, state: Option<RecordState>) -> Self {
        let unchanged = RecordState { expires: record.expires(), ..RecordState::default() };
        Self {
            created: record.created(),
            not_before: record.not_before(),
            max_uses: record.max_uses(),
            state: state.unwrap_or(unchanged),
        }
    }

    /// When its record was made.
    pub(crate) fn created(&self) -> Millis {
        self.created
    }

    /// When it ends; zero for never.
    pub(crate) fn expires(&self) -> Millis {
        self.state.expires
    }

    /// When it ended, or will: at `noted` if it was revoked or its uses are spent, which says nothing of the time;
    /// `None` if it does not end by itself.
    pub(crate) fn end(&self, noted: Millis) -> Option<Millis> {
        let Self { max_uses, state, .. } = *self;
        if state.revoked || max_uses != 0 && state.uses >= max_uses {
            return Some(noted);
        }
        (state.expires != Millis::default()).then_some(state.expires)
    }

    /// What the state row has of it.
    pub(crate) fn state(&self) -> &RecordState {
        &self.state
    }

    /// As callers are told.
    pub(crate) fn standing(&self) -> TokenLife {
        let RecordState { suspended, revoked, expires, uses, .. } = self.state;
        TokenLife { suspended, revoked, not_before: self.not_before, expires, uses, max_uses: self.max_uses }
    }

    /// Whether the value may be shown at this moment.
    ///
    /// # Errors
    /// With the reason for the log: what is final comes first.
    pub(crate) fn allows_showing(&self, now: Millis) -> Result<(), Reason> {
        self.judge(now, false)
    }

    /// The same; of one that may be shown `again` to who was shown it just now, all uses may be spent.
    fn judge(&self, now: Millis, again: bool) -> Result<(), Reason> {
        let Self { not_before, max_uses, state, .. } = *self;
        if state.revoked {
            Err(Reason::TokenRevoked)
        } else if state.expires != Millis::default() && now >= state.expires {
            Err(Reason::TokenExpired)
        } else if max_uses != 0 && state.uses >= max_uses && !again {
            Err(Reason::TokenUsedUp)
        } else if now < not_before {
            Err(Reason::TokenNotYetValid)
        } else if state.suspended {
            Err(Reason::TokenSuspended)
        } else {
            Ok(())
        }
    }

    /// This life after a call has done its deed. `again`: the same was done before, by a call that this one repeats, or
    /// by an earlier item of this one; nothing is done twice then. Whatever is done to a life counts as one of its
    /// changes, so that the log tells how many there must be.
    ///
    /// # Errors
    /// With the reason for the log when the deed can't be done to it.
    pub(crate) fn after(self, deed: Deed, again: bool, class: &Class, now: Millis) -> Result<Self, Reason> {
        let mut state = self.state;
        match deed {
            Deed::Look => {
                self.allows_showing(now)?;
                return Ok(self);
            }
            Deed::Show => {
                self.judge(now, again)?;
                if self.max_uses == 0 {
                    return Ok(self);
                }
                state.uses = state.uses.saturating_add(u32::from(!again));
            }
            Deed::Change(change) => {
                self.takes(change, again, now)?;
                match change {
                    _ if again => {}
                    Change::Renew(ttl) => state.expires = self.renewed(ttl, class, now)?,
                    Change::Suspend => state.suspended = true,
                    Change::Resume => state.suspended = false,
                    Change::Revoke => state.revoked = true,
                }
            }
        }
        state.changes = state.changes.saturating_add(1);
        Ok(Self { state, ..self })
    }

    /// Whether a change is one for a life that stands so. What has ended, has ended; only who ended it, and asks again,
    /// is told so.
    fn takes(&self, change: Change, again: bool, now: Millis) -> Result<(), Reason> {
        match (change, self.judge(now, again)) {
            (_, Ok(())) => Ok(()),
            (
                Change::Suspend | Change::Resume | Change::Revoke,
                Err(Reason::TokenSuspended | Reason::TokenNotYetValid | Reason::TokenUsedUp),
            ) => Ok(()),
            (Change::Revoke, Err(Reason::TokenRevoked)) if again => Ok(()),
            (_, Err(reason)) => Err(reason),
        }
    }

    /// When it would end if it were renewed now.
    fn renewed(&self, ttl: Option<Duration>, class: &Class, now: Millis) -> Result<Millis, Reason> {
        let latest = class.ttl_max().map(|max| self.created.saturating_add(max));
        if latest.is_some_and(|latest| latest <= now) {
            return Err(Reason::LifetimeTooLong);
        }
        match ttl {
            Some(ttl) => {
                let until = within_a_century(ttl, now)?;
                if latest.is_some_and(|latest| until > latest) { Err(Reason::LifetimeTooLong) } else { Ok(until) }
            }
            // A class with a longest lifetime has a default one too.
            None => Ok(class.ttl_default().map_or(Millis::default(), |ttl| {
                let until = now.saturating_add(ttl);
                latest.map_or(until, |latest| latest.min(until))
            })),
        }
    }
}

impl Deed {
    /// Since when it counts that a request came before: what was done then is not done again by its repeat. None: that
    /// makes no difference.
    pub(crate) fn counts_since(self, now: Millis) -> Option<Millis> {
        match self {
            Self::Look => None,
            Self::Show => {
                let window = u64::try_from(limits::RETRY_WINDOW.as_millis()).unwrap_or(u64::MAX);
                Some(Millis(now.0.saturating_sub(window)))
            }
            Self::Change(_) => Some(Millis::default()),
        }
    }
}

impl LifeAsked {
    /// When a token that is made now would end, zero for never, if its class allows what is asked for.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn expires(&self, class: &Class, now: Millis) -> Result<Millis, Reason> {
        if matches!(class.format(), Format::Ff1(_) | Format::OneWay) {
            return if *self == Self::default() { Ok(Millis::default()) } else { Err(Reason::TokenNotStored) };
        }
        let expires = match self.ttl {
            Some(ttl) if class.ttl_max().is_some_and(|max| ttl > max) => return Err(Reason::LifetimeTooLong),
            Some(ttl) => within_a_century(ttl, now)?,
            None => class.ttl_default().map_or(Millis::default(), |ttl| now.saturating_add(ttl)),
        };
        let end = if expires == Millis::default() { now.saturating_add(CENTURY) } else { expires };
        if self.not_before >= end { Err(Reason::LifetimeEmpty) } else { Ok(expires) }
    }
}

/// The longest lifetime that any token can have.
const CENTURY: Duration = Duration::from_secs(TTL_SECONDS_MAX);

fn within_a_century(ttl: Duration, now: Millis) -> Result<Millis, Reason> {
    if ttl > CENTURY { Err(Reason::LifetimeTooLong) } else { Ok(now.saturating_add(ttl)) }
}
