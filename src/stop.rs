//! The word that ends what the program does: from a signal, from another thread, or from a stage
//! itself where it cannot go on.
//!
//! Who waits for something else (packets, the end of the time, a pipe's next bytes) waits for this
//! too, on a descriptor, so that nobody has to wake up again and again to look. An input that is
//! read through [`UntilTold`] is at its end once the word was said, and so is what reads it.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Said once; from then on everybody who waits for it is awake.
#[derive(Debug)]
pub struct Stop {
    told: Arc<AtomicBool>,
    /// Readable once it was said.
    heard: UnixStream,
    mouth: UnixStream,
}

impl Stop {
    /// Not said yet.
    pub fn new() -> io::Result<Arc<Self>> {
        let (heard, mouth) = UnixStream::pair()?;
        // A handler of a signal must never wait.
        mouth.set_nonblocking(true)?;
        Ok(Arc::new(Self { told: Arc::default(), heard, mouth }))
    }

    /// Says it.
    pub fn tell(&self) {
        self.told.store(true, Ordering::Relaxed);
        // Where there is no room for another word, one was said before.
        let _ = (&self.mouth).write(&[1]);
    }

    /// Whether it was said.
    pub fn is_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }

    /// Waits until it is said, or for so long; answers whether it was said.
    pub fn wait(&self, longest: Option<Duration>) -> bool {
        let longest = longest.map(timespec);
        if !self.is_told() {
            // Woken early by a signal is woken; the caller looks at the answer.
            let _ = poll(&mut [PollFd::new(&self, PollFlags::IN)], longest.as_ref());
        }
        self.is_told()
    }

    /// What a signal's handler needs to say it: the flag to set first, and where to write a byte
    /// then.
    pub fn for_signal(&self) -> io::Result<(Arc<AtomicBool>, OwnedFd)> {
        Ok((Arc::clone(&self.told), self.mouth.try_clone()?.into()))
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }
}

/// A reader that is at its end once the word was said.
pub struct UntilTold<R> {
    inner: R,
    stop: Option<Arc<Stop>>,
    /// What to wait for before bytes are read that may never come.
    awaited: Option<OwnedFd>,
}

impl<R: Read> UntilTold<R> {
    /// `inner`, which has its bytes at hand, until `stop`.
    pub fn new(inner: R, stop: Option<Arc<Stop>>) -> Self {
        Self { inner, stop, awaited: None }
    }
}

impl<R: Read + AsFd> UntilTold<R> {
    /// `inner` until `stop`, also while it waits for bytes.
    pub fn waiting(inner: R, stop: Option<Arc<Stop>>) -> io::Result<Self> {
        let awaited = Some(inner.as_fd().try_clone_to_owned()?);
        Ok(Self { inner, stop, awaited })
    }
}

impl UntilTold<File> {
    /// Standard input until `stop`. Read past the library's buffer: what waits there could not be
    /// waited for.
    pub fn stdin(stop: Option<Arc<Stop>>) -> io::Result<Self> {
        Self::waiting(io::stdin().as_fd().try_clone_to_owned()?.into(), stop)
    }
}

impl<R: Read> Read for UntilTold<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(stop) = &self.stop else { return self.inner.read(buffer) };
        while !stop.is_told() {
            let Some(awaited) = &self.awaited else { return self.inner.read(buffer) };
            let mut either =
                [PollFd::new(awaited, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
            match poll(&mut either, None) {
                Ok(_) if stop.is_told() => break,
                // What cannot be waited for does not keep anybody waiting.
                Ok(_) | Err(rustix::io::Errno::INVAL) => return self.inner.read(buffer),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(0)
    }
}

/// As `poll` takes it.
pub(crate) fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_and_who_comes_later_does_not_wait() {
        let stop = Stop::new().unwrap();
        assert!(!stop.wait(Some(Duration::ZERO)) && !stop.is_told());
        let waiting = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || while !stop.wait(None) {}
        });
        stop.tell();
        waiting.join().unwrap();
        // More often than there is room for.
        (0..100_000).for_each(|_| stop.tell());
        assert!(stop.wait(None) && stop.is_told());
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_ends_with_the_word() {
        let (reader, mut writer) = io::pipe().unwrap();
        let stop = Stop::new().unwrap();
        let mut reader = UntilTold::waiting(reader, Some(Arc::clone(&stop))).unwrap();
        writer.write_all(b"some").unwrap();
        let mut bytes = [0; 8];
        assert_eq!(reader.read(&mut bytes).unwrap(), 4);
        let waiting = std::thread::spawn(move || reader.read(&mut [0; 8]).unwrap());
        stop.tell();
        assert_eq!(waiting.join().unwrap(), 0);
        let mut file = UntilTold::new(tempfile::tempfile().unwrap(), Some(stop));
        assert_eq!(file.read(&mut bytes).unwrap(), 0);
    }

    #[test]
    fn a_signal_says_it_by_a_flag_and_a_byte() {
        let stop = Stop::new().unwrap();
        let (flag, descriptor) = stop.for_signal().unwrap();
        let waiting = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || while !stop.wait(None) {}
        });
        flag.store(true, Ordering::Relaxed);
        rustix::io::write(&descriptor, &[1]).unwrap();
        waiting.join().unwrap();
    }
}
