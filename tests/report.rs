//! Reports and the gate from a run's folder, as users call them.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without has failed it")]

#[path = "support/families.rs"]
mod families;
#[path = "support/made_run.rs"]
mod made_run;
#[path = "support/power.rs"]
mod power;
#[path = "support/simulation.rs"]
mod simulation;

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

/// Everything that a format could take for more than text, and secrets.
const HOSTILE: &str = "</script><script>window.pwned=1</script><img src=x \
    onerror=\"window.pwned=1\">'\"><svg onload=window.pwned=1>\
    =cmd|' /C \
    calc'!A0\u{1b}[31mred\u{1b}]0;title\u{7}|`**[x](http://evil.example)@team\u{202e}gnp\u{2028}\r\n\u{0}--><!--]]>";
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";

fn hostile(folder: &Path) {
    let mut clusters: Vec<_> = (0..4)
        .map(|number| {
            let mut cluster = cluster(
                number,
                "GET /products/{id}",
                Kind::Body,
                HOSTILE,
                [Some(HOSTILE), Some("x")],
                50,
            );
            (cluster.shape, cluster.why) = (HOSTILE.to_owned(), HOSTILE.to_owned());
            cluster.only_where = Some(HOSTILE.to_owned());
            cluster.repeat = format!("curl '{HOSTILE}'");
            (cluster.example.place, cluster.example.target) =
                (HOSTILE.to_owned(), HOSTILE.to_owned());
            cluster
        })
        .collect();
    // An id from a folder that somebody else made.
    clusters[3].id = HOSTILE.to_owned();
    clusters[3].route = format!("GET {HOSTILE}");
    let mut run = MadeRun { clusters, ..MadeRun::default() };
    run.routes.push(("=cmd|'!A0", format!("/{HOSTILE}"), 4.0, 0.2));
    run.routes.push(("@SUM", HOSTILE.to_owned(), 4.0, 0.2));
    run.answer = |number, _| if number % 50 == 0 { Err(FailureKind::Timeout) } else { Ok(200) };
    run.write(folder);
    let path = folder.join("run.json");
    let mut info: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    info["run"] = HOSTILE.into();
    info["command"] =
        serde_json::json!(["shadowtap", HOSTILE, format!("Authorization: Bearer {TOKEN}")]);
    info["target"] = format!("http://v2.example/?access_token={TOKEN}&x={HOSTILE}").into();
    info["settings"] = serde_json::json!({"header": [format!("Authorization: Bearer {TOKEN}")], "speed": HOSTILE, HOSTILE: HOSTILE});
    info["host"] = serde_json::json!({ "name": HOSTILE });
    std::fs::write(&path, serde_json::to_vec(&info).unwrap()).unwrap();
    let path = folder.join("diff.json");
    let mut totals: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    totals["unmatched_rules"] = serde_json::json!([HOSTILE]);
    totals["not_compared"] = serde_json::json!({HOSTILE: 3});
    std::fs::write(&path, serde_json::to_vec(&totals).unwrap()).unwrap();
    // Lines that are no records.
    let path = folder.join("outcomes.jsonl");
    let mut outcomes = std::fs::read(&path).unwrap();
    outcomes.extend_from_slice(
        format!("{{\"id\":{}}}\n\u{1b}[2Jnot json\n", serde_json::to_string(HOSTILE).unwrap())
            .as_bytes(),
    );
    std::fs::write(&path, outcomes).unwrap();
}

