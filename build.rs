//! Tells the program what it was built from and for: the commit, where it can be known, and the
//! target.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=SHADOWTAP_COMMIT={}", commit());
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=SHADOWTAP_BUILD_TARGET={target}");
}

/// The commit: of a packed crate as cargo noted it, else of the repository. A debug build has none,
/// since it would be built anew with every commit.
fn commit() -> String {
    const PACKED: &str = ".cargo_vcs_info.json";
    if let Ok(text) = std::fs::read_to_string(PACKED) {
        println!("cargo:rerun-if-changed={PACKED}");
        let sha = text.split("\"sha1\": \"").nth(1).and_then(|rest| rest.get(..12));
        return sha.unwrap_or("unknown commit").to_owned();
    }
    if std::env::var("PROFILE").is_ok_and(|profile| profile != "release") {
        return "debug build".to_owned();
    }
    for file in ["HEAD", "index"] {
        if let Some(path) =
            git(&["rev-parse", "--git-path", file]).filter(|p| Path::new(p).exists())
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rerun-if-changed=src");
    git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
        .unwrap_or_else(|| "unknown commit".to_owned())
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
