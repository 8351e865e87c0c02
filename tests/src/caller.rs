//! A caller of a vault: the generated clients on one connection. What it sends and gets is a secret from then on: no
//! refusal and no page of the access log may show it.

use prost::Message;
use tonic::{IntoRequest, Status};
use vault_domain::Action;
use vault_proto::v1::{
    self, audit_service_client::AuditServiceClient, detokenize_result, token_service_client::TokenServiceClient,
    tokenize_result,
};

use crate::{connection::Connection, refusal::Refusal, roles::Role, secrets::Secrets};

/// The longest message that clients take: a page of the longest entries, a thousand of the longest values.
const MESSAGE_BYTES_MAX: usize = 128 << 20;

/// A caller with an open connection. Clones share it.
#[derive(Clone, Debug)]
pub struct Caller {
    role: Role,
    connection: Connection,
    tokens: TokenServiceClient<Connection>,
    audit: AuditServiceClient<Connection>,
    secrets: Secrets,
}

impl Caller {
    /// A caller on this connection.
    #[must_use]
    pub fn new(role: Role, connection: Connection, secrets: Secrets) -> Self {
        let origin = connection.origin().clone();
        let tokens = TokenServiceClient::with_origin(connection.clone(), origin.clone());
        let audit = AuditServiceClient::with_origin(connection.clone(), origin);
        Self {
            role,
            connection,
            tokens: tokens.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX),
            audit: audit.max_decoding_message_size(MESSAGE_BYTES_MAX),
            secrets,
        }
    }

    /// Who it is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its connection, to send what no generated client would.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What the vault said of a call that it refused.
    ///
    /// # Panics
    /// If a secret is in it.
    #[track_caller]
    #[must_use]
    pub fn refusal(&self, status: &Status) -> Refusal {
        let refusal = Refusal::of_call(status);
        self.assert_unseen(&refusal.bytes);
        refusal
    }

    /// What the vault said of the items that it refused.
    #[track_caller]
    fn refusals<T>(&self, results: &[Result<T, Refusal>]) {
        let refused = results.iter().filter_map(|result| result.as_ref().err());
        self.assert_unseen(&refused.flat_map(|refusal| refusal.bytes.iter().copied().chain([0])).collect::<Vec<_>>());
    }

    #[track_caller]
    fn assert_unseen(&self, answer: &[u8]) {
        if !answer.is_empty() {
            assert_eq!(self.secrets.search().find(answer), None, "an answer shows a value or a token");
        }
    }

    /// Calls Tokenize.
    ///
    /// # Errors
    /// When the call as a whole is refused.
    pub async fn tokenize(&self, request: impl IntoRequest<v1::TokenizeRequest>) -> Result<Tokenized, Refusal> {
        let request = request.into_request();
        self.plant_values(&request.get_ref().items);
        match self.tokens.clone().tokenize(request).await {
            Ok(answer) => Ok(self.tokenized(answer.into_inner())),
            Err(status) => Err(self.refusal(&status)),
        }
    }

    /// The generated client, for streams.
    pub(crate) fn tokens(&self) -> TokenServiceClient<Connection> {
        self.tokens.clone()
    }

    /// From now on these must not be seen.
    pub(crate) fn plant_values(&self, items: &[v1::TokenizeItem]) {
        for item in items {
            self.secrets.plant(&item.value);
            self.secrets.plant(item.subject.as_bytes());
        }
    }

    /// From now on these must not be seen.
    pub(crate) fn plant_tokens(&self, items: &[v1::DetokenizeItem]) {
        items.iter().for_each(|item| self.secrets.plant(item.token.as_bytes()));
    }

    pub(crate) fn tokenized(&self, answer: v1::TokenizeResponse) -> Tokenized {
        use tokenize_result::Outcome;
        let issued = answer.results.iter().filter_map(|result| match &result.outcome {
            Some(Outcome::Issued(issued)) => Some(issued),
            _ => None,
        });
        issued.for_each(|issued| self.secrets.plant(issued.token.as_bytes()));
        let results = answer.results.into_iter().map(|result| match result.outcome.expect("an outcome") {
            Outcome::Issued(issued) => Ok(issued),
            Outcome::Error(status) => Err(Refusal::of_item(&status)),
        });
        let results: Vec<_> = results.collect();
        self.refusals(&results);
        Tokenized { results, receipt: answer.receipt.expect("a receipt") }
    }

    /// Calls Detokenize.
    ///
    /// # Errors
    /// When the call as a whole is refused.
    pub async fn detokenize(&self, request: impl IntoRequest<v1::DetokenizeRequest>) -> Result<Detokenized, Refusal> {
        let request = request.into_request();
        self.plant_tokens(&request.get_ref().items);
        let answer = self.tokens.clone().detokenize(request).await.map_err(|status| self.refusal(&status))?;
        Ok(self.detokenized(answer.into_inner()))
    }

    pub(crate) fn detokenized(&self, answer: v1::DetokenizeResponse) -> Detokenized {
        use detokenize_result::Outcome;
        let results = answer.results.into_iter().map(|result| match result.outcome.expect("an outcome") {
            Outcome::Revealed(revealed) => Ok(revealed.value.clone()),
            Outcome::Error(status) => Err(Refusal::of_item(&status)),
        });
        let results: Vec<_> = results.collect();
        self.refusals(&results);
        Detokenized { results, receipt: answer.receipt.expect("a receipt") }
    }

    /// Calls DescribeTokens: what is known of each token, or why nothing is told.
    ///
    /// # Errors
    /// When the call as a whole is refused.
    pub async fn describe(
        &self,
        request: impl IntoRequest<v1::DescribeTokensRequest>,
    ) -> Result<Vec<Result<v1::TokenDescription, Refusal>>, Refusal> {
        use v1::describe_token_result::Outcome;
        let request = request.into_request();
        self.plant_tokens(&request.get_ref().items);
        let answer = self.tokens.clone().describe_tokens(request).await.map_err(|status| self.refusal(&status))?;
        let answer = answer.into_inner();
        assert!(answer.receipt.is_some(), "a receipt");
        self.assert_unseen(&answer.encode_to_vec());
        let results = answer.results.into_iter().map(|result| match result.outcome.expect("an outcome") {
            Outcome::Described(description) => Ok(description),
            Outcome::Error(status) => Err(Refusal::of_item(&status)),
        });
        Ok(results.collect())
    }

    /// Calls FindTokens.
    ///
    /// # Errors
    /// When the call as a whole is refused.
    pub async fn find(&self, request: impl IntoRequest<v1::FindTokensRequest>) -> Result<Found, Refusal> {
        use v1::find_token_result::Outcome;
        let request = request.into_request();
        for item in &request.get_ref().items {
            self.secrets.plant(&item.value);
            self.secrets.plant(item.subject.as_bytes());
        }
        let answer = self.tokens.clone().find_tokens(request).await.map_err(|status| self.refusal(&status))?;
        let answer = answer.into_inner();
        let results = answer.results.into_iter().map(|result| match result.outcome.expect("an outcome") {
            Outcome::Found(found) => Ok(found),
            Outcome::Error(status) => Err(Refusal::of_item(&status)),
        });
        let results: Vec<_> = results.collect();
        self.refusals(&results);
        Ok(Found { results, receipt: answer.receipt.expect("a receipt") })
    }

    /// Calls what changes the life of tokens by this action: how it stands with each then, or why it was refused.
    ///
    /// # Errors
    /// When the call as a whole is refused.
    ///
    /// # Panics
    /// If the action is none of those.
    pub async fn change(
        &self,
        action: Action,
        request: impl IntoRequest<v1::ChangeTokensRequest>,
    ) -> Result<Changed, Refusal> {
        use v1::change_token_result::Outcome;
        let request = request.into_request();
        self.plant_tokens(&request.get_ref().items);
        let mut tokens = self.tokens.clone();
        let answer = match action {
            Action::Renew => tokens.renew_tokens(request).await,
            Action::Suspend => tokens.suspend_tokens(request).await,
            Action::Resume => tokens.resume_tokens(request).await,
            Action::Revoke => tokens.revoke_tokens(request).await,
            other => panic!("{other} changes no token"),
        };
        let answer = answer.map_err(|status| self.refusal(&status))?.into_inner();
        self.assert_unseen(&answer.encode_to_vec());
        let results = answer.results.into_iter().map(|result| match result.outcome.expect("an outcome") {
            Outcome::Changed(life) => Ok(life),
            Outcome::Error(status) => Err(Refusal::of_item(&status)),
        });
        Ok(Changed { results: results.collect(), receipt: answer.receipt.expect("a receipt") })
    }

    /// Calls ExplainAccess.
    ///
    /// # Errors
    /// When the call is refused.
    pub async fn explain(&self, request: v1::ExplainAccessRequest) -> Result<v1::ExplainAccessResponse, Refusal> {
        let item = request.explained.as_ref().and_then(|explained| explained.item.clone());
        self.plant_tokens(&Vec::from_iter(item));
        let answer = self.tokens.clone().explain_access(request).await.map_err(|status| self.refusal(&status))?;
        let answer = answer.into_inner();
        assert!(answer.receipt.is_some(), "a receipt");
        self.assert_unseen(&answer.encode_to_vec());
        Ok(answer)
    }

    /// Calls QueryAccessLog.
    ///
    /// # Errors
    /// When the call is refused.
    ///
    /// # Panics
    /// If the answer shows a secret.
    pub async fn query(
        &self,
        request: impl IntoRequest<v1::QueryAccessLogRequest>,
    ) -> Result<v1::QueryAccessLogResponse, Refusal> {
        let request = request.into_request();
        if let Some(filter) = &request.get_ref().filter {
            self.secrets.plant(filter.token.as_bytes());
        }
        let answer = self.audit.clone().query_access_log(request).await.map_err(|status| self.refusal(&status))?;
        let answer = answer.into_inner();
        self.assert_unseen(&answer.encode_to_vec());
        Ok(answer)
    }

    /// AuditService as the contract makes it.
    #[must_use]
    pub fn audit(&self) -> AuditServiceClient<Connection> {
        self.audit.clone()
    }

    /// Calls GetCheckpoint.
    ///
    /// # Errors
    /// When the call is refused.
    pub async fn checkpoint(&self, region: &str) -> Result<v1::GetCheckpointResponse, Refusal> {
        let request = v1::GetCheckpointRequest { region: region.to_owned() };
        let answer = self.audit.clone().get_checkpoint(request).await.map_err(|status| self.refusal(&status))?;
        Ok(answer.into_inner())
    }

    /// Sends one message as it is to a method.
    ///
    /// # Panics
    /// If the connection breaks, the call succeeds or the refusal shows a secret.
    pub async fn refused_bare(&self, path: &str, message: &[u8]) -> Refusal {
        let reply = self.connection.post(path, message).await.expect("an answer");
        self.refusal(&reply.status())
    }
}

