//! Domain types to messages.

use vault_domain::{Action, LogIndex, Reason, RevealLevel};
use vault_engine::{
    AccessLogCounts, AccessLogPage, Changed, Count, Described, Detokenized, Entry, EntryAnswer, Error, Explained,
    FoundEntry, Group, Issued, Matter, Newest, Outcome, People, ProvedConsistency, ProvedInclusion, Receipt, Revealed,
    TailStep, TokenLife, Tokenized, TreeHash,
};
use vault_proto::v1;

use crate::status::item_status;

/// The answer to Tokenize.
pub(crate) fn tokenized(answer: Tokenized, origin: &str) -> v1::TokenizeResponse {
    let results = answer.results.into_iter().map(issued).collect();
    v1::TokenizeResponse { results, receipt: Some(receipt(&answer.receipt, origin)) }
}

/// The result of one item of Tokenize.
pub(crate) fn issued(result: Result<Issued, Error>) -> v1::TokenizeResult {
    use v1::tokenize_result::Outcome;
    let outcome = match result {
        Ok(issued) => Outcome::Issued(v1::TokenIssued {
            token: issued.token.into_exposed(),
            created: issued.created,
            expires_at_ms: issued.expires.0,
        }),
        Err(error) => Outcome::Error(item_status(&error)),
    };
    v1::TokenizeResult { outcome: Some(outcome) }
}

/// The answer to Detokenize.
pub(crate) fn detokenized(answer: Detokenized, origin: &str) -> v1::DetokenizeResponse {
    let results = answer.results.into_iter().map(revealed).collect();
    v1::DetokenizeResponse { results, receipt: Some(receipt(&answer.receipt, origin)) }
}

/// The result of one item of Detokenize.
pub(crate) fn revealed(result: Result<Revealed, Error>) -> v1::DetokenizeResult {
    use v1::detokenize_result::Outcome;
    let outcome = match result {
        Ok(Revealed { level, value }) => {
            Outcome::Revealed(v1::ValueRevealed { value: value.into_exposed(), level: level_of(level).into() })
        }
        Err(error) => Outcome::Error(item_status(&error)),
    };
    v1::DetokenizeResult { outcome: Some(outcome) }
}

/// The answer to DescribeTokens.
pub(crate) fn described(answer: Described, origin: &str) -> v1::DescribeTokensResponse {
    use v1::describe_token_result::Outcome;
    let results = answer.results.into_iter().map(|result| {
        let outcome = match result {
            Ok(description) => Outcome::Described(v1::TokenDescription {
                format: description.format.name().to_owned(),
                stored: description.created.is_some(),
                created_at_ms: description.created.unwrap_or_default().0,
                expires_at_ms: description.life.expires.0,
                uses: description.life.uses,
                max_uses: description.life.max_uses,
            }),
            Err(error) => Outcome::Error(item_status(&error)),
        };
        v1::DescribeTokenResult { outcome: Some(outcome) }
    });
    v1::DescribeTokensResponse { results: results.collect(), receipt: Some(receipt(&answer.receipt, origin)) }
}

/// The answer to FindTokens.
pub(crate) fn found(answer: Tokenized, origin: &str) -> v1::FindTokensResponse {
    use v1::find_token_result::Outcome;
    let results = answer.results.into_iter().map(|result| {
        let outcome = match result {
            Ok(issued) => {
                Outcome::Found(v1::TokenFound { token: issued.token.into_exposed(), expires_at_ms: issued.expires.0 })
            }
            Err(error) => Outcome::Error(item_status(&error)),
        };
        v1::FindTokenResult { outcome: Some(outcome) }
    });
    v1::FindTokensResponse { results: results.collect(), receipt: Some(receipt(&answer.receipt, origin)) }
}

/// The answer to a change in the life of tokens.
pub(crate) fn changed(answer: Changed, origin: &str) -> v1::ChangeTokensResponse {
    use v1::change_token_result::Outcome;
    let results = answer.results.into_iter().map(|result| {
        let outcome = match result {
            Ok(life) => Outcome::Changed(token_life(life)),
            Err(error) => Outcome::Error(item_status(&error)),
        };
        v1::ChangeTokenResult { outcome: Some(outcome) }
    });
    v1::ChangeTokensResponse { results: results.collect(), receipt: Some(receipt(&answer.receipt, origin)) }
}

