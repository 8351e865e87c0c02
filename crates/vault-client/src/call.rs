//! What a call is made for, and what is known of it afterwards.

use std::{ops::Range, time::Duration};

use vault_domain::{Audience, IdempotencyKey, LogIndex, Purpose, Reference, Region, RequestId};
use vault_ledger::{Origin, TreeHash};
use vault_proto::v1;

use crate::error::ClientError;

/// Where, for whom and why a call is made.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Where the records live, or shall live.
    pub region: Region,
    /// Who shall be able to reveal the tokens; for a reveal, the audience that the caller belongs to.
    pub audience: Audience,
    /// Why.
    pub purpose: Option<Purpose>,
    /// A free reference for the log.
    pub reference: Option<Reference>,
    /// How a repeat is recognised.
    pub idempotency: Idempotency,
}

/// The same as messages have it.
pub(crate) struct Said {
    pub(crate) region: String,
    pub(crate) audience: String,
    pub(crate) purpose: String,
    pub(crate) reference: String,
}

impl CallContext {
    pub(crate) fn said(&self) -> Said {
        let text = |name: Option<&str>| name.unwrap_or_default().to_owned();
        Said {
            region: self.region.as_str().to_owned(),
            audience: self.audience.as_str().to_owned(),
            purpose: text(self.purpose.as_ref().map(Purpose::as_str)),
            reference: text(self.reference.as_ref().map(Reference::as_str)),
        }
    }
}

/// How the vault recognises the repeat of a request.
#[derive(Clone, Debug, Default)]
pub enum Idempotency {
    /// The client names every request that could do something twice, so that its repeat makes no second token and is no
    /// second use of one.
    #[default]
    Automatic,
    /// The caller names the request, so that it can repeat it itself, after a restart for instance. A batch that needs
    /// several calls names them `<key>/0`, `<key>/1` and so on.
    Key(IdempotencyKey),
    /// Nothing names it; such a request is then never repeated.
    Off,
}

/// Where the log holds the entry of a call. Whoever keeps it can prove later that the entry was removed or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The name of the log.
    pub origin: Origin,
    /// The entry's place in it, from 0.
    pub index: LogIndex,
    /// The entry's leaf hash (RFC 6962 section 2.1).
    pub leaf: TreeHash,
    /// Which log of that name: the leaf hash of its first entry. No two logs share it.
    pub log_id: TreeHash,
}

impl Receipt {
    /// Reads the receipt of an answer.
    ///
    /// # Errors
    /// When there is none, or it is malformed.
    pub fn read(receipt: Option<&v1::Receipt>) -> Result<Self, ClientError> {
        let receipt = receipt.ok_or(ClientError::AnswerMalformed("it bears no receipt"))?;
        let malformed = || ClientError::AnswerMalformed("its receipt is malformed");
        let hash = |bytes: &[u8]| bytes.try_into().map(TreeHash).map_err(|_| malformed());
        let (leaf, log_id) = (hash(&receipt.leaf_hash)?, hash(&receipt.log_id)?);
        let origin = Origin::parse(&receipt.origin).map_err(|_| malformed())?;
        Ok(Self { origin, index: LogIndex(receipt.index), leaf, log_id })
    }
}

/// One call of a batch: which items it carried, and how it ended.
#[derive(Clone, Debug)]
pub struct CallMade {
    /// The items, by their place in the batch.
    pub items: Range<usize>,
    /// Its receipt, or why it was refused as a whole; then every item of it has that error.
    pub outcome: Result<Receipt, ClientError>,
    /// The id under which the vault knows it, if the vault answered.
    pub request_id: Option<RequestId>,
    /// How often it was attempted. An attempt before the last one may have been carried out, and stand in the log.
    pub attempts: u32,
    /// How long it took, all attempts and pauses included.
    pub took: Duration,
}

/// The answer to a batch.
#[derive(Debug)]
pub struct Answer<T> {
    /// A result for each item, in order.
    pub results: Vec<Result<T, ClientError>>,
    /// The calls that were made, in the order of their items.
    pub calls: Vec<CallMade>,
}
