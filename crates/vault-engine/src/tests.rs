//! The order of things, through the engine's own door: authorize, act, record, and only then release.

use std::{path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use vault_catalog::Catalog;
use vault_crypto::CallRandom;
use vault_domain::{
    AccessLogFilter, Action, Audience, DataClass, Freshness, IdempotencyKey, LevelAsked, ManualClock, Millis, Nonce,
    Plaintext, PrincipalId, Purpose, Reason, Region, RequestId, SystemEntropy, TokenText, VaultId,
};

use vault_journal::Submission;
use vault_store::Batch;

use super::*;

const EXTRA: &str = r#"
[classes.pin_block]
rule = "digits"
digits_min = 4
digits_max = 12
format = "opaque"
determinism = "per_audience"
purpose_required = false
ttl_seconds_default = 60

[classes.device]
rule = "text"
length_bytes_max = 36
format = "format_preserving"
keep_first = 20
purpose_required = false

[accounts."spiffe://dev.tokenvault.internal/everything"]
tenant = "acme"
audiences = ["payments", "support"]
regions = ["eu"]
grants = [
    { actions = ["tokenize", "detokenize"], classes = ["customer_id", "card_number", "pin_block", "device"] },
    { actions = ["query_access_log"] },
]
"#;

struct Fixture {
    dir: TempDir,
    clock: Arc<ManualClock>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        RootKey::create_file(&dir.path().join("root.key"), &SystemEntropy).unwrap();
        Self { dir, clock: Arc::new(ManualClock::at(Millis(1_800_000_000_000))) }
    }

    async fn open(&self) -> (Arc<Engine>, Running) {
        let (path, clock) = (self.dir.path().to_owned(), self.clock.clone());
        tokio::task::spawn_blocking(move || open(&path, clock)).await.unwrap()
    }
}

fn open(path: &Path, clock: Arc<ManualClock>) -> (Arc<Engine>, Running) {
    let catalog = Catalog::parse(&format!("{}{EXTRA}", vault_catalog::SAMPLE)).unwrap();
    let config = EngineConfig {
        vault: VaultId::parse("vault.example.org").unwrap(),
        node: "node-1".to_owned(),
        data_directory: path.join("data"),
        checkpoint_directory: path.join("checkpoints"),
        regions: vec![region("eu"), region("us")],
        policies: PolicySet::load(&[PolicySource::DEFAULT], &catalog).unwrap(),
        rules_from: RulesFrom::Files,
        retention: crate::Retention::default(),
        replay: ReplayRules { required_for: Vec::new(), window: vault_domain::limits::REPLAY_WINDOW_DEFAULT },
        memory: Memory::default(),
        ballast_bytes: 0,
        free_bytes_min: 0,
    };
    let root = RootKey::from_file(&path.join("root.key")).unwrap();
    Engine::open(config, &root, clock, Arc::new(SystemEntropy)).unwrap()
}

fn region(name: &str) -> Region {
    Region::parse(name).unwrap()
}

fn call(engine: &Engine, who: &str) -> Call {
    Call {
        request_id: RequestId([7; 16]),
        trace_id: None,
        principal: PrincipalId::parse(&format!("spiffe://dev.tokenvault.internal/{who}")).unwrap(),
        session: None,
        issuer: None,
        certificate: None,
        source: None,
        freshness: Freshness::Absent,
        deadline: engine.clock().monotonic() + Duration::from_secs(3600),
    }
}

fn values(class: &str, audience: &str, values: &[&str]) -> TokenizeRequest {
    TokenizeRequest {
        region: region("eu"),
        purpose: Some(Purpose::parse("bulk_load").unwrap()),
        reference: None,
        audience: Audience::parse(audience).unwrap(),
        parts: vec![Part { items: values.len(), name: None }],
        classes: vec![DataClass::parse(class).ok()],
        items: values
            .iter()
            .map(|value| TokenizeItem {
                class: 0,
                value: Plaintext::new(value.as_bytes().to_vec()),
                subject: Ok(None),
                life: LifeAsked::default(),
            })
            .collect(),
    }
}

fn tokens(class: &str, audience: &str, purpose: &str, tokens: &[&str]) -> DetokenizeRequest {
    DetokenizeRequest {
        region: region("eu"),
        purpose: Some(Purpose::parse(purpose).unwrap()),
        reference: None,
        audience: Audience::parse(audience).unwrap(),
        level: LevelAsked::FULL,
        parts: vec![Part { items: tokens.len(), name: None }],
        classes: vec![DataClass::parse(class).ok()],
        items: tokens
            .iter()
            .map(|token| DetokenizeItem { class: 0, token: TokenText::new((*token).to_owned()) })
            .collect(),
    }
}

async fn tokenize(engine: &Engine, class: &str, audience: &str, value: &str) -> Issued {
    let answer = engine.tokenize(&call(engine, "everything"), &values(class, audience, &[value])).await.unwrap();
    answer.results.into_iter().next().unwrap().unwrap()
}

