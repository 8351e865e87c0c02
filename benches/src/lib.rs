//! What the benchmarks share: the machine they run on, floors, statistics, tables, servers and clients.
//!
//! `cargo bench -p vault-benches` measures. Without `--bench` among the arguments, as under `cargo test --benches`,
//! every benchmark goes through its code once, with a few items, and says nothing about speed.
//!
//! | module | what |
//! |---|---|
//! | `arguments` | the command line |
//! | `machine` | what it runs on, CPU time, load |
//! | `floor` | what the disk can do: append and sync, nothing else |
//! | `measure` | percentiles, medians, spreads |
//! | `report` | the table on standard output, and `bench/report.json` in the target folder |
//! | `region` | store, keys and journal of one region, without a server |
//! | `site` | the files of a vault: certificates, catalog, configuration |
//! | `server` | the servers under test, each a process of its own |
//! | `echo` | a server that answers at once what a vault would |
//! | `load` | clients that keep a number of calls in flight |
//! | `long_log` | a log of millions of entries, as a vault with many callers writes it |
//! | `asking` | an auditor: questions to the log, proofs, tails, exports |
//! | `draw` | numbers that are the same in every run |
//! | `plain_group` | a journal without evidence, to show what that costs |
//! | `skipping` | what it costs to pass over entries and runs that nobody asks for |
//! | `postgres` | a PostgreSQL server for as long as a benchmark runs |
//! | `by_hand` | what the vault is compared with: the least that somebody writes over RocksDB or PostgreSQL |
#![allow(missing_debug_implementations, reason = "nothing here is printed for debugging")]

pub mod arguments;
pub mod asking;
pub mod bearing;
pub mod by_hand;
pub mod draw;
pub mod echo;
pub mod floor;
pub mod load;
pub mod long_log;
pub mod machine;
pub mod measure;
pub mod plain_group;
pub mod postgres;
pub mod region;
pub mod report;
pub mod server;
pub mod site;
pub mod skipping;

/// Why a benchmark ended: the text says what happened.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
