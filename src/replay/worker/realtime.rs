//! What a worker's thread asks of the system: to be woken on time, its code in memory before it is
//! needed, and with `--realtime` priority, locked memory and processors that stay awake.
#![expect(
    unsafe_code,
    reason = "sched_setattr, sched_setscheduler and madvise have no safe wrapper among the \
        libraries in use"
)]

use std::num::NonZeroU64;

/// Real-time priority of the workers: above ordinary threads, below the kernel's own.
const PRIORITY: i32 = 10;
/// The shortest slice that the system gives.
const SLICE_NS: u64 = 100_000;

/// Sets up the calling thread. An error says in words what could not be had; the replay goes on
/// without.
pub(in crate::replay) fn prepare_thread(realtime: bool) -> Result<(), String> {
    // Does not affect timerfd; it does the waits of the libraries.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    if !realtime {
        ask_for_short_slices();
        return Ok(());
    }
    set_policy(libc::SCHED_FIFO, PRIORITY).map_err(|error| {
        format!("--realtime: no real-time priority ({error}): run as root or with CAP_SYS_NICE")
    })
}

/// Sets up a thread that reads ahead or writes behind: when it wakes up, a worker on the same
/// processor goes on.
pub(in crate::replay) fn stand_back() {
    // Best effort; it needs no privilege.
    let _ = set_policy(libc::SCHED_BATCH, 0);
}

/// How the calling thread is scheduled.
fn set_policy(policy: i32, priority: i32) -> std::io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the pointer is to a live, initialised `sched_param` for the length of the call, which
    // only reads it; pid 0 is the calling thread. The call changes nothing in this process's
    // memory.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Keeps the process's memory from being paged out: what is mapped by now, page by page as it comes
/// into use. (All of it at once would be the whole of what the allocator has reserved.)
pub(in crate::replay) fn lock_memory() -> Result<(), String> {
    rustix::mm::mlockall(rustix::mm::MlockAllFlags::CURRENT | rustix::mm::MlockAllFlags::ONFAULT)
        .map_err(|error| {
            format!(
                "--realtime: memory cannot be locked ({error}): run as root or with CAP_IPC_LOCK"
            )
        })
}

/// While it lasts, the kernel gives this process its memory in small pages (of two that overlap,
/// the later one decides what holds afterwards). It clears what it gives, and a huge page of 2 MB
/// takes milliseconds, at the moment at which a worker needs room for one more answer.
pub(in crate::replay) struct SmallPages {
    /// What it was before.
    were_small: bool,
}

impl SmallPages {
    /// From now on. Best effort: where it cannot be had, there is nothing to undo either.
    pub(in crate::replay) fn begin() -> Option<Self> {
        let were_small = rustix::thread::transparent_huge_pages_are_disabled().ok()?;
        rustix::thread::disable_transparent_huge_pages(true).ok()?;
        Some(Self { were_small })
    }
}

impl Drop for SmallPages {
    fn drop(&mut self) {
        let _ = rustix::thread::disable_transparent_huge_pages(self.were_small);
    }
}

/// While it is open, no processor goes to sleep where it would take time to wake up (the kernel's
/// PM QoS interface).
pub(in crate::replay) fn stay_awake() -> Result<std::fs::File, String> {
    let path = "/dev/cpu_dma_latency";
    let open = || {
        let mut file = std::fs::File::options().write(true).open(path)?;
        // Microseconds that waking up may take, as an integer of the machine's.
        std::io::Write::write_all(&mut file, &0_i32.to_ne_bytes())?;
        Ok(file)
    };
    open().map_err(|error: std::io::Error| {
        let advice =
            if error.kind() == std::io::ErrorKind::PermissionDenied { ": run as root" } else { "" };
        format!("--realtime: processors may sleep between requests ({path}: {error}){advice}")
    })
}

/// Asks for short time slices, which needs no privilege: who asks for less at once is given it
/// sooner (EEVDF, Linux 6.12). Where the system does not know that, nothing changes.
fn ask_for_short_slices() {
    let size = size_of::<libc::sched_attr>() as u32;
    // SAFETY: all of the structure's fields are integers, for which zero is a value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live `sched_attr` of the size that is named, which the call
    // fills; pid 0 is the calling thread.
    let known = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if known != 0 || attributes.sched_policy != libc::SCHED_OTHER as u32 {
        return;
    }
    (attributes.size, attributes.sched_runtime) = (size, SLICE_NS);
    // SAFETY: the pointer is to a live, initialised `sched_attr` that names its own size, and the
    // call only reads it. It changes nothing in this process's memory.
    let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

/// Maps the program's code now, so that the first request does not wait for it page by page. Best
/// effort.
pub(in crate::replay) fn touch_code() {
    let (Ok(maps), Ok(program)) =
        (std::fs::read_to_string("/proc/self/maps"), std::env::current_exe())
    else {
        return;
    };
    for line in
        maps.lines().filter(|line| program.to_str().is_some_and(|program| line.ends_with(program)))
    {
        // Addresses, rights (`r-xp`), and what does not matter here.
        let mut fields = line.split_ascii_whitespace();
        let (Some((start, end)), Some(rights)) =
            (fields.next().and_then(|range| range.split_once('-')), fields.next())
        else {
            continue;
        };
        let (Ok(start), Ok(end)) =
            (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
        else {
            continue;
        };
        if rights.starts_with('r') && !rights.contains('w') {
            // SAFETY: the range is a mapping of this program's own file, which stays as long as the
            // process does; MADV_POPULATE_READ only reads its pages in, it changes neither their
            // content nor their protection.
            let _ = unsafe {
                rustix::mm::madvise(
                    std::ptr::without_provenance_mut(start),
                    end.saturating_sub(start),
                    rustix::mm::Advice::LinuxPopulateRead,
                )
            };
        }
    }
}
