//! The program: calls `cli`, turns its answer into an exit code.

use std::process::ExitCode;

/// Messages are made in one thread and let go in another, all the time: an allocator that is made
/// for it gives `parse` on two cores a fifth of its time back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A page of two megabytes is cleared, and made room for by moving others, while a thread waits
    // for a few of its bytes: a third more memory, and stalls of a hundred microseconds in threads
    // that send by the clock. Where the kernel does not know the word, pages are as it likes.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    shadowtap::cli::main(std::env::args_os()).into()
}
