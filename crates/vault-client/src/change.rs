//! Changes in the life of tokens.

use std::{ops::Range, time::Duration};

use vault_domain::Millis;
use vault_proto::v1::{self, change_token_result::Outcome, token_service_client::TokenServiceClient};

use crate::{
    call::{Answer, CallContext, Receipt, Said},
    client::{ANSWER_BYTES_MAX, CallOfBatch, Client},
    detokenize::{HeldToken, encode},
    error::ClientError,
    split::requests,
    tokenize::{moment, seconds},
};

/// What is to become of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenChange {
    /// They expire so long from now, in whole seconds; `None` for as long as their data class says, and never later
    /// than it allows.
    Renew(Option<Duration>),
    /// They lead nowhere until they are resumed.
    Suspend,
    /// They lead to their values again.
    Resume,
    /// They lead nowhere, for ever.
    Revoke,
}

/// What was set of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It may be revealed, within its lifetime and its uses.
    Active,
    /// It leads nowhere until it is resumed.
    Suspended,
    /// It leads nowhere, for ever.
    Revoked,
}

/// How it stands with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLife {
    /// What was set.
    pub state: TokenState,
    /// From when on it may be revealed; `None` for from the beginning.
    pub not_before: Option<Millis>,
    /// When its lifetime ends; `None` if it does not.
    pub expires: Option<Millis>,
    /// How often it was revealed, and how often it may be; `None` if that is not counted.
    pub uses: Option<(u32, u32)>,
}

impl Client {
    /// Changes the life of tokens: how it stands with each then, in order. More than one request may hold go in several
    /// calls. Unless the context says otherwise each call has an idempotency key: a repeat changes nothing more.
    ///
    /// # Errors
    /// When the call, or every call of the batch, was refused as a whole. If only some were, their items bear the
    /// error.
    pub async fn change(
        &self,
        context: &CallContext,
        change: TokenChange,
        items: Vec<HeldToken>,
    ) -> Result<Answer<TokenLife>, ClientError> {
        let ttl_seconds = match change {
            TokenChange::Renew(ttl) => seconds(ttl),
            TokenChange::Suspend | TokenChange::Resume | TokenChange::Revoke => 0,
        };
        let encoded = items.into_iter().map(encode).collect();
        let requests = requests(
            encoded,
            |item| &item.data_class,
            |calls| self.keys(context, calls),
            |items, idempotency_key| {
                let Said { region, audience, purpose, reference } = context.said();
                v1::ChangeTokensRequest { region, purpose, reference, audience, idempotency_key, items, ttl_seconds }
            },
        )?;
        let call = move |client: Client, run, request| async move { client.change_run(change, run, request).await };
        self.batch(requests, call).await
    }

    async fn change_run(
        &self,
        change: TokenChange,
        run: Range<usize>,
        request: v1::ChangeTokensRequest,
    ) -> CallOfBatch<TokenLife> {
        let region = request.region.clone();
        let repeatable = !request.idempotency_key.is_empty();
        let made = self.unary(&region, request, repeatable, |channel, request| async move {
            let mut service = TokenServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            match change {
                TokenChange::Renew(_) => service.renew_tokens(request).await,
                TokenChange::Suspend => service.suspend_tokens(request).await,
                TokenChange::Resume => service.resume_tokens(request).await,
                TokenChange::Revoke => service.revoke_tokens(request).await,
            }
        });
        made.await.of_batch(run, |answer, request_id| {
            let receipt = Receipt::read(answer.receipt.as_ref())?;
            let results = answer.results.into_iter().map(|result| match result.outcome {
                Some(Outcome::Changed(life)) => decode(&life).map(Ok),
                Some(Outcome::Error(status)) => Ok(Err(ClientError::of_item(status, request_id))),
                None => Err(ClientError::AnswerMalformed("it has an item without a result")),
            });
            Ok((receipt, results.collect::<Result<_, _>>()?))
        })
    }
}

fn decode(life: &v1::TokenLife) -> Result<TokenLife, ClientError> {
    let state = match life.state() {
        v1::TokenState::Active => TokenState::Active,
        v1::TokenState::Suspended => TokenState::Suspended,
        v1::TokenState::Revoked => TokenState::Revoked,
        v1::TokenState::Unspecified => {
            return Err(ClientError::AnswerMalformed("it does not say how it stands with a token"));
        }
    };
    let (not_before, expires) = (moment(life.not_before_ms), moment(life.expires_at_ms));
    Ok(TokenLife { state, not_before, expires, uses: (life.max_uses != 0).then_some((life.uses, life.max_uses)) })
}
