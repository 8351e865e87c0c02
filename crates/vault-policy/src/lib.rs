//! Policies: whether a principal may do what it asks for. Cedar decides, over the entities of one catalog.
//!
//! A [`PolicySet`] is immutable: policy texts, schema and catalog are read and checked against each other once, and a
//! reload makes a new one, with decisions of its own. The same question to the same set has the same answer for ever:
//! nothing here knows a clock, draws randomness or does I/O; the time of a call is part of the question, to the second.
//! What can't be decided is denied.
//!
//! It decides and names the policies that decided. It never sees a value, a token or a batch, and it must not be asked
//! about a caller whose identity is not proven.
#![deny(missing_docs)]

mod cache;
mod decision;
mod fault;
mod judge;
mod load;
mod reads;
mod request;
mod review;
mod vocabulary;
mod ways;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use cedar_policy as cedar;
use sha2::{Digest as _, Sha256};
use vault_catalog::Catalog;
use vault_domain::{RulesDifference, RulesFingerprint, limits};

use crate::{
    cache::{DecisionCache, Key},
    load::LoadedPolicy,
    reads::Reads,
    vocabulary::Vocabulary,
};

pub use decision::{Decision, PolicyId, Verdict};
pub use fault::{FAULTS_SHOWN_MAX, Fault, PolicyError, Problem};
pub use judge::{DataAsked, Judged, Permitted, possible, registered};
pub use load::{POLICIES_MAX, POLICY_BYTES_MAX, PolicySource};
pub use request::{Ask, Circumstances, DataScope, Log, Request};
pub use review::{Access, Doubt, REVIEW_QUESTIONS_MAX, TooManyQuestions};
pub use ways::{PAIRS_MAX, Way};

/// The schema that every policy is checked against.
pub const SCHEMA: &str = include_str!("../policies/schema.cedarschema");
/// The text of the built-in policies.
pub const DEFAULT_POLICIES: &str = include_str!("../policies/default.cedar");

/// Policies that passed every check, with the catalog they speak about.
pub struct PolicySet {
    catalog: Catalog,
    policies: cedar::PolicySet,
    loaded: HashMap<cedar::PolicyId, LoadedPolicy>,
    vocabulary: Vocabulary,
    authorizer: cedar::Authorizer,
    fingerprint: RulesFingerprint,
    reads: Reads,
    cache: DecisionCache,
}

impl PolicySet {
    /// Reads policies and checks them: by Cedar's strict validation against [`SCHEMA`], and every name against the
    /// catalog. The sources count as one set; [`PolicySource::DEFAULT`] is not added by itself.
    ///
    /// # Errors
    /// With every fault that was found: a source that is no Cedar, a policy that the validator refuses or warns about
    /// (a policy that can never apply is taken for a typo), a missing, malformed or repeated `@id`, an unknown
    /// annotation, a name that is not in the catalog, a template, or a limit that is passed.
    pub fn load(sources: &[PolicySource<'_>], catalog: &Catalog) -> Result<Self, PolicyError> {
        let vocabulary = Vocabulary::new(SCHEMA).map_err(|error| PolicyError::of_schema(&error))?;
        let (policies, loaded) = load::load(sources, &vocabulary, catalog)?;
        Ok(Self {
            catalog: catalog.clone(),
            reads: Reads::of(&policies),
            policies,
            loaded,
            vocabulary,
            authorizer: cedar::Authorizer::new(),
            fingerprint: fingerprint(sources, catalog),
            cache: DecisionCache::new(limits::DECISIONS_CACHED_MAX),
        })
    }

    /// The catalog that the set was loaded with. Whoever looks up an account or a class for a decision takes it from
    /// here, so that a reload in between can't mix two catalogs.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Decides, from memory if the same was asked before.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let key = Key::of(request, self.reads);
        if let Some(decision) = self.cache.get(&key) {
            return decision;
        }
        let decision = self.evaluate(request);
        // Names that the catalog does not have are not remembered: whoever makes them up would push out the others.
        if !matches!(decision.verdict(), Verdict::NameUnknown) {
            self.cache.insert(&key, &decision);
        }
        decision
    }

