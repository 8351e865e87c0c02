//! Everything through the doors of a running vault: TLS, gRPC, the files on the disk.
//!
//! | module | what it promises |
//! |---|---|
//! | `api` | what the calls do |
//! | `bad_input` | that whatever is wrong is refused with a code and a reason, is in the log, and harms nothing |
//! | `security` | who may do what, and what nobody gets to see |
//! | `tls` | that certificates and revocation lists change while the vault serves, and count at once |
//! | `recovery` | what a vault refuses to start on |

#![cfg(test)]

mod api;
mod bad_input;
mod recovery;
mod security;
mod tls;

use std::path::Path;

use vault_domain::ManualClock;
use vault_tests::vault::{BEGINNING, TestVault};

/// A folder on a real disk.
const DISK: &str = env!("CARGO_TARGET_TMPDIR");

/// A vault of one's own.
async fn vault() -> TestVault {
    TestVault::start(Path::new(DISK)).await
}

/// A vault of one's own and the clock that it goes by.
async fn vault_and_clock() -> (TestVault, ManualClock) {
    let clock = ManualClock::at(BEGINNING);
    (TestVault::start_by(Path::new(DISK), &clock).await, clock)
}
