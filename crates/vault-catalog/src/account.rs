//! Accounts: whose a principal is, where it may work, and what it was granted.
//!
//! A grant is an offer to the policies, which have the last word: it opens nothing by itself.

use std::{borrow::Borrow, ops::Range};

use toml::Spanned;
use vault_domain::{Action, Audience, DataClass, PrincipalId, Purpose, Region, RevealLevel, Scope, Tenant};

use crate::{
    GRANTS_MAX,
    document::{RawAccount, RawGrant, RawList},
    fault::{Faults, Problem},
    names::{Ids, resolve, resolve_all, resolve_some, word},
    principal,
};

/// Whether an account needs an access token, in the catalog's words.
pub(crate) const ACCESS_TOKEN: [(&str, bool); 2] = [("optional", false), ("required", true)];
/// The actions on data that can be granted.
pub const DATA_ACTIONS: [Action; 9] = [
    Action::Tokenize,
    Action::Detokenize,
    Action::Describe,
    Action::ExplainAccess,
    Action::Renew,
    Action::Suspend,
    Action::Resume,
    Action::Revoke,
    Action::Find,
];
/// The actions on logs, and on the node itself, that can be granted.
pub const LOG_ACTIONS: [Action; 10] = [
    Action::QueryAccessLog,
    Action::ExportAccessLog,
    Action::GetCheckpoint,
    Action::DenyAccessToken,
    Action::ListDenied,
    Action::ApplyPolicies,
    Action::PlanPolicies,
    Action::ListPolicyVersions,
    Action::GetPolicyVersion,
    Action::PruneAccessLog,
];

/// What one authenticated principal is in the vault.
#[derive(Clone, Debug)]
pub struct Account {
    principal: PrincipalId,
    description: Option<Box<str>>,
    tenant: Tenant,
    audiences: Box<[Audience]>,
    regions: Box<[Region]>,
    grants: Box<[Grant]>,
    needs_access_token: bool,
}

/// Leave to do some actions: on data, with some classes, for some audiences; on the log. All lists are sorted.
#[derive(Clone, Debug)]
pub struct Grant {
    actions: Box<[Action]>,
    classes: Box<[DataClass]>,
    purposes: Option<Box<[Purpose]>>,
    audiences: Box<[Audience]>,
    scopes: Box<[Scope]>,
    /// How much detokenize shows at most.
    level: RevealLevel,
}

impl Account {
    /// The principal.
    #[must_use]
    pub fn principal(&self) -> &PrincipalId {
        &self.principal
    }

    /// What it is, in the catalog's own words.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Whose data it works on.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The audiences that it is a member of: whose tokens it may be shown the values of.
    #[must_use]
    pub fn audiences(&self) -> &[Audience] {
        &self.audiences
    }

    /// The regions that it is cleared for.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// What it was granted.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Whether a certificate alone does not let it in.
    #[must_use]
    pub fn needs_access_token(&self) -> bool {
        self.needs_access_token
    }

