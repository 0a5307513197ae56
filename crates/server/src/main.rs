//! The binary. Everything is in the library, except the allocator.
//!
//! jemalloc gives memory back to the system soon after it was freed. The system's own allocator kept
//! all of it after a burst of large requests, and its peak was twice as high (`docs/reliability.md`).

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(feature = "jemalloc")]
use tikv_jemallocator::Jemalloc;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    server::cli::main()
}
