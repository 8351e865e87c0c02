//! Values in, the tokens that they have out.

use std::ops::Range;

use vault_domain::{DataClass, Millis, Plaintext, SubjectName, TokenText};
use vault_proto::v1::{self, find_token_result::Outcome, token_service_client::TokenServiceClient};

use crate::{
    call::{Answer, CallContext, Receipt, Said},
    client::{ANSWER_BYTES_MAX, CallOfBatch, Client},
    error::ClientError,
    split::requests,
    tokenize::moment,
};

/// A value whose token is wanted, of a class where the same value has the same token.
#[derive(Debug)]
pub struct KnownValue {
    /// Its data class.
    pub class: DataClass,
    /// The value.
    pub value: Plaintext,
    /// The person that it is about, for classes that are deterministic per subject.
    pub subject: Option<SubjectName>,
}

/// A token that was found.
#[derive(Debug, PartialEq, Eq)]
pub struct FoundToken {
    /// The token. It may be suspended, or its time be to come.
    pub token: TokenText,
    /// When its lifetime ends; `None` if it does not.
    pub expires: Option<Millis>,
}

impl Client {
    /// Finds the tokens that values have already for an audience of one's own: a result for each, in order. Nothing is
    /// made. More than one request may hold go in several calls.
    ///
    /// # Errors
    /// When the call, or every call of the batch, was refused as a whole. If only some were, their items bear the
    /// error; a value without a token bears `VALUE_NOT_FOUND`.
    pub async fn find(&self, context: &CallContext, items: Vec<KnownValue>) -> Result<Answer<FoundToken>, ClientError> {
        let item = |item: KnownValue| v1::FindItem {
            data_class: item.class.as_str().to_owned(),
            value: item.value.into_exposed(),
            subject: item.subject.map(SubjectName::into_exposed).unwrap_or_default(),
        };
        let requests = requests(
            items.into_iter().map(item).collect(),
            |item| &item.data_class,
            |calls| Ok(vec![String::new(); calls]),
            |items, _| {
                let Said { region, audience, purpose, reference } = context.said();
                v1::FindTokensRequest { region, purpose, reference, audience, items }
            },
        )?;
        self.batch(requests, |client, run, request| async move { client.find_run(run, request).await }).await
    }

    async fn find_run(&self, run: Range<usize>, request: v1::FindTokensRequest) -> CallOfBatch<FoundToken> {
        let region = request.region.clone();
        let made = self.unary(&region, request, true, |channel, request| async move {
            let mut service = TokenServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            service.find_tokens(request).await
        });
        made.await.of_batch(run, |answer, request_id| {
            let receipt = Receipt::read(answer.receipt.as_ref())?;
            let results = answer.results.into_iter().map(|result| match result.outcome {
                Some(Outcome::Found(found)) => {
                    let expires = moment(found.expires_at_ms);
                    Ok(Ok(FoundToken { token: TokenText::new(found.token), expires }))
                }
                Some(Outcome::Error(status)) => Ok(Err(ClientError::of_item(status, request_id))),
                None => Err(ClientError::AnswerMalformed("it has an item without a result")),
            });
            Ok((receipt, results.collect::<Result<_, _>>()?))
        })
    }
}