#[test]
fn a_hostile_capture_stays_text_and_secrets_stay_secret() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    hostile(&run);
    let output = shadowtap(&["report"], &run);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let read = |name: &str| text(&std::fs::read(run.join(name)).unwrap());

    let page = read("report.html");
    assert_eq!(page.matches("<script").count(), 2, "the page's own two script blocks");
    assert_eq!(page.matches("</script").count(), 2);
    for inert in ["<img", "<svg onload", "onerror=\""] {
        assert!(!page.contains(inert), "{inert}");
    }
    assert!(page.contains("script-src 'sha256-"), "the policy names the script by its hash");
    for name in [
        "report.html",
        "summary.md",
        "junit.xml",
        "latency.csv",
        "timeline.csv",
        "latency.hlog",
        "summary.json",
    ] {
        let file = read(name);
        assert!(!file.contains(TOKEN), "{name} holds the token");
        let raw = file
            .chars()
            .find(|c| c.is_control() && *c != '\n' || matches!(c, '\u{202e}' | '\u{2028}'));
        assert!(
            raw.is_none() || name == "summary.json" && raw.is_none_or(|c| !c.is_control()),
            "{name} holds a raw {raw:?}"
        );
    }
    let terminal = text(&output.stdout) + &text(&output.stderr);
    assert!(!terminal.chars().any(|c| c.is_control() && c != '\n'), "{terminal:?}");
    assert!(terminal.lines().all(|line| line.chars().count() <= 80), "{terminal}");

    let mut table = csv::Reader::from_path(run.join("latency.csv")).unwrap();
    for row in table.records() {
        let row = row.unwrap();
        assert!(!row[0].starts_with(['=', '+', '-', '@']), "{row:?}");
    }
    let markdown = read("summary.md");
    assert!(
        !markdown.contains("](") && !markdown.contains("<script") && !markdown.contains("<img"),
        "{markdown}"
    );
    let begin = markdown.find("### Differences").unwrap();
    let rows: Vec<&str> =
        markdown[begin..].lines().skip(4).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.matches('|').count() == 6), "{rows:?}");
}

