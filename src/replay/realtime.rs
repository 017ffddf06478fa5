//! What a worker's thread asks of the system: no slack on timers, and with `--realtime` priority and locked memory.
#![expect(unsafe_code, reason = "sched_setscheduler has no safe wrapper among the libraries in use")]

use std::num::NonZeroU64;

/// Real-time priority of the workers: above ordinary threads, below the kernel's own.
const PRIORITY: i32 = 10;

/// Sets up the calling thread. An error says in words what could not be had; the replay goes on without.
pub(super) fn prepare_thread(realtime: bool) -> Result<(), String> {
    // Does not affect timerfd; it does the waits of the libraries.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    if !realtime {
        return Ok(());
    }
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: the pointer is to a live, initialised `sched_param` for the length of the call, which only reads it; pid 0 is
    // the calling thread. The call changes nothing in this process's memory.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
    if result == 0 {
        Ok(())
    } else {
        Err(format!("--realtime: no real-time priority ({}): run as root or with CAP_SYS_NICE", std::io::Error::last_os_error()))
    }
}

/// Keeps the process's memory from being paged out.
pub(super) fn lock_memory() -> Result<(), String> {
    rustix::mm::mlockall(rustix::mm::MlockAllFlags::CURRENT)
        .map_err(|error| format!("--realtime: memory cannot be locked ({error}): run as root or with CAP_IPC_LOCK"))
}
