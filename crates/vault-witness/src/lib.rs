//! A witness of logs (c2sp.org/tlog-witness): it remembers how far each log was, and vouches by its signature that the
//! log only grew since. Whoever holds such a cosigned checkpoint knows that there is no second history that this
//! witness would vouch for.
//!
//! It must never sign two checkpoints of a log of which neither continues the other, whatever comes over the network
//! and whenever the process ends: what it is about to sign is on the disk before the signature leaves. It knows nothing
//! of vaults, and sees no entry: sizes and hashes alone.
//!
//! | module | what |
//! |---|---|
//! | `signer` | the witness's key, and its text in a file |
//! | `witness` | the judgement of a request, and the state that it rests on |
//! | `state` | one file for each log |
//! | `http` | the requests of the protocol over HTTP/1.1, with or without TLS |
#![deny(missing_docs)]
#![allow(missing_debug_implementations, reason = "witnesses hold keys")]

mod http;
mod signer;
mod state;
mod witness;

pub use http::{TlsFiles, serve};
pub use signer::{SIGNER_BYTES_MAX, SignerError, WitnessSigner};
pub use witness::{Answer, OpenError, Witness};
