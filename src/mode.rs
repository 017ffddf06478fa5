//! Who may read the files that the program makes. They hold traffic, and so secrets: from their
//! first byte on they are for their owner alone, in folders for him alone, unless `--mode` says
//! otherwise. The kernel sees to it (umask(2)), so that no file can be forgotten.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{Mode, RawMode};

/// What files get where nobody says otherwise.
pub const OWNER_ALONE: u32 = 0o600;

/// What the user's other files are kept from; as far as it is known.
static USERS: AtomicU32 = AtomicU32::new(0o022);
static KEPT: AtomicU32 = AtomicU32::new(OWNER_ALONE);

/// Parses `0640`: octal digits, readable and writable for the owner, executable for nobody.
pub fn parse(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    match mode {
        Some(mode) if mode & 0o600 == 0o600 && mode & 0o111 == 0 => Ok(mode),
        _ => Err(format!("{text:?} is no mode of files: write for example 0600, 0640 or 0644")),
    }
}

/// From now on files get `mode` and folders the same, with the right to enter for all who may read.
pub fn keep(mode: u32) {
    // Modes have 16 bits on some systems, and 32 on others.
    let masked = (0o777 & !folder_of(mode)) as RawMode;
    let users: RawMode = rustix::process::umask(Mode::from_raw_mode(masked)).as_raw_mode();
    USERS.store(users as u32, Ordering::Relaxed);
    KEPT.store(mode, Ordering::Relaxed);
}

/// What files get.
pub fn kept() -> u32 {
    KEPT.load(Ordering::Relaxed)
}

/// Makes the folder that a file is to be in, where there is none.
pub fn make_folder_of(path: &Path) -> io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => std::fs::create_dir_all(folder),
        None => Ok(()),
    }
}

/// Gives a file or folder that was there before the mode of new ones.
pub fn keep_old(path: &Path) -> io::Result<()> {
    set(path, if path.is_dir() { folder_of(kept()) } else { kept() })
}

/// Gives a file or folder that holds nothing of the traffic the mode of the user's other ones.
pub fn as_users(path: &Path) -> io::Result<()> {
    let all = if path.is_dir() { 0o777 } else { 0o666 };
    set(path, all & !USERS.load(Ordering::Relaxed))
}

fn set(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

const fn folder_of(mode: u32) -> u32 {
    mode | (mode & 0o444) >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_can_be_entered_by_who_may_read() {
        for (mode, folder) in [(0o600, 0o700), (0o640, 0o750), (0o644, 0o755), (0o660, 0o770)] {
            assert_eq!(folder_of(mode), folder);
        }
    }

    #[test]
    fn modes_are_octal_and_leave_the_owner_his_own() {
        assert_eq!(parse("0640"), Ok(0o640));
        assert_eq!(parse("600"), Ok(0o600));
        for wrong in ["", "0040", "0700", "rw-r--r--", "0o640", "1600", "8"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
