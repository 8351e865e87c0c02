//! HTTP: what comes in, what goes out, by which status. It must never put what it was sent into an answer or a log: a
//! card number may stand in any field, also in a wrong one.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use vault_domain::{IdempotencyKey, Plaintext};

use crate::{
    orders::{Order, OrderNumber, Orders, Placed},
    vault::{Problem, Rejected, Vault},
};

const BODY_BYTES_MAX: usize = 16 * 1024;

pub(crate) struct Service {
    pub(crate) vault: Vault,
    pub(crate) orders: Orders,
}

/// `POST /orders`. No Debug and no Serialize: it holds values.
#[derive(Deserialize)]
struct NewOrder {
    order: String,
    amount_cents: u64,
    card_number: String,
    email: String,
}

/// The paths of the service.
pub(crate) fn routes(service: Arc<Service>) -> Router {
    Router::new()
        .route("/health", get(async || answer(StatusCode::OK, &json!({ "status": "ok" }))))
        .route("/orders", post(place))
        .route("/orders/{order}", get(show))
        .route("/orders/{order}/settle", post(settle))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(service)
}

/// Takes an order. The header `Idempotency-Key` names the request: a repeat of it gets the same answer.
async fn place(State(service): State<Arc<Service>>, headers: HeaderMap, body: Bytes) -> Result<Response, Refused> {
    // Not axum's Json: it answers with serde's text, and that quotes what it could not read.
    let new: NewOrder = serde_json::from_slice(&body).map_err(|_| Refused::BODY)?;
    // From here on the values are in types that are wiped and print nothing.
    let (card_number, email) = (Plaintext::new(new.card_number.into_bytes()), Plaintext::new(new.email.into_bytes()));
    let number = OrderNumber::parse(&new.order).ok_or(Refused::NUMBER)?;
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).ok_or(Refused::KEY)?;
    let key = IdempotencyKey::parse(&format!("order/{number}/{key}")).map_err(|_| Refused::KEY)?;
    to_its_end(async move { service.place(&number, &key, new.amount_cents, card_number, email).await }).await
}

/// Shows what is kept: tokens, and receipts.
async fn show(State(service): State<Arc<Service>>, Path(number): Path<String>) -> Result<Response, Refused> {
    let number = OrderNumber::parse(&number).ok_or(Refused::UNKNOWN)?;
    let order = service.find(&number).await?.ok_or(Refused::UNKNOWN)?;
    Ok(answer(StatusCode::OK, &shown(&number, &order)))
}

/// Settles an order.
async fn settle(State(service): State<Arc<Service>>, Path(number): Path<String>) -> Result<Response, Refused> {
    let number = OrderNumber::parse(&number).ok_or(Refused::UNKNOWN)?;
    to_its_end(async move { service.settle(&number).await }).await
}

/// Whoever calls us may hang up, and axum drops what it was doing for them. What has begun here ends nevertheless: no
/// token without its order, no charge without its mark.
async fn to_its_end(
    work: impl Future<Output = Result<Response, Refused>> + Send + 'static,
) -> Result<Response, Refused> {
    tokio::spawn(work).await.unwrap_or(Err(Refused::ByVault(Problem::Ours)))
}

impl Service {
    async fn place(
        &self,
        number: &OrderNumber,
        key: &IdempotencyKey,
        amount_cents: u64,
        card_number: Plaintext,
        email: Plaintext,
    ) -> Result<Response, Refused> {
        // Asked before the vault is: what nobody will point to should not be stored there.
        if self.find(number).await?.is_some_and(|there| there.key != key.as_str()) {
            return Err(Refused::TAKEN);
        }
        let (tokens, evidence) = self.vault.take(number, key.clone(), card_number, email).await?;
        let vault_request = evidence.request.clone();
        let key = key.as_str().to_owned();
        let order = Order { key, amount_cents, tokens, settled: false, receipts: vec![evidence] };
        match self.orders.place(number, &order).await.map_err(|error| Refused::of_disk(number, &error))? {
            Placed::New => {
                tracing::info!(order = %number, vault_request, "order placed");
                Ok(answer(StatusCode::CREATED, &shown(number, &order)))
            }
            Placed::Again(order) => Ok(answer(StatusCode::OK, &shown(number, &order))),
            Placed::Taken => Err(Refused::TAKEN),
        }
    }

