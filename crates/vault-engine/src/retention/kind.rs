//! Kinds of entries, by which some are kept longer than their log.

use vault_domain::{Action, Decision};

/// What an entry tells of, for how long it is kept. Each entry is of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// Values that were revealed, in full or as masks.
    Reveal,
    /// Values that were taken in.
    Tokenize,
    /// Changes in the life of tokens.
    Change,
    /// Whatever was refused, or failed, in any call or connection.
    Refuse,
    /// Questions: to a log, about tokens, about who may.
    Ask,
    /// What operators did to the node, or asked of it.
    Operate,
    /// Starts and stops of the vault, and reloads of its files, carried out or not.
    Vault,
}

impl EntryKind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Reveal, Self::Tokenize, Self::Change, Self::Refuse, Self::Ask, Self::Operate, Self::Vault];

    /// The kind of an entry of this action that was decided so.
    #[must_use]
    pub const fn of(action: Action, decision: Decision) -> Self {
        match (action, decision) {
            (Action::Start | Action::Stop | Action::Reload, _) => Self::Vault,
            (Action::Connect | Action::Call, _) | (_, Decision::Denied | Decision::Failed) => Self::Refuse,
            (Action::Detokenize, Decision::Allowed) => Self::Reveal,
            (Action::Tokenize, Decision::Allowed) => Self::Tokenize,
            (Action::Renew | Action::Suspend | Action::Resume | Action::Revoke | Action::Purge, Decision::Allowed) => {
                Self::Change
            }
            (
                Action::QueryAccessLog
                | Action::GetCheckpoint
                | Action::ExportAccessLog
                | Action::Describe
                | Action::Find
                | Action::ExplainAccess,
                Decision::Allowed,
            ) => Self::Ask,
            (
                Action::DenyAccessToken
                | Action::ListDenied
                | Action::ApplyPolicies
                | Action::ListPolicyVersions
                | Action::GetPolicyVersion
                | Action::PlanPolicies
                | Action::PruneAccessLog,
                Decision::Allowed,
            ) => Self::Operate,
        }
    }

    /// Its name in the configuration and in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reveal => "reveal",
            Self::Tokenize => "tokenize",
            Self::Change => "change",
            Self::Refuse => "refuse",
            Self::Ask => "ask",
            Self::Operate => "operate",
            Self::Vault => "vault",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
