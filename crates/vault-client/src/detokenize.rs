//! Tokens in, values out.

use std::{mem::take, ops::Range};

use prost::Message;
use vault_domain::{DataClass, Plaintext, RequestId, TokenText};
use vault_proto::v1::{self, detokenize_result::Outcome, token_service_client::TokenServiceClient};

use crate::{
    call::{Answer, CallContext, Idempotency, Receipt},
    client::{ANSWER_BYTES_MAX, CallOfBatch, Client},
    error::ClientError,
    split::{REQUEST_ROOM_BYTES, split},
    tokenize::{keys_of_batch, name},
};

/// A token to be revealed.
#[derive(Debug)]
pub struct HeldToken {
    /// The data class that it was issued for.
    pub class: DataClass,
    /// The token, as it was issued.
    pub token: TokenText,
}

impl Client {
    /// Reveals the values of tokens: a result for each, in order. More than one request may hold go in several calls.
    ///
    /// # Errors
    /// When the call, or every call of the batch, was refused as a whole. If only some were, their items bear the
    /// error.
    pub async fn detokenize(
        &self,
        context: &CallContext,
        items: Vec<HeldToken>,
    ) -> Result<Answer<Plaintext>, ClientError> {
        let encoded: Vec<_> = items.into_iter().map(encode).collect();
        let measured = encoded.iter().map(|item| (item.data_class.as_str(), item.encoded_len()));
        let runs = split(measured, REQUEST_ROOM_BYTES);
        let keys = match &context.idempotency {
            Idempotency::Key(key) => keys_of_batch(key, runs.len())?,
            Idempotency::Automatic | Idempotency::Off => vec![String::new(); runs.len()],
        };
        let mut encoded = encoded.into_iter();
        let requests = runs.into_iter().zip(keys).map(|(run, idempotency_key)| {
            let items = encoded.by_ref().take(run.len()).collect();
            let request = v1::DetokenizeRequest {
                region: context.region.as_str().to_owned(),
                purpose: name(context.purpose.as_ref().map(vault_domain::Purpose::as_str)),
                reference: name(context.reference.as_ref().map(vault_domain::Reference::as_str)),
                audience: context.audience.as_str().to_owned(),
                idempotency_key,
                items,
            };
            (run, request)
        });
        let requests = requests.collect();
        self.batch(requests, |client, run, request| async move { client.detokenize_run(run, request).await }).await
    }

    async fn detokenize_run(&self, run: Range<usize>, request: v1::DetokenizeRequest) -> CallOfBatch<Plaintext> {
        let region = request.region.clone();
        // To reveal twice is to be logged twice, and nothing else.
        let made = self.unary(&region, request, true, |channel, request| async move {
            let mut service = TokenServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            service.detokenize(request).await
        });
        made.await.of_batch(run, |answer, request_id| {
            let receipt = Receipt::read(answer.receipt.as_ref())?;
            let results = answer.results.into_iter().map(|result| decode(result, request_id));
            Ok((receipt, results.collect::<Result<_, _>>()?))
        })
    }
}

/// A token as messages have it.
pub(crate) fn encode(item: HeldToken) -> v1::DetokenizeItem {
    v1::DetokenizeItem { data_class: item.class.as_str().to_owned(), token: item.token.into_exposed() }
}

/// The result of one item.
pub(crate) fn decode(
    result: v1::DetokenizeResult,
    request_id: Option<RequestId>,
) -> Result<Result<Plaintext, ClientError>, ClientError> {
    match result.outcome {
        Some(Outcome::Revealed(mut revealed)) => Ok(Ok(Plaintext::new(take(&mut revealed.value)))),
        Some(Outcome::Error(status)) => Ok(Err(ClientError::of_item(status, request_id))),
        None => Err(ClientError::AnswerMalformed("it has an item without a result")),
    }
}
