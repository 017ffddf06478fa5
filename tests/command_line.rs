//! The command line as people and scripts expect it: help, variables, colours, logs, completions,
//! manual pages.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::shadowtap;

fn capture() -> String {
    format!("{}/captures/keep-alive.pcap", env!("CARGO_MANIFEST_DIR"))
}

/// Runs the program with variables, and those that choose colours taken away.
fn with(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shadowtap"));
    command.args(arguments).current_dir(folder);
    for name in ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_has_two_lengths_and_the_version_two_depths() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let short = shadowtap(folder.path(), &["run", "-h"]).expect(0).stdout;
    let long = shadowtap(folder.path(), &["run", "--help"]).expect(0).stdout;
    assert!(short.contains("--target") && !short.contains("--jitter"), "{short}");
    for part in ["--jitter", "Timing:", "Which requests:", "Examples:"] {
        assert!(long.contains(part), "{part} in {long}");
    }
    let globals = long.find("Global:").expect("a heading");
    let globals = long[globals..].split("Examples:").next().unwrap_or_default();
    assert!(globals.contains("--log-format") && !globals.contains("--target"), "{globals}");
    assert_eq!(shadowtap(folder.path(), &["-V"]).expect(0).stdout.lines().count(), 1);
    shadowtap(folder.path(), &["--version"]).expect(0).prints(&["commit:", "target:", "libpcap:"]);
}

#[test]
fn what_inspect_shows_fits_the_terminal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let demo = format!("{}/captures/demo.pcap", env!("CARGO_MANIFEST_DIR"));
    for columns in ["60", "80", "120"] {
        let shown = with(folder.path(), &[("COLUMNS", columns)], &["inspect", &demo]);
        let shown = text(&shown.stdout);
        let most: usize = columns.parse().expect("a number");
        // The first line is the path.
        for line in shown.lines().skip(1) {
            assert!(line.chars().count() <= most, "{columns}: {line}\n{shown}");
        }
        assert_eq!(shown.contains("p99.9"), most >= 100, "{shown}");
        assert!(shown.contains("bytes of HTTP/1") && !shown.contains("http/1-bytes"), "{shown}");
    }
}

#[test]
fn help_is_asked_for_by_a_command_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = |words: &[&str]| with(folder.path(), &[], words);
    assert_eq!(said(&["help"]).stdout, said(&["--help"]).stdout);
    let run = said(&["help", "run"]);
    assert_eq!((run.status.code(), &run.stdout), (Some(0), &said(&["run", "--help"]).stdout));
    assert!(text(&run.stdout).contains("SHADOWTAP_MAX_P99_RATIO"));
    assert_eq!(said(&["help", "replya"]).status.code(), Some(2));
    // What a command is given stands under its own heading.
    let show = text(&said(&["show", "-h"]).stdout);
    let arguments = show.split("Arguments:").nth(1).expect("a heading");
    let arguments = arguments.split("\n\n").next().expect("lines");
    assert!(arguments.contains("<DIR>") && arguments.contains("[ID|CLUSTER|QUERY]"), "{show}");
}

#[test]
fn a_command_that_is_misspelt_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    shadowtap(folder.path(), &["replya"]).expect(2).says(&["replay"]);
    shadowtap(folder.path(), &["run", "--taget", "x"]).expect(2).says(&["--target"]);
}

