//! Clients at work: single calls and batches, reveals, repeats under the same idempotency key, checkpoints; everything
//! that is answered goes into the books.

use std::{
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::task::JoinSet;
use tonic::Status;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use vault_proto::v1::{
    self, audit_service_client::AuditServiceClient, detokenize_result, token_service_client::TokenServiceClient,
    tokenize_result,
};
use vault_tests::{
    connection::{Connection, tls},
    refusal::Refusal,
    requests,
    roles::Role,
};

use crate::{
    books::{Answered, Books, CLASSES, Class, Named},
    site::{REGION, Site},
    vault::PATIENCE,
};

/// The longest answer that clients take.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Tokens that are revealed at once when the books are held against the vault.
const CHECKED_AT_ONCE: usize = 1000;

/// Numbers that look like chance; the same seed gives the same ones (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        requests::scattered(self.0)
    }

    /// One of a range that is not empty.
    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }
}

/// The connections of one client: one for each of the roles that it plays.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) loader: TokenServiceClient<Connection>,
    pub(crate) payments: TokenServiceClient<Connection>,
    auditor: AuditServiceClient<Connection>,
    health: HealthClient<Connection>,
}

/// Why a call was not answered: the vault's own words, or how the connection broke.
pub(crate) type Unanswered = Box<Refusal>;

