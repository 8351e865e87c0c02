//! The one way by which values and tokens go to the vault: a stream, which sends again by itself what was cut off.
//! Whoever sends them otherwise changes this file alone.

use std::{future::Future, pin::Pin};

use vault_client::{
    Answer, CallContext, CallMade, Client, ClientError, DetokenizeStream, HeldToken, Idempotency, IssuedToken, NewLife,
    NewValue, Revealed, TokenizeStream,
};
use vault_domain::{IdempotencyKey, Plaintext, RevealLevel, TokenText};
use zeroize::Zeroizing;

use crate::bulk::{Job, Way, rows::Item};

/// What stands in a value's place.
pub(crate) struct Replacement {
    pub(crate) value: Zeroizing<Vec<u8>>,
    /// Whether it is a token that is new.
    pub(crate) created: bool,
    /// Whether it is a mask.
    pub(crate) masked: bool,
}

/// The results of the items of one batch, and the messages that carried it.
#[derive(Default)]
pub(crate) struct Exchanged {
    pub(crate) results: Vec<Result<Replacement, ClientError>>,
    pub(crate) calls: Vec<CallMade>,
}

/// The stream of a job.
pub(crate) enum Exchange {
    Tokenize(TokenizeStream, NewLife),
    Detokenize(DetokenizeStream),
}

/// What becomes of a batch.
pub(crate) type Exchanging = Pin<Box<dyn Future<Output = Result<Exchanged, ClientError>> + Send>>;

impl Exchange {
    /// Opens the stream of a job. What is sent again under the same key and number, by whichever process, is answered
    /// as the first time for as long as the vault remembers the key.
    pub(crate) fn open(client: &Client, job: &Job, key: Option<IdempotencyKey>) -> Result<Self, ClientError> {
        let idempotency = key.map_or(Idempotency::Automatic, Idempotency::Key);
        let context = CallContext { idempotency, ..job.context.clone() };
        Ok(match job.way {
            Way::Tokenize(life) => Self::Tokenize(client.tokenize_stream(&context)?, life),
            Way::Detokenize(level) => Self::Detokenize(client.detokenize_stream(&context, level)?),
        })
    }

    /// Sends the items of one batch. Batches go out in the order of these calls, under rising numbers.
    pub(crate) fn send(&self, number: u64, items: Vec<Item>) -> Exchanging {
        match self {
            Self::Tokenize(stream, life) => {
                let value = |item: Item| NewValue {
                    life: *life,
                    ..NewValue::new(item.class.clone(), Plaintext::new(item.value.to_vec()))
                };
                let answer = stream.tokenize(number, items.into_iter().map(value).collect());
                let replacement = |issued: IssuedToken| Replacement {
                    created: issued.created,
                    masked: false,
                    value: Zeroizing::new(issued.token.into_exposed().into_bytes()),
                };
                Box::pin(async move { exchanged(answer.await?, replacement) })
            }
            Self::Detokenize(stream) => {
                // A cell that is not UTF-8 is no token; what stands for it is none either, and is refused by the vault.
                let held = |item: Item| HeldToken {
                    class: item.class.clone(),
                    token: TokenText::new(std::str::from_utf8(&item.value).unwrap_or("?").to_owned()),
                };
                let answer = stream.detokenize(number, items.into_iter().map(held).collect());
                let replacement = |revealed: Revealed| Replacement {
                    created: false,
                    masked: revealed.level == RevealLevel::Masked,
                    value: Zeroizing::new(revealed.value.into_exposed()),
                };
                Box::pin(async move { exchanged(answer.await?, replacement) })
            }
        }
    }
}

/// A batch is done when all of it is: one message that was refused as a whole fails it.
fn exchanged<T>(answer: Answer<T>, replacement: impl Fn(T) -> Replacement) -> Result<Exchanged, ClientError> {
    let Answer { results, calls } = answer;
    match calls.iter().find_map(|call| call.outcome.as_ref().err()) {
        Some(error) => Err(error.clone()),
        None => Ok(Exchanged { results: results.into_iter().map(|result| result.map(&replacement)).collect(), calls }),
    }
}
