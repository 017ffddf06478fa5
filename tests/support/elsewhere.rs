//! A test in a network (and a file system) of its own, where it may have any address, name and
//! limit.

use std::process::Command;

/// Runs the second half of `test` (its name with its modules) in another process, made by `shell`
/// (`$0` is the command); answers whether that could be done.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
pub(crate) fn run(test: &str, shell: &str) -> bool {
    let exe = std::env::current_exe().unwrap();
    let run = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-ec", shell])
        .arg(exe)
        .args(["--exact", test, "--nocapture"])
        .env("SHADOWTAP_TEST_ELSEWHERE", test)
        .output();
    let Ok(run) = run else { return false };
    let (out, error) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(!out.contains("running 0 tests"), "{test} is no test of this program");
    if !out.contains("elsewhere:") {
        println!("skipped, it takes root and network namespaces: {error}");
        return false;
    }
    assert!(run.status.success(), "{out}\n{error}");
    true
}

/// Whether this is that other process.
#[expect(clippy::print_stdout, reason = "tells the outer process that the inner one got here")]
pub(crate) fn is_here(test: &str) -> bool {
    let here = std::env::var("SHADOWTAP_TEST_ELSEWHERE").is_ok_and(|name| name == test);
    if here {
        println!("elsewhere: {test}");
    }
    here
}
