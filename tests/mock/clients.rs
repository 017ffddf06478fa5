//! Real clients: curl, requests of Python, Node, and a namespace without a way out.

use super::*;

/// Runs a client program; none where this machine has not got it.
pub(super) fn client(
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Option<String> {
    let mut command = std::process::Command::new(program);
    command.args(arguments);
    for name in [
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "no_proxy",
        "NO_PROXY",
        "ALL_PROXY",
    ] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    match command.output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {errors}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) => {
            eprintln!("not tested with {program}: {error}");
            None
        }
    }
}

fn provider() -> [Made<'static>; 2] {
    [
        Made {
            number: 1,
            target: "/v1/fees?method=card",
            answer: "two percent",
            ..Made::default()
        },
        Made {
            number: 2,
            method: "POST",
            target: "/v1/charges",
            body: r#"{"amount":1299,"reference":"c-11aa22"}"#,
            answer: "charged",
            ..Made::default()
        },
    ]
}

fn with_authority(dir: &Path) -> Handle {
    let settings = ServeSettings { authority: Some(dir.join("ca")), ..settings() };
    Handle::start(recording(&provider()), settings).unwrap()
}

#[test]
fn who_names_no_host_means_the_only_provider() {
    let mock = start(&provider());
    let ask = |calls: &Handle, line: &str| {
        let mut stream = TcpStream::connect(calls.address()).unwrap();
        write!(stream, "{line}\r\n\r\n").unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let answer = ask(&mock, "GET /v1/fees?method=card HTTP/1.0");
    assert!(answer.contains("two percent"), "{answer}");
    assert!(!ask(&mock, "GET /v1/fees?method=cash HTTP/1.0").contains("percent"));
}

/// As a server by Host, as a proxy with an absolute target, through CONNECT with TLS, and as an
/// HTTPS server.
#[test]
fn curl_gets_its_answers_on_every_road() {
    let dir = tempfile::tempdir().unwrap();
    let mock = with_authority(dir.path());
    let (at, port) = (mock.address().to_string(), mock.address().port());
    let ca = dir.path().join("ca/ca.pem");
    let ca = ca.to_str().unwrap();
    let (plain, fees) = (format!("http://{at}/v1/fees?method=card"), "/v1/fees?method=card");
    let resolve = format!("{PROVIDER}:{port}:127.0.0.1");
    let to_us = format!("{PROVIDER}:443:127.0.0.1:{port}");
    let roads: [(&str, Vec<String>); 7] = [
        ("by Host", vec!["-H".into(), format!("Host: {PROVIDER}"), plain.clone()]),
        ("by its own address", vec![plain]),
        ("by name", vec!["--resolve".into(), resolve, format!("http://{PROVIDER}:{port}{fees}")]),
        ("proxy", vec!["-x".into(), format!("http://{at}"), format!("http://{PROVIDER}{fees}")]),
        (
            "tunnel",
            vec![
                "-p".into(),
                "-x".into(),
                format!("http://{at}"),
                format!("http://{PROVIDER}{fees}"),
            ],
        ),
        (
            "tunnel with TLS",
            vec![
                "--cacert".into(),
                ca.into(),
                "-x".into(),
                format!("http://{at}"),
                format!("https://{PROVIDER}{fees}"),
            ],
        ),
        (
            "server with TLS",
            vec![
                "--cacert".into(),
                ca.into(),
                "--connect-to".into(),
                to_us,
                format!("https://{PROVIDER}{fees}"),
            ],
        ),
    ];
    for (road, arguments) in roads {
        for version in ["--http1.1", "--http2"] {
            let mut all =
                vec!["-sS", version, "--max-time", "20", "-w", " %{http_code} %{http_version}"];
            all.extend(arguments.iter().map(String::as_str));
            let Some(text) = client("curl", &all, &[]) else { return };
            let version = if version == "--http2" && road.contains("TLS") { "2" } else { "1.1" };
            assert_eq!(text, format!("two percent 200 {version}"), "{road}");
        }
    }
}

#[test]
fn python_requests_and_node_get_their_answers_through_proxy_and_tls() {
    let dir = tempfile::tempdir().unwrap();
    let mock = with_authority(dir.path());
    let proxy = format!("http://{}", mock.address());
    let ca = dir.path().join("ca/ca.pem");
    let ca = ca.to_str().unwrap();
    let python = r#"
import requests
with requests.Session() as session:
    for scheme in ("http", "https"):
        print(session.get(scheme + "://payments.example/v1/fees", params={"method": "card"}).text)
        charge = {"reference": "c-11aa22", "amount": 1299}
        answer = session.post(scheme + "://payments.example/v1/charges", json=charge)
        print(answer.status_code, answer.text)
        print(session.get(scheme + "://payments.example/never").status_code)
"#;
    let environment = [
        ("HTTP_PROXY", proxy.as_str()),
        ("HTTPS_PROXY", proxy.as_str()),
        ("REQUESTS_CA_BUNDLE", ca),
    ];
    let has_requests = client(
        "python3",
        &["-c", "try:\n import requests; print(1)\nexcept ImportError: print(0)"],
        &[],
    );
    if has_requests.as_deref() == Some("1\n") {
        let text = client("python3", &["-c", python], &environment).unwrap();
        assert_eq!(text, "two percent\n200 charged\n599\n".repeat(2));
    } else {
        eprintln!("not tested with Python's requests, which is not there");
    }
    let node = format!(
        r#"
const https = require("https");
(async () => {{
  const answer = await fetch("http://{0}/v1/fees?method=card");
  console.log(answer.status, await answer.text());
  const body = JSON.stringify({{ amount: 1299, reference: "c-11aa22" }});
  const charge = {{ method: "POST", headers: {{ "content-type": "application/json" }}, body }};
  console.log(await (await fetch("http://{0}/v1/charges", charge)).text());
  const options = {{ host: "127.0.0.1", port: {1}, servername: "payments.example",
    path: "/v1/fees?method=card", headers: {{ host: "payments.example" }} }};
  https.get(options, (answer) => {{ console.log(answer.statusCode); answer.resume(); }});
}})();
"#,
        mock.address(),
        mock.address().port()
    );
    if let Some(text) = client("node", &["-e", &node], &[("NODE_EXTRA_CA_CERTS", ca)]) {
        assert_eq!(text, "200 two percent\ncharged\n200\n");
    }
}

/// The proof that nothing is called: in a network namespace of its own, the mock is asked on every
/// road for a provider whose recorded address and name lead to listeners there, which must see
/// nothing.
#[test]
fn the_mock_never_opens_a_connection() {
    let script = "ip link set lo up && ip addr add 192.0.2.7/32 dev lo && exec \"$0\" --ignored \
        --exact --nocapture clients::in_a_namespace";
    let own = std::env::current_exe().unwrap();
    let output =
        std::process::Command::new("unshare").args(["-n", "sh", "-c", script]).arg(&own).output();
    match output {
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("unshare failed") => {
            eprintln!("not proved: no right to make a network namespace here");
        }
        Ok(output) => {
            let (text, errors) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && text.contains("saw nothing"), "{text}\n{errors}");
        }
        Err(error) => eprintln!("not proved: {error}"),
    }
}

