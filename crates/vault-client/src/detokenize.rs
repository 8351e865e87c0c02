//! Tokens in, values out.

use std::{mem::take, ops::Range};

use vault_domain::{DataClass, LevelAsked, Plaintext, RequestId, RevealLevel, TokenText};
use vault_proto::v1::{self, detokenize_result::Outcome, token_service_client::TokenServiceClient};

use crate::{
    call::{Answer, CallContext, Receipt, Said},
    client::{ANSWER_BYTES_MAX, CallOfBatch, Client},
    error::ClientError,
    split::requests,
};

/// A token to be revealed.
#[derive(Debug)]
pub struct HeldToken {
    /// The data class that it was issued for.
    pub class: DataClass,
    /// The token, as it was issued.
    pub token: TokenText,
}

/// What was shown of a value.
#[derive(Debug)]
pub struct Revealed {
    /// How much it is.
    pub level: RevealLevel,
    /// The value, or its mask.
    pub value: Plaintext,
}

impl Client {
    /// Reveals the values of tokens: a result for each, in order. More than one request may hold go in several calls.
    /// What comes back is whole, never a mask.
    ///
    /// # Errors
    /// When the call, or every call of the batch, was refused as a whole. If only some were, their items bear the
    /// error.
    pub async fn detokenize(
        &self,
        context: &CallContext,
        items: Vec<HeldToken>,
    ) -> Result<Answer<Plaintext>, ClientError> {
        let Answer { results, calls } = self.detokenize_as(context, LevelAsked::FULL, items).await?;
        Ok(Answer { results: results.into_iter().map(|result| result.map(|revealed| revealed.value)).collect(), calls })
    }

    /// Reveals as much of the values of tokens as is asked for; see [`Client::detokenize`].
    ///
    /// # Errors
    /// As of [`Client::detokenize`].
    pub async fn detokenize_as(
        &self,
        context: &CallContext,
        level: LevelAsked,
        items: Vec<HeldToken>,
    ) -> Result<Answer<Revealed>, ClientError> {
        let encoded = items.into_iter().map(encode).collect();
        let requests = requests(
            encoded,
            |item| &item.data_class,
            |calls| self.keys(context, calls),
            |items, idempotency_key| {
                let Said { region, audience, purpose, reference } = context.said();
                let level = encode_level(level);
                v1::DetokenizeRequest { region, purpose, reference, audience, idempotency_key, items, level }
            },
        )?;
        self.batch(requests, |client, run, request| async move { client.detokenize_run(run, request).await }).await
    }

    async fn detokenize_run(&self, run: Range<usize>, request: v1::DetokenizeRequest) -> CallOfBatch<Revealed> {
        let (region, asked) = (request.region.clone(), request.level);
        // A token whose uses are counted is used up by a repeat that the vault can't tell from another call.
        let repeatable = !request.idempotency_key.is_empty();
        let made = self.unary(&region, request, repeatable, |channel, request| async move {
            let mut service = TokenServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            service.detokenize(request).await
        });
        made.await.of_batch(run, |answer, request_id| {
            let receipt = Receipt::read(answer.receipt.as_ref())?;
            let results = answer.results.into_iter().map(|result| decode(result, asked, request_id));
            Ok((receipt, results.collect::<Result<_, _>>()?))
        })
    }
}

/// A token as messages have it.
pub(crate) fn encode(item: HeldToken) -> v1::DetokenizeItem {
    v1::DetokenizeItem { data_class: item.class.as_str().to_owned(), token: item.token.into_exposed() }
}

/// A level as messages have it.
pub(crate) fn encode_level(level: LevelAsked) -> i32 {
    let level = match level {
        LevelAsked::Exactly(RevealLevel::Full) => v1::RevealLevel::Full,
        LevelAsked::Exactly(RevealLevel::Masked) => v1::RevealLevel::Masked,
        LevelAsked::BestPermitted => v1::RevealLevel::BestPermitted,
    };
    level.into()
}

/// The result of one item, of a request for `asked`. A vault from before there were levels shows all, whatever it is
/// asked for: that is noticed here, and not passed on as a mask.
pub(crate) fn decode(
    result: v1::DetokenizeResult,
    asked: i32,
    request_id: Option<RequestId>,
) -> Result<Result<Revealed, ClientError>, ClientError> {
    match result.outcome {
        Some(Outcome::Revealed(mut revealed)) => {
            let value = Plaintext::new(take(&mut revealed.value));
            let level = match revealed.level() {
                v1::RevealLevel::Unspecified | v1::RevealLevel::Full => RevealLevel::Full,
                v1::RevealLevel::Masked => RevealLevel::Masked,
                v1::RevealLevel::BestPermitted => {
                    return Err(ClientError::AnswerMalformed("it does not say how much of a value it shows"));
                }
            };
            let best = i32::from(v1::RevealLevel::BestPermitted);
            if asked != best && asked != encode_level(LevelAsked::Exactly(level)) {
                return Err(ClientError::AnswerMalformed("it shows another level of a value than was asked for"));
            }
            Ok(Ok(Revealed { level, value }))
        }
        Some(Outcome::Error(status)) => Ok(Err(ClientError::of_item(status, request_id))),
        None => Err(ClientError::AnswerMalformed("it has an item without a result")),
    }
}