    /// Decides anew, without looking at or leaving anything in memory.
    #[must_use]
    pub fn evaluate(&self, request: &Request<'_>) -> Decision {
        let facts = match self.vocabulary.facts(&self.catalog, request) {
            Ok(facts) => facts,
            Err(unknown) => return Decision::unknown(unknown),
        };
        let Some((request, entities)) = facts else { return Decision::failed(Arc::default()) };
        let response = self.authorizer.is_authorized(&request, &self.policies, &entities);
        let diagnostics = response.diagnostics();
        // Cedar skips a policy whose evaluation fails, a forbid too: such a decision must not open anything.
        if diagnostics.errors().next().is_some() {
            let failed = self.ids(diagnostics.errors().map(|error| match error {
                cedar::AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
            }));
            return Decision::failed(failed.into_iter().map(|policy| policy.id.clone()).collect());
        }
        let decisive = self.ids(diagnostics.reason());
        let ids = decisive.iter().map(|policy| policy.id.clone()).collect();
        match response.decision() {
            cedar::Decision::Allow => Decision::allowed(ids),
            cedar::Decision::Deny => Decision::denied(decisive.iter().find_map(|policy| policy.reason), ids),
        }
    }

    /// How many decisions are remembered, at most [`limits::DECISIONS_CACHED_MAX`].
    #[must_use]
    pub fn decisions_cached(&self) -> usize {
        self.cache.len()
    }

    /// The ids of all policies, sorted.
    #[must_use]
    pub fn policy_ids(&self) -> Vec<PolicyId> {
        self.ids(self.loaded.keys()).into_iter().map(|policy| policy.id.clone()).collect()
    }

    /// The policies by their ids, each in Cedar's JSON format and in Cedar, without comments and descriptions: two that
    /// are written differently and mean the same are the same in JSON.
    #[must_use]
    pub fn texts(&self) -> BTreeMap<PolicyId, (serde_json::Value, String)> {
        let text = |policy: &cedar::Policy| {
            let loaded = self.loaded.get(policy.id())?;
            let mut json = policy.to_json().ok()?;
            if let Some(annotations) = json.get_mut("annotations").and_then(serde_json::Value::as_object_mut) {
                annotations.remove("description");
            }
            Some((loaded.id.clone(), (json, policy.to_string())))
        };
        self.policies.policies().filter_map(text).collect()
    }

    /// The first 8 bytes of [`PolicySet::rules_fingerprint`], as entries hold them.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 8] {
        self.fingerprint.short()
    }

    /// SHA-256 over the schema, the catalog's own fingerprint and the policy texts in the order they were given, each
    /// behind its length as 8 bytes big-endian.
    #[must_use]
    pub fn rules_fingerprint(&self) -> RulesFingerprint {
        self.fingerprint
    }

    /// [`PolicySet::rules_fingerprint`] in lowercase hex.
    #[must_use]
    pub fn fingerprint_hex(&self) -> String {
        self.fingerprint.to_string()
    }

    /// Our side of some of Cedar's policy ids, sorted by id, so that the same decision always reads the same.
    fn ids<'p>(&self, ids: impl Iterator<Item = &'p cedar::PolicyId>) -> Vec<&LoadedPolicy> {
        let mut found: Vec<&LoadedPolicy> = ids.filter_map(|id| self.loaded.get(id)).collect();
        found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        found
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet")
            .field("policies", &self.policy_ids())
            .field("fingerprint", &self.fingerprint_hex())
            .field("catalog", &self.catalog)
            .finish_non_exhaustive()
    }
}

/// Over schema, policies and catalog: an entry that names it pins which grants decided, too.
fn fingerprint(sources: &[PolicySource<'_>], catalog: &Catalog) -> RulesFingerprint {
    let mut digest = Sha256::new();
    let texts = [SCHEMA, catalog.fingerprint()].into_iter();
    for text in texts.chain(sources.iter().map(|source| source.text)) {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    }
    RulesFingerprint(digest.finalize().into())
}

/// What a difference is hashed under, so that it is the hash of nothing else.
const DIFFERENCE_LABEL: &[u8] = b"tokenvault rules difference v1";

/// The name of the step from one set of rules to another: SHA-256(label ‖ fingerprint before ‖ fingerprint now). As
/// both cover the complete rules, it names all that changes, seen by a review or not.
#[must_use]
pub fn difference(before: RulesFingerprint, now: RulesFingerprint) -> RulesDifference {
    let digest = Sha256::new().chain_update(DIFFERENCE_LABEL).chain_update(before.0).chain_update(now.0);
    RulesDifference(digest.finalize().into())
}

#[cfg(test)]
mod tests;