async fn reveal(engine: &Engine, who: &str, request: DetokenizeRequest) -> Result<Plaintext, Reason> {
    let answer = engine.detokenize(&call(engine, who), &request).await;
    let result = answer.and_then(|answer| answer.results.into_iter().next().unwrap());
    result.map(|revealed| revealed.value).map_err(|error| error.reason())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_calls_with_one_nonce_at_once_one_is_carried_out() {
    let fixture = Fixture::new();
    let (engine, running) = fixture.open().await;
    let token = tokenize(&engine, "card_number", "payments", "4111111111111111").await.token.expose().to_owned();
    let sent = fixture.clock.wall();
    let calls: Vec<_> = (0..32)
        .map(|_| {
            let (engine, token) = (engine.clone(), token.clone());
            let freshness = Freshness::Stated { nonce: Nonce([7; 16]), sent };
            let call = Call { freshness, ..call(&engine, "everything") };
            tokio::spawn(async move {
                let request = tokens("card_number", "payments", "settlement", &[&token]);
                engine.detokenize(&call, &request).await.map(drop).map_err(|error| error.reason())
            })
        })
        .collect();
    let mut ended = Vec::new();
    for call in calls {
        ended.push(call.await.unwrap());
    }
    assert_eq!(ended.iter().filter(|ended| ended.is_ok()).count(), 1);
    assert!(ended.iter().all(|ended| matches!(ended, Ok(()) | Err(Reason::NonceReplayed))), "{ended:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_comes_back_to_its_audience_and_to_nobody_else() {
    let fixture = Fixture::new();
    let (engine, running) = fixture.open().await;
    let issued = tokenize(&engine, "card_number", "payments", "4111111111111111").await;
    let token = issued.token.expose();
    assert!(issued.created && token.len() == 16 && token.ends_with("1111") && token != "4111111111111111");

    let own = reveal(&engine, "everything", tokens("card_number", "payments", "settlement", &[token])).await;
    assert_eq!(own.unwrap().expose(), b"4111111111111111");
    let other = reveal(&engine, "everything", tokens("card_number", "support", "settlement", &[token])).await;
    assert_eq!(other.unwrap_err(), Reason::TokenOfAnotherAudience);
    let not_granted = reveal(&engine, "support", tokens("customer_id", "support", "support_case", &[token])).await;
    assert_eq!(not_granted.unwrap_err(), Reason::AccessDenied);
    let masks_alone = reveal(&engine, "support", tokens("card_number", "support", "support_case", &[token])).await;
    assert_eq!(masks_alone.unwrap_err(), Reason::LevelNotPermitted);
    let tenant = reveal(&engine, "globex-payments", tokens("card_number", "payments", "settlement", &[token])).await;
    assert_eq!(tenant.unwrap_err().outside(), Reason::TokenNotFound);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_a_grant_is_refused_before_its_token_is_looked_at() {
    let fixture = Fixture::new();
    let (engine, running) = fixture.open().await;
    for token in ["no token at all", "4000000000001111"] {
        let refused = reveal(&engine, "loader", tokens("card_number", "payments", "bulk_load", &[token])).await;
        assert_eq!(refused.unwrap_err().outside(), Reason::AccessDenied);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_leaves_when_the_log_does_not_take_its_entry() {
    let fixture = Fixture::new();
    let (engine, running) = fixture.open().await;
    let issued = tokenize(&engine, "customer_id", "payments", "4711").await;
    let request = || tokens("customer_id", "payments", "settlement", &[issued.token.expose()]);
    assert_eq!(reveal(&engine, "everything", request()).await.unwrap().expose(), b"4711");
    running.stop().await;
    assert_eq!(reveal(&engine, "everything", request()).await.unwrap_err(), Reason::AuditUnavailable);
    let refused = engine.tokenize(&call(&engine, "everything"), &values("customer_id", "payments", &["4712"])).await;
    assert_eq!(refused.err().map(|error| error.reason()), Some(Reason::AuditUnavailable));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_on_the_very_millisecond_and_its_value_gets_a_new_one() {
    let fixture = Fixture::new();
    let (engine, running) = fixture.open().await;
    let first = tokenize(&engine, "pin_block", "payments", "1234").await;
    let again = tokenize(&engine, "pin_block", "payments", "1234").await;
    assert!(!again.created && again.token == first.token && again.expires == first.expires);
    let request = || tokens("pin_block", "payments", "settlement", &[first.token.expose()]);
    fixture.clock.advance(Duration::from_millis(59_999));
    assert!(reveal(&engine, "everything", request()).await.is_ok());
    fixture.clock.advance(Duration::from_millis(1));
    assert_eq!(reveal(&engine, "everything", request()).await.unwrap_err(), Reason::TokenExpired);
    let next = tokenize(&engine, "pin_block", "payments", "1234").await;
    assert!(next.created && next.token != first.token);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_under_the_same_key_gives_the_same_tokens_and_another_request_is_refused() {
    let fixture = Fixture::new();
    let (engine, running) = fixture.open().await;
    let keyed = |list: &[&str]| TokenizeRequest {
        parts: vec![Part {
            items: list.len(),
            name: Some(RequestName { key: IdempotencyKey::parse("load-1").unwrap(), sequence: None }),
        }],
        ..values("card_number", "payments", list)
    };
    let texts = |answer: Tokenized| -> Vec<_> {
        answer.results.into_iter().map(|result| result.map(|issued| issued.token.into_exposed()).ok()).collect()
    };
    let everything = call(&engine, "everything");
    let request = keyed(&["4111111111111111", "no card", "5555555555554444"]);
    let first = texts(engine.tokenize(&everything, &request).await.unwrap());
    assert!(first[0].is_some() && first[1].is_none() && first[2].is_some());
    assert_eq!(texts(engine.tokenize(&everything, &request).await.unwrap()), first);
    let reused = engine.tokenize(&everything, &keyed(&["4111111111111111"])).await;
    assert_eq!(reused.err().map(|error| error.reason()), Some(Reason::IdempotencyKeyReused));
    fixture.clock.advance(Duration::from_secs(24 * 3600));
    let everything = call(&engine, "everything");
    let late = texts(engine.tokenize(&everything, &keyed(&["378282246310005"])).await.unwrap());
    assert!(late[0].is_some(), "after a day the key is forgotten");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_calls_that_bring_one_value_at_once_all_get_one_token() {
    let fixture = Fixture::new();
    let (engine, running) = fixture.open().await;
    let calls: Vec<_> = (0..32)
        .map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move { tokenize(&engine, "customer_id", "payments", "815").await })
        })
        .collect();
    let mut issued = Vec::new();
    for call in calls {
        issued.push(call.await.unwrap());
    }
    assert!(issued.iter().all(|one| one.token == issued[0].token));
    assert_eq!(issued.iter().filter(|one| one.created).count(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_life_of_the_process_reveals_what_the_first_one_stored() {
    let fixture = Fixture::new();
    let (engine, running) = fixture.open().await;
    let card = tokenize(&engine, "card_number", "payments", "4111111111111111").await;
    let customer = tokenize(&engine, "customer_id", "payments", "4711").await;
    running.stop().await;
    drop(engine);
    let (engine, running) = fixture.open().await;
    for (class, issued, value) in [("card_number", card, "4111111111111111"), ("customer_id", customer, "4711")] {
        let request = tokens(class, "payments", "settlement", &[issued.token.expose()]);
        assert_eq!(reveal(&engine, "everything", request).await.unwrap().expose(), value.as_bytes());
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_signed_over_though_the_journals_queue_is_full() {
    let fixture = Fixture::new();
    let (engine, running) = fixture.open().await;
    let (call, place, rules) = (call(&engine, "everything"), region("eu"), engine.rules());
    let scope = engine.enter(&rules, &call, Action::QueryAccessLog, &place).await.unwrap();
    let (journal, mut random, mut batch) =
        (&scope.vault.journal, CallRandom::seeded(&SystemEntropy).unwrap(), Batch::default());
    let sealing = scope.vault.keys.sealing(&mut random, &mut batch).unwrap();
    let evidence = scope.evidence(&call, Action::QueryAccessLog);
    let entry = evidence.seal(&scope.vault.keys, &sealing, &mut random, &**engine.clock()).unwrap();
    let submission = || Submission { entry: entry.clone(), ..Submission::default() };
    let mut refused = 0;
    for _ in 0..5 {
        let asked = journal.commit(submission()).await.unwrap();
        let flood: Vec<_> = (0..20_000).map(|_| journal.commit(submission())).collect();
        // By the clock it is time to sign again.
        fixture.clock.advance(vault_domain::limits::CHECKPOINT_INTERVAL);
        refused += u32::from(journal.checkpoint().await == Err(vault_journal::CommitError::Busy));
        let newest = read_audit::export::signed_over(journal, asked.index).await.unwrap();
        assert!(newest.size > asked.index.0);
        for commit in flood {
            let _taken_or_refused = commit.await.is_ok();
        }
    }
    assert!(refused > 0, "the queue was never full");
    drop(scope);
    drop(engine);
    running.stop().await;
}

/// The text of a token is the class's affair: one that reads like a UUID in capitals is none but in a `uuid` class.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_with_a_token_is_found_though_it_looks_like_a_uuid() {
    let fixture = Fixture::new();
    let (engine, running) = fixture.open().await;
    let issued = tokenize(&engine, "device", "payments", "12345678-1234-4ABC-8111-111111111111").await;
    let token = issued.token.expose().to_owned();
    assert!(vault_format::UuidToken::parse(&token).is_ok() && token.starts_with("12345678-1234-4ABC-8"));
    reveal(&engine, "everything", tokens("device", "payments", "settlement", &[&token])).await.unwrap();
    let filter = AccessLogFilter {
        data_class: DataClass::parse("device").ok(),
        token: Some(TokenText::new(token)),
        ..AccessLogFilter::default()
    };
    let question = AccessLogQuery {
        region: region("eu"),
        purpose: Some(Purpose::parse("audit").unwrap()),
        reference: None,
        filter,
        oldest_first: false,
        page_size: 10,
        page_token: None,
    };
    let found = engine.query_access_log(&call(&engine, "everything"), question).await.unwrap();
    assert_eq!(found.entries.len(), 2, "its making and its reveal");
    drop(engine);
    running.stop().await;
}
