//! Reports and the gate from a run's folder, as users call them.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without has failed it")]

#[path = "../support/families.rs"]
mod families;
#[path = "../support/made_run.rs"]
mod made_run;
#[path = "../support/power.rs"]
mod power;
#[path = "../support/simulation.rs"]
mod simulation;

mod secrets;
mod sums;

use std::path::Path;
use std::process::{Command, Output};

use made_run::{MadeRun, cluster};
use shadowtap::diff::Kind;
use shadowtap::outcome::{FailureKind, Outcome};

fn shadowtap(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(arguments)
        .arg(folder)
        .current_dir(folder.parent().unwrap())
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("killed: {output:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A run with a renamed field, a slow route and a few errors: what the demo plants.
fn faulty() -> MadeRun {
    MadeRun {
        slower: |target| if target.starts_with("/search") { 2.4 } else { 1.0 },
        answer: |number, target| {
            if target.starts_with("/cart") && number % 9 == 0 { Ok(500) } else { Ok(200) }
        },
        clusters: vec![
            cluster(
                1,
                "GET /products/{id}",
                Kind::Body,
                "$.price",
                [Some("12.50"), Some("1250")],
                61,
            ),
            cluster(2, "GET /cart/{id}", Kind::Status, "status", [Some("200"), Some("500")], 27),
            cluster(
                3,
                "GET /search",
                Kind::Missing,
                "$.items[*].title",
                [Some("\"Blue mug\""), None],
                290,
            ),
        ],
        ..MadeRun::default()
    }
}

#[test]
fn equal_versions_pass_and_every_file_is_written_the_same_twice() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    MadeRun::default().write(&run);
    let gate = shadowtap(&["gate"], &run);
    assert_eq!(code(&gate), 0, "{}", text(&gate.stdout));
    let read = || -> Vec<(String, Vec<u8>)> {
        let names = [
            "latency.csv",
            "timeline.csv",
            "latency.hlog",
            "summary.json",
            "report.html",
            "junit.xml",
            "summary.md",
        ];
        names.map(|name| (name.to_owned(), std::fs::read(run.join(name)).unwrap())).to_vec()
    };
    let first = shadowtap(&["report"], &run);
    assert_eq!(code(&first), 0, "{}", text(&first.stderr));
    let files = read();
    assert_eq!(shadowtap(&["report"], &run).stdout, first.stdout);
    for ((name, before), (_, after)) in files.iter().zip(read()) {
        assert!(*before == after, "{name} differs when made again");
        assert!(!before.is_empty(), "{name} is empty");
    }
}

#[test]
fn planted_faults_fail_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    faulty().write(&run);
    let gate = shadowtap(&["gate", "--json"], &run);
    assert_eq!(code(&gate), 1, "{}", text(&gate.stderr));
    let judgement: serde_json::Value = serde_json::from_slice(&gate.stdout).unwrap();
    let failed: Vec<String> = judgement["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| rule["finding"] == "fail" && !rule["route"].is_null())
        .map(|rule| {
            format!("{} {}", rule["rule"].as_str().unwrap(), rule["route"].as_str().unwrap())
        })
        .collect();
    for expected in [
        "max_mismatch_rate GET /products/{id}",
        "max_mismatch_rate GET /cart/{id}",
        "max_mismatch_rate GET /search",
        "max_error_rate GET /cart/{id}",
        "max_p50_ratio GET /search",
    ] {
        assert!(failed.iter().any(|rule| rule == expected), "{expected} is not among {failed:?}");
    }
    assert!(!failed.iter().any(|rule| rule.contains("/checkout")), "{failed:?}");
    // People read it by route, the slow one too, on the first lines of a terminal.
    let said = text(&shadowtap(&["gate"], &run).stdout);
    for route in ["GET /products/{id}: ", "GET /cart/{id}: ", "GET /search: "] {
        assert_eq!(said.matches(&format!("  - {route}")).count(), 1, "{said}");
    }
    assert!(said.replace("\n   ", "").contains("p50 is 2."), "{said}");
}

/// Leaves a made run for people to look at: `SHADOWTAP_MADE_RUN=DIR cargo test --test report
/// leave_a_run`.
#[test]
fn leave_a_run() {
    let Some(folder) = std::env::var_os("SHADOWTAP_MADE_RUN") else { return };
    let run = Path::new(&folder).join("run");
    faulty().write(&run);
    assert_eq!(code(&shadowtap(&["report"], &run)), 0);
}

#[test]
fn a_thousand_clusters_and_routes_fit_the_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let long = "<value & more> ".repeat(300);
    let clusters = (0..1_300)
        .map(|number| {
            let route = format!("GET /area{}/{{id}}", number % 400);
            let mut cluster = cluster(
                number,
                &route,
                Kind::Body,
                &format!("$.field{number}"),
                [Some(&long), Some("other")],
                5,
            );
            cluster.repeat = format!("curl 'http://v2/{long}'");
            cluster
        })
        .collect();
    let routes = (0..700)
        .map(|number| ("GET", format!("/area{number}/"), 5.0 + f64::from(number % 40), 1.0))
        .collect();
    MadeRun { exchanges: 6_000, clusters, routes, ..MadeRun::default() }.write(&run);
    let output = shadowtap(&["report"], &run);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let size = |name: &str| std::fs::metadata(run.join(name)).unwrap().len();
    assert!(size("report.html") < 2_000_000, "report.html has {} bytes", size("report.html"));
    let markdown = text(&std::fs::read(run.join("summary.md")).unwrap());
    assert!(markdown.chars().count() < 60_000);
    assert!(markdown.starts_with("## ❌ v2 must not go out."), "{}", &markdown[..80]);
    let page = text(&std::fs::read(run.join("report.html")).unwrap());
    assert_eq!(page.matches("<details class=\"cluster").count(), 1_000);
    assert!(page.contains("The 1,000 largest of 1,300 clusters are shown"));
}

