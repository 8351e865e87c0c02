//! What the calls do.

mod checkpoint;
mod client;
pub(crate) mod client_stream;
mod describe;
mod determinism;
mod detokenize;
mod evidence;
mod exchange;
mod explain;
mod export;
mod ff1;
mod health;
mod idempotency;
mod lifetime;
mod one_way;
mod proofs;
mod query;
mod randomness;
mod reflection;
pub(crate) mod replay;
mod restart;
mod rules;
mod stream;
mod tail;
mod tokenize;
mod uuid;
mod web;
