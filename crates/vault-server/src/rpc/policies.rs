//! The part of AdminService that exchanges policies and catalog: messages into requests, and back.

use vault_domain::{Reason, Reference, RulesFingerprint, limits};
use vault_engine::{
    Error, ExchangeRequest, Exchanged, ExpectedRules, PolicyFile, PolicyVersion, RuleTexts, RulesTarget, VersionsPage,
};
use vault_proto::v1::{self, apply_policies_request::Target};

/// Versions in one page of the list.
pub(crate) const PAGE_VERSIONS: usize = 100;
/// The longest name of a policy file.
const FILE_NAME_BYTES_MAX: usize = 255;

/// Reads a request to exchange.
pub(crate) fn exchange(message: v1::ApplyPoliciesRequest) -> Result<ExchangeRequest, Error> {
    let v1::ApplyPoliciesRequest { target, expected_fingerprint, expected_version, reference, dry_run } = message;
    let target = match target.ok_or(Error::field("target", "must be rules or a version"))? {
        Target::Rules(rules) => RulesTarget::Texts(texts(rules)?),
        Target::Version(version) => RulesTarget::Version(version),
    };
    let expected = if dry_run {
        None
    } else {
        let fingerprint = RulesFingerprint::parse(&expected_fingerprint);
        let fingerprint = fingerprint.ok_or(Error::field("expected_fingerprint", "must be 64 lowercase hex digits"))?;
        Some(ExpectedRules { version: expected_version, fingerprint })
    };
    let reference = match reference.as_str() {
        "" => None,
        reference => Some(Reference::parse(reference)?),
    };
    Ok(ExchangeRequest { target, expected, reference })
}

fn texts(rules: v1::PolicyRules) -> Result<RuleTexts, Error> {
    let v1::PolicyRules { catalog, policies } = rules;
    if policies.len() > limits::RULES_FILES_MAX {
        return Err(Error::field("policies", "must be at most 255 files"));
    }
    if policies.iter().any(|file| !(1..=FILE_NAME_BYTES_MAX).contains(&file.name.len())) {
        return Err(Error::field("name", "must be 1 to 255 bytes"));
    }
    let policies = policies.into_iter().map(|v1::PolicyFile { name, text }| PolicyFile { name, text });
    Ok(RuleTexts { catalog, policies: policies.collect() })
}

/// What an exchange came to.
pub(crate) fn exchanged(exchanged: &Exchanged) -> v1::ApplyPoliciesResponse {
    v1::ApplyPoliciesResponse {
        before: exchanged.before.to_string(),
        now: exchanged.now.to_string(),
        version: exchanged.version.unwrap_or_default(),
        difference: exchanged.difference.to_string(),
    }
}

/// The number that a page of versions begins below.
pub(crate) fn page_token(text: &str) -> Result<Option<u64>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Error::new(Reason::PageTokenInvalid))
}

/// A page of versions.
pub(crate) fn page(page: &VersionsPage) -> v1::ListPolicyVersionsResponse {
    let last = page.versions.last().filter(|last| page.versions.len() == PAGE_VERSIONS && last.version > 1);
    v1::ListPolicyVersionsResponse {
        versions: page.versions.iter().map(version).collect(),
        next_page_token: last.map(|last| last.version.to_string()).unwrap_or_default(),
        serving_version: page.serving.unwrap_or_default(),
        serving_fingerprint: page.fingerprint.to_string(),
    }
}

/// A version with its texts.
pub(crate) fn whole(known: &PolicyVersion, texts: RuleTexts) -> v1::GetPolicyVersionResponse {
    let RuleTexts { catalog, policies } = texts;
    let policies = policies.into_iter().map(|PolicyFile { name, text }| v1::PolicyFile { name, text }).collect();
    v1::GetPolicyVersionResponse { version: Some(version(known)), rules: Some(v1::PolicyRules { catalog, policies }) }
}

fn version(known: &PolicyVersion) -> v1::PolicyVersion {
    v1::PolicyVersion {
        version: known.version,
        fingerprint: known.fingerprint.to_string(),
        before: known.before.to_string(),
        difference: known.difference().to_string(),
        applied_ms: known.applied.0,
        principal: known.principal.as_ref().map(ToString::to_string).unwrap_or_default(),
        reference: known.reference.as_ref().map(ToString::to_string).unwrap_or_default(),
        again: known.again.unwrap_or_default(),
    }
}
