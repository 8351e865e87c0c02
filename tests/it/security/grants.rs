//! Every method of the contract and every kind of caller: who is served, what the others are told, and where it stands.
//! The methods are read from the contract itself: one without a row here fails the test.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::Code;
use vault_domain::Action;
use vault_proto::{
    DESCRIPTORS,
    v1::{self, admin_service_client::AdminServiceClient},
};
use vault_tests::{
    caller::Caller,
    connection::Connection,
    refusal::Refusal,
    requests::{change, describe, detokenize, detokenize_item, email, explain, find, query, tokenize, tokenize_item},
    roles::Role,
    stream::{loading, settling, tokens, values},
    vault::TestVault,
};

use crate::vault;

/// A method and who may call it, in the region `eu`, with data of the class `email` for the audience `payments`.
struct Row {
    method: &'static str,
    action: &'static str,
    served: &'static [Role],
}

const ROWS: [Row; 25] = [
    Row {
        method: "tokenvault.v1.TokenService/Tokenize",
        action: "tokenize",
        served: &[Role::Loader, Role::Regional, Role::Host, Role::GlobexLoader],
    },
    Row {
        method: "tokenvault.v1.TokenService/Detokenize",
        action: "detokenize",
        served: &[Role::Payments, Role::Regional, Role::Host, Role::GlobexPayments],
    },
    Row {
        method: "tokenvault.v1.TokenService/TokenizeStream",
        action: "tokenize",
        served: &[Role::Loader, Role::Regional, Role::Host, Role::GlobexLoader],
    },
    Row {
        method: "tokenvault.v1.TokenService/DetokenizeStream",
        action: "detokenize",
        served: &[Role::Payments, Role::Regional, Role::Host, Role::GlobexPayments],
    },
    Row { method: "tokenvault.v1.TokenService/DescribeTokens", action: "describe", served: &[Role::Payments] },
    Row { method: "tokenvault.v1.TokenService/FindTokens", action: "find", served: &[Role::Payments] },
    Row { method: "tokenvault.v1.TokenService/RenewTokens", action: "renew", served: &[Role::Steward] },
    Row { method: "tokenvault.v1.TokenService/SuspendTokens", action: "suspend", served: &[Role::Steward] },
    Row { method: "tokenvault.v1.TokenService/ResumeTokens", action: "resume", served: &[Role::Steward] },
    Row { method: "tokenvault.v1.TokenService/ExplainAccess", action: "explain_access", served: &[Role::Auditor] },
    Row {
        method: "tokenvault.v1.AuditService/QueryAccessLog",
        action: "query_access_log",
        served: &[Role::Auditor, Role::Regional, Role::GlobexAuditor],
    },
    Row {
        method: "tokenvault.v1.AuditService/CountAccessLog",
        action: "query_access_log",
        served: &[Role::Auditor, Role::Regional, Role::GlobexAuditor],
    },
    Row {
        method: "tokenvault.v1.AuditService/TailAccessLog",
        action: "query_access_log",
        served: &[Role::Auditor, Role::Regional, Role::GlobexAuditor],
    },
    Row {
        method: "tokenvault.v1.AuditService/ExportAccessLog",
        action: "export_access_log",
        served: &[Role::Auditor, Role::Regional, Role::GlobexAuditor],
    },
    Row {
        method: "tokenvault.v1.AuditService/GetEntry",
        action: "query_access_log",
        served: &[Role::Auditor, Role::Regional, Role::GlobexAuditor],
    },
    Row {
        method: "tokenvault.v1.AuditService/GetInclusionProof",
        action: "get_checkpoint",
        served: &[Role::Auditor, Role::Regional, Role::GlobexAuditor],
    },
    Row {
        method: "tokenvault.v1.AuditService/GetConsistencyProof",
        action: "get_checkpoint",
        served: &[Role::Auditor, Role::Regional, Role::GlobexAuditor],
    },
    Row {
        method: "tokenvault.v1.AuditService/GetCheckpoint",
        action: "get_checkpoint",
        served: &[Role::Auditor, Role::Regional, Role::GlobexAuditor],
    },
    Row {
        method: "tokenvault.v1.AdminService/DenyAccessTokens",
        action: "deny_access_token",
        served: &[Role::Regional],
    },
    Row {
        method: "tokenvault.v1.AdminService/ListDeniedAccessTokens",
        action: "list_denied",
        served: &[Role::Regional],
    },
    Row { method: "tokenvault.v1.AdminService/ApplyPolicies", action: "apply_policies", served: &[Role::Regional] },
    Row {
        method: "tokenvault.v1.AdminService/ListPolicyVersions",
        action: "list_policy_versions",
        served: &[Role::Regional],
    },
    Row {
        method: "tokenvault.v1.AdminService/GetPolicyVersion",
        action: "get_policy_version",
        served: &[Role::Regional],
    },
    Row { method: "tokenvault.v1.AdminService/PruneAccessLog", action: "prune_access_log", served: &[Role::Regional] },
    // The last one: nobody is shown the token after it.
    Row { method: "tokenvault.v1.TokenService/RevokeTokens", action: "revoke", served: &[Role::Steward] },
];

