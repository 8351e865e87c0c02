//! Ids of others: whatever a method takes that names something, another tenant's name leads nowhere, and the answer is
//! the one that a name gets that was never given to anybody. To the last byte, so its length tells nothing either.

use std::time::Duration;

use prost::Message as _;
use tonic::Code;
use vault_proto::v1;
use vault_tests::{
    caller::Caller,
    connection::frame,
    refusal::Refusal,
    requests::{by, describe, detokenize, detokenize_item, email, explain, query, tokenize},
    roles::Role,
    stream::{settling, tokens},
    vault::TestVault,
};

use crate::{vault, vault_and_clock};

/// A request about a token, as bytes.
type Message = fn(&str) -> Vec<u8>;

/// A class whose tokens end, so that one can be expired.
const CLASS: &str = "session";

/// Tokens that are not there for the payments service: never given, of another tenant, of another audience, expired,
/// of another class. The vault's clock stands behind the end of the expired one.
async fn not_there() -> (TestVault, Vec<(&'static str, String)>) {
    let (mut vault, clock) = vault_and_clock().await;
    vault.stop().await;
    let classes = r#"classes = ["card_number", "email", "customer_id", "passport", "diagnosis", "diagnosis_mark"] },"#;
    vault.edit("catalog.toml", classes, &classes.replace("\"email\"", "\"email\", \"session\""));
    vault.start_again().await;
    let expired = vault.give(CLASS, ["a session that is over"]).await.remove(0);
    clock.advance(Duration::from_secs(60));
    let globex = vault.caller(Role::GlobexLoader).await;
    let tenant = globex.tokenize(tokenize(CLASS, ["a session"])).await.unwrap().tokens().remove(0);
    let for_support = v1::TokenizeRequest { audience: "support".to_owned(), ..tokenize(CLASS, ["a session"]) };
    let audience = vault.caller(Role::Loader).await.tokenize(for_support).await.unwrap().tokens().remove(0);
    let class = vault.give("customer_id", ["123456789012"]).await.remove(0);
    let never = "tok_eu_00123456789ABCDEFGHIJKLMNOPQR".to_owned();
    assert_eq!(never.len(), tenant.len(), "they look alike");
    let rows = [
        ("never given", never),
        ("another tenant's", tenant),
        ("another audience's", audience),
        ("expired", expired),
        ("another class's", class),
    ];
    (vault, rows.into())
}

/// What the caller gets to see of the refusal of the only item, in whatever way the token is brought.
async fn answers(payments: &Caller, token: &str) -> [(&'static str, Vec<u8>); 4] {
    let revealed = payments.detokenize(detokenize(CLASS, [token])).await.unwrap().refusal();
    let described = payments.describe(describe(CLASS, [token])).await.unwrap().remove(0).unwrap_err();
    let mut stream = payments.detokenize_stream(None).await.unwrap();
    let first = tokens(1, vec![detokenize_item(CLASS, token)]);
    stream.send(v1::DetokenizeStreamRequest { start: Some(settling()), ..first }).await;
    stream.half_close();
    let streamed = stream.answer().await.unwrap().unwrap().1.refusal();
    for refusal in [&revealed, &described, &streamed] {
        refusal.is(Code::NotFound, "TOKEN_NOT_FOUND");
    }
    // About a call of one's own.
    let explained = v1::ExplainedCall {
        audience: "payments".to_owned(),
        item: Some(detokenize_item(CLASS, token)),
        ..Default::default()
    };
    let purpose = "settlement".to_owned();
    let region = "eu".to_owned();
    let asked = v1::ExplainAccessRequest { region, purpose, explained: Some(explained), ..Default::default() };
    let mut explained = payments.explain(asked).await.unwrap();
    assert_eq!((explained.revealed, explained.reason.as_str()), (false, "TOKEN_NOT_FOUND"));
    // Where the log holds it is another place each time.
    explained.receipt = None;
    [
        ("Detokenize", revealed.bytes),
        ("DescribeTokens", described.bytes),
        ("DetokenizeStream", streamed.bytes),
        ("ExplainAccess", explained.encode_to_vec()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_others_is_answered_by_every_method_as_one_that_never_was() {
    let (vault, rows) = not_there().await;
    let payments = vault.caller(Role::Payments).await;
    let never = answers(&payments, &rows[0].1).await;
    for (what, token) in &rows[1..] {
        assert_eq!(answers(&payments, token).await, never, "{what}");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_one_length_on_the_wire() {
    let (vault, rows) = not_there().await;
    let connection = vault.caller(Role::Payments).await.connection().clone();
    let messages: [(&str, Message); 2] = [
        ("Detokenize", |token| detokenize(CLASS, [token]).encode_to_vec()),
        ("DescribeTokens", |token| describe(CLASS, [token]).encode_to_vec()),
    ];
    for (method, message) in messages {
        let mut seen = Vec::new();
        for (what, token) in &rows {
            let path = format!("/tokenvault.v1.TokenService/{method}");
            let reply = connection.post(&path, &message(token)).await.unwrap();
            assert_eq!(reply.status().code(), Code::Ok);
            let heads: Vec<(String, usize)> =
                reply.headers.iter().map(|(name, value)| (name.to_string(), value.len())).collect();
            seen.push((what, (reply.http_status, heads, reply.body.len())));
        }
        assert!(frame(0, &[]).len() < seen[0].1.2, "there is an answer");
        for (what, answer) in &seen {
            assert_eq!(answer, &seen[0].1, "{method}: {what}");
        }
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_tenant_has_no_handle_for_others() {
    let vault = vault().await;
    let (acme, globex) = (vault.caller(Role::Auditor).await, vault.caller(Role::GlobexAuditor).await);
    let theirs = vault.caller(Role::GlobexLoader).await;
    let token = theirs.tokenize(tokenize("email", [email(1)])).await.unwrap().tokens().remove(0);
    for n in 0..4 {
        vault.give("email", [email(n)]).await;
        theirs.tokenize(tokenize("email", [email(n)])).await.unwrap();
    }
    // By principal, by token, by the name of another log.
    let of_loader = |page_size| v1::QueryAccessLogRequest {
        filter: by(|filter| filter.principal = Role::GlobexLoader.principal().to_owned()),
        page_size,
        ..query("eu")
    };
    assert_eq!(globex.query(of_loader(100)).await.unwrap().entries.len(), 5);
    assert!(acme.query(of_loader(100)).await.unwrap().entries.is_empty());
    let about = v1::QueryAccessLogRequest {
        filter: Some(v1::AccessLogFilter { data_class: "email".to_owned(), token, ..Default::default() }),
        ..query("eu")
    };
    assert_eq!(globex.query(about.clone()).await.unwrap().entries.len(), 1);
    assert!(acme.query(about).await.unwrap().entries.is_empty());
    for name in ["node", "Eu", "eu/..", "globex", "mars"] {
        let refusal = acme.query(query(name)).await.unwrap_err();
        assert_eq!(refusal.code, Code::InvalidArgument, "{name}: {refusal:?}");
    }
    // By another's place in a row of pages, with the same filters.
    let page_of = async |caller: &Caller| {
        let all = v1::QueryAccessLogRequest {
            filter: by(|filter| filter.action = "tokenize".to_owned()),
            page_size: 1,
            ..query("eu")
        };
        let page_token = caller.query(all.clone()).await.unwrap().next_page_token;
        assert!(!page_token.is_empty());
        v1::QueryAccessLogRequest { page_token, ..all }
    };
    let (of_acme, of_globex) = (page_of(&acme).await, page_of(&globex).await);
    for (caller, foreign) in [(&acme, &of_globex), (&globex, &of_acme)] {
        caller.query(foreign.clone()).await.unwrap_err().is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }
    for (caller, own) in [(&acme, &of_acme), (&globex, &of_globex)] {
        assert_eq!(caller.query(own.clone()).await.unwrap().entries.len(), 1);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_others_can_not_be_asked_about() {
    let vault = vault().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    let auditor = vault.caller(Role::Auditor).await;
    let ask = async |principal: &str| {
        let mut request = explain("payments", "email", &token);
        let caller = v1::ExplainedCaller { principal: principal.to_owned(), ..Default::default() };
        request.explained.as_mut().unwrap().caller = Some(caller);
        match auditor.explain(request).await {
            Ok(answer) => (answer.reason, answer.text, answer.policies.concat(), Vec::new(), answer.revealed),
            Err(Refusal { reason, message, fields, bytes, .. }) => {
                (reason, message, bytes.len().to_string(), fields, false)
            }
        }
    };
    let nobody = ask("spiffe://test.tokenvault/nobody-anywhere").await;
    // As long as that one, and an account of Globex's.
    let theirs = ask(Role::GlobexPayments.principal()).await;
    assert_eq!(theirs, nobody);
    vault.finish().await;
}
