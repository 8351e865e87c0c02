//! Policies and catalog of a running vault: plan another set, apply it as a version, look back, take it back.

use vault_domain::{Millis, Reference, RulesDifference, RulesFingerprint};
use vault_proto::v1::{self, admin_service_client::AdminServiceClient, apply_policies_request::Target};

use crate::{
    client::{ANSWER_BYTES_MAX, Client},
    error::ClientError,
};

/// These calls are about the node, whatever its regions.
const NO_REGION: &str = "";

/// The texts of a catalog and of the policies beside the built-in ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTexts {
    /// The catalog.
    pub catalog: String,
    /// The policies: the name that errors call a file by, and its text.
    pub policies: Vec<(String, String)>,
}

/// What is to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulesTarget {
    /// These texts.
    Texts(RuleTexts),
    /// The texts of a version that the vault keeps.
    Version(u64),
}

/// What an exchange comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesPlan {
    /// The fingerprint of the rules before.
    pub before: RulesFingerprint,
    /// The fingerprint of those that serve afterwards; the same if nothing changes.
    pub now: RulesFingerprint,
    /// The version that serves now; None if the vault takes its rules from files.
    pub version: Option<u64>,
    /// What names the step.
    pub difference: RulesDifference,
}

/// What is known of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Its number, from 1.
    pub version: u64,
    /// Its fingerprint when it was applied.
    pub fingerprint: RulesFingerprint,
    /// The fingerprint of the rules before.
    pub before: RulesFingerprint,
    /// What names the step.
    pub difference: RulesDifference,
    /// When it was applied.
    pub applied: Millis,
    /// Who applied it; empty for the first version, which came from the vault's files.
    pub principal: String,
    /// The reference that was given; empty for none.
    pub reference: String,
    /// The version whose rules these are once more.
    pub again: Option<u64>,
}

/// A page of versions, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersionsPage {
    /// The versions.
    pub versions: Vec<PolicyVersion>,
    /// For the next page; None on the last one.
    pub next_page_token: Option<String>,
    /// The version that serves; None if the vault takes its rules from files.
    pub serving: Option<u64>,
    /// The fingerprint of the rules that serve.
    pub fingerprint: RulesFingerprint,
}

impl Client {
    /// Says what other rules would come to, and whether this vault can go by them. Nothing changes.
    ///
    /// # Errors
    /// When the call was refused, or the rules can't serve there.
    pub async fn plan_policies(&self, target: &RulesTarget) -> Result<RulesPlan, ClientError> {
        let message = v1::ApplyPoliciesRequest { dry_run: true, ..of_target(target) };
        self.exchange(message, true).await
    }

    /// Applies what was planned: only if what serves still is what the plan went from. It is attempted once: whether an
    /// attempt without an answer was carried out is to be seen by [`Client::policy_versions`].
    ///
    /// # Errors
    /// When the call was refused, other rules serve by now, or the vault takes its rules from files.
    pub async fn apply_policies(
        &self,
        target: &RulesTarget,
        plan: &RulesPlan,
        reference: Option<&Reference>,
    ) -> Result<RulesPlan, ClientError> {
        let message = v1::ApplyPoliciesRequest {
            expected_fingerprint: plan.before.to_string(),
            expected_version: plan.version.unwrap_or_default(),
            reference: reference.map(ToString::to_string).unwrap_or_default(),
            ..of_target(target)
        };
        self.exchange(message, false).await
    }

    async fn exchange(&self, message: v1::ApplyPoliciesRequest, repeatable: bool) -> Result<RulesPlan, ClientError> {
        let made = self.unary(NO_REGION, message, repeatable, |channel, request| async move {
            AdminServiceClient::new(channel).apply_policies(request).await
        });
        let answer = made.await.outcome?;
        Ok(RulesPlan {
            before: fingerprint(&answer.before)?,
            now: fingerprint(&answer.now)?,
            version: some(answer.version),
            difference: difference(&answer.difference)?,
        })
    }

    /// Lists the versions that the vault keeps, newest first, from where the page before ended.
    ///
    /// # Errors
    /// When the call was refused.
    pub async fn policy_versions(&self, page_token: Option<&str>) -> Result<PolicyVersionsPage, ClientError> {
        let page_token = page_token.unwrap_or_default().to_owned();
        let message = v1::ListPolicyVersionsRequest { page_token };
        let made = self.unary(NO_REGION, message, true, |channel, request| async move {
            AdminServiceClient::new(channel).list_policy_versions(request).await
        });
        let answer = made.await.outcome?;
        Ok(PolicyVersionsPage {
            versions: answer.versions.into_iter().map(version).collect::<Result<_, _>>()?,
            next_page_token: Some(answer.next_page_token).filter(|token| !token.is_empty()),
            serving: some(answer.serving_version),
            fingerprint: fingerprint(&answer.serving_fingerprint)?,
        })
    }

    /// Gets the texts of a version; of the one that serves if none is named.
    ///
    /// # Errors
    /// When the call was refused, or there is no such version.
    pub async fn policy_version(&self, number: Option<u64>) -> Result<(PolicyVersion, RuleTexts), ClientError> {
        let message = v1::GetPolicyVersionRequest { version: number.unwrap_or_default() };
        let made = self.unary(NO_REGION, message, true, |channel, request| async move {
            let mut service = AdminServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            service.get_policy_version(request).await
        });
        let answer = made.await.outcome?;
        let (Some(known), Some(rules)) = (answer.version, answer.rules) else {
            return Err(ClientError::AnswerMalformed("it has no version"));
        };
        let policies = rules.policies.into_iter().map(|file| (file.name, file.text)).collect();
        Ok((version(known)?, RuleTexts { catalog: rules.catalog, policies }))
    }
}

fn of_target(target: &RulesTarget) -> v1::ApplyPoliciesRequest {
    let target = match target {
        RulesTarget::Version(version) => Target::Version(*version),
        RulesTarget::Texts(RuleTexts { catalog, policies }) => Target::Rules(v1::PolicyRules {
            catalog: catalog.clone(),
            policies: policies
                .iter()
                .map(|(name, text)| v1::PolicyFile { name: name.clone(), text: text.clone() })
                .collect(),
        }),
    };
    v1::ApplyPoliciesRequest { target: Some(target), ..Default::default() }
}

fn version(known: v1::PolicyVersion) -> Result<PolicyVersion, ClientError> {
    Ok(PolicyVersion {
        version: known.version,
        fingerprint: fingerprint(&known.fingerprint)?,
        before: fingerprint(&known.before)?,
        difference: difference(&known.difference)?,
        applied: Millis(known.applied_ms),
        principal: known.principal,
        reference: known.reference,
        again: some(known.again),
    })
}

fn some(version: u64) -> Option<u64> {
    Some(version).filter(|version| *version > 0)
}

fn fingerprint(text: &str) -> Result<RulesFingerprint, ClientError> {
    RulesFingerprint::parse(text).ok_or(ClientError::AnswerMalformed("a fingerprint is none"))
}

fn difference(text: &str) -> Result<RulesDifference, ClientError> {
    RulesDifference::parse(text).ok_or(ClientError::AnswerMalformed("a difference is none"))
}