fn token_life(life: TokenLife) -> v1::TokenLife {
    let TokenLife { suspended, revoked, not_before, expires, uses, max_uses } = life;
    let state = match (revoked, suspended) {
        (true, _) => v1::TokenState::Revoked,
        (false, true) => v1::TokenState::Suspended,
        (false, false) => v1::TokenState::Active,
    };
    v1::TokenLife { state: state.into(), not_before_ms: not_before.0, expires_at_ms: expires.0, uses, max_uses }
}

/// The answer to ExplainAccess.
pub(crate) fn explained(answer: Explained, origin: &str) -> v1::ExplainAccessResponse {
    let mut message = v1::ExplainAccessResponse {
        policies: answer.policies.iter().map(ToString::to_string).collect(),
        receipt: Some(receipt(&answer.receipt, origin)),
        ..v1::ExplainAccessResponse::default()
    };
    match answer.outcome {
        Ok(level) => (message.revealed, message.level) = (true, level_of(level).into()),
        Err(error) => {
            let reason = error.reason();
            reason.name().clone_into(&mut message.reason);
            reason.text().clone_into(&mut message.text);
            reason.remedy().clone_into(&mut message.remedy);
        }
    }
    message
}

fn level_of(level: RevealLevel) -> v1::RevealLevel {
    match level {
        RevealLevel::Full => v1::RevealLevel::Full,
        RevealLevel::Masked => v1::RevealLevel::Masked,
    }
}

/// The answer to QueryAccessLog.
pub(crate) fn page(answer: AccessLogPage, origin: &str) -> v1::QueryAccessLogResponse {
    v1::QueryAccessLogResponse {
        entries: answer.entries.into_iter().map(|found| entry(found, origin, &answer.receipt.log_id)).collect(),
        next_page_token: answer.next_page_token.unwrap_or_default(),
        log_size: answer.log_size,
        receipt: Some(receipt(&answer.receipt, origin)),
        minimum_index: answer.minimum_index,
    }
}

/// The answer to CountAccessLog.
pub(crate) fn counts(answer: AccessLogCounts, origin: &str) -> v1::CountAccessLogResponse {
    let count = |count: Count| v1::AccessLogCount {
        name: count.name,
        hour_ms: count.hour.map_or(0, |hour| hour.0),
        entries: count.entries,
    };
    v1::CountAccessLogResponse {
        counts: answer.counts.into_iter().map(count).collect(),
        entries: answer.entries,
        next_page_token: answer.next_page_token.unwrap_or_default(),
        log_size: answer.log_size,
        receipt: Some(receipt(&answer.receipt, origin)),
        entries_read: answer.entries_read,
        minimum_index: answer.minimum_index,
    }
}

/// A message of TailAccessLog.
pub(crate) fn tail(
    step: TailStep,
    own: Option<&Receipt>,
    (origin, log_id): (&str, &TreeHash),
) -> v1::TailAccessLogResponse {
    v1::TailAccessLogResponse {
        entries: step.entries.into_iter().map(|found| entry(found, origin, log_id)).collect(),
        next_index: step.next_index,
        log_size: step.log_size,
        receipt: own.map(|own| receipt(own, origin)),
    }
}

/// The answer to GetEntry.
pub(crate) fn single(answer: EntryAnswer, origin: &str) -> v1::GetEntryResponse {
    let (found, bytes) = answer.entry.unzip();
    v1::GetEntryResponse {
        entry: found.map(|found| entry(found, origin, &answer.receipt.log_id)),
        entry_bytes: bytes.unwrap_or_default(),
        leaf_hash: answer.leaf.0.to_vec(),
        receipt: Some(receipt(&answer.receipt, origin)),
        minimum_index: answer.minimum_index,
    }
}

