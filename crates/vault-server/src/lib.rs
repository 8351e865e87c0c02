//! The gRPC door: TLS, identity, messages in and out, configuration, telemetry.
//!
//! Handlers decode, make one call and encode; nothing is decided here but who the caller is. This is the only crate
//! that knows [`tonic::Status`].
#![allow(missing_debug_implementations, reason = "servers hold keys")]

mod access_token;
mod alarms;
mod coalesce;
mod config;
mod convert;
mod door;
mod export;
mod http_client;
mod identity;
mod intake;
mod metrics;
mod outside;
mod pruning;
mod purging;
mod regular_file;
mod reloads;
mod rpc;
mod server;
mod status;
mod telemetry;
mod tls;

pub use config::{
    Config, ConfigError, ConfigFault, Environment, Finding, LogFormat, Origin, Reading, Setting, SettingValue,
    Severity, configuration_schema,
};
pub use convert::from_proto;
pub use export::{entry_json, moment, parquet_rows};
pub use identity::{Naming, Peer};
pub use regular_file::check as check_regular_file;
pub use server::{Server, StartError};
pub use telemetry::{start_telemetry, start_telemetry_at};
pub use tls::THROWAWAY_ORGANIZATION;
pub use vault_engine::{Applied, ApplyError, CheckKeys, Checked, PolicyFile, RuleTexts};
