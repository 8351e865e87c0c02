//! What a set of policies comes to: everything that anybody may do under it, one access after the other. It is what
//! two sets are compared by, and how grants are found that open nothing.
//!
//! An answer can depend on more than names: on access tokens, addresses and times. A review states under which
//! [`Circumstances`] it asks, and asks about each account only as it can come: by its certificate, or by an access
//! token of its issuer. It takes for given what a single call can always add: a reference.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use vault_catalog::{Account, Class, DATA_ACTIONS, Determinism, Format};
use vault_domain::{
    Action, Audience, DataClass, LevelAsked, Millis, PrincipalId, Purpose, Region, RevealLevel, Session,
};

use crate::{
    PolicySet,
    decision::PolicyId,
    judge::{DataAsked, possible},
    request::{Ask, Circumstances, DataScope, Log, Request},
    ways::Way,
};

/// The most questions that one review asks; more would take minutes.
pub const REVIEW_QUESTIONS_MAX: usize = 1_000_000;
/// The built-in policy that permits what the catalog grants.
const GRANT_POLICY: &str = "grant";

/// One thing that a principal may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// Who.
    pub principal: PrincipalId,
    /// What.
    pub action: Action,
    /// With which class of values; None for the log.
    pub class: Option<DataClass>,
    /// For which audience; None for the log.
    pub audience: Option<Audience>,
    /// Where; None for the log of the node.
    pub region: Option<Region>,
    /// For which purpose; None where none is stated.
    pub purpose: Option<Purpose>,
    /// How much is shown; of detokenize alone.
    pub level: Option<RevealLevel>,
}

/// Why a review is not made.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{questions} questions would have to be asked and {REVIEW_QUESTIONS_MAX} may be: {}", self.because())]
pub struct TooManyQuestions {
    /// How many.
    pub questions: usize,
    /// The policies that make it so many, by name; empty if it is the grants themselves.
    pub policies: String,
}

impl TooManyQuestions {
    fn because(&self) -> String {
        if self.policies.is_empty() {
            return "so many are the combinations of names that grants cover and the ways in which callers come"
                .to_owned();
        }
        format!(
            "policies that permit more than the catalog grants ({}) make every combination of names possible; bind \
             them to grants by `when {{ context.granted }}`, or take grants instead of them",
            self.policies
        )
    }
}

/// Something about a catalog and its policies that is allowed, but hardly meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// No account may do anything with the class.
    ClassUnused(DataClass),
    /// No account is a member of the audience, so nobody can be shown a value of its tokens.
    AudienceEmpty(Audience),
    /// Nobody can come as this account, though it is granted something: its certificate alone does not let it in, and
    /// who brings an access token is somebody else.
    AccountClosed(PrincipalId),
    /// No grant of an account, by its place in the list from 1, opens anything: policies forbid all that it covers.
    GrantUnreachable(PrincipalId, usize),
    /// The account may be shown values of the class for any purpose, and without one where the class allows that.
    RevealForAnyPurpose(PrincipalId, DataClass),
    /// Tokens of the class can be guessed, and no budget bounds how often somebody who may reveal them tries.
    GuessesUnbounded(DataClass),
    /// The same value of the class has the same token, and no budget bounds how often somebody who may make tokens
    /// tries values.
    TrialsUnbounded(DataClass),
    /// The account may be shown values of the class though nothing was granted to it: a policy permits it.
    RevealWithoutGrant(PrincipalId, DataClass, Box<[PolicyId]>),
}