/// What both versions answer, with a secret in the place of `S`: target, type and body, and a
/// header.
const SECRET_ANSWERS: &[(&str, &str, &str, (&str, &str))] = &[
    ("/loc", "text/plain", "", ("Location", "/cb?code=S&access_token=S&state=1")),
    (
        "/abs",
        "text/plain",
        "",
        ("Location", "https://id.example/cb#access_token=S&token_type=bearer"),
    ),
    ("/link", "text/plain", "", ("Link", "</list?page=2&api_key=S>; rel=\"next\"")),
    ("/refresh", "text/plain", "", ("Refresh", "5; url=/x?token=S")),
    ("/content", "text/plain", "", ("Content-Location", "/x?token=S")),
    ("/api", "text/plain", "", ("X-Api-Key", "S")),
    (
        "/json",
        "application/json",
        r#"{"user":{"nested":{"secret":{"a":"S"}},"credit_card":"S","iban":"S","pan":"S","otp":"S"},"passwords":["S","S"],
            "list":[{"token":"S"}],"next":"/x?token=S","note":"password=S"}"#,
        ("X-Plain", "1"),
    ),
    ("/shape", "application/json", r#"{"secrets":{"b":0,"a":["S"]}}"#, ("X-Plain", "1")),
    ("/form", "application/x-www-form-urlencoded", "a=1&password=S&token=S", ("X-Plain", "1")),
    (
        "/text",
        "text/plain",
        "Authorization: Bearer S\npassword=S\nCookie: a=S\nsame\n",
        ("X-Plain", "1"),
    ),
    (
        "/html",
        "text/html",
        "<form><input type=hidden name=csrf_token value=\"S\"></form><a \
         href=\"/x?token=S\">a</a><p>Bearer S</p>",
        ("X-Plain", "1"),
    ),
    (
        "/xml",
        "application/xml",
        "<u><credentials><a b='S'>S</a></credentials><t token='S'/></u>",
        ("X-Plain", "1"),
    ),
    (
        "/parts",
        "multipart/form-data; boundary=bb",
        "--bb\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nS\r\n--bb--\r\n",
        ("X-Plain", "1"),
    ),
    ("/other", "text/plain", r#"{"password":"S"}"#, ("X-Plain", "1")),
    // What no parser takes is compared by lines, and the name of a secret may stand in another
    // line.
    (
        "/broken",
        "application/json",
        "{\n \"passwords\": [\n  \"S\",\n  \"x\"\n ],\n",
        ("X-Plain", "1"),
    ),
    ("/open", "application/xml", "<u>\n<password>\nS\n</password>\n", ("X-Plain", "1")),
];

/// A run in which v2 gives other secrets than v1, or (`lost`) gives none, so that its differences
/// are of both kinds.
fn secrets(folder: &Path, lost: bool) {
    let run = MadeRun { exchanges: SECRET_ANSWERS.len() as u32, ..MadeRun::default() };
    run.write(folder);
    let lines = |name: &str| -> Vec<String> {
        let text = text(&std::fs::read(folder.join(name)).unwrap());
        text.lines().map(str::to_owned).collect()
    };
    let mut exchanges = lines("exchanges.jsonl");
    let mut outcomes = lines("outcomes.jsonl");
    let message =
        |json: &mut serde_json::Value, answer: &(&str, &str, &str, (&str, &str)), secret: &str| {
            let (_, kind, body, (name, value)) = answer;
            let body = body.replace('S', secret);
            json["headers"] =
                serde_json::json!([["Content-Type", kind], [name, value.replace('S', secret)]]);
            json["body_bytes"] = body.len().into();
            json["body"] = serde_json::json!({ "utf8": body });
        };
    for (number, answer) in SECRET_ANSWERS.iter().enumerate() {
        let line = &mut exchanges[number + 1];
        let mut exchange: serde_json::Value = serde_json::from_str(line).unwrap();
        exchange["request"]["target"] = format!("{}?sig=LEAKsig&api_key=LEAKkey", answer.0).into();
        exchange["request"]["headers"] =
            serde_json::json!([["Host", "x"], ["Authorization", "Bearer LEAKauth"]]);
        message(&mut exchange["response"], answer, "LEAK1aBcXyZ");
        *line = exchange.to_string();
        let line = &mut outcomes[number + 1];
        let mut outcome: serde_json::Value = serde_json::from_str(line).unwrap();
        message(&mut outcome["response"], answer, "LEAK2aBcXyZ");
        if lost {
            outcome["response"]["headers"] = serde_json::json!([["Content-Type", answer.1]]);
            let body = match answer.1 {
                "application/json" => "{}",
                "text/html" => "<form></form>",
                "application/xml" => "<u></u>",
                _ => "same\n",
            };
            outcome["response"]["body"] = serde_json::json!({ "utf8": body });
            outcome["response"]["body_bytes"] = body.len().into();
        }
        *line = outcome.to_string();
    }
    std::fs::write(folder.join("exchanges.jsonl"), exchanges.join("\n") + "\n").unwrap();
    std::fs::write(folder.join("outcomes.jsonl"), outcomes.join("\n") + "\n").unwrap();
}

#[test]
fn no_file_but_the_records_holds_a_secret() {
    for lost in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        secrets(&run, lost);
        for command in [&["-q", "diff"][..], &["report"], &["gate"]] {
            let output = shadowtap(command, &run);
            assert!(matches!(code(&output), 0 | 1), "{command:?}: {}", text(&output.stderr));
            assert!(
                !text(&output.stdout).contains("LEAK") && !text(&output.stderr).contains("LEAK"),
                "{command:?}"
            );
        }
        let mut files = 0;
        for entry in std::fs::read_dir(&run).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if matches!(&*name, "exchanges.jsonl" | "outcomes.jsonl") {
                continue;
            }
            let file = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            let at = file
                .find("LEAK")
                .map(|at| file[at.saturating_sub(80)..].chars().take(160).collect::<String>());
            assert_eq!(at, None, "{name}");
            files += 1;
        }
        assert!(files > 8, "{files} files");
        // Every answer differs, and says so.
        let table = text(&std::fs::read(run.join("mismatches.csv")).unwrap());
        for (target, ..) in SECRET_ANSWERS {
            assert!(table.contains(&format!(",{target}?sig=‹masked:")), "{target} in {table}");
        }
        // The same secret has the same mask: all of v1's are one.
        if !lost {
            let masks: std::collections::BTreeSet<&str> = table
                .match_indices("‹masked:")
                .map(|(at, mask)| &table[at..at + mask.len() + 6])
                .collect();
            assert_eq!(masks.len(), 4, "v1's, v2's, and two of requests: {masks:?}");
        }
    }
}

