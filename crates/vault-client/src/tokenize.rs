//! Values in, tokens out.

use std::{num::NonZeroU32, ops::Range, time::Duration};

use vault_domain::{DataClass, IdempotencyKey, Millis, Plaintext, RequestId, SubjectName, TokenText};
use vault_proto::v1::{self, token_service_client::TokenServiceClient, tokenize_result::Outcome};

use crate::{
    call::{Answer, CallContext, Idempotency, Receipt, Said},
    client::{ANSWER_BYTES_MAX, CallOfBatch, Client},
    error::ClientError,
    split::requests,
};

/// A value to be tokenized.
#[derive(Debug)]
pub struct NewValue {
    /// Its data class.
    pub class: DataClass,
    /// The value.
    pub value: Plaintext,
    /// The person that it is about, for classes that are deterministic per subject.
    pub subject: Option<SubjectName>,
    /// What the life of its token shall be.
    pub life: NewLife,
}

/// What the life of a new token shall be, within what its data class allows. A token that a deterministic class gives
/// again keeps the life that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewLife {
    /// How long it lasts, in whole seconds; `None` for as long as the class says.
    pub ttl: Option<Duration>,
    /// From when on it may be revealed; `None` for at once.
    pub not_before: Option<Millis>,
    /// How often it may be revealed; `None` for as often as may be.
    pub max_uses: Option<NonZeroU32>,
}

impl NewValue {
    /// A value that is about nobody in particular, whose token lives as its class says.
    #[must_use]
    pub fn new(class: DataClass, value: Plaintext) -> Self {
        Self { class, value, subject: None, life: NewLife::default() }
    }
}

/// A token, as the vault issued it.
#[derive(Debug, PartialEq, Eq)]
pub struct IssuedToken {
    /// The token.
    pub token: TokenText,
    /// False if the vault had a live token for this value already, which is given again.
    pub created: bool,
    /// When its lifetime ends; `None` if it does not.
    pub expires: Option<Millis>,
}

impl Client {
    /// Tokenizes values: a result for each, in order. More than one request may hold go in several calls.
    ///
    /// # Errors
    /// When the call, or every call of the batch, was refused as a whole. If only some were, their items bear the
    /// error.
    pub async fn tokenize(
        &self,
        context: &CallContext,
        items: Vec<NewValue>,
    ) -> Result<Answer<IssuedToken>, ClientError> {
        let encoded = items.into_iter().map(encode).collect();
        let requests = requests(
            encoded,
            |item| &item.data_class,
            |calls| self.keys(context, calls),
            |items, idempotency_key| {
                let Said { region, audience, purpose, reference } = context.said();
                v1::TokenizeRequest { region, purpose, reference, audience, idempotency_key, items }
            },
        )?;
        self.batch(requests, |client, run, request| async move { client.tokenize_run(run, request).await }).await
    }

    async fn tokenize_run(&self, run: Range<usize>, request: v1::TokenizeRequest) -> CallOfBatch<IssuedToken> {
        let region = request.region.clone();
        let repeatable = !request.idempotency_key.is_empty();
        let made = self.unary(&region, request, repeatable, |channel, request| async move {
            let mut service = TokenServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            service.tokenize(request).await
        });
        made.await.of_batch(run, |answer, request_id| {
            let receipt = Receipt::read(answer.receipt.as_ref())?;
            let results = answer.results.into_iter().map(|result| decode(result, request_id));
            Ok((receipt, results.collect::<Result<_, _>>()?))
        })
    }

    /// The idempotency keys of a batch of so many calls; empty where there is none.
    pub(crate) fn keys(&self, context: &CallContext, calls: usize) -> Result<Vec<String>, ClientError> {
        match &context.idempotency {
            Idempotency::Off => Ok(vec![String::new(); calls]),
            Idempotency::Key(key) => keys_of_batch(key, calls),
            Idempotency::Automatic => (0..calls).map(|_| self.drawn_key()).collect(),
        }
    }

    /// An idempotency key that nobody else has.
    fn drawn_key(&self) -> Result<String, ClientError> {
        let mut drawn = [0; 16];
        self.draw(&mut drawn)?;
        Ok(format!("{:032x}", u128::from_be_bytes(drawn)))
    }
}

/// A value as messages have it.
pub(crate) fn encode(item: NewValue) -> v1::TokenizeItem {
    v1::TokenizeItem {
        data_class: item.class.as_str().to_owned(),
        value: item.value.into_exposed(),
        subject: item.subject.map(SubjectName::into_exposed).unwrap_or_default(),
        ttl_seconds: seconds(item.life.ttl),
        not_before_ms: item.life.not_before.unwrap_or_default().0,
        max_uses: item.life.max_uses.map_or(0, NonZeroU32::get),
    }
}

/// A lifetime as messages have it: one below a second is a second, for none is that of the class.
pub(crate) fn seconds(ttl: Option<Duration>) -> u64 {
    ttl.map_or(0, |ttl| ttl.as_secs().max(1))
}

/// A moment of a message; `None` for none.
pub(crate) fn moment(ms: u64) -> Option<Millis> {
    (ms != 0).then_some(Millis(ms))
}

/// The result of one item.
pub(crate) fn decode(
    result: v1::TokenizeResult,
    request_id: Option<RequestId>,
) -> Result<Result<IssuedToken, ClientError>, ClientError> {
    match result.outcome {
        Some(Outcome::Issued(issued)) => Ok(Ok(IssuedToken {
            token: TokenText::new(issued.token),
            created: issued.created,
            expires: moment(issued.expires_at_ms),
        })),
        Some(Outcome::Error(status)) => Ok(Err(ClientError::of_item(status, request_id))),
        None => Err(ClientError::AnswerMalformed("it has an item without a result")),
    }
}

/// The caller's key for each call of its batch.
fn keys_of_batch(key: &IdempotencyKey, calls: usize) -> Result<Vec<String>, ClientError> {
    if calls == 1 {
        return Ok(vec![key.as_str().to_owned()]);
    }
    (0..calls)
        .map(|call| {
            let key = format!("{}/{call}", key.as_str());
            let parsed = IdempotencyKey::parse(&key);
            parsed.map_err(|_| {
                ClientError::configuration(
                    "the idempotency key",
                    "is too long for a batch of several calls; shorten it",
                )
            })?;
            Ok(key)
        })
        .collect()
}

/// An optional name as messages have it: empty when there is none.
pub(crate) fn name(name: Option<&str>) -> String {
    name.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_key_is_kept_for_one_call_and_numbered_for_several() {
        let key = IdempotencyKey::parse("load-7").unwrap();
        assert_eq!(keys_of_batch(&key, 1).unwrap(), ["load-7"]);
        assert_eq!(keys_of_batch(&key, 2).unwrap(), ["load-7/0", "load-7/1"]);
        let long = IdempotencyKey::parse(&"k".repeat(128)).unwrap();
        assert!(keys_of_batch(&long, 1).is_ok());
        assert!(keys_of_batch(&long, 2).is_err());
    }
}