#[test]
#[ignore = "runs in the namespace that the_mock_never_opens_a_connection makes"]
fn in_a_namespace() {
    let listeners: Vec<_> = ["192.0.2.7:80", "192.0.2.7:443", "127.0.0.1:80", "127.0.0.1:443"]
        .map(|address| std::net::TcpListener::bind(address).unwrap())
        .into();
    let dir = tempfile::tempdir().unwrap();
    let mock = with_authority(dir.path());
    for (method, target, host) in [
        ("GET", "/v1/fees?method=card", PROVIDER),
        ("GET", "/never", PROVIDER),
        ("GET", "/", "192.0.2.7"),
        ("POST", "http://192.0.2.7/x", "192.0.2.7"),
        ("GET", "http://payments.example/never", PROVIDER),
        ("GET", "http://localhost/", "localhost"),
    ] {
        let (status, text) = send(mock.address(), method, target, &format!("Host: {host}\r\n"), "");
        assert!(status == 599 || target.starts_with("/v1"), "{target}: {status} {text}");
    }
    for authority in ["192.0.2.7:80", "192.0.2.7:443", "localhost:80"] {
        let mut stream = TcpStream::connect(mock.address()).unwrap();
        write!(stream, "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        write!(stream, "\r\nGET / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        assert!(text.contains(" 599 "), "{text}");
    }
    for listener in listeners {
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
    println!("saw nothing");
}