/// An answer, or why there is none. That one of the two comes is part of every test.
async fn patient<T>(what: &str, call: impl Future<Output = Result<T, Status>>) -> Result<T, Unanswered> {
    let Ok(answer) = tokio::time::timeout(PATIENCE, call).await else {
        panic!("{what} is neither answered nor refused within {PATIENCE:?}");
    };
    answer.map_err(|status| Box::new(Refusal::of_call(&status)))
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens, or it is not the vault.
    pub(crate) async fn connect(site: &Site, address: SocketAddr) -> Result<Self, String> {
        let connection = |role| {
            let identity = site.identity(role);
            async move {
                let opening = Connection::open(address, tls(&site.authority, Some(&identity)));
                tokio::time::timeout(PATIENCE, opening).await.expect("a connection, or why there is none")
            }
        };
        let (loader, payments) = (connection(Role::Loader).await?, connection(Role::Payments).await?);
        let auditor = connection(Role::Auditor).await?;
        let tokens = |connection: Connection| {
            let origin = connection.origin().clone();
            TokenServiceClient::with_origin(connection, origin).max_decoding_message_size(ANSWER_BYTES_MAX)
        };
        let origin = auditor.origin().clone();
        let health = HealthClient::with_origin(auditor.clone(), origin.clone());
        let auditor = AuditServiceClient::with_origin(auditor, origin).max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(Self { loader: tokens(loader), payments: tokens(payments), auditor, health })
    }

    /// Has values replaced by tokens, and notes what is answered. Every item must get one.
    pub(crate) async fn tokenize(
        &self,
        books: &Books,
        request: v1::TokenizeRequest,
    ) -> Result<Vec<String>, Unanswered> {
        let items: Vec<_> = request.items.iter().map(|item| (class(&item.data_class), item.value.clone())).collect();
        let mut loader = self.loader.clone();
        let answer = patient("Tokenize", loader.tokenize(request)).await?.into_inner();
        let tokens: Vec<String> = answer.results.into_iter().map(token).collect();
        assert_eq!(tokens.len(), items.len());
        let mut pages = books.open();
        for ((class, value), token) in items.iter().zip(&tokens) {
            pages.acknowledged(class, value, token);
        }
        let receipt = answer.receipt.unwrap();
        pages.answered.push(Answered { action: "tokenize", done: tokens.len(), receipt });
        Ok(tokens)
    }

    /// Has tokens revealed, and holds the values against the books.
    pub(crate) async fn detokenize(
        &self,
        books: &Books,
        tokens: &[(String, Class, Vec<u8>)],
    ) -> Result<(), Unanswered> {
        let items = tokens.iter().map(|(token, class, _)| requests::detokenize_item(class, token)).collect();
        let request = v1::DetokenizeRequest { items, ..requests::detokenize("email", [""; 0]) };
        let mut payments = self.payments.clone();
        let answer = patient("Detokenize", payments.detokenize(request)).await?.into_inner();
        assert_eq!(answer.results.len(), tokens.len());
        for (result, (_, class, expected)) in answer.results.iter().zip(tokens) {
            match &result.outcome {
                Some(detokenize_result::Outcome::Revealed(revealed)) => {
                    assert!(revealed.value == *expected, "an acknowledged token of {class} has another value");
                }
                other => panic!("an acknowledged token of {class} is gone: {other:?}"),
            }
        }
        let mut pages = books.open();
        pages.revealed += u64::try_from(tokens.len()).unwrap();
        let receipt = answer.receipt.unwrap();
        pages.answered.push(Answered { action: "detokenize", done: tokens.len(), receipt });
        Ok(())
    }

    /// Asks for the region's newest checkpoint, and notes it.
    pub(crate) async fn checkpoint(&self, books: &Books) -> Result<String, Unanswered> {
        let request = v1::GetCheckpointRequest { region: REGION.to_owned() };
        let mut auditor = self.auditor.clone();
        let answer = patient("GetCheckpoint", auditor.get_checkpoint(request)).await?.into_inner();
        let note = answer.checkpoint.clone();
        books.open().checkpoint(answer);
        Ok(note)
    }

    /// Has the log prove its first entry, and that it has only grown; the size of the tree.
    pub(crate) async fn prove(&self) -> Result<u64, Unanswered> {
        let region = REGION.to_owned();
        let mut auditor = self.auditor.clone();
        let request = v1::GetInclusionProofRequest { region: region.clone(), ..Default::default() };
        let proved = patient("GetInclusionProof", auditor.get_inclusion_proof(request)).await?.into_inner();
        let request = v1::GetConsistencyProofRequest { region, old_size: 1, ..Default::default() };
        patient("GetConsistencyProof", auditor.get_consistency_proof(request)).await?;
        Ok(proved.tree_size)
    }

    /// Asks the log who did what; the answer does not matter here.
    pub(crate) async fn query(&self) -> Result<(), Unanswered> {
        let mut auditor = self.auditor.clone();
        patient("QueryAccessLog", auditor.query_access_log(requests::query(REGION))).await.map(drop)
    }

    /// Asks whether the vault is ready to serve.
    pub(crate) async fn is_serving(&self) -> Result<bool, Unanswered> {
        let mut health = self.health.clone();
        let answer = patient("health", health.check(HealthCheckRequest::default())).await?.into_inner();
        Ok(answer.status() == ServingStatus::Serving)
    }

    /// Sends requests with an idempotency key again: what was answered before has the same answer, what was not gets
    /// one now. The first that was given is `from`.
    pub(crate) async fn repeat_named(&self, books: &Books, from: usize) {
        let named: Vec<Named> = books.open().named[from..].to_vec();
        for (at, named) in named.into_iter().enumerate() {
            let tokens = self.tokenize(books, named.request).await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
            books.open().named_answered(from + at, tokens);
        }
    }

    /// Reveals these of the tokens in the books.
    pub(crate) async fn reveal(&self, books: &Books, which: Range<usize>) {
        let tokens = books.open().tokens[which].to_vec();
        for tokens in tokens.chunks(CHECKED_AT_ONCE) {
            self.detokenize(books, tokens).await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        }
    }
}

fn class(name: &str) -> Class {
    CLASSES.iter().find(|(class, _)| *class == name).unwrap().0
}

fn token(result: v1::TokenizeResult) -> String {
    match result.outcome {
        Some(tokenize_result::Outcome::Issued(issued)) => issued.token,
        other => panic!("a good value was refused: {other:?}"),
    }
}

/// A number that no other value of the same books was made from.
static VALUES: AtomicU64 = AtomicU64::new(0);