/// The answer to Tokenize.
#[derive(Debug)]
pub struct Tokenized {
    /// A token or a refusal for each item.
    pub results: Vec<Result<v1::TokenIssued, Refusal>>,
    /// Where the log holds the call.
    pub receipt: v1::Receipt,
}

impl Tokenized {
    /// The tokens, if every item got one.
    #[track_caller]
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.results.iter().map(|result| result.as_ref().expect("a token").token.clone()).collect()
    }
}

/// The answer to FindTokens.
#[derive(Debug)]
pub struct Found {
    /// A token or a refusal for each item.
    pub results: Vec<Result<v1::TokenFound, Refusal>>,
    /// Where the log holds the call.
    pub receipt: v1::Receipt,
}

/// The answer to a change in the life of tokens.
#[derive(Debug)]
pub struct Changed {
    /// How it stands with each token, or a refusal.
    pub results: Vec<Result<v1::TokenLife, Refusal>>,
    /// Where the log holds the call.
    pub receipt: v1::Receipt,
}

impl Changed {
    /// What became of the only item.
    #[track_caller]
    pub fn only(self) -> Result<v1::TokenLife, Refusal> {
        let [result] = <[_; 1]>::try_from(self.results).expect("one item");
        result
    }
}

/// The answer to Detokenize.
#[derive(Debug)]
pub struct Detokenized {
    /// A value or a refusal for each item.
    pub results: Vec<Result<Vec<u8>, Refusal>>,
    /// Where the log holds the call.
    pub receipt: v1::Receipt,
}

impl Detokenized {
    /// The only item's refusal.
    #[track_caller]
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match <[_; 1]>::try_from(self.results) {
            Ok([Err(refusal)]) => refusal,
            other => panic!("one refused item was expected, not {other:?}"),
        }
    }

    /// The values, if every item was revealed.
    #[track_caller]
    #[must_use]
    pub fn values(self) -> Vec<Vec<u8>> {
        self.results.into_iter().map(|result| result.expect("a value")).collect()
    }
}