impl Doubt {
    /// Whether it is most likely a mistake, and not only worth knowing.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::AccountClosed(_) | Self::GrantUnreachable(..) | Self::RevealWithoutGrant(..))
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClassUnused(class) => write!(f, "nobody may do anything with the data class {class}"),
            Self::AudienceEmpty(audience) => {
                write!(f, "no account is a member of the audience {audience}: nobody is shown values of its tokens")
            }
            Self::AccountClosed(principal) => write!(
                f,
                "nobody can come as {principal}, so that its grants open nothing: its certificate needs an access \
                 token beside it (access_token = \"required\"), and then the account is that of the token; grant \
                 them to that account (issuer:subject)"
            ),
            Self::GrantUnreachable(principal, place) => write!(
                f,
                "grant {place} of {principal} opens nothing: policies, the regions and audiences of the account, \
                 scopes that it never comes with, or the classes themselves stand against all that it covers"
            ),
            Self::RevealForAnyPurpose(principal, class) => {
                write!(f, "{principal} may be shown values of {class} for any purpose: name the purposes of the grant")
            }
            Self::GuessesUnbounded(class) => write!(
                f,
                "tokens of {class} can be guessed, and somebody may detokenize them as often as the vault can: add a \
                 budget that covers it ([budgets.<name>], docs/RULES.md)"
            ),
            Self::TrialsUnbounded(class) => write!(
                f,
                "the same value of {class} has the same token, and somebody may tokenize or find values as often as \
                 the vault can, to see which are there: add a budget that covers it ([budgets.<name>], docs/RULES.md)"
            ),
            Self::RevealWithoutGrant(principal, class, policies) => {
                let ids: Vec<&str> = policies.iter().map(PolicyId::as_str).collect();
                write!(f, "{principal} may be shown values of {class} without a grant, by {}", ids.join(", "))
            }
        }
    }
}

impl PolicySet {
    /// Everything that anybody may do under these circumstances who can come so.
    ///
    /// # Errors
    /// When that would take more than [`REVIEW_QUESTIONS_MAX`] decisions.
    pub fn review(&self, circumstances: Circumstances<'_>) -> Result<BTreeSet<Access>, TooManyQuestions> {
        let wide = self.permits_beyond_grants();
        self.check_count(self.count(&wide, circumstances.session), &wide)?;
        let questions = self.coming(circumstances.session).flat_map(|account| self.questions_of(&wide, account));
        Ok(questions.filter(|access| self.allows(access, circumstances)).collect())
    }

    /// Everything that one account may do under these circumstances; nothing if it can't come so.
    ///
    /// # Errors
    /// As [`PolicySet::review`].
    pub fn review_of(
        &self,
        principal: &PrincipalId,
        circumstances: Circumstances<'_>,
    ) -> Result<BTreeSet<Access>, TooManyQuestions> {
        let wide = self.permits_beyond_grants();
        let Ok(account) = self.admit(principal, circumstances.session) else { return Ok(BTreeSet::new()) };
        self.check_count(self.count_of(&wide, account), &wide)?;
        let questions = self.questions_of(&wide, account);
        Ok(questions.filter(|access| self.allows(access, circumstances)).collect())
    }

    /// Everything that anybody may do in each of these ways, asked as [`PolicySet::review`] asks.
    ///
    /// # Errors
    /// When all of them together would take more than [`REVIEW_QUESTIONS_MAX`] decisions.
    pub fn review_ways(
        &self,
        ways: &[Way],
        source: Option<IpAddr>,
        now: Millis,
    ) -> Result<Vec<BTreeSet<Access>>, TooManyQuestions> {
        let wide = self.permits_beyond_grants();
        let counts = ways.iter().map(|way| self.count(&wide, way.session.as_ref()));
        self.check_count(counts.fold(0, usize::saturating_add), &wide)?;
        ways.iter().map(|way| self.review(Circumstances { session: way.session.as_ref(), source, now })).collect()
    }