#[test]
fn secrets_are_shown_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    hostile(&run);
    assert_eq!(code(&shadowtap(&["report", "--show-secrets"], &run)), 0);
    assert!(text(&std::fs::read(run.join("summary.json")).unwrap()).contains(TOKEN));
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
fn histograms_are_read_back_by_hdrhistogram_and_agree_with_the_tables() {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    MadeRun { baseline: true, ..faulty() }.write(&run);
    assert_eq!(code(&shadowtap(&["report"], &run)), 0);
    let log = std::fs::read(run.join("latency.hlog")).unwrap();
    let mut found = std::collections::BTreeMap::new();
    let mut intervals = 0;
    for entry in IntervalLogIterator::new(&log) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            use base64::Engine as _;
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(interval.encoded_histogram())
                .unwrap();
            let histogram: hdrhistogram::Histogram<u64> =
                Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
            let tag = interval.tag().unwrap().as_str().to_owned();
            intervals += usize::from(tag == "v2:ALL");
            match found.entry(tag) {
                std::collections::btree_map::Entry::Vacant(first) => drop(first.insert(histogram)),
                // All routes have an interval a second.
                std::collections::btree_map::Entry::Occupied(mut known) => {
                    known.get_mut().add(&histogram).unwrap();
                }
            }
        }
    }
    let mut table = csv::Reader::from_path(run.join("latency.csv")).unwrap();
    let mut rows = 0;
    for row in table.records() {
        let row = row.unwrap();
        if rows == 0 {
            assert_eq!(&row[0], "ALL", "all routes come first");
        }
        rows += 1;
        if &row[2] != "sent" {
            continue;
        }
        let histogram = &found[&format!("{}:{}", &row[1], row[0].replace(' ', "%20"))];
        assert_eq!(histogram.len().to_string(), row[3], "{row:?}");
        for (cell, quantile) in [(7, 0.5), (8, 0.9), (9, 0.95), (10, 0.99), (11, 0.999)] {
            let from_table = (row[cell].parse::<f64>().unwrap() * 1e6).round() as u64;
            let from_log = histogram.value_at_quantile(quantile);
            assert!(
                histogram.equivalent(from_table, from_log),
                "{row:?}: {from_table} and {from_log} at {quantile}"
            );
        }
    }
    let seconds = std::fs::read_to_string(run.join("timeline.csv")).unwrap();
    assert_eq!(intervals, seconds.lines().filter(|line| line.contains(",v2,")).count());
    // The percentiles beside it are of the same answers.
    for side in ["v1", "v2", "baseline"] {
        let table = std::fs::read_to_string(run.join(format!("latency.{side}.hgrm"))).unwrap();
        let all = found[&format!("{side}:ALL")].len();
        assert!(table.contains(&format!("Total count    = {all:>12}]")), "{table}");
        let last = table.lines().rfind(|line| !line.starts_with('#')).unwrap();
        assert_eq!(last.split_whitespace().nth(2).unwrap(), all.to_string(), "{table}");
    }
    // ALL and four routes, three sides, two starts.
    assert_eq!((rows, found.len()), (30, 15));
}

/// Who waited till the end of the patience waited, too: without them a v2 that hangs would look
/// fast.
#[test]
fn requests_that_timed_out_count_from_due_with_the_time_waited() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    MadeRun {
        answer: |number, _| if number % 50 == 0 { Err(FailureKind::Timeout) } else { Ok(200) },
        ..MadeRun::default()
    }
    .write(&run);
    assert_eq!(code(&shadowtap(&["report"], &run)), 0);
    let table = std::fs::read_to_string(run.join("latency.csv")).unwrap();
    let cell = |from: &str, column: usize| -> f64 {
        let row = table.lines().find(|line| line.starts_with(&format!("ALL,v2,{from},"))).unwrap();
        row.split(',').nth(column).unwrap().parse().unwrap()
    };
    assert_eq!((cell("sent", 3), cell("due", 3), cell("sent", 4)), (1_176.0, 1_200.0, 24.0));
    assert!(cell("due", 10) >= 30_000.0 && cell("sent", 10) < 1_000.0, "{table}");
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(
        page.contains("24 requests of v2 timed out: from due they count with the time waited"),
        "the page says so"
    );
}

