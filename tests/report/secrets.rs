//! What no report shows: secrets of a capture, unless they are asked for; and markup that a
//! capture planted.

use super::*;

/// Everything that a format could take for more than text, and secrets.
const HOSTILE: &str = "</script><script>window.pwned=1</script><img src=x \
    onerror=\"window.pwned=1\">'\"><svg onload=window.pwned=1>\
    =cmd|' /C \
    calc'!A0\u{1b}[31mred\u{1b}]0;title\u{7}|`**[x](http://evil.example)@team\u{202e}gnp\
    \u{2028}\r\n\u{0}--><!--]]>";

const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.\
    dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";

pub(super) fn hostile(folder: &Path) {
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
    info["settings"] = serde_json::json!({
        "header": [format!("Authorization: Bearer {TOKEN}")],
        "speed": HOSTILE,
        HOSTILE: HOSTILE,
    });
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
        r#"{"user":{"nested":{"secret":{"a":"S"}},"credit_card":"S","iban":"S","pan":"S","otp":"S"},
            "passwords":["S","S"],"list":[{"token":"S"}],"next":"/x?token=S","note":"password=S"}"#,
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
