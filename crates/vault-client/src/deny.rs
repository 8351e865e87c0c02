//! Access tokens that a vault refuses though their issuer still vouches for them: for operators.

use vault_domain::{Millis, Reference};
use vault_proto::v1::{self, admin_service_client::AdminServiceClient};

use crate::{client::Client, error::ClientError, tokenize::name};

/// The most tokens that one request can deny.
const TOKENS_MAX: usize = 100;
/// What the calls are about: no region, and so the first endpoint.
const NODE: &str = "node";

/// An access token that is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedToken {
    /// The issuer's name in the vault's file of issuers.
    pub issuer: String,
    /// The token's `jti`.
    pub jti: String,
    /// When the token expires by itself, and the denial is dropped. `None`: after the longest that a token may live.
    pub until: Option<Millis>,
    /// Why, such as the number of a ticket.
    pub reference: Option<Reference>,
}

/// A page of the list.
#[derive(Clone, Debug)]
pub struct DeniedPage {
    /// The tokens, by issuer and `jti`.
    pub tokens: Vec<DeniedToken>,
    /// Where the next page begins; `None` on the last one.
    pub next_page_token: Option<String>,
}

impl Client {
    /// Denies access tokens from now on, at the node that answers. More than one request may hold go in several calls.
    ///
    /// # Errors
    /// When a call was refused: those of the calls before are denied then.
    pub async fn deny_access_tokens(&self, tokens: &[DeniedToken]) -> Result<(), ClientError> {
        for run in tokens.chunks(TOKENS_MAX) {
            let message = v1::DenyAccessTokensRequest { tokens: run.iter().map(encode).collect() };
            // To deny twice does no harm.
            let made = self.unary(NODE, message, true, |channel, request| async move {
                AdminServiceClient::new(channel).deny_access_tokens(request).await
            });
            made.await.outcome?;
        }
        Ok(())
    }

    /// Lists the tokens that are denied, from the beginning or from where the page before said.
    ///
    /// # Errors
    /// When the call was refused, or an entry of the answer is malformed.
    pub async fn denied_access_tokens(&self, page_token: Option<&str>) -> Result<DeniedPage, ClientError> {
        let message = v1::ListDeniedAccessTokensRequest { page_token: name(page_token) };
        let made = self.unary(NODE, message, true, |channel, request| async move {
            AdminServiceClient::new(channel).list_denied_access_tokens(request).await
        });
        let answer = made.await.outcome?;
        let tokens = answer.tokens.into_iter().map(|token| {
            let reference = Some(token.reference.as_str()).filter(|text| !text.is_empty()).map(Reference::parse);
            let reference = reference.transpose();
            Ok(DeniedToken {
                reference: reference.map_err(|_| ClientError::AnswerMalformed("a reference of it is none"))?,
                issuer: token.issuer,
                jti: token.jti,
                until: (token.until_ms != 0).then_some(Millis(token.until_ms)),
            })
        });
        let tokens = tokens.collect::<Result<_, ClientError>>()?;
        Ok(DeniedPage { tokens, next_page_token: Some(answer.next_page_token).filter(|token| !token.is_empty()) })
    }
}

fn encode(token: &DeniedToken) -> v1::DeniedAccessToken {
    v1::DeniedAccessToken {
        issuer: token.issuer.clone(),
        jti: token.jti.clone(),
        until_ms: token.until.map_or(0, |until| until.0),
        reference: name(token.reference.as_ref().map(Reference::as_str)),
    }
}
