//! The vault as a process of its own, killed, starved, lied to and cut off. What it acknowledged is there afterwards;
//! what it can't write down it does not reveal; and what it was given stays out of its logs, files and core dumps.
//!
//! The program under test is `tokenvault` of the same build, which has to be there (`make test` sees to that). What a
//! test knows, it knows from outside: from the answers that callers got, and from what lies on the disk. Nothing is
//! skipped: without strace, FUSE or leave to mount, the tests that need them fail and say so.
#![cfg(test)]

mod books;
mod evidence;
mod load;
mod site;
mod strace;
mod vault;

mod alarms;
mod clients;
mod contention;
mod failing_disk;
mod full_disk;
mod kill;
mod power;
mod rules;
mod secrecy;
mod shutdown;