    /// What is allowed here, but hardly meant, in every way in which callers can come, at the time `now` and from
    /// nowhere that is known.
    ///
    /// # Errors
    /// As [`PolicySet::review_ways`].
    pub fn doubts(&self, now: Millis) -> Result<Vec<Doubt>, TooManyQuestions> {
        let mut ways = Way::all(&[self], now);
        let reviewed = self.review_ways(&ways, None, now).or_else(|_| {
            ways.retain(|way| !way.is_of_pair());
            self.review_ways(&ways, None, now)
        });
        let mut allowed = BTreeSet::new();
        for mut found in reviewed? {
            allowed.append(&mut found);
        }
        let mut doubts = Vec::new();
        let used: BTreeSet<&DataClass> = allowed.iter().filter_map(|access| access.class.as_ref()).collect();
        let unused = self.catalog().classes().map(vault_catalog::Class::id).filter(|class| !used.contains(class));
        doubts.extend(unused.map(|class| Doubt::ClassUnused(class.clone())));
        let is_empty =
            |audience: &Audience| !self.catalog().accounts().any(|account| account.is_member(audience.as_str()));
        let audiences = self.catalog().audiences().map(vault_catalog::Described::id);
        doubts.extend(audiences.filter(|audience| is_empty(audience)).map(|id| Doubt::AudienceEmpty(id.clone())));
        for account in self.catalog().accounts() {
            let is_closed = !ways.iter().any(|way| self.admit(account.principal(), way.session.as_ref()).is_ok());
            if is_closed && !account.grants().is_empty() {
                doubts.push(Doubt::AccountClosed(account.principal().clone()));
            }
            for (at, grant) in account.grants().iter().enumerate() {
                let reached = self.granted(account, grant).any(|access| allowed.contains(&access));
                if !reached && !is_closed {
                    doubts.push(Doubt::GrantUnreachable(account.principal().clone(), at + 1));
                }
                let is_for_reveals = grant.actions().contains(&Action::Detokenize);
                if is_for_reveals && grant.purposes().is_none() && grant.level() == RevealLevel::Full {
                    let open = grant.classes().iter().cloned();
                    doubts.extend(open.map(|class| Doubt::RevealForAnyPurpose(account.principal().clone(), class)));
                }
            }
        }
        let mut told = BTreeSet::new();
        for access in allowed.iter().filter(|access| access.action == Action::Detokenize) {
            let permitting = ways.iter().find_map(|way| {
                let session = way.session.as_ref();
                self.permitting(access, Circumstances { session, source: None, now })
            });
            let (Some(class), Some(policies)) = (&access.class, permitting) else { continue };
            let by_grant = policies.iter().any(|policy| policy.as_str() == GRANT_POLICY);
            if !by_grant && told.insert((&access.principal, class)) {
                doubts.push(Doubt::RevealWithoutGrant(access.principal.clone(), class.clone(), policies));
            }
        }
        doubts.extend(self.catalog().classes().flat_map(|class| self.unbounded(class, &allowed)).flatten());
        doubts.sort_unstable();
        Ok(doubts)
    }

    /// What somebody may try out with a class as often as the vault can.
    fn unbounded(&self, class: &Class, allowed: &BTreeSet<Access>) -> [Option<Doubt>; 2] {
        let is_free = |action: Action| {
            let mut uses = allowed.iter().filter(|access| access.action == action);
            uses.any(|access| {
                let Access { principal, purpose, .. } = access;
                let purpose = purpose.as_ref().map(Purpose::as_str);
                let covers = |budget: &vault_catalog::Budget| {
                    budget.covers(action, principal.as_str(), class.id().as_str(), purpose)
                };
                access.class.as_ref() == Some(class.id()) && !self.catalog().budgets().any(covers)
            })
        };
        let is_guessable = matches!(class.format(), Format::FormatPreserving(_) | Format::Ff1(_));
        let is_computed = matches!(class.format(), Format::Ff1(_) | Format::OneWay);
        let is_equal = is_computed || class.determinism() != Determinism::None;
        let guesses = is_guessable && is_free(Action::Detokenize);
        let trials = is_equal && (is_free(Action::Tokenize) || is_free(Action::Find));
        [
            guesses.then(|| Doubt::GuessesUnbounded(class.id().clone())),
            trials.then(|| Doubt::TrialsUnbounded(class.id().clone())),
        ]
    }

    /// The policies that permit something that no grant covers, as far as their text tells: all permits but the
    /// built-in one.
    fn permits_beyond_grants(&self) -> Vec<&str> {
        let permits = self.policies.policies().filter(|policy| policy.effect() == cedar_policy::Effect::Permit);
        let own = permits.filter_map(|policy| self.loaded.get(policy.id())).map(|policy| policy.id.as_str());
        let mut own: Vec<&str> = own.filter(|id| *id != GRANT_POLICY).collect();
        own.sort_unstable();
        own
    }

