//! The program as people and scripts use it: the binary itself, its standard streams and its exit codes, against
//! a vault that it serves itself.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it stands; the whole binary is one")]

mod access;
mod apply;
mod audit;
mod audit_export;
mod audit_index;
mod audit_log;
mod audit_prune;
mod audit_tamper;
mod audited;
mod bulk;
mod completions;
mod config;
mod degraded;
mod examples;
mod explain;
mod gate;
mod guide;
mod items;
mod levels;
mod life_model;
mod man;
mod offline;
mod passphrase;
mod pipeline;
mod purge;
mod python;
mod report;
mod serve;
mod served;
mod shell;
mod syslog;
mod witness;
mod witnessing;