/// A value of a class that was not used before.
pub(crate) fn fresh_value(class: Class) -> Vec<u8> {
    let n = VALUES.fetch_add(1, Ordering::Relaxed);
    match class {
        "card_number" => requests::card(n),
        "email" => requests::email(n),
        _ => requests::customer(n),
    }
    .into_bytes()
}

/// A request for one fresh value of each class.
pub(crate) fn one_of_each() -> v1::TokenizeRequest {
    let items = CLASSES.map(|(class, _)| requests::tokenize_item(class, fresh_value(class))).into();
    v1::TokenizeRequest { items, ..requests::tokenize("email", [""; 0]) }
}

/// A request for fresh values, with one or the other value that has a token already.
fn request(chance: &mut Chance, books: &Books, count: u64) -> v1::TokenizeRequest {
    let mut items = Vec::new();
    for _ in 0..count {
        let (class, _) = CLASSES[usize::try_from(chance.within(0..3)).unwrap()];
        items.push(requests::tokenize_item(class, fresh_value(class)));
    }
    let pages = books.open();
    if chance.within(0..4) == 0
        && let Some((_, class, value)) = some(chance, &pages.tokens)
    {
        items.push(requests::tokenize_item(class, value));
    }
    v1::TokenizeRequest { items, ..requests::tokenize("email", [""; 0]) }
}

fn some<'a, T>(chance: &mut Chance, all: &'a [T]) -> Option<&'a T> {
    let count = u64::try_from(all.len()).unwrap();
    (count > 0).then(|| &all[usize::try_from(chance.within(0..count)).unwrap()])
}

/// A load under way.
pub(crate) struct Load {
    clients: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Lets so many clients work until they are told to stop or the vault does not answer any more.
    pub(crate) async fn start(site: &Site, address: SocketAddr, books: &Arc<Books>, count: u64, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for number in 0..count {
            let Ok(client) = Client::connect(site, address).await else { break };
            let (books, stop) = (books.clone(), stop.clone());
            let mut chance = Chance::new(seed.wrapping_mul(1000).wrapping_add(number) << 20);
            clients.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if let Err(refusal) = one_call(&client, &books, &mut chance).await {
                        *books.open().refused.entry(refusal.reason.clone()).or_default() += 1;
                        return;
                    }
                }
            });
        }
        Self { clients, stop }
    }

    /// Waits for the clients, who end by themselves because the vault does.
    pub(crate) async fn ended(mut self) {
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
    }

    /// Tells the clients to stop and waits for them.
    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.ended().await;
    }
}

/// One call of some kind.
async fn one_call(client: &Client, books: &Books, chance: &mut Chance) -> Result<(), Unanswered> {
    match chance.within(0..100) {
        0..25 => {
            let request = request(chance, books, 1);
            client.tokenize(books, request).await.map(drop)
        }
        25..45 => {
            let count = chance.within(2..60);
            let request = request(chance, books, count);
            client.tokenize(books, request).await.map(drop)
        }
        45..80 => {
            let count = chance.within(1..20);
            let tokens: Vec<_> = {
                let pages = books.open();
                (0..count).filter_map(|_| some(chance, &pages.tokens).cloned()).collect()
            };
            if tokens.is_empty() { Ok(()) } else { client.detokenize(books, &tokens).await }
        }
        80..90 => {
            let mut request = request(chance, books, 3);
            request.idempotency_key = format!("request-{:016x}-{:016x}", chance.next(), chance.next());
            let at = {
                let mut pages = books.open();
                pages.named.push(Named { request: request.clone(), tokens: None });
                pages.named.len() - 1
            };
            let tokens = client.tokenize(books, request).await?;
            books.open().named_answered(at, tokens);
            Ok(())
        }
        90..97 => {
            let count = u64::try_from(books.open().named.len()).unwrap();
            if count == 0 {
                return Ok(());
            }
            let at = usize::try_from(chance.within(0..count)).unwrap();
            let request = books.open().named[at].request.clone();
            let tokens = client.tokenize(books, request).await?;
            books.open().named_answered(at, tokens);
            Ok(())
        }
        _ => client.checkpoint(books).await.map(drop),
    }
}