    /// The accounts that can come with this access token, or without one.
    fn coming(&self, session: Option<&Session>) -> impl Iterator<Item = &Account> {
        self.catalog().accounts().filter(move |account| self.admit(account.principal(), session).is_ok())
    }

    fn check_count(&self, questions: usize, wide: &[&str]) -> Result<(), TooManyQuestions> {
        if questions > REVIEW_QUESTIONS_MAX {
            return Err(TooManyQuestions { questions, policies: wide.join(", ") });
        }
        Ok(())
    }

    /// How many questions there are about who comes so.
    fn count(&self, wide: &[&str], session: Option<&Session>) -> usize {
        self.coming(session).map(|account| self.count_of(wide, account)).fold(0, usize::saturating_add)
    }

    fn count_of(&self, wide: &[&str], account: &Account) -> usize {
        let catalog = self.catalog();
        if wide.is_empty() {
            return account.grants().iter().map(|grant| self.breadth(grant)).fold(0, usize::saturating_add);
        }
        let scopes = catalog.classes().len() * catalog.audiences().len() * catalog.regions().len();
        let data = (vault_catalog::DATA_ACTIONS.len() + 1).saturating_mul(scopes);
        let logs = vault_catalog::LOG_ACTIONS.len().saturating_mul(catalog.regions().len() + 1);
        data.saturating_add(logs).saturating_mul(catalog.purposes().len() + 1)
    }

    /// All that may be allowed to an account: what is granted, or with policies that permit more, every combination of
    /// names.
    fn questions_of<'a>(&'a self, wide: &[&str], account: &'a Account) -> Box<dyn Iterator<Item = Access> + 'a> {
        if wide.is_empty() {
            Box::new(account.grants().iter().flat_map(move |grant| self.granted(account, grant)))
        } else {
            Box::new(self.every(account))
        }
    }

    /// How many combinations a grant covers.
    fn breadth(&self, grant: &vault_catalog::Grant) -> usize {
        let purposes = grant.purposes().map_or(self.catalog().purposes().len() + 1, <[_]>::len);
        let scopes = if grant.classes().is_empty() {
            self.catalog().regions().len() + 1
        } else {
            grant.classes().len() * grant.audiences().len() * self.catalog().regions().len()
        };
        // At the most: of detokenize, each level is asked for.
        (grant.actions().len() + 1).saturating_mul(scopes).saturating_mul(purposes)
    }