/// The full names of all methods in the contract.
pub(super) fn methods() -> BTreeSet<String> {
    let files = FileDescriptorSet::decode(DESCRIPTORS).unwrap().file;
    let services = files.iter().flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
    services
        .flat_map(|(package, service)| {
            service.method.iter().map(move |method| format!("{package}.{}/{}", service.name(), method.name()))
        })
        .collect()
}

pub(super) fn admin(caller: &Caller) -> AdminServiceClient<Connection> {
    let connection = caller.connection().clone();
    let origin = connection.origin().clone();
    AdminServiceClient::with_origin(connection, origin)
}

/// Calls a method as a good caller would, for the first e-mail address; an item that is refused counts as the call's
/// refusal.
pub(super) async fn call(caller: &Caller, method: &str, (class, token): (&str, &str)) -> Result<(), Refusal> {
    match method {
        "tokenvault.v1.TokenService/Tokenize" => {
            caller.tokenize(tokenize(class, [email(1)])).await?.results.remove(0).map(drop)
        }
        "tokenvault.v1.TokenService/Detokenize" => {
            let revealed = caller.detokenize(detokenize(class, [token])).await?.results.remove(0)?;
            assert_eq!(revealed, email(1).into_bytes());
            Ok(())
        }
        "tokenvault.v1.TokenService/TokenizeStream" => {
            let mut stream = caller.tokenize_stream(None).await?;
            let first = values(1, vec![tokenize_item(class, email(1))]);
            stream.send(v1::TokenizeStreamRequest { start: Some(loading()), ..first }).await;
            stream.half_close();
            stream.answer().await?.expect("an answer").1.results.remove(0).map(drop)
        }
        "tokenvault.v1.TokenService/DetokenizeStream" => {
            let mut stream = caller.detokenize_stream(None).await?;
            let first = tokens(1, vec![detokenize_item(class, token)]);
            stream.send(v1::DetokenizeStreamRequest { start: Some(settling()), ..first }).await;
            stream.half_close();
            let revealed = stream.answer().await?.expect("an answer").1.results.remove(0)?;
            assert_eq!(revealed, email(1).into_bytes());
            Ok(())
        }
        "tokenvault.v1.TokenService/DescribeTokens" => {
            caller.describe(describe(class, [token])).await?.remove(0).map(drop)
        }
        "tokenvault.v1.TokenService/FindTokens" => {
            match caller.find(find(class, [email(1)])).await?.results.remove(0) {
                // The same address has another token each time, which is said to those alone who may ask.
                Err(refusal) if refusal.reason == "CLASS_NOT_DETERMINISTIC" => Ok(()),
                answer => answer.map(drop),
            }
        }
        "tokenvault.v1.TokenService/RenewTokens" => alter(caller, Action::Renew, class, token).await,
        "tokenvault.v1.TokenService/SuspendTokens" => alter(caller, Action::Suspend, class, token).await,
        "tokenvault.v1.TokenService/ResumeTokens" => alter(caller, Action::Resume, class, token).await,
        "tokenvault.v1.TokenService/RevokeTokens" => alter(caller, Action::Revoke, class, token).await,
        "tokenvault.v1.TokenService/ExplainAccess" => {
            let answer = caller.explain(explain("payments", class, token)).await?;
            assert!(answer.revealed, "{answer:?}");
            Ok(())
        }
        "tokenvault.v1.AdminService/DenyAccessTokens" => {
            let denied = v1::DeniedAccessToken { issuer: "idp".to_owned(), jti: "x".to_owned(), ..Default::default() };
            let request = v1::DenyAccessTokensRequest { tokens: vec![denied] };
            match admin(caller).deny_access_tokens(request).await.map_err(|status| caller.refusal(&status)) {
                // This vault has no issuers, which is said to those alone who may deny.
                Err(refusal) if refusal.reason == "FIELD_INVALID" => Ok(()),
                answer => answer.map(drop),
            }
        }
        "tokenvault.v1.AdminService/ListDeniedAccessTokens" => {
            let request = v1::ListDeniedAccessTokensRequest::default();
            let answer = admin(caller).list_denied_access_tokens(request).await;
            answer.map(drop).map_err(|status| caller.refusal(&status))
        }
        method if method.contains("AuditService") => audit(caller, method).await,
        method => exchange(caller, method).await,
    }
}

