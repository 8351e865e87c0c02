//! The typed client of the vault: TLS 1.3 with a client certificate, deadlines, bounded retries, decoded refusals,
//! receipts.
//!
//! Every attempt bears a nonce of its own and the time, so that nobody who gets hold of it on its way can send it
//! again; a repeat is a new attempt under the same idempotency key. Only what does no harm when it is done twice is
//! repeated, with growing pauses that are spread, and with the vault's own (`RetryInfo`) on top, within the call's
//! deadline. Calls for a region that is served elsewhere go where [`ClientConfig::with_region`] says, or where the
//! vault sends them, if that endpoint is allowed ([`ClientConfig::following`]); once, not on and on. Each endpoint has
//! one connection, and a breaker: after [`FAILURES_MAX`] attempts in a row without an answer calls fail at once with
//! [`ClientError::Away`], and after a rest, at most [`REST_MAX`], one at a time looks whether somebody is back.
//!
//! Nothing here decides about access, and nothing here keeps a value longer than its call: values and tokens travel in
//! types that are wiped and show nothing when they are printed for debugging.
//!
//! | module | what |
//! |---|---|
//! | `config` | [`ClientConfig`]: where the vault is, who we are, how long we wait |
//! | `connect` | the connection |
//! | `breaker` | what stops calls to an endpoint where nobody answers |
//! | `attempt` | one logical call: its deadline, its repeats |
//! | `call` | [`CallContext`] and what is known of calls that were made: [`CallMade`], [`Receipt`] |
//! | `split` | more items than one request may hold |
//! | `stream` | many batches over one call: [`TokenizeStream`], [`DetokenizeStream`] |
//! | `token_source` | [`TokenSource`]: the access token that calls carry |
//! | `client_credentials` | [`ClientCredentials`]: tokens that the client fetches from their issuer |
//! | `tokenize`, `detokenize`, `describe`, `find`, `change`, `explain`, `read_audit`, `deny` | the calls |
//! | `prove`, `prove_under`, `tail` | proofs about the log, and the log as it grows |
//! | `seen` | the newest checkpoint of each log: every other one has to agree with it |
//! | `prune` | what operators take from a log |
//! | `policies` | what operators do to the rules of a running vault |
//! | `error` | [`ClientError`] and [`Refusal`] |
#![deny(missing_docs)]

mod attempt;
mod breaker;
mod call;
mod change;
mod client;
mod client_credentials;
mod config;
mod connect;
mod count;
mod deny;
mod describe;
mod detokenize;
mod error;
mod explain;
mod export;
mod find;
mod policies;
mod prove;
mod prove_under;
mod prune;
mod read_audit;
mod seen;
mod split;
mod stream;
mod tail;
mod token_source;
mod tokenize;

pub use attempt::{ATTEMPTS_DEFAULT, ATTEMPTS_MAX};
pub use breaker::{FAILURES_MAX, REST_MAX};
pub use call::{Answer, CallContext, CallMade, Idempotency, Receipt};
pub use change::{TokenChange, TokenLife, TokenState};
pub use client::{ANSWER_BYTES_MAX, Client};
pub use client_credentials::{ClientCredentials, TOKEN_PAUSE_MAX, TokenEndpoint};
pub use config::{ClientConfig, Endpoint, FOLLOWED_ENDPOINTS_MAX, IN_FLIGHT_DEFAULT, IN_FLIGHT_MAX};
pub use count::{AccessLogCounts, CountKey};
pub use deny::{DeniedPage, DeniedToken};
pub use describe::TokenDescription;
pub use detokenize::{HeldToken, Revealed};
pub use error::{ClientError, Refusal, Violation};
pub use explain::{AccessQuestion, ExplainedCaller, ExplainedToken, Explanation, WhyNot};
pub use export::{AccessLogExport, ExportDone, ExportPart, ExportRange};
pub use find::{FoundToken, KnownValue};
pub use policies::{PolicyVersion, PolicyVersionsPage, RuleTexts, RulesPlan, RulesTarget};
pub use prove::{LogEntry, ProvedEntry};
pub use prune::Pruned;
pub use read_audit::{AccessLogPage, AccessLogQuery, LogName, VerifiedCheckpoint};
pub use stream::{DetokenizeStream, Detokenizing, Stream, TokenizeStream, Tokenizing};
pub use tail::{AccessLogTail, TailStep};
pub use token_source::{Authorization, StaticToken, TokenFile, TokenSource, bearer};
pub use tokenize::{IssuedToken, NewLife, NewValue};
/// The code of a refusal, as gRPC numbers it.
pub use tonic::Code;
/// An entry of the access log, as the contract states it: its words are the server's, which may be newer than ours.
pub use vault_proto::v1::{AccessLogEntry, AccessLogItems};
