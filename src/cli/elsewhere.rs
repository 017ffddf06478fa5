//! What a command says that needs Linux, where the program runs on another system.

use std::ffi::OsString;

use super::exit::{Exit, Failure};

/// Commands that capture or replay: these need libpcap's ring, `epoll` and `timerfd`.
const OF_LINUX: [&str; 5] = ["run", "demo", "capture", "interfaces", "replay"];

/// Says why the command is not there, or that there is none of this name.
pub(super) fn run(words: &[OsString]) -> Result<Exit, Failure> {
    let name = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    if OF_LINUX.contains(&&*name) {
        return Err(Failure::usage(format!(
            "shadowtap {name} needs Linux: here are the commands that read captures, recordings \
             and runs (shadowtap --help)"
        )));
    }
    Err(Failure::usage(format!("there is no command {name:?}: see shadowtap --help")))
}