#[test]
fn the_tables_of_the_readme_are_those_of_the_code() {
    use shadowtap::report::{closeup, csv, json};

    let readme = include_str!("../../reports/README.md");
    let section = |title: &str| {
        let begin =
            readme.find(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("no section {title}"));
        let rest = &readme[begin + 4..];
        &rest[..rest.find("\n## ").unwrap_or(rest.len())]
    };
    for (title, columns) in [
        ("latency.csv", &csv::LATENCY[..]),
        ("timeline.csv", &csv::TIMELINE[..]),
        ("summary.json", &json::FIELDS[..]),
        ("shadowtap show --json", &closeup::json::FIELDS[..]),
    ] {
        let rows: Vec<&str> =
            section(title).lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<String> = columns
            .iter()
            .map(|column| format!("| `{}` | {} | {} |", column.name, column.unit, column.what))
            .collect();
        assert_eq!(rows, expected, "{title}: the table must read\n{}\n", expected.join("\n"));
    }
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    MadeRun::default().write(&run);
    assert_eq!(code(&shadowtap(&["report"], &run)), 0);
    let summary: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap();
    let mut fields: Vec<&str> = json::FIELDS.iter().map(|column| column.name).collect();
    let mut keys: Vec<&str> = summary.keys().map(String::as_str).collect();
    fields.sort_unstable();
    keys.sort_unstable();
    assert_eq!(keys, fields);
    for entry in std::fs::read_dir(&run).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(readme.contains(&format!("`{name}`")), "reports/README.md does not name {name}");
    }
}

