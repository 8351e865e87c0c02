//! The process: the program of the library on an allocator of its own.

use std::process::ExitCode;

/// Calls are made of many small pieces that one thread allocates and another frees. With glibc's allocator threads
/// waited for each other's arenas, and a call cost a fifth more (docs/PERFORMANCE.md). RocksDB keeps glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tokenvault_cli::main()
}