/// The answer to GetInclusionProof.
pub(crate) fn inclusion(proved: ProvedInclusion) -> v1::GetInclusionProofResponse {
    let (checkpoint, verifier_key) = newest(proved.newest);
    v1::GetInclusionProofResponse {
        tree_size: proved.tree_size,
        leaf_hash: proved.proof.leaf.0.to_vec(),
        hashes: hashes(&proved.proof.hashes),
        checkpoint,
        verifier_key,
    }
}

/// The answer to GetConsistencyProof.
pub(crate) fn consistency(proved: ProvedConsistency) -> v1::GetConsistencyProofResponse {
    let (checkpoint, verifier_key) = newest(proved.newest);
    v1::GetConsistencyProofResponse {
        new_size: proved.new_size,
        hashes: hashes(&proved.hashes),
        checkpoint,
        verifier_key,
    }
}

fn newest(newest: Option<Newest>) -> (String, String) {
    newest.map_or_else(Default::default, |newest| (newest.checkpoint.note.clone(), newest.verifier_key))
}

fn hashes(hashes: &[TreeHash]) -> Vec<Vec<u8>> {
    hashes.iter().map(|hash| hash.0.to_vec()).collect()
}

/// Where the log holds an entry.
pub(crate) fn receipt(receipt: &Receipt, origin: &str) -> v1::Receipt {
    place(origin, &receipt.log_id, receipt.index, &receipt.leaf)
}

fn place(origin: &str, log_id: &TreeHash, index: LogIndex, leaf: &TreeHash) -> v1::Receipt {
    v1::Receipt { origin: origin.to_owned(), index: index.0, leaf_hash: leaf.0.to_vec(), log_id: log_id.0.to_vec() }
}

/// An entry as answers show it.
pub(crate) fn entry(found: FoundEntry, origin: &str, log_id: &TreeHash) -> v1::AccessLogEntry {
    let FoundEntry { index, leaf, entry: Entry { log_time, head, policies, groups, .. }, people } = found;
    let People { tenant, principal, issuer, certificate, source, reference, about, .. } = people.unwrap_or_default();
    let explained = match about {
        Some(Matter::Caller(caller)) => Some(caller),
        Some(Matter::Difference(_) | Matter::Pruning(_)) | None => None,
    };
    v1::AccessLogEntry {
        receipt: Some(place(origin, log_id, index, &leaf)),
        log_time_ms: log_time.0,
        wall_time_ms: head.wall_time.0,
        request_id: head.request_id.to_string(),
        tenant: text(tenant),
        principal: text(principal),
        identity_issuer: issuer.map_or_else(String::new, |issuer| issuer.as_str().to_owned()),
        certificate_sha256: certificate.map_or_else(String::new, |hash| hex(&hash.get())),
        source: text(source),
        explained_principal: text(explained),
        action: head.action.to_string(),
        decision: head.decision.to_string(),
        reason: text(head.reason),
        purpose: text(head.purpose),
        reference: text(reference),
        audience: text(head.audience),
        policy_ids: policies.iter().map(|policy| policy.as_ref().to_owned()).collect(),
        policy_version: hex(&head.policy_set.0),
        items: groups.iter().map(|group| items(group, head.action)).collect(),
        count: head.count.get().into(),
    }
}

fn items(group: &Group, action: Action) -> v1::AccessLogItems {
    let level = match (group.outcome, action) {
        (Outcome::Masked, _) => RevealLevel::Masked.name(),
        (Outcome::Done, Action::Detokenize) => RevealLevel::Full.name(),
        (Outcome::Done | Outcome::Refused(_), _) => "",
    };
    v1::AccessLogItems {
        data_class: group.class.to_string(),
        outcome: group.outcome.refused().map_or("ok", Reason::name).to_owned(),
        level: level.to_owned(),
        count: group.items,
        record_numbers: group.numbers.numbers().map(|number| number.get()).collect(),
        token_hashes: group.token_hashes.iter().map(|hash| hash.0.to_vec()).collect(),
    }
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _infallible = write!(out, "{byte:02x}");
        out
    })
}