#[test]
fn what_is_wrong_with_a_command_line_is_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let wrong: [(&[&str], &str); 6] = [
        (&["run"], "shadowtap: the following required arguments were not provided: <INPUT>..."),
        (&["parse", "x", "--frob"], "shadowtap: unexpected argument '--frob' found; tip: "),
        (&["replya"], "shadowtap: unrecognized subcommand 'replya'; tip: "),
        (
            &["replay", "x", "--speed", "fast"],
            "shadowtap: invalid value 'fast' for '--speed <F>': ",
        ),
        (&["replay", "x", "--speed", "-1"], "shadowtap: invalid value '-1' for '--speed <F>': "),
        (&["inspect", "x", "--json", "--json"], "shadowtap: the argument '--json' cannot be used "),
    ];
    for (arguments, start) in wrong {
        let said = text(&with(folder.path(), &[], arguments).stderr);
        assert!(said.starts_with(start) && said.ends_with("; try '--help'\n"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    // A path in another encoding is named.
    let latin = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"caf\xe9.har");
    let mut command = Command::new(env!("CARGO_BIN_EXE_shadowtap"));
    let said = command.arg("inspect").arg(latin).output().expect("the program starts");
    assert_eq!(said.status.code(), Some(2));
    assert!(text(&said.stderr).contains("caf\\xE9.har"), "{}", text(&said.stderr));
    let coloured = text(&with(folder.path(), &[], &["--color", "always", "run"]).stderr);
    assert!(coloured.contains("shadowtap:") && coloured.lines().count() == 1, "{coloured}");
    // No command at all is answered with all there are.
    assert!(text(&with(folder.path(), &[], &[]).stderr).contains("Commands:"));
}

#[test]
fn a_flag_beats_its_variable_and_the_variable_the_default() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture();
    let variables = [("SHADOWTAP_JSON", "1")];
    let printed = with(folder.path(), &variables, &["inspect", &capture]);
    assert!(text(&printed.stdout).starts_with('{'), "{}", text(&printed.stdout));
    for off in ["0", "false", ""] {
        let printed = with(folder.path(), &[("SHADOWTAP_JSON", off)], &["inspect", &capture]);
        assert!(!text(&printed.stdout).starts_with('{'), "{off:?}");
    }
    let variables = [("SHADOWTAP_OUTPUT", "by-variable.jsonl")];
    with(folder.path(), &variables, &["parse", &capture]);
    assert!(folder.path().join("by-variable.jsonl").is_file());
    with(folder.path(), &variables, &["parse", &capture, "-o", "by-flag.jsonl"]);
    assert!(folder.path().join("by-flag.jsonl").is_file());
    let banana = with(folder.path(), &[("SHADOWTAP_JSON", "banana")], &["inspect", &capture]);
    assert_eq!(banana.status.code(), Some(2), "{}", text(&banana.stdout));
    assert!(text(&banana.stderr).contains("SHADOWTAP_JSON"), "{}", text(&banana.stderr));
    let wrong = with(folder.path(), &[("SHADOWTAP_SPEED", "fast")], &["replay", &capture]);
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
}

#[test]
fn colours_are_where_they_are_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let is_coloured = |variables: &[(&str, &str)], arguments: &[&str]| {
        text(&with(folder.path(), variables, arguments).stderr).contains('\u{1b}')
    };
    let missing = ["run"];
    assert!(!is_coloured(&[], &missing), "no terminal");
    assert!(is_coloured(&[], &["--color", "always", "run"]));
    assert!(is_coloured(&[("FORCE_COLOR", "1")], &missing));
    assert!(is_coloured(&[("CLICOLOR_FORCE", "1")], &missing));
    assert!(!is_coloured(&[("FORCE_COLOR", "1")], &["run", "--color=never"]));
    assert!(!is_coloured(&[("FORCE_COLOR", "1"), ("NO_COLOR", "1")], &missing));
}

#[test]
fn messages_are_json_where_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture();
    let arguments = ["parse", &capture, "-o", "-", "--log-format", "json"];
    let failed = ["parse", "missing.pcap", "-o", "x.jsonl", "--log-format", "json"];
    for arguments in [&arguments[..], &failed[..]] {
        let said = text(&with(folder.path(), &[], arguments).stderr);
        assert!(!said.is_empty());
        for line in said.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect(line);
            assert!(line["message"].is_string() && line["level"].is_string(), "{line}");
            assert!(!line["message"].as_str().unwrap_or("").contains("\\n"), "{line}");
        }
    }
    let quiet = with(folder.path(), &[], &["-q", "parse", &capture, "-o", "-"]);
    assert!(quiet.stderr.is_empty(), "{}", text(&quiet.stderr));
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for shell in ["bash", "zsh", "fish"] {
        shadowtap(folder.path(), &["completions", shell]).expect(0).prints(&[
            "replay",
            "unsafe-methods",
            "completions",
        ]);
    }
    shadowtap(folder.path(), &["man", "pages"]).expect(0);
    let page = |name: &str| {
        std::fs::read_to_string(folder.path().join("pages").join(name)).expect("a manual page")
    };
    assert!(page("shadowtap.1").contains("replay"));
    assert!(page("shadowtap-run.1").contains("unsafe"));
}
