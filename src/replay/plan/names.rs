//! Resolves many names at once within a bound of time: all that a capture's requests were for.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::limits;
use crate::time::Monotonic;

/// How long all of them together may take.
pub(super) const WITHIN: Duration = Duration::from_secs(5);
/// Names that are asked for at the same time: a resolver that does not answer holds up one.
const AT_ONCE: usize = 64;

/// Asks for `names` in their order and gives each one's place and addresses to `each`, until that
/// breaks off or the time is over. Answers which names had no answer by then; one that does not
/// exist had one.
pub(super) fn resolve(
    names: Vec<String>,
    mut each: impl FnMut(usize, &[IpAddr]) -> ControlFlow<()>,
) -> Vec<String> {
    let names = Arc::new(names);
    let asked = names.len().min(limits::RESOLVED_HOSTS);
    let next = Arc::new(AtomicUsize::new(0));
    let (sender, answers) = mpsc::channel();
    // The system's resolver cannot be given a bound, so its threads are left behind at the end of
    // the time; each ends with the name that it waits for.
    for _ in 0..asked.min(AT_ONCE) {
        let (names, next, sender) = (Arc::clone(&names), Arc::clone(&next), sender.clone());
        let work = move || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= asked || sender.send((at, addresses(&names[at]))).is_err() {
                    return;
                }
            }
        };
        if std::thread::Builder::new().name("resolve".to_owned()).spawn(work).is_err() {
            break;
        }
    }
    drop(sender);
    let started = Monotonic::now();
    let mut answered = vec![false; names.len()];
    loop {
        let spent = Duration::from_nanos(started.elapsed().max(0).unsigned_abs());
        let Ok((at, addresses)) = answers.recv_timeout(WITHIN.saturating_sub(spent)) else { break };
        answered[at] = true;
        if each(at, &addresses).is_break() {
            break;
        }
    }
    next.store(asked, Ordering::Relaxed);
    let left = names.iter().zip(&answered).filter(|(_, answered)| !**answered);
    left.map(|(name, _)| name.clone()).collect()
}

fn addresses(name: &str) -> Vec<IpAddr> {
    let ends = (name, 0).to_socket_addrs().into_iter().flatten();
    ends.map(|end| end.ip()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_asked_for_and_a_hit_ends_it() {
        let names = |n: usize| vec!["localhost".to_owned(); n];
        let mut seen = vec![0; 200];
        let left = resolve(names(200), |at, addresses| {
            assert!(addresses.iter().all(IpAddr::is_loopback) && !addresses.is_empty());
            seen[at] += 1;
            ControlFlow::Continue(())
        });
        assert!(left.is_empty() && seen.iter().all(|&times| times == 1));
        let mut told = 0;
        resolve(names(200), |_, _| {
            told += 1;
            ControlFlow::Break(())
        });
        assert_eq!(told, 1);
        assert!(resolve(vec![], |_, _| ControlFlow::Continue(())).is_empty());
    }

    #[test]
    fn names_beyond_the_bound_are_told() {
        let many = vec!["localhost".to_owned(); limits::RESOLVED_HOSTS + 3];
        let left = resolve(many, |_, _| ControlFlow::Break(()));
        assert!(left.len() >= 3, "{}", left.len());
    }
}
