//! The threads that talk to stores, for callers that wait.

use std::io;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// Starts them at the first call.
pub(super) fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let built =
        Builder::new_multi_thread().worker_threads(1).thread_name("store").enable_all().build()?;
    // Of two threads that build one, the loser's is dropped again, unused.
    Ok(RUNTIME.get_or_init(|| built))
}