/// Changes the life of a token.
async fn alter(caller: &Caller, action: Action, class: &str, token: &str) -> Result<(), Refusal> {
    caller.change(action, change(class, [token])).await?.only().map(drop)
}

/// The same for what is asked of the log.
async fn audit(caller: &Caller, method: &str) -> Result<(), Refusal> {
    match method {
        "tokenvault.v1.AuditService/QueryAccessLog" => caller.query(query("eu")).await.map(drop),
        "tokenvault.v1.AuditService/CountAccessLog" => {
            let request = v1::CountAccessLogRequest {
                region: "eu".to_owned(),
                purpose: "audit".to_owned(),
                ..Default::default()
            };
            caller.audit().count_access_log(request).await.map(drop).map_err(|status| caller.refusal(&status))
        }
        "tokenvault.v1.AuditService/TailAccessLog" => {
            let request =
                v1::TailAccessLogRequest { region: "eu".to_owned(), purpose: "audit".to_owned(), ..Default::default() };
            let mut tail = caller.audit().tail_access_log(request).await.map_err(|status| caller.refusal(&status))?;
            let first = tail.get_mut().message().await.map_err(|status| caller.refusal(&status))?;
            assert!(first.is_some_and(|first| first.receipt.is_some()));
            Ok(())
        }
        "tokenvault.v1.AuditService/ExportAccessLog" => {
            let (region, purpose, format) = ("eu".to_owned(), "audit".to_owned(), "jsonl".to_owned());
            let request = v1::ExportAccessLogRequest { region, purpose, format, ..Default::default() };
            let mut file = caller.audit().export_access_log(request).await.map_err(|status| caller.refusal(&status))?;
            let first = file.get_mut().message().await.map_err(|status| caller.refusal(&status))?;
            assert!(first.is_some_and(|first| first.receipt.is_some()));
            Ok(())
        }
        "tokenvault.v1.AuditService/GetEntry" => {
            let request =
                v1::GetEntryRequest { region: "eu".to_owned(), purpose: "audit".to_owned(), ..Default::default() };
            caller.audit().get_entry(request).await.map(drop).map_err(|status| caller.refusal(&status))
        }
        "tokenvault.v1.AuditService/GetInclusionProof" => {
            let request = v1::GetInclusionProofRequest { region: "eu".to_owned(), ..Default::default() };
            caller.audit().get_inclusion_proof(request).await.map(drop).map_err(|status| caller.refusal(&status))
        }
        "tokenvault.v1.AuditService/GetConsistencyProof" => {
            let request = v1::GetConsistencyProofRequest { region: "eu".to_owned(), old_size: 1, ..Default::default() };
            caller.audit().get_consistency_proof(request).await.map(drop).map_err(|status| caller.refusal(&status))
        }
        "tokenvault.v1.AuditService/GetCheckpoint" => caller.checkpoint("eu").await.map(drop),
        method => panic!("{method} has no call here"),
    }
}

