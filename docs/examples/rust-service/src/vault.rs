//! The two calls to the vault, and what its refusals mean for an order. Everything the vault wants of its callers is in
//! this file. It must never hold a value longer than a call.
//!
//! `vault-client` does what every caller needs: TLS 1.3 with our certificate, one deadline over all attempts, repeats
//! where they help and do no harm, and refusals decoded from google.rpc.ErrorInfo, RequestInfo and RetryInfo.

use std::{error::Error, fs, path::Path, sync::Arc, time::Duration};

use vault_client::{
    Answer, CallContext, CallMade, Client, ClientConfig, ClientError, Code, HeldToken, Idempotency, NewValue,
};
use vault_domain::{DataClass, IdempotencyKey, Plaintext, Purpose, Reason, SystemClock, SystemEntropy, TokenText};
use zeroize::Zeroizing;

use crate::{
    Settings,
    orders::{Evidence, OrderNumber, Tokens},
};

/// How long a customer waits for one call at most, repeats included.
const DEADLINE: Duration = Duration::from_secs(5);
const CARD_NUMBER: &str = "card_number";
const EMAIL: &str = "email";

/// The vault, as this service sees it.
pub(crate) struct Vault {
    taker: Client,
    settler: Client,
    take: CallContext,
    settle: CallContext,
    card_number: DataClass,
    email: DataClass,
}

/// Why the vault did not do it, told apart by who can do something about it.
pub(crate) enum Problem {
    /// The customer: these values are none of their kind.
    Values(Vec<Rejected>),
    /// Whoever calls us: the key was used for other values.
    KeyReused,
    /// The customer, who gives the card again: the vault has no such token for us.
    CardGone,
    /// Nobody; it passes.
    Away(Option<Duration>),
    /// Our operators, or the vault's: a missing grant, a wrong identity, a fault. The log has the details.
    Ours,
}

/// A value that the vault refused: its field, the vault's reason, and the rule that it breaks. Never the value.
pub(crate) struct Rejected {
    pub(crate) field: &'static str,
    pub(crate) reason: String,
    pub(crate) rule: Option<String>,
}

impl Vault {
    pub(crate) async fn connect(settings: &Settings) -> Result<Self, Box<dyn Error>> {
        let context = |purpose: &Purpose| CallContext {
            region: settings.region.clone(),
            audience: settings.audience.clone(),
            purpose: Some(purpose.clone()),
            reference: None,
            idempotency: Idempotency::Automatic,
        };
        Ok(Self {
            taker: connect(settings, &settings.takes_as).await?,
            settler: connect(settings, &settings.settles_as).await?,
            take: context(&settings.take_purpose),
            settle: context(&settings.settle_purpose),
            card_number: DataClass::parse(CARD_NUMBER)?,
            email: DataClass::parse(EMAIL)?,
        })
    }

    /// Replaces card number and address by tokens, in one call.
    pub(crate) async fn take(
        &self,
        order: &OrderNumber,
        key: IdempotencyKey,
        card_number: Plaintext,
        email: Plaintext,
    ) -> Result<(Tokens, Evidence), Problem> {
        // Under one key the same request gives the same tokens, for 24 hours: whoever does not know whether an order
        // was taken, we included, asks again, and no token is left over.
        let context =
            CallContext { reference: Some(order.reference()), idempotency: Idempotency::Key(key), ..self.take.clone() };
        let items =
            vec![NewValue::new(self.card_number.clone(), card_number), NewValue::new(self.email.clone(), email)];
        let Answer { results, calls } =
            self.taker.tokenize(&context, items).await.map_err(|error| problem(order, &error))?;
        // Each item has an answer of its own: a refused address does not keep the card from being tokenized. For us an
        // order needs both. When it comes back, corrected, a card gets the token that it has, for its class is
        // deterministic; an address gets a new one, and nothing points to the first.
        let mut tokens = Vec::new();
        let mut rejected = Vec::new();
        for (field, result) in [CARD_NUMBER, EMAIL].into_iter().zip(results) {
            match result {
                Ok(issued) => tokens.push(issued.token.into_exposed()),
                Err(error) => rejected.push(rejection(field, &error).ok_or_else(|| problem(order, &error))?),
            }
        }
        let evidence = evidence("tokenize", calls).ok_or(Problem::Ours)?;
        match <[String; 2]>::try_from(tokens) {
            Ok([card_number, email]) => Ok((Tokens { card_number, email }, evidence)),
            Err(_) => {
                tracing::info!(%order, vault_request = evidence.request, rejected = rejected.len(), "order refused");
                Err(Problem::Values(rejected))
            }
        }
    }

