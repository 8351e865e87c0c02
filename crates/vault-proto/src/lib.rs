//! The generated gRPC contract: messages and services of `proto/`, and their file descriptors.
//!
//! Nothing here but what is generated, and the codec: only doors speak these types, the rest of the vault has its own.

mod codec;

/// `google.rpc`: the status of a single item.
pub mod google {
    #![allow(missing_docs, clippy::all, reason = "generated")]
    /// `google.rpc`.
    pub mod rpc {
        tonic::include_proto!("google.rpc");
    }
}

/// `tokenvault`: one module for each version.
pub mod tokenvault {
    /// `tokenvault.v1`.
    pub mod v1 {
        #![allow(missing_docs, clippy::all, reason = "generated")]
        tonic::include_proto!("tokenvault.v1");
    }
}

pub use tokenvault::v1;

/// The file descriptor set of the contract, for reflection and for tests that walk over every method.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The metadata key of a call's nonce: 16 random bytes as 32 lowercase hex digits, drawn anew for every attempt.
pub const NONCE_METADATA: &str = "tokenvault-nonce";
/// The metadata key of the moment at which an attempt was sent: milliseconds since 1970, in decimal digits.
pub const TIMESTAMP_METADATA: &str = "tokenvault-timestamp";

pub use codec::{FIELDS_MAX, MALFORMED, StrictCodec, holds_too_many_fields};

// Values are wiped when the message that holds them is dropped, on both ends. What HTTP/2 and TLS buffered of them on
// the way is beyond this crate's reach (docs/CRYPTO.md, "What is not wiped").
impl Drop for v1::TokenizeItem {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.value);
        zeroize::Zeroize::zeroize(&mut self.subject);
    }
}

impl Drop for v1::FindItem {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.value);
        zeroize::Zeroize::zeroize(&mut self.subject);
    }
}

impl Drop for v1::ValueRevealed {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.value);
    }
}