/// What is new and what is gone between two runs, and a history that grows by a line a run.
#[test]
fn two_runs_are_compared_and_a_history_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    faulty().write(&old);
    let mut later = faulty();
    later.clusters.remove(0);
    later.clusters.push(cluster(
        9,
        "GET /cart/{id}",
        Kind::Body,
        "$.total",
        [Some("1"), Some("2")],
        5,
    ));
    later.write(&new);
    // Another run.
    let path = new.join("run.json");
    let mut info: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    info["run"] = "a later run".into();
    info["started"] = "2026-12-01T10:00:00Z".into();
    std::fs::write(&path, serde_json::to_vec(&info).unwrap()).unwrap();
    let history = folder.path().join("history.jsonl");
    let compare = |more: &[&str]| {
        let mut words = vec!["report", "--history", history.to_str().unwrap()];
        words.extend_from_slice(more);
        words.extend(["--compare", old.to_str().unwrap()]);
        shadowtap(&words, &new)
    };
    let output = compare(&[]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for part in ["New: 1 cause", "Gone: 1 cause", "Stayed: 2 causes", "$.total", "p99 v2"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let value: serde_json::Value = serde_json::from_slice(&compare(&["--json"]).stdout).unwrap();
    assert_eq!(value["stayed"], 2);
    // The same runs again are no more lines.
    let lines = std::fs::read_to_string(&history).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    std::fs::write(&history, "{\"format\":\"something/else\"}\n").unwrap();
    let output = compare(&[]);
    assert_eq!(code(&output), 3);
    assert!(text(&output.stderr).contains("line 1 is of no history of runs"));
}

/// Files for other programs: spreadsheets, CI systems, GitHub.
#[test]
fn files_for_tools_are_as_these_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut made = faulty();
    made.routes.push(("GET", "/rare/".to_owned(), 5.0, 0.02));
    made.write(&run);
    std::fs::write(run.join("mismatches.csv"), "id,at\n1-2,x\n").unwrap();
    let summary = folder.path().join("step.md");
    let output = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["report", "--excel"])
        .arg(&run)
        .env("NO_COLOR", "1")
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    for name in ["latency.csv", "timeline.csv", "mismatches.csv"] {
        let table = std::fs::read(run.join(name)).unwrap();
        assert!(table.starts_with(b"\xef\xbb\xbf") && !table[3..].starts_with(b"\xef"), "{name}");
    }
    let annotations = text(&output.stderr);
    assert!(
        annotations.starts_with("::error title=shadowtap%3A v2 must not go out.::"),
        "{annotations}"
    );
    let markdown = std::fs::read_to_string(&summary).unwrap();
    assert!(
        markdown.contains("```sh\ncurl ") && markdown.contains("shadowtap approve "),
        "{markdown}"
    );
    let junit = std::fs::read_to_string(run.join("junit.xml")).unwrap();
    for part in ["timestamp=\"2026-", "<property name=\"p99_ms.v2\"", "routes with too few samples"]
    {
        assert!(junit.contains(part), "{part} in {junit}");
    }
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    for name in ["latency.hlog", "latency.v1.hgrm", "latency.v2.hgrm"] {
        assert!(page.contains(&format!("href=\"{name}\"")), "{name} is linked");
    }
    assert!(!page.contains("latency.baseline.hgrm"), "there is no baseline");
    let gate = junit.split("<testsuite name=\"gate\"").nth(1).unwrap();
    assert!(gate.contains("<property name=\"target\""), "{gate}");
    for case in gate.split("<testcase ").skip(1) {
        assert!(case.split('>').next().unwrap().contains("time=\""), "{case}");
    }
    let terminal = text(&output.stdout);
    for part in ["Seen: ", "shadowtap show ", "shadowtap approve ", "--reason WHY"] {
        assert!(terminal.contains(part), "{part} in {terminal}");
    }
}

#[test]
fn what_is_not_a_run_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let empty = shadowtap(&["report"], &run);
    assert_eq!(code(&empty), 3);
    MadeRun::default().write(&run);
    for (file, content, word) in [
        ("diff.json", None, "shadowtap diff"),
        ("diff.json", Some("{"), "is damaged"),
        ("outcomes.jsonl", None, "shadowtap replay"),
        ("outcomes.jsonl", Some("{\"format\":\"shadowtap/outcomes\",\"version\":7}\n"), "newer"),
        (
            "outcomes.jsonl",
            Some("{\"format\":\"something/else\",\"version\":1}\n"),
            "something/else",
        ),
        ("run.json", Some("{"), "run.json"),
    ] {
        let path = run.join(file);
        let before = std::fs::read(&path).unwrap();
        match content {
            None => std::fs::remove_file(&path).unwrap(),
            Some(content) => std::fs::write(&path, content).unwrap(),
        }
        for command in ["report", "gate"] {
            let output = shadowtap(&[command, "-q"], &run);
            let said = text(&output.stderr);
            assert_eq!(code(&output), 3, "{command} with {file} {content:?}: {said}");
            assert!(said.contains(word), "{command} with {file} {content:?}: {said}");
        }
        std::fs::write(&path, before).unwrap();
    }
    let nonsense = shadowtap(&["gate", "--confidence", "95"], &run);
    assert_eq!(code(&nonsense), 2);
    assert!(text(&nonsense.stderr).contains("confidence is 95"));
}