    /// What a grant covers.
    fn granted<'a>(
        &'a self,
        account: &'a Account,
        grant: &'a vault_catalog::Grant,
    ) -> impl Iterator<Item = Access> + 'a {
        let purposes: Vec<Option<Purpose>> = match grant.purposes() {
            Some(purposes) => purposes.iter().cloned().map(Some).collect(),
            None => self.any_purpose(),
        };
        let (classes, audiences) = (grant.classes().to_vec(), grant.audiences().to_vec());
        self.combine(account, grant.actions(), classes, audiences, purposes)
    }

    /// Every combination of names.
    fn every<'a>(&'a self, account: &'a Account) -> impl Iterator<Item = Access> + 'a {
        let classes: Vec<_> = self.catalog().classes().map(|class| class.id().clone()).collect();
        let audiences: Vec<_> = self.catalog().audiences().map(|audience| audience.id().clone()).collect();
        let data = self.combine(account, &vault_catalog::DATA_ACTIONS, classes, audiences, self.any_purpose());
        data.chain(self.combine(account, &vault_catalog::LOG_ACTIONS, Vec::new(), Vec::new(), self.any_purpose()))
    }

    fn any_purpose(&self) -> Vec<Option<Purpose>> {
        [None].into_iter().chain(self.catalog().purposes().map(|purpose| Some(purpose.id().clone()))).collect()
    }

    /// The combinations of these names in every region; without classes, those of the logs.
    fn combine<'a>(
        &'a self,
        account: &'a Account,
        actions: &'a [Action],
        classes: Vec<DataClass>,
        audiences: Vec<Audience>,
        purposes: Vec<Option<Purpose>>,
    ) -> impl Iterator<Item = Access> + 'a {
        let regions: Vec<Region> = self.catalog().regions().map(|region| region.id().clone()).collect();
        let logs = classes.is_empty();
        let data = classes.into_iter().flat_map(move |class| {
            let audiences = audiences.clone();
            audiences.into_iter().map(move |audience| (Some(class.clone()), Some(audience)))
        });
        let of_log = logs.then_some((None, None));
        data.chain(of_log).flat_map(move |(class, audience)| {
            let is_log = class.is_none();
            let places: Vec<Option<Region>> = regions.iter().cloned().map(Some).chain(is_log.then_some(None)).collect();
            let purposes = purposes.clone();
            actions.iter().flat_map(move |action| {
                let (class, audience, purposes) = (class.clone(), audience.clone(), purposes.clone());
                let places =
                    places.clone().into_iter().filter(move |at| !is_log || Log::of(at.as_ref()).takes(*action));
                places.flat_map(move |region| {
                    let (class, audience) = (class.clone(), audience.clone());
                    let levels = self.levels(*action, class.as_ref());
                    let principal = account.principal();
                    purposes.clone().into_iter().flat_map(move |purpose| {
                        let (class, audience, region) = (class.clone(), audience.clone(), region.clone());
                        levels.clone().into_iter().map(move |level| Access {
                            principal: principal.clone(),
                            action: *action,
                            class: class.clone(),
                            audience: audience.clone(),
                            region: region.clone(),
                            purpose: purpose.clone(),
                            level,
                        })
                    })
                })
            })
        })
    }

    /// How much an action can show of values of a class: a mask only where it has one.
    fn levels(&self, action: Action, class: Option<&DataClass>) -> Vec<Option<RevealLevel>> {
        let class = class.and_then(|class| self.catalog().class(class.as_str()));
        match (action, class.and_then(vault_catalog::Class::mask)) {
            (Action::Detokenize, Some(_)) => RevealLevel::ALL.iter().copied().map(Some).collect(),
            (Action::Detokenize, None) => vec![Some(RevealLevel::Full)],
            _ => vec![None],
        }
    }

    fn allows(&self, access: &Access, circumstances: Circumstances<'_>) -> bool {
        self.permitting(access, circumstances).is_some()
    }

    /// The policies that permit an access, if it is allowed to who comes so.
    fn permitting(&self, access: &Access, circumstances: Circumstances<'_>) -> Option<Box<[PolicyId]>> {
        let account = self.admit(&access.principal, circumstances.session).ok()?;
        let decision = match (&access.class, &access.audience, &access.region) {
            (Some(class), Some(audience), Some(region)) => {
                let asked = DataAsked {
                    action: access.action,
                    region,
                    audience,
                    purpose: access.purpose.as_ref(),
                    has_reference: true,
                    level: LevelAsked::Exactly(access.level.unwrap_or(RevealLevel::Full)),
                };
                let judged = self.judge_anew(account, &asked, class, circumstances);
                let permitted = judged.outcome.ok()?;
                possible(access.action, permitted.class).ok()?;
                judged.decision
            }
            _ => self.evaluate(&access.request(circumstances)?),
        };
        decision.is_allowed().then(|| decision.policies().iter().cloned().collect())
    }
}

impl Access {
    /// The question whether it is allowed. None: the names do not go together.
    #[must_use]
    pub fn request<'a>(&'a self, circumstances: Circumstances<'a>) -> Option<Request<'a>> {
        let log = Log::of(self.region.as_ref());
        let ask = match (self.action, &self.class, &self.audience, &self.region) {
            (action, None, None, _) if log.takes(action) => Ask::Log(action, log),
            (action, Some(class), Some(audience), Some(region)) => {
                let scope = DataScope { class, audience, region };
                match action {
                    Action::Detokenize => Ask::Detokenize(scope, self.level.unwrap_or(RevealLevel::Full)),
                    action if DATA_ACTIONS.contains(&action) => Ask::Data(action, scope),
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(Request { principal: &self.principal, purpose: self.purpose.as_ref(), ask, circumstances })
    }
}

#[cfg(test)]
mod tests;
