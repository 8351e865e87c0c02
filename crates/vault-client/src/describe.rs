//! What is known of tokens, beside their values.

use std::ops::Range;

use vault_domain::Millis;
use vault_proto::v1::{self, describe_token_result::Outcome, token_service_client::TokenServiceClient};

use crate::{
    call::{Answer, CallContext, Receipt, Said},
    client::{ANSWER_BYTES_MAX, CallOfBatch, Client},
    detokenize::{HeldToken, encode},
    error::ClientError,
    split::requests,
    tokenize::moment,
};

/// What the vault tells of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDescription {
    /// The format of its data class, in the catalog's word.
    pub format: String,
    /// When it was issued; `None` for a token that is computed, of which nothing is stored.
    pub created: Option<Millis>,
    /// When its lifetime ends; `None` if it does not.
    pub expires: Option<Millis>,
    /// How often it was revealed, and how often it may be; `None` if that is not counted.
    pub uses: Option<(u32, u32)>,
}

impl Client {
    /// Asks what is known of tokens beside their values: a result for each, in order. More than one request may hold go
    /// in several calls.
    ///
    /// # Errors
    /// When the call, or every call of the batch, was refused as a whole. If only some were, their items bear the
    /// error.
    pub async fn describe(
        &self,
        context: &CallContext,
        items: Vec<HeldToken>,
    ) -> Result<Answer<TokenDescription>, ClientError> {
        let encoded = items.into_iter().map(encode).collect();
        let requests = requests(
            encoded,
            |item| &item.data_class,
            |calls| Ok(vec![String::new(); calls]),
            |items, _| {
                let Said { region, audience, purpose, reference } = context.said();
                v1::DescribeTokensRequest { region, purpose, reference, audience, items }
            },
        )?;
        self.batch(requests, |client, run, request| async move { client.describe_run(run, request).await }).await
    }

    async fn describe_run(
        &self,
        run: Range<usize>,
        request: v1::DescribeTokensRequest,
    ) -> CallOfBatch<TokenDescription> {
        let region = request.region.clone();
        let made = self.unary(&region, request, true, |channel, request| async move {
            let mut service = TokenServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            service.describe_tokens(request).await
        });
        made.await.of_batch(run, |answer, request_id| {
            let receipt = Receipt::read(answer.receipt.as_ref())?;
            let results = answer.results.into_iter().map(|result| match result.outcome {
                Some(Outcome::Described(told)) => Ok(Ok(TokenDescription {
                    format: told.format,
                    created: told.stored.then_some(Millis(told.created_at_ms)),
                    expires: moment(told.expires_at_ms),
                    uses: (told.max_uses != 0).then_some((told.uses, told.max_uses)),
                })),
                Some(Outcome::Error(status)) => Ok(Err(ClientError::of_item(status, request_id))),
                None => Err(ClientError::AnswerMalformed("it has an item without a result")),
            });
            Ok((receipt, results.collect::<Result<_, _>>()?))
        })
    }
}