#[test]
fn cut_off_and_late_runs_have_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    MadeRun { lateness: 9_000_000, ..MadeRun::default() }.write(&run);
    let late = shadowtap(&["gate"], &run);
    assert_eq!(code(&late), 5);
    assert!(text(&late.stdout).contains("cannot be trusted"), "{}", text(&late.stdout));
    assert_eq!(code(&shadowtap(&["gate", "--max-lateness-p99", "20ms"], &run)), 0);

    MadeRun::default().write(&run);
    let outcomes = run.join("outcomes.jsonl");
    let whole = std::fs::read(&outcomes).unwrap();
    std::fs::write(&outcomes, &whole[..whole.len() / 2]).unwrap();
    let cut = shadowtap(&["gate"], &run);
    assert_eq!(code(&cut), 5, "{}", text(&cut.stdout));
    assert!(text(&cut.stdout).contains("broken off"), "{}", text(&cut.stdout));
    assert_eq!(code(&shadowtap(&["report"], &run)), 0, "what was measured can be read");
    let summary = std::fs::read_to_string(run.join("summary.json")).unwrap();
    assert!(summary.contains("the run was broken off"), "{summary}");

    // However slow it was: what is left of a run says nothing of latency.
    MadeRun { slower: |_| 3.0, ..MadeRun::default() }.write(&run);
    assert_eq!(code(&shadowtap(&["gate"], &run)), 1);
    let whole = std::fs::read(&outcomes).unwrap();
    std::fs::write(&outcomes, &whole[..whole.len() * 9 / 10]).unwrap();
    assert_eq!(code(&shadowtap(&["gate"], &run)), 5);
}