/// The same for what is done with policies and catalog.
async fn exchange(caller: &Caller, method: &str) -> Result<(), Refusal> {
    match method {
        "tokenvault.v1.AdminService/ApplyPolicies" => {
            let target = Some(v1::apply_policies_request::Target::Version(1));
            let expected_fingerprint = "0".repeat(64);
            let request = v1::ApplyPoliciesRequest { target, expected_fingerprint, ..Default::default() };
            match admin(caller).apply_policies(request).await.map_err(|status| caller.refusal(&status)) {
                // This vault goes by its files, which is said to those alone who may apply.
                Err(refusal) if refusal.reason == "RULES_FROM_FILES" => Ok(()),
                answer => answer.map(drop),
            }
        }
        "tokenvault.v1.AdminService/ListPolicyVersions" => {
            let request = v1::ListPolicyVersionsRequest::default();
            admin(caller).list_policy_versions(request).await.map(drop).map_err(|status| caller.refusal(&status))
        }
        "tokenvault.v1.AdminService/PruneAccessLog" => {
            let request = v1::PruneAccessLogRequest { region: "eu".to_owned(), dry_run: true, ..Default::default() };
            admin(caller).prune_access_log(request).await.map(drop).map_err(|status| caller.refusal(&status))
        }
        "tokenvault.v1.AdminService/GetPolicyVersion" => {
            let request = v1::GetPolicyVersionRequest { version: 1 };
            match admin(caller).get_policy_version(request).await.map_err(|status| caller.refusal(&status)) {
                // There is none, which is said to those alone who may look.
                Err(refusal) if refusal.reason == "POLICY_VERSION_UNKNOWN" => Ok(()),
                answer => answer.map(drop),
            }
        }
        unknown => panic!("say here how {unknown} is called"),
    }
}

/// What a caller is told who is not served, or nothing if the handshake already fails.
fn refusal(role: Role) -> Option<(Code, &'static str)> {
    match role {
        Role::Anonymous | Role::Foreign => None,
        Role::Nameless | Role::TwoNames => Some((Code::Unauthenticated, "CERTIFICATE_WITHOUT_IDENTITY")),
        Role::Stranger => Some((Code::Unauthenticated, "PRINCIPAL_UNKNOWN")),
        _ => Some((Code::PermissionDenied, "ACCESS_DENIED")),
    }
}

#[test]
fn every_method_of_the_contract_has_its_row() {
    let rows: BTreeSet<String> = ROWS.iter().map(|row| row.method.to_owned()).collect();
    assert_eq!(methods(), rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_method_serves_whom_it_was_granted_and_records_whom_it_was_not() {
    let vault = vault().await;
    let acme = vault.give("email", [email(1)]).await.remove(0);
    let globex = vault.caller(Role::GlobexLoader).await.tokenize(tokenize("email", [email(1)])).await.unwrap();
    let globex = globex.tokens().remove(0);
    for row in ROWS {
        for role in Role::ALL {
            let token = if role == Role::GlobexPayments { &globex } else { &acme };
            attempt(&vault, &row, role, token).await;
        }
    }
    vault.still_serves().await;
    vault.finish().await;
}

async fn attempt(vault: &TestVault, row: &Row, role: Role, token: &str) {
    let (method, mark) = (row.method, vault.mark("eu").await);
    let connection = vault.try_connect(role).await;
    let caller = match (connection, refusal(role)) {
        (Ok(connection), Some(_)) => vault.caller_on(role, connection),
        (Ok(connection), None) => {
            assert!(connection.post(&format!("/{method}"), &[]).await.is_err(), "{role:?} is not heard");
            vault.entries_since(&mark, 0).await;
            return;
        }
        (Err(error), expected) => return assert_eq!(expected, None, "{role:?} can connect: {error}"),
    };
    let answer = call(&caller, method, ("email", token)).await;
    if row.served.contains(&role) {
        answer.unwrap_or_else(|refusal| panic!("{method} serves {role:?}: {refusal:?}"));
        return;
    }
    let refused = answer.err().unwrap_or_else(|| panic!("{method} does not serve {role:?}"));
    let (code, reason) = refusal(role).unwrap();
    refused.is(code, reason);
    // What concerns the node is in its own log.
    let of_region = code == Code::PermissionDenied && !method.contains("AdminService");
    let grown = vault.mark("eu").await.size() - mark.size();
    assert_eq!(grown, u64::from(of_region), "{method} as {role:?}");
    if of_region {
        let auditor = if role.principal().contains("globex") { Role::GlobexAuditor } else { Role::Auditor };
        let entry = vault.caller(auditor).await.query(query("eu")).await.unwrap().entries.remove(0);
        let found = (entry.action.as_str(), entry.decision.as_str(), entry.principal.as_str());
        assert_eq!(found, (row.action, "denied", role.principal()), "{method}");
    }
}
