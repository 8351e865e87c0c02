//! What every engine behind the store's door has to keep: run through the public door only. What is about files on the
//! disk (opening, recovery, damage) is RocksDB's own part.
#![cfg(test)]

mod failing;
mod harness;
mod model;
mod opening;
mod reading;
mod recovery;
mod resources;
mod writing;