    /// Reveals the card of an order, to settle it. Only that: least is asked for, and the log says what for.
    pub(crate) async fn reveal_card(
        &self,
        order: &OrderNumber,
        tokens: &Tokens,
    ) -> Result<(Plaintext, Evidence), Problem> {
        // The reference is how an auditor gets from an entry of the vault's log to our order, and back.
        let context = CallContext { reference: Some(order.reference()), ..self.settle.clone() };
        let item = HeldToken { class: self.card_number.clone(), token: TokenText::new(tokens.card_number.clone()) };
        let Answer { mut results, calls } =
            self.settler.detokenize(&context, vec![item]).await.map_err(|error| problem(order, &error))?;
        match (results.pop(), evidence("detokenize", calls)) {
            (Some(Ok(card)), Some(evidence)) => Ok((card, evidence)),
            (Some(Err(error)), _) => Err(problem(order, &error)),
            (None, _) | (_, None) => Err(Problem::Ours),
        }
    }
}

async fn connect(settings: &Settings, identity: &str) -> Result<Client, Box<dyn Error>> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let key = Zeroizing::new(read(&settings.identities.join(format!("{identity}.key")))?);
    let certificate = read(&settings.identities.join(format!("{identity}.pem")))?;
    let config = ClientConfig::new(settings.endpoint.clone(), &read(&settings.ca)?, &certificate, &key)?
        .with_deadline(DEADLINE)?;
    Ok(Client::connect(config, Arc::new(SystemClock::new()), Arc::new(SystemEntropy)).await?)
}

/// A refusal that the customer can do something about.
fn rejection(field: &'static str, error: &ClientError) -> Option<Rejected> {
    let refusal = error.refusal()?;
    let of_the_value = matches!(refusal.reason, Some(Reason::ValueRejected | Reason::ValueTooLarge));
    let rule = refusal.metadata.get("rule").cloned();
    of_the_value.then(|| Rejected { field, reason: refusal.reason_name.clone(), rule })
}

/// What an error means for an order; what it was goes into the log, with the id under which the vault knows the call.
/// Programs match on reasons, never on texts. Texts of the vault and its client never repeat a value or a token.
fn problem(order: &OrderNumber, error: &ClientError) -> Problem {
    let problem = match (error.reason(), error) {
        (Some(Reason::IdempotencyKeyReused), _) => Problem::KeyReused,
        // All that the vault says of a token of another class, audience or tenant, an expired or an unknown one. Which
        // it was, its log alone tells, to an auditor.
        (Some(Reason::TokenNotFound), _) => Problem::CardGone,
        // After a deadline nobody knows whether it was done. A repeat under the same key is safe either way.
        (_, ClientError::Deadline(_) | ClientError::Transport { .. } | ClientError::Connect { .. }) => {
            Problem::Away(None)
        }
        (_, ClientError::Away { after, .. }) => Problem::Away(Some(*after)),
        (_, ClientError::Refused(refusal))
            if matches!(refusal.code, Code::Unavailable | Code::DeadlineExceeded | Code::Aborted) =>
        {
            Problem::Away(refusal.retry_after)
        }
        // ACCESS_DENIED is one of them: no customer should be told about our grants.
        _ => Problem::Ours,
    };
    let reason = error.refusal().map_or("", |refusal| refusal.reason_name.as_str());
    let vault_request = error.request_id().map(|id| id.to_string()).unwrap_or_default();
    match problem {
        Problem::Ours | Problem::CardGone => tracing::error!(%order, reason, vault_request, %error, "vault refused"),
        _ => tracing::warn!(%order, reason, vault_request, %error, "vault refused"),
    }
    problem
}

/// The receipt of the one call that so few items need. Whoever keeps it can prove later that the entry of this very
/// call was taken out of the vault's log, or changed.
fn evidence(call: &'static str, calls: Vec<CallMade>) -> Option<Evidence> {
    let made = calls.into_iter().next()?;
    let receipt = made.outcome.ok()?;
    Some(Evidence {
        call: call.to_owned(),
        request: made.request_id?.to_string(),
        origin: receipt.origin.as_str().to_owned(),
        index: receipt.index.0,
        leaf_hash: receipt.leaf.0.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}