/// Uses the page as a person would, where a browser is at hand.
#[test]
fn the_page_works_in_a_browser_offline() {
    let there = |program: &str| {
        Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    if !there("chromedriver") || !there("node") {
        eprintln!("not run: chromedriver, chromium or node is missing");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let runs = [folder.path().join("faulty"), folder.path().join("hostile")];
    faulty().write(&runs[0]);
    secrets::hostile(&runs[1]);
    for run in &runs {
        assert_eq!(code(&shadowtap(&["report"], run)), 0);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/browser.mjs");
        let output =
            Command::new("node").arg(script).arg(run.join("report.html")).output().unwrap();
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    }
}

/// A double charge fails the gate by default and is said before all else, with both sides and the
/// exchange that caused it.
#[test]
fn a_call_that_changes_something_made_too_often_never_passes() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    MadeRun::default().write(&run);
    let ledger = |verdict: &str, method: &str| {
        format!(
            "{{\"format\":\"shadowtap/egress\",\"version\":1,\
             \"created\":\"2026-11-22T10:00:00.000000000Z\"}}\n\
             {{\"verdict\":\"{verdict}\",\"at\":\"2026-11-22T10:00:00.000000000Z\",\
             \"provider\":\"payments.example\",\"method\":\"{method}\",\
             \"route\":\"{method} /v1/charges\",\"target\":\"/v1/charges\",\
             \"payload\":\"{{\\\"cart\\\":\\\"c-77\\\"}}\",\
             \"recorded_payload\":\"{{\\\"cart\\\":\\\"c-77\\\"}}\",\
             \"recorded\":\"7-1\",\"times\":2,\"cause\":\"12-3\",\"status\":200,\
             \"score\":1.0,\"why\":\"\",\
             \"repeat\":\"curl -sS http://127.0.0.1:9099/v1/charges\"}}\n\
             {{\"format\":\"shadowtap/end\",\"calls\":{{}}}}\n"
        )
    };
    std::fs::write(run.join("egress.jsonl"), ledger("repeated", "POST")).unwrap();
    let gate = shadowtap(&["gate", "--json"], &run);
    assert_eq!(code(&gate), 1, "{}", text(&gate.stderr));
    let judgement: serde_json::Value = serde_json::from_slice(&gate.stdout).unwrap();
    let first = judgement["reasons"][0].as_str().unwrap();
    assert!(
        first.starts_with("1 of 1 call of v2 to its providers change something there"),
        "{first}"
    );
    shadowtap(&["report"], &run);
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    let (alarm, cluster) = (
        page.find("v2 made 1 call that changes something"),
        page.find("made more often than by v1"),
    );
    assert!(
        alarm < page.find("class=\"why\"") && alarm.is_some() && cluster.is_some(),
        "{alarm:?} {cluster:?}"
    );
    assert!(
        page.contains("12-3") && page.contains("v1 called"),
        "the exchange and both sides are there"
    );
    let summary: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["egress"]["unsafe_different"], 1);
    assert!(
        page.contains("<code>curl -sS http://127.0.0.1:9099/v1/charges</code>"),
        "the call can be repeated at a mock"
    );
    let markdown = std::fs::read_to_string(run.join("summary.md")).unwrap();
    assert!(markdown.contains("1 call made more often than by v1"), "{markdown}");
    // It is named where it can be approved: on the page, on the terminal, by show.
    let id = summary["egress"]["clusters"][0]["id"].as_str().unwrap();
    let approve = format!("shadowtap approve {} {id} --reason", run.display());
    assert!(page.contains(&approve), "the page has the line that approves it");
    let terminal = text(&shadowtap(&["report"], &run).stdout);
    for part in [id, &format!("shadowtap show {} {id}", run.display())] {
        assert!(terminal.contains(part), "{part} in {terminal}");
    }
    let show = |words: &[&str]| text(&shadowtap(&[&["show"], words].concat(), &run).stdout);
    let shown = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["show", run.to_str().unwrap(), &id[..6]])
        .output()
        .unwrap();
    let shown = text(&shown.stdout);
    for part in ["POST /v1/charges at payments.example", "made more often", "12-3", "approve"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(show(&[]).contains(id), "{}", show(&[]));
    // Approved, it passes and stays visible; approved till yesterday it does not.
    let (id, file) = (
        summary["egress"]["clusters"][0]["id"].as_str().unwrap(),
        folder.path().join("approved.toml"),
    );
    let file = file.to_str().unwrap();
    let approve = |id: &str| {
        let words =
            ["approve", run.to_str().unwrap(), id, "--reason", "a deposit since v2", "--file"];
        shadowtap(&words, Path::new(file))
    };
    assert_eq!(code(&approve("fffffffff")), 2);
    let approved = approve(id);
    assert_eq!(code(&approved), 0, "{}", text(&approved.stderr));
    assert!(
        text(&approved.stdout)
            .contains("repeated call POST /v1/charges at payments.example (a deposit since v2)")
    );
    assert_eq!(code(&approve(id)), 2, "it is there already");
    let before = std::fs::read(run.join("diff.json")).unwrap();
    assert_eq!(code(&shadowtap(&["diff", "--approved", file], &run)), 0);
    assert_eq!(code(&shadowtap(&["gate"], &run)), 0);
    assert_eq!(code(&shadowtap(&["report"], &run)), 0);
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(
        page.contains("approved: a deposit since v2")
            && page.contains("made more often than by v1")
    );
    assert!(!page.contains("v2 made 1 call that changes something"));
    let ended = std::fs::read_to_string(file)
        .unwrap()
        .replace("reason =", "expires = \"2026-01-01\"\nreason =");
    std::fs::write(file, ended).unwrap();
    let diff = shadowtap(&["diff", "--approved", file], &run);
    assert!(text(&diff.stdout).contains("have expired"), "{}", text(&diff.stdout));
    assert_eq!(code(&shadowtap(&["gate"], &run)), 1);
    std::fs::write(run.join("diff.json"), before).unwrap();
    // What only reads may be made more often, and what is matched is no difference.
    for (verdict, method) in [("repeated", "GET"), ("matched", "POST")] {
        std::fs::write(run.join("egress.jsonl"), ledger(verdict, method)).unwrap();
        assert_eq!(code(&shadowtap(&["gate"], &run)), 0, "{verdict} {method}");
    }
}
