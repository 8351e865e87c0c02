//! What a vault refuses to start on, and with which words.

mod configuration;
mod degraded;
mod directory;
mod history;
mod root_key;