/// HdrHistogram's own JavaScript reads the log; skipped where node or the package cannot be had.
#[test]
fn the_javascript_of_hdr_histogram_reads_the_log() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hlog");
    std::fs::create_dir_all(&folder).unwrap();
    let package = folder.join("node_modules/hdr-histogram-js/package.json");
    if !package.exists() {
        let words = [
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--prefix",
            ".",
            "hdr-histogram-js@3",
        ];
        let _ = Command::new("npm").args(words).current_dir(&folder).output();
    }
    if !package.exists() {
        eprintln!("skipped: npm or its package hdr-histogram-js cannot be had");
        return;
    }
    let script = folder.join("hlog.mjs");
    std::fs::write(&script, include_str!("support/hlog.mjs")).unwrap();
    let run = folder.join("run");
    MadeRun { baseline: true, ..faulty() }.write(&run);
    assert_eq!(code(&shadowtap(&["report"], &run)), 0);
    let output = Command::new("node").arg(&script).arg(&run).output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(
        text(&output.stdout).contains("15 histograms read, 0 differ"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn the_tables_of_the_readme_are_those_of_the_code() {
    use shadowtap::report::{closeup, csv, json};

    let readme = include_str!("../reports/README.md");
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

#[test]
fn a_run_joined_in_several_passes_is_the_same() {
    use shadowtap::measure::{RunRecords, measure};

    let folder = tempfile::tempdir().unwrap();
    MadeRun { baseline: true, ..faulty() }.write(folder.path());
    let file = |name: &str| folder.path().join(name);
    let routes: shadowtap::route::Routes =
        serde_json::from_slice(&std::fs::read(file("routes.json")).unwrap()).unwrap();
    let (exchanges, outcomes, baseline) =
        (file("exchanges.jsonl"), file("outcomes.jsonl"), file("baseline.jsonl"));
    let summary = |most_entries| {
        let records = RunRecords {
            exchanges: &exchanges,
            outcomes: &outcomes,
            baseline: Some(&baseline),
            route: &|method, target, operation| routes.route_of(method, target, operation),
            most_entries,
        };
        measure(&records, |_| ()).unwrap()
    };
    let once = summary(1_000_000);
    assert_eq!((once.recorded(), once.replayed, once.lanes), (1_200, 1_200, 100));
    let often = summary(100);
    assert_eq!(once, often);
    std::fs::rename(&exchanges, file("exchanges.jsonl.plain")).unwrap();
    let plain = std::fs::read(file("exchanges.jsonl.plain")).unwrap();
    std::fs::write(file("exchanges.jsonl.zst"), zstd::bulk::compress(&plain, 3).unwrap()).unwrap();
    assert_eq!(once, summary(1_000_000), "compressed records are the same records");
}

/// Splits a run as two replays with `--shard` would have left it, and merges it.
#[test]
fn shards_add_up_to_the_run_that_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, made) = (folder.path().join("whole"), folder.path().join("made"));
    faulty().write(&whole);
    let read = |path: &Path, name: &str| text(&std::fs::read(path.join(name)).unwrap());
    for (shard, name) in ["1/2", "2/2"].iter().zip(["one", "two"]) {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::copy(whole.join("exchanges.jsonl"), path.join("exchanges.jsonl")).unwrap();
        let mut info: serde_json::Value = serde_json::from_str(&read(&whole, "run.json")).unwrap();
        info["settings"]["shard"] = (*shard).into();
        std::fs::write(path.join("run.json"), info.to_string()).unwrap();
        // The second shard's clock starts 100 ms later, so its records count 100 ms less.
        let late = i64::from(name == "two") * 100_000_000;
        let mut out = Vec::new();
        let (mut mine, mut others) = (0, 0);
        for line in read(&whole, "outcomes.jsonl").lines() {
            match shadowtap::record::outcomes::read(line.as_bytes()).unwrap() {
                shadowtap::record::outcomes::OutcomeLine::Header(mut header) => {
                    header.started = header.started.plus(late);
                    shadowtap::record::exchanges::write_line(&mut out, &header);
                }
                shadowtap::record::outcomes::OutcomeLine::Outcome(mut outcome) => {
                    if (outcome.lane % 2 == 1) != (name == "two") {
                        others += 1;
                        continue;
                    }
                    mine += 1;
                    outcome.due_ns -= late;
                    let Outcome { sent_ns, first_byte_ns, last_byte_ns, failed_ns, .. } =
                        &mut *outcome;
                    for at in
                        [sent_ns, first_byte_ns, last_byte_ns, failed_ns].into_iter().flatten()
                    {
                        *at -= late;
                    }
                    shadowtap::record::outcomes::write(&mut out, &outcome);
                }
                shadowtap::record::outcomes::OutcomeLine::End(mut end) => {
                    end.ledger = shadowtap::ledger::Ledger::default();
                    end.ledger.take(mine);
                    end.ledger.reject("other-shard", others);
                    shadowtap::record::exchanges::write_line(&mut out, &*end);
                }
            }
        }
        std::fs::write(path.join("outcomes.jsonl"), out).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["merge", "one", "two", "-o", "made"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("2 shards, 1200 outcomes"), "{}", text(&output.stdout));
    for name in ["diff.json", "routes.json", "clusters.jsonl"] {
        std::fs::copy(whole.join(name), made.join(name)).unwrap();
    }
    for run in [&whole, &made] {
        assert_eq!(code(&shadowtap(&["report"], run)), 0);
    }
    assert_eq!(read(&whole, "latency.csv"), read(&made, "latency.csv"));
    assert_eq!(read(&whole, "timeline.csv"), read(&made, "timeline.csv"));
    let ledger = |path: &Path| {
        serde_json::from_str::<serde_json::Value>(&read(path, "summary.json")).unwrap()["ledger"]["replay"].clone()
    };
    assert_eq!(ledger(&whole), ledger(&made), "what the other shard sent is not lost");

    let third = folder.path().join("third");
    std::fs::create_dir(&third).unwrap();
    for name in ["exchanges.jsonl", "outcomes.jsonl", "run.json"] {
        std::fs::copy(folder.path().join("two").join(name), third.join(name)).unwrap();
    }
    let info = read(&third, "run.json").replace("\"2/2\"", "\"3/3\"");
    std::fs::write(third.join("run.json"), info).unwrap();
    for (folders, why) in [
        (["one", "one"], "is shard 1/2 once more"),
        (["one", "whole"], "is no shard but a whole run"),
        (["whole", "one"], "is a shard of what whole holds whole"),
        (["one", "third"], "is shard 3/3 and one is shard 1/2: they overlap"),
    ] {
        let before = read(&made, "outcomes.jsonl");
        let twice = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
            .args(["merge", folders[0], folders[1], "-o", "made", "--force"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = text(&twice.stderr);
        assert_eq!(code(&twice), 2, "{said}");
        assert!(said.contains(why) && said.contains("would count twice"), "{said}");
        assert_eq!(before, read(&made, "outcomes.jsonl"), "what was there stays");
    }
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
    hostile(&runs[1]);
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
            "{{\"format\":\"shadowtap/egress\",\"version\":1,\"created\":\"2026-11-22T10:00:00.000000000Z\"}}\n\
             {{\"verdict\":\"{verdict}\",\"at\":\"2026-11-22T10:00:00.000000000Z\",\"provider\":\"payments.example\",\"method\":\"{method}\",\
             \"route\":\"{method} \
             /v1/charges\",\"target\":\"/v1/charges\",\"payload\":\"{{\\\"cart\\\":\\\"c-77\\\"}}\",\"recorded_payload\":\"{{\\\"cart\\\":\\\"c-77\\\"}}\",\
             \"recorded\":\"7-1\",\"times\":2,\"cause\":\"12-3\",\"status\":200,\"score\":1.0,\"why\":\"\",\"repeat\":\"curl -sS http://127.0.0.1:9099/v1/charges\"}}\n\
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