    /// The issuer whose access tokens are this account's only way in. None: it is named by a certificate, and whoever
    /// brings an access token is somebody else.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        principal::issuer(self.principal.as_str())
    }

    /// Whether it is a member of this audience.
    #[must_use]
    pub fn is_member(&self, audience: &str) -> bool {
        holds(&self.audiences, audience)
    }

    /// Whether it is cleared for this region.
    #[must_use]
    pub fn is_cleared(&self, region: &str) -> bool {
        holds(&self.regions, region)
    }

    /// Whether one grant covers this action on data as a whole: class, audience, purpose, of detokenize how much is
    /// shown, which is all if nothing is said, and what it asks of the caller's access token, whose scopes are given in
    /// order. No purpose is covered by grants for any purpose.
    #[must_use]
    pub fn covers_data(
        &self,
        action: Action,
        level: Option<RevealLevel>,
        class: &str,
        audience: &str,
        purpose: Option<&str>,
        scopes: &[Scope],
    ) -> bool {
        self.grants.iter().any(|grant| {
            grant.names(action, class)
                && holds(&grant.audiences, audience)
                && grant.covers_purpose(purpose)
                && grant.covers_scopes(scopes)
                && (action != Action::Detokenize || level.unwrap_or(RevealLevel::Full) <= grant.level)
        })
    }

    /// Whether one grant covers this action on the log for this purpose, with an access token of these scopes.
    #[must_use]
    pub fn covers_log(&self, action: Action, purpose: Option<&str>, scopes: &[Scope]) -> bool {
        let covers = |grant: &Grant| {
            grant.actions.contains(&action) && grant.covers_purpose(purpose) && grant.covers_scopes(scopes)
        };
        LOG_ACTIONS.contains(&action) && self.grants.iter().any(covers)
    }

    /// Whether any grant names this action and class, for whatever audience and purpose: who may know that the class
    /// exists, and so may be told that a purpose is missing.
    #[must_use]
    pub fn names_class(&self, action: Action, class: &str) -> bool {
        self.grants.iter().any(|grant| grant.names(action, class))
    }

    /// Judges an account, reporting all that is wrong with it. `span` is the place of its name.
    pub(crate) fn new(
        principal: PrincipalId,
        raw: RawAccount,
        span: Range<usize>,
        ids: &Ids,
        faults: &mut Faults,
    ) -> Option<Self> {
        if raw.grants.len() > GRANTS_MAX {
            faults.add(span, Problem::TooMany { found: raw.grants.len(), max: GRANTS_MAX });
            return None;
        }
        let tenant = resolve(&raw.tenant, &ids.tenants, faults);
        let audiences = resolve_all(&raw.audiences, &ids.audiences, faults);
        let regions = resolve_some(&raw.regions, &ids.regions, faults);
        let words = ACCESS_TOKEN.into_iter();
        let access_token =
            raw.access_token.as_ref().map(|written| word("use of access tokens", written, &words, faults));
        let grants: Vec<Grant> =
            raw.grants.iter().filter_map(|grant| Grant::new(grant, &audiences, ids, faults)).collect();
        Some(Self {
            principal,
            description: raw.description.map(Into::into),
            tenant: tenant?,
            audiences,
            regions,
            grants: grants.into(),
            needs_access_token: access_token.flatten() == Some(true),
        })
    }
}

impl Grant {
    /// The actions: either of data or of the log.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The data classes; none for the log.
    #[must_use]
    pub fn classes(&self) -> &[DataClass] {
        &self.classes
    }

    /// The purposes. None: any, and none stated too.
    #[must_use]
    pub fn purposes(&self) -> Option<&[Purpose]> {
        self.purposes.as_deref()
    }

    /// The audiences that tokens are for; none for the log.
    #[must_use]
    pub fn audiences(&self) -> &[Audience] {
        &self.audiences
    }

    /// The scopes that the caller's access token must carry, all of them; none for callers that need no access token.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    fn covers_scopes(&self, carried: &[Scope]) -> bool {
        self.scopes.iter().all(|scope| holds(carried, scope.as_str()))
    }

    /// How much detokenize shows at most.
    #[must_use]
    pub fn level(&self) -> RevealLevel {
        self.level
    }

    fn names(&self, action: Action, class: &str) -> bool {
        self.actions.contains(&action) && holds(&self.classes, class)
    }

    fn covers_purpose(&self, purpose: Option<&str>) -> bool {
        match (&self.purposes, purpose) {
            (None, _) => true,
            (Some(purposes), Some(purpose)) => holds(purposes, purpose),
            (Some(_), None) => false,
        }
    }

    fn new(raw: &Spanned<RawGrant>, own: &[Audience], ids: &Ids, faults: &mut Faults) -> Option<Self> {
        let (span, raw) = (raw.span(), raw.get_ref());
        let actions = parse_actions(&raw.actions, faults);
        let purposes = raw.purposes.as_ref().map(|list| resolve_some(list, &ids.purposes, faults));
        let scopes = raw.scopes.as_ref().map_or_else(|| Some(Box::default()), |list| scopes(list, faults));
        let is_for_log = actions.iter().any(|action| LOG_ACTIONS.contains(action));
        let is_for_data = actions.iter().any(|action| DATA_ACTIONS.contains(action));
        let (classes, audiences) = match (is_for_data, is_for_log) {
            (true, false) => {
                let classes = raw.classes.as_ref().map(|list| resolve_some(list, &ids.classes, faults));
                if classes.is_none() {
                    let because = "a grant for data names the classes that it is for";
                    faults.add(span.clone(), Problem::Missing { key: "classes", because });
                }
                (classes, grant_audiences(raw, &actions, span, own, ids, faults))
            }
            (false, true) => {
                check_log_grant(raw, &actions, faults);
                (Some(Box::default()), Some(Box::default()))
            }
            (true, true) => {
                faults.add(raw.actions.span(), Problem::MixedGrant);
                (None, None)
            }
            // Each action was a fault of its own.
            (false, false) => (None, None),
        };
        let level = level(raw, &actions, ids, faults)?;
        Some(Self { actions, classes: classes?, purposes, audiences: audiences?, scopes: scopes?, level })
    }
}

