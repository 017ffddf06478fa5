//! What capturing needs of the kernel, and how the rest is given back once the device is open.
//!
//! On Linux opening a packet socket needs CAP_NET_RAW; reading from it needs nothing.

use std::io;

use rustix::fs::{Gid, Uid};

/// Whether this process may open a device.
#[cfg(target_os = "linux")]
pub fn may_capture() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_RAW))
}

/// Whether this process may open a device.
#[cfg(not(target_os = "linux"))]
pub fn may_capture() -> bool {
    rustix::process::geteuid().is_root() || std::fs::File::open("/dev/bpf0").is_ok()
}

/// What to do where [`may_capture`] says no.
pub fn advice() -> String {
    let program = std::env::current_exe()
        .map_or_else(|_| "shadowtap".to_owned(), |path| path.display().to_string());
    if cfg!(target_os = "linux") {
        format!("run as root, or once: sudo setcap cap_net_raw,cap_net_admin=eip {program}")
    } else {
        "run with sudo".to_owned()
    }
}

/// Becomes another user for good. Acts on the calling thread and those it starts: call it before
/// there are others.
pub fn become_user(user: Uid, group: Gid) -> io::Result<()> {
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    set_thread_groups(&[group])?;
    set_thread_res_gid(Some(group), Some(group), Some(group))?;
    set_thread_res_uid(Some(user), Some(user), Some(user))?;
    drop_capabilities(false)
}

/// Gives all capabilities back, for good, but for writing into folders of others where
/// `keep_writing` says that it is needed. Acts on the calling thread and those it starts.
#[cfg(target_os = "linux")]
pub fn drop_capabilities(keep_writing: bool) -> io::Result<()> {
    use rustix::thread::{
        CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs,
    };
    let now = capabilities(None)?;
    let needed = if keep_writing { CapabilitySet::DAC_OVERRIDE } else { CapabilitySet::empty() };
    let kept = now.permitted & needed;
    set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )?;
    Ok(set_no_new_privs(true)?)
}

/// Gives nothing back where there are no capabilities.
#[cfg(not(target_os = "linux"))]
pub fn drop_capabilities(_keep_writing: bool) -> io::Result<()> {
    Ok(())
}

/// A user by name or number (`nobody`, `65534`, `65534:65534`), from /etc/passwd.
pub fn user(text: &str) -> Result<(Uid, Gid), String> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    find_user(text, &passwd)
        .ok_or_else(|| format!("no user {text:?} here: write a name of /etc/passwd, or UID:GID"))
}

fn find_user(text: &str, passwd: &str) -> Option<(Uid, Gid)> {
    if let Some((user, group)) = text.split_once(':') {
        return Some((Uid::from_raw(user.parse().ok()?), Gid::from_raw(group.parse().ok()?)));
    }
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, user, group, ..] = fields[..] else { return None };
        (name == text || user == text)
            .then_some((Uid::from_raw(user.parse().ok()?), Gid::from_raw(group.parse().ok()?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\n# comment\nnobody:x:65534:65533:nobody:/:/bin/false\n";
        let nobody = Some((Uid::from_raw(65_534), Gid::from_raw(65_533)));
        assert_eq!(find_user("nobody", passwd), nobody);
        assert_eq!(find_user("65534", passwd), nobody);
        assert_eq!(find_user("7:8", passwd), Some((Uid::from_raw(7), Gid::from_raw(8))));
        for wrong in ["", "nobod", "x:y", "1:"] {
            assert_eq!(find_user(wrong, passwd), None, "{wrong}");
        }
    }
}
