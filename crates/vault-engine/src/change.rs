//! Changes in the life of tokens: renewed, suspended, resumed, revoked.
//!
//! A change is one row in the commit of its entry. A reveal that read the row before it is rejected by the journal, and
//! finds the change when it tries again: so none overtakes a revocation.

use vault_domain::{Action, Reason};
use vault_journal::Receipt;

use crate::{
    Engine,
    call::Call,
    detokenize::DetokenizeRequest,
    error::Error,
    life::{Change, Deed, TokenLife},
    present::{Checked, Means, Verb},
};

/// The answer to a change: one result for each item, and where the log holds the call.
pub struct Changed {
    /// How it stands with each token now, in the order of the request.
    pub results: Vec<Result<TokenLife, Error>>,
    /// Where the log holds the entry.
    pub receipt: Receipt,
}

impl Change {
    /// What it is called in policies and in the log.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Renew(_) => Action::Renew,
            Self::Suspend => Action::Suspend,
            Self::Resume => Action::Resume,
            Self::Revoke => Action::Revoke,
        }
    }

    fn verb(self) -> Verb<TokenLife> {
        let method = match self {
            Self::Renew(_) => "RenewTokens",
            Self::Suspend => "SuspendTokens",
            Self::Resume => "ResumeTokens",
            Self::Revoke => "RevokeTokens",
        };
        Verb { action: self.action(), method, deed: Deed::Change(self), finish: Checked::life }
    }
}

impl Engine {
    /// Changes the life of a batch of tokens: one commit, one entry, a result for every item. What the tokens lead to
    /// is neither opened nor told.
    ///
    /// # Errors
    /// As of [`Engine::detokenize`].
    pub async fn change(&self, call: &Call, change: Change, request: &DetokenizeRequest) -> Result<Changed, Error> {
        let (results, receipt) = self.present(call, &change.verb(), request).await?;
        Ok(Changed { results, receipt })
    }
}

impl Checked {
    fn life(self, _: &Means<'_>) -> Result<TokenLife, Error> {
        match self {
            Self::Found { life, .. } => Ok(life.standing()),
            Self::Computed(_) | Self::Computable => Err(Error::new(Reason::Internal)),
            Self::Refused(error, _) => Err(error),
        }
    }
}