/// The audiences of a grant for data: those that it names, or the account's own.
fn grant_audiences(
    raw: &RawGrant,
    actions: &[Action],
    span: Range<usize>,
    own: &[Audience],
    ids: &Ids,
    faults: &mut Faults,
) -> Option<Box<[Audience]>> {
    let Some(list) = &raw.audiences else {
        if own.is_empty() {
            let because = "the account is a member of no audience, so the grant must say for which ones it is";
            faults.add(span, Problem::Missing { key: "audiences", because });
        }
        return Some(own.into());
    };
    // To be shown values, or told of tokens, one must be one of those that they are for; to make tokens for others, to
    // end them, and to explain what others may do, nobody needs to be.
    if actions.iter().all(|action| matches!(action, Action::Detokenize | Action::Describe | Action::Find)) {
        for name in list.get_ref().iter().filter(|name| !holds(own, name.get_ref())) {
            if ids.audiences.contains(name.get_ref().as_str()) {
                faults.add(name.span(), Problem::NotOwnAudience(name.get_ref().clone()));
            }
        }
    }
    Some(resolve_some(list, &ids.audiences, faults))
}

/// How much is granted to be shown.
fn level(raw: &RawGrant, actions: &[Action], ids: &Ids, faults: &mut Faults) -> Option<RevealLevel> {
    let Some(written) = &raw.level else { return Some(RevealLevel::Full) };
    if !actions.contains(&Action::Detokenize) {
        let because = "it says how much \"detokenize\" shows";
        faults.add(written.span(), Problem::Misplaced { key: "level", because });
    }
    let known = RevealLevel::ALL.iter().map(|level| (level.name(), *level));
    let level = word("level", written, &known, faults)?;
    if level == RevealLevel::Masked {
        let named = raw.classes.iter().flat_map(|classes| classes.get_ref());
        for class in named.filter(|class| ids.maskless.contains(class.get_ref().as_str())) {
            faults.add(class.span(), Problem::Maskless(class.get_ref().clone()));
        }
    }
    Some(level)
}

fn check_log_grant(raw: &RawGrant, actions: &[Action], faults: &mut Faults) {
    let mut misplaced = |list: &Option<RawList>, key, because| {
        if let Some(list) = list {
            faults.add(list.span(), Problem::Misplaced { key, because });
        }
    };
    misplaced(&raw.classes, "classes", "the log holds entries of all classes");
    misplaced(&raw.audiences, "audiences", "the log is for no audience");
    let states_purpose = |action: &Action| matches!(action, Action::QueryAccessLog | Action::ExportAccessLog);
    if !actions.iter().all(states_purpose) {
        let because = "query_access_log and export_access_log alone state one; write a grant of its own for them";
        misplaced(&raw.purposes, "purposes", because);
    }
}

/// The scopes of a list, sorted.
fn scopes(list: &RawList, faults: &mut Faults) -> Option<Box<[Scope]>> {
    if list.get_ref().is_empty() {
        faults.add(list.span(), Problem::Empty);
    }
    let mut read = Vec::new();
    for written in list.get_ref() {
        match Scope::parse(written.get_ref()) {
            Ok(scope) if read.contains(&scope) => faults.add(written.span(), Problem::Twice(written.get_ref().clone())),
            Ok(scope) => read.push(scope),
            Err(error) => faults.add(written.span(), Problem::Scope(error)),
        }
    }
    read.sort_unstable();
    (read.len() == list.get_ref().len() && !read.is_empty()).then(|| read.into())
}

fn parse_actions(list: &RawList, faults: &mut Faults) -> Box<[Action]> {
    if list.get_ref().is_empty() {
        faults.add(list.span(), Problem::Empty);
    }
    let known = DATA_ACTIONS.into_iter().chain(LOG_ACTIONS).map(|action| (action.name(), action));
    let mut actions = Vec::new();
    for written in list.get_ref() {
        match word("action that can be granted", written, &known, faults) {
            Some(action) if actions.contains(&action) => {
                faults.add(written.span(), Problem::Twice(written.get_ref().clone()));
            }
            Some(action) => actions.push(action),
            None => {}
        }
    }
    actions.sort_unstable();
    actions.into()
}

/// Whether a sorted list holds a name.
pub(crate) fn holds<Id: Borrow<str>>(sorted: &[Id], name: &str) -> bool {
    sorted.binary_search_by(|id| id.borrow().cmp(name)).is_ok()
}
