//! The one way by which values and tokens go to the vault. Whoever sends them otherwise changes this file alone.

use std::time::Duration;

use vault_client::{CallContext, CallMade, Client, ClientError, HeldToken, Idempotency, IssuedToken, NewValue};
use vault_domain::{IdempotencyKey, Plaintext, Reason, TokenText};
use zeroize::Zeroizing;

use crate::bulk::{Direction, rows::Item};

/// How often a call is made again that lost against others.
pub(crate) const CONFLICTS_MAX: u64 = 10;
/// How long it waits before: others are done by then.
const CONFLICT_PAUSE: Duration = Duration::from_millis(20);

/// What stands in a value's place.
pub(crate) struct Replacement {
    pub(crate) value: Zeroizing<Vec<u8>>,
    /// Whether it is a token that is new.
    pub(crate) created: bool,
}

/// The results of the items of one batch, and the calls that were made for it.
#[derive(Default)]
pub(crate) struct Exchanged {
    pub(crate) results: Vec<Result<Replacement, ClientError>>,
    pub(crate) calls: Vec<CallMade>,
    /// Calls before these that were refused because others got in between.
    pub(crate) conflicts: u64,
}

/// Sends the items of one batch. A batch that is sent again under the same key, by whichever process, is answered as
/// the first time for as long as the vault remembers the key.
pub(crate) async fn exchange(
    client: Client,
    direction: Direction,
    mut context: CallContext,
    key: Option<IdempotencyKey>,
    items: Vec<Item>,
) -> Result<Exchanged, ClientError> {
    context.idempotency = key.map_or(Idempotency::Automatic, Idempotency::Key);
    until_unopposed(|| send(&client, direction, &context, &items)).await
}

/// Sends again what lost against others. Rows that stand close together often hold the same value; where two calls want
/// to be the first with it, the vault may tell one to try again as a whole.
pub(crate) async fn until_unopposed<F, Fut>(send: F) -> Result<Exchanged, ClientError>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Sent, ClientError>>,
{
    let mut conflicts = 0;
    loop {
        let error = match send().await {
            Ok((results, calls)) => match calls.iter().find_map(|call| call.outcome.as_ref().err()) {
                None => return Ok(Exchanged { results, calls, conflicts }),
                Some(error) => error.clone(),
            },
            Err(error) => error,
        };
        if error.reason() != Some(Reason::CommitConflict) || conflicts >= CONFLICTS_MAX {
            return Err(error);
        }
        conflicts += 1;
        tokio::time::sleep(CONFLICT_PAUSE).await;
    }
}

/// What became of items, and the calls that it took.
pub(crate) type Sent = (Vec<Result<Replacement, ClientError>>, Vec<CallMade>);

async fn send(
    client: &Client,
    direction: Direction,
    context: &CallContext,
    items: &[Item],
) -> Result<Sent, ClientError> {
    match direction {
        Direction::Tokenize => {
            let value = |item: &Item| NewValue {
                class: item.class.clone(),
                value: Plaintext::new(item.value.to_vec()),
                subject: None,
            };
            let answer = client.tokenize(context, items.iter().map(value).collect()).await?;
            let replacement = |issued: IssuedToken| Replacement {
                created: issued.created,
                value: Zeroizing::new(issued.token.into_exposed().into_bytes()),
            };
            Ok((answer.results.into_iter().map(|result| result.map(replacement)).collect(), answer.calls))
        }
        Direction::Detokenize => {
            // A cell that is not UTF-8 is no token; what stands for it is none either, and is refused by the vault.
            let held = |item: &Item| HeldToken {
                class: item.class.clone(),
                token: TokenText::new(std::str::from_utf8(&item.value).unwrap_or("?").to_owned()),
            };
            let answer = client.detokenize(context, items.iter().map(held).collect()).await?;
            let replacement =
                |value: Plaintext| Replacement { created: false, value: Zeroizing::new(value.into_exposed()) };
            Ok((answer.results.into_iter().map(|result| result.map(replacement)).collect(), answer.calls))
        }
    }
}
