//! Counts work where an input might make it grow faster than itself: in tests, which hold it to
//! n log n. A count says the same on any machine, where a time does not. Elsewhere it is nothing.

/// `n` steps were made.
#[inline(always)]
pub(crate) fn add(n: usize) {
    #[cfg(test)]
    COUNTED.with(|counted| counted.set(counted.get() + n as u64));
    #[cfg(not(test))]
    let _ = n;
}

#[cfg(test)]
thread_local! {
    static COUNTED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// The steps that `work` made on this thread.
#[cfg(test)]
pub(crate) fn of(work: impl FnOnce()) -> u64 {
    let before = COUNTED.with(std::cell::Cell::get);
    work();
    COUNTED.with(std::cell::Cell::get) - before
}

/// Fails where four times the input makes more than six times the steps, or none.
#[cfg(test)]
pub(crate) fn hold_to_n_log_n(n: usize, mut work: impl FnMut(usize)) {
    let (small, large) = (of(|| work(n)), of(|| work(4 * n)));
    assert!(small > 0, "the work is counted");
    assert!(large <= 6 * small, "{small} steps for {n}, {large} for {}", 4 * n);
}
