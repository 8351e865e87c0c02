//! Tokens in, values out. No value leaves before the entry of its reveal is on disk.

use vault_catalog::Format;
use vault_domain::{
    Action, Audience, DataClass, LevelAsked, Millis, Plaintext, Purpose, Reason, Reference, Region, RevealLevel,
    TokenText,
};
use vault_format::{Numerals, Parts};
use vault_journal::Receipt;
use vault_keys::{ClassKeys, Record, Way};

use crate::{
    Engine,
    authorize::Permit,
    call::Call,
    error::Error,
    idempotency::Part,
    life::{Deed, TokenLife},
    present::{Checked, Means, Verb},
    reveal::{Reveal, Revealed},
    token,
};

/// A request to detokenize, parsed.
pub struct DetokenizeRequest {
    /// Where the records live.
    pub region: Region,
    /// Why.
    pub purpose: Option<Purpose>,
    /// The caller's reference.
    pub reference: Option<Reference>,
    /// The audience that the caller belongs to.
    pub audience: Audience,
    /// How much of the values is to be shown.
    pub level: LevelAsked,
    /// What was sent together, and what the caller calls it; together all of the items.
    pub parts: Vec<Part>,
    /// The distinct classes named, at most `limits::REQUEST_CLASSES_MAX`; `None` for a text that is no class's name.
    pub classes: Vec<Option<DataClass>>,
    /// The items.
    pub items: Vec<DetokenizeItem>,
}

/// A token to be revealed.
pub struct DetokenizeItem {
    /// Which of the request's classes.
    pub class: usize,
    /// The token.
    pub token: TokenText,
}

/// The answer: one result for each item, and where the log holds the call.
pub struct Detokenized {
    /// In the order of the request.
    pub results: Vec<Result<Revealed, Error>>,
    /// Where the log holds the entry.
    pub receipt: Receipt,
}
/// What is known of a token beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The format of its class.
    pub format: Format,
    /// When it was made; `None` if it is computed and nothing is stored of it.
    pub created: Option<Millis>,
    /// How it stands with it; of one that nothing is stored of, as if nothing could end it.
    pub life: TokenLife,
}

/// The answer to a question about tokens.
pub struct Described {
    /// In the order of the request.
    pub results: Vec<Result<Description, Error>>,
    /// Where the log holds the entry.
    pub receipt: Receipt,
}
const DETOKENIZE: Verb<Revealed> =
    Verb { action: Action::Detokenize, method: "Detokenize", deed: Deed::Show, finish: Checked::open };
const DESCRIBE: Verb<Description> =
    Verb { action: Action::Describe, method: "DescribeTokens", deed: Deed::Look, finish: Checked::describe };

impl Engine {
    /// Detokenizes a batch: one commit, one entry, a result for every item.
    ///
    /// # Errors
    /// When the call as a whole is refused; the refusal is in the log then, if the log takes entries.
    pub async fn detokenize(&self, call: &Call, request: &DetokenizeRequest) -> Result<Detokenized, Error> {
        let (results, receipt) = self.present(call, &DETOKENIZE, request).await?;
        Ok(Detokenized { results, receipt })
    }

    /// Tells of a batch of tokens what is known of them beside their values, to whom the values could be shown: one
    /// commit, one entry, a result for every item.
    ///
    /// # Errors
    /// As of [`Engine::detokenize`].
    pub async fn describe(&self, call: &Call, request: &DetokenizeRequest) -> Result<Described, Error> {
        let (results, receipt) = self.present(call, &DESCRIBE, request).await?;
        Ok(Described { results, receipt })
    }
}

impl Checked {
    fn open(self, means: &Means<'_>) -> Result<Revealed, Error> {
        let row = match self {
            Self::Found { row, .. } => row,
            Self::Computed(value) => return Ok(value),
            Self::Computable => return Err(Error::new(Reason::Internal)),
            Self::Refused(error, _) => return Err(error),
        };
        let (Some(permit), Some(keys)) = (means.permit, means.keys) else {
            return Err(Error::new(Reason::Internal));
        };
        let record: Record<'_> = means.stored.record(row).ok_or(Reason::Internal)??;
        open_permitted(permit, keys, &record)
    }

    /// Whether it would be shown, and how much: nothing is opened.
    pub(crate) fn explain(self, means: &Means<'_>) -> Result<RevealLevel, Error> {
        match (self, means.permit) {
            (Self::Refused(error, _), _) => Err(error),
            (_, Some(permit)) => Ok(reveal(permit)?.level()),
            _ => Err(Error::new(Reason::Internal)),
        }
    }

    fn describe(self, means: &Means<'_>) -> Result<Description, Error> {
        let (created, life) = match self {
            Self::Found { life, .. } => (Some(life.created()), life.standing()),
            Self::Computed(_) | Self::Computable => (None, TokenLife::default()),
            Self::Refused(error, _) => return Err(error),
        };
        let permit = means.permit.ok_or(Reason::Internal)?;
        Ok(Description { format: permit.class().format(), created, life })
    }
}

/// Computes the value of a token that stands for itself. Any text of the domain has one: what breaks the rule of the
/// class was never given a token.
pub(crate) fn compute(
    permit: &Permit<'_>,
    keys: &ClassKeys,
    numerals: Numerals,
    mut parts: Parts,
) -> Result<Revealed, Error> {
    let reveal = reveal(permit)?;
    token::permute(keys, permit.addressee(), Way::ToValue, numerals, &mut parts)?;
    let value = Plaintext::new(std::mem::take(&mut *parts.into_value()));
    match permit.class().rule().validate(value.expose()) {
        Ok(()) => Ok(reveal.release(value)),
        Err(_) => Err(Error::new(Reason::TokenUnknown)),
    }
}

/// Opens one record. Takes the permit, as everything does that touches data.
fn open_permitted(permit: &Permit<'_>, keys: &ClassKeys, record: &Record<'_>) -> Result<Revealed, Error> {
    let reveal = reveal(permit)?;
    Ok(reveal.release(keys.open(record, permit.addressee())?.value))
}

/// How much a permit to detokenize lets out.
fn reveal<'a>(permit: &Permit<'a>) -> Result<Reveal<'a>, Error> {
    let reveal = permit.reveal().filter(|_| permit.action() == Action::Detokenize);
    reveal.ok_or(Error::new(Reason::Internal))
}
