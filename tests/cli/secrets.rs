//! Recordings with secrets, redacted or not: what is compared, and what is left behind.

use super::*;

/// What v1 and v2 both hold in secret: a session that they issue at each login, and a customer's
/// address and card.
const SECRETS: [&str; 4] =
    ["s3ss10n-0f-joe-7f3a9c", "joe.black@shop.example", "4111 1111 1111 1111", "open-sesame-42"];

/// Both versions: a login, which repeats who logged in, the account, and a search.
fn account(line: &str) -> String {
    let [session, email, card, _] = SECRETS;
    let target = line.split(' ').nth(1).unwrap_or_default();
    let body = match target.split_once('?') {
        Some(("/login", query)) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
            let body = format!("{{\"asked\":\"{query}\",\"session_token\":\"{session}\"}}");
            return format!(
                "{head}Set-Cookie: sid={session}; Path=/\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
        _ => format!("{{\"path\":\"{target}\",\"owner\":\"{email}\",\"payment\":\"card {card}\"}}"),
    };
    response("200 OK", "application/json", &body)
}

fn capture_with_secrets() -> Vec<u8> {
    let [session, email, _, password] = SECRETS;
    let requests = [
        format!("GET /login?email={email}&password={password} HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
        format!("GET /account HTTP/1.1\r\nHost: shop.test\r\nCookie: sid={session}\r\n\r\n"),
    ];
    let answers =
        requests.each_ref().map(|request| account(request.lines().next().unwrap_or_default()));
    let exchanges: Vec<(&str, &str)> =
        requests.iter().zip(&answers).map(|(ask, answer)| (&**ask, &**answer)).collect();
    Capture::new(200_000).connection(40_001, &exchanges).finish()
}

/// Fails where a file of the run holds a secret.
#[track_caller]
fn holds_no_secret(run: &Path) {
    for entry in fs::read_dir(run).expect("the run's folder") {
        let path = entry.expect("an entry").path();
        let text =
            String::from_utf8_lossy(&fs::read(&path).expect("a file of the run")).into_owned();
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} is in {}", path.display());
        }
    }
}

#[test]
fn an_equal_v2_is_equal_to_a_redacted_recording_under_its_key_and_not_without_a_warning() {
    let folder = folder_with("v1.pcap", &capture_with_secrets());
    small_policy(folder.path());
    for (name, key) in
        [("key", "0123456789abcdef0123456789abcdef"), ("other", "fedcba9876543210fedcba9876543210")]
    {
        fs::write(folder.path().join(name), key).expect("a key");
    }
    let redact = ["--redact", "default", "--redact-key", "key"];
    shadowtap(folder.path(), &[&["parse", "v1.pcap", "-o", "v1.jsonl"][..], &redact].concat())
        .expect(0);
    let recorded = fs::read_to_string(folder.path().join("v1.jsonl")).expect("the recording");
    assert!(
        recorded
            .lines()
            .next()
            .is_some_and(|first| first.contains(r#""redacted":{"rules":["default"],"key":""#)),
        "{recorded}"
    );
    let target = format!("http://{}", server(account));
    let baseline = format!("http://{}", server(account));
    let run = |out: &str, more: &[&str]| {
        let common = ["run", "v1.jsonl", "--target", &target, "-o", out];
        shadowtap(folder.path(), &[&common[..], more].concat())
    };
    for (out, more) in [
        ("same", &[][..]),
        ("client", &["--transport", "client"]),
        ("both", &["--baseline", &baseline]),
    ] {
        let ran = run(out, &[&redact[..], more].concat()).expect(0);
        assert!(!ran.stderr.contains("redacted"), "{}", ran.stderr);
        holds_no_secret(&folder.path().join(out));
        let outcomes = fs::read_to_string(folder.path().join(out).join("outcomes.jsonl"))
            .expect("outcomes.jsonl");
        assert_eq!(outcomes.matches("\"status\":200").count(), 2, "{outcomes}");
    }
    // Each way to miss it is told, and how to mend it.
    run("plain", &[])
        .expect(1)
        .says(&["v2's answers are not", "add --redact default --redact-key FILE"]);
    run("other-key", &["--redact", "default", "--redact-key", "other"])
        .expect(1)
        .says(&["under another key", "--redact-key FILE"]);
    holds_no_secret(&folder.path().join("other-key"));
    run("other-rules", &["--redact", "cookie:sid", "--redact-key", "key"])
        .expect(1)
        .says(&["other rules", "--redact default"]);
    // The file says it as well as flags do; a replay alone does the same.
    let policy = fs::read_to_string(folder.path().join("shadowtap.toml")).expect("the policy");
    let section = "[replay]\nredact = [\"default\"]\nredact_key = \"key\"\n";
    fs::write(folder.path().join("shadowtap.toml"), format!("{section}{policy}"))
        .expect("the policy");
    shadowtap(folder.path(), &["replay", "v1.jsonl", "--target", &target, "-o", "alone"]).expect(0);
    holds_no_secret(&folder.path().join("alone"));
    let settings = fs::read_to_string(folder.path().join("alone/run.json")).expect("run.json");
    assert!(
        settings.contains("\"redacted\"") && !settings.contains("0123456789abcdef"),
        "{settings}"
    );
    shadowtap(
        folder.path(),
        &["replay", "v1.jsonl", "v1.pcap", "--target", &target, "-o", "mixed"],
    )
    .expect(2)
    .says(&["some inputs are redacted and others are not"]);
    assert!(!folder.path().join("mixed").exists());
}

#[test]
fn a_capture_is_replayed_with_its_secrets_and_leaves_none_in_the_folder() {
    let folder = folder_with("v1.pcap", &capture_with_secrets());
    small_policy(folder.path());
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let lines = std::sync::Arc::clone(&seen);
    let v2 = server(move |line| {
        lines.lock().expect("no panic").push(line.to_owned());
        account(line)
    });
    // The key is drawn anew: within one run that is enough.
    shadowtap(
        folder.path(),
        &[
            "run",
            "v1.pcap",
            "--redact",
            "default",
            "--target",
            &format!("http://{v2}"),
            "-o",
            "out",
        ],
    )
    .expect(0);
    holds_no_secret(&folder.path().join("out"));
    assert!(
        seen.lock().expect("no panic").iter().any(|line| line.contains(SECRETS[3])),
        "v2 got what was captured"
    );
    let recorded =
        fs::read_to_string(folder.path().join("out/exchanges.jsonl")).expect("exchanges.jsonl");
    assert!(
        recorded.lines().next().is_some_and(|first| first.contains("\"redacted\"")),
        "{recorded}"
    );
}

#[test]
fn a_replay_reads_tls_by_a_key_log_and_names_paths_that_come_near_a_rule() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/captures/tls12-cbc-etm.pcap");
    let keys = format!("{capture}.keylog.txt");
    let plan = |flags: &[&str]| {
        let plain = ["replay", capture, "--dry-run", "--target", "http://127.0.0.1:1"];
        shadowtap(folder.path(), &[&plain[..], flags].concat())
    };
    plan(&[]).expect(3);
    plan(&["--keylog", &keys]).expect(0).prints(&["would send 3 requests"]);
    plan(&["--keylog", &keys, "--include", "GET ^/gett$"])
        .expect(3)
        .says(&["nearest to --include 'GET ^/gett$' come GET /get"]);
    plan(&["--keylog", &keys, "--offset", "other.pcap=1s"])
        .expect(2)
        .says(&["--offset names other.pcap"]);
}
