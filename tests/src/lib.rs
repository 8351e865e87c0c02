//! What the tests of the whole vault share. Never part of the product.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::result_large_err,
    clippy::unwrap_used,
    reason = "a harness ends the test that can't go on, and says where"
)]

pub mod amnesia;
pub mod caller;
pub mod certificates;
pub mod connection;
pub mod export_reader;
pub mod issuer;
pub mod metrics;
pub mod process_log;
pub mod refusal;
pub mod requests;
pub mod roles;
pub mod secrets;
pub mod stored_log;
pub mod stream;
pub mod vault;
pub mod wire;
