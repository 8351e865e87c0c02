//! The words of the vault: ids, limits, reasons, plaintext, and the two things that are injected from above, the clock
//! and the entropy.
//!
//! Every other crate speaks in these types. Nothing here does I/O (but for the system's clock and randomness, which
//! stand behind traits), nothing here knows a key, a store or a wire format.
#![deny(missing_docs)]

mod access_log_filter;
mod action;
mod clock;
mod count_by;
mod entropy;
mod ids;
mod level;
pub mod limits;
mod network;
mod nonce;
mod reason;
mod rules;
mod secret;
mod session;

pub use access_log_filter::AccessLogFilter;
pub use action::{Action, Decision};
pub use clock::{Clock, ManualClock, Millis, SteadyTime, SystemClock};
pub use count_by::CountBy;
pub use entropy::{Entropy, EntropyError, SystemEntropy};
pub use ids::{
    Audience, BudgetName, DataClass, Generation, IdError, IdempotencyKey, KeyVersion, LogIndex, PrincipalId, Purpose,
    RateName, RecordNumber, Reference, Region, RequestId, Role, Scope, SubjectId, SubjectName, Tenant, VaultId,
};
pub use level::{LevelAsked, RevealLevel};
pub use network::Network;
pub use nonce::{Freshness, Nonce};
pub use reason::{Code, Reason};
pub use rules::{RulesDifference, RulesFingerprint};
pub use secret::{Plaintext, TokenText};
pub use session::{Assurance, Session};