    /// The one place where a card is seen again, for as long as the charge takes.
    async fn settle(&self, number: &OrderNumber) -> Result<Response, Refused> {
        let of_disk = |error| Refused::of_disk(number, &error);
        let order = self.find(number).await?.ok_or(Refused::UNKNOWN)?;
        if order.settled {
            return Ok(answer(StatusCode::OK, &shown(number, &order)));
        }
        let (card, evidence) = self.vault.reveal_card(number, &order.tokens).await?;
        let vault_request = evidence.request.clone();
        // The receipt is kept before the card is used: whatever happens next, that it was seen can be proven.
        self.orders.change(number, |order| order.receipts.push(evidence)).await.map_err(of_disk)?;
        if !charge(number, order.amount_cents, &card) {
            tracing::error!(order = %number, vault_request, "charge refused");
            return Err(Refused::CHARGE);
        }
        drop(card);
        let order = self.orders.change(number, |order| order.settled = true).await.map_err(of_disk)?;
        tracing::info!(order = %number, vault_request, "order settled");
        Ok(answer(StatusCode::OK, &shown(number, &order)))
    }

    async fn find(&self, number: &OrderNumber) -> Result<Option<Order>, Refused> {
        self.orders.find(number).await.map_err(|error| Refused::of_disk(number, &error))
    }
}

/// Where a company calls its payment provider, with the order's number as the provider's idempotency key, so that no
/// repeat charges twice. Like any provider it refuses what fails the Luhn check (ISO/IEC 7812-1, annex B), as every
/// token of the sample catalog's card numbers does: a token that is sent by mistake is charged to nobody.
fn charge(_number: &OrderNumber, _amount_cents: u64, card: &Plaintext) -> bool {
    let digits = card.expose().iter().rev().map(|byte| u32::from(byte.wrapping_sub(b'0')));
    let doubled = |digit: u32| digit * 2 / 10 + digit * 2 % 10;
    let sum: u32 = digits.zip(0..).map(|(digit, place)| if place % 2 == 1 { doubled(digit) } else { digit }).sum();
    sum.is_multiple_of(10)
}

fn shown(number: &OrderNumber, order: &Order) -> Value {
    json!({
        "order": number.to_string(),
        "amount_cents": order.amount_cents,
        "tokens": order.tokens,
        "status": if order.settled { "settled" } else { "placed" },
        "receipts": order.receipts,
    })
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body:#}\n")).into_response()
}

/// A request that is not answered as it hoped.
enum Refused {
    ByUs(StatusCode, &'static str),
    ByVault(Problem),
}

impl Refused {
    const BODY: Self = Self::ByUs(
        StatusCode::BAD_REQUEST,
        "the body must be JSON: order, card_number, email as strings, amount_cents as a number",
    );
    const NUMBER: Self =
        Self::ByUs(StatusCode::BAD_REQUEST, "order must match [A-Za-z0-9-]{1,32} and hold no run of 13 digits");
    const KEY: Self =
        Self::ByUs(StatusCode::BAD_REQUEST, "the header Idempotency-Key must hold 1 to 80 visible ASCII characters");
    const UNKNOWN: Self = Self::ByUs(StatusCode::NOT_FOUND, "there is no such order");
    const TAKEN: Self = Self::ByUs(StatusCode::CONFLICT, "there is another order with this number");
    const CHARGE: Self = Self::ByUs(StatusCode::BAD_GATEWAY, "the payment provider refused the charge");

    fn of_disk(number: &OrderNumber, error: &std::io::Error) -> Self {
        tracing::error!(order = %number, %error, "orders can't be read or written");
        Self::ByUs(StatusCode::INTERNAL_SERVER_ERROR, "the order can't be kept; try again under the same key")
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::ByVault(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let say = |status, error: &str| answer(status, &json!({ "error": error }));
        match self {
            Self::ByUs(status, error) => say(status, error),
            Self::ByVault(Problem::Values(rejected)) => {
                let fields = rejected
                    .into_iter()
                    .map(|Rejected { field, reason, rule }| json!({ "field": field, "reason": reason, "rule": rule }));
                let body = json!({
                    "error": "correct these fields and send the order under a new key",
                    "fields": fields.collect::<Vec<_>>(),
                });
                answer(StatusCode::UNPROCESSABLE_ENTITY, &body)
            }
            Self::ByVault(Problem::KeyReused) => {
                say(StatusCode::CONFLICT, "this key was used with other values; use a new key for a new request")
            }
            Self::ByVault(Problem::CardGone) => {
                say(StatusCode::CONFLICT, "the card is not on file any more; ask the customer for it again")
            }
            Self::ByVault(Problem::Away(after)) => {
                let seconds = after.unwrap_or_default().as_secs().max(1).to_string();
                let mut response = say(StatusCode::SERVICE_UNAVAILABLE, "try again under the same key");
                response.headers_mut().extend(seconds.parse().ok().map(|seconds| (header::RETRY_AFTER, seconds)));
                response
            }
            Self::ByVault(Problem::Ours) => {
                say(StatusCode::INTERNAL_SERVER_ERROR, "this is our fault; our operators are told")
            }
        }
    }
}
