//! The client transport: its order, its connections, proxies, HTTP/2; and TLS.

use super::*;

#[test]
fn tls_is_spoken_and_its_failures_are_told() {
    let address = server(|_, mut peer| {
        // Not TLS at all.
        peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        peer.wait_for_end();
    });
    let exchanges = [exchange(1, 0, 0, Some(1), &get("/"))];
    let target = |address| Target::resolve(&format!("https://{address}")).unwrap();
    let trust = Trust { sni: Sni::Captured, ..Trust::nobody() };
    let base = shadowtap::replay::ReplayOptions { trust, ..options(address) };
    let replayed = replay(
        &exchanges,
        &shadowtap::replay::ReplayOptions { target: target(address), ..base.clone() },
    );
    assert!(replayed.result("1-0").starts_with("tls"), "{}", replayed.result("1-0"));

    // Certificates that sign themselves are made as an authority's by some tools, and not by
    // others.
    for is_authority in [false, true] {
        let names = Notes::default();
        let (address, certificate) = tls_server(names.clone(), is_authority);
        let replayed = replay(
            &exchanges,
            &shadowtap::replay::ReplayOptions { target: target(address), ..base.clone() },
        );
        assert_eq!(replayed.result("1-0"), "200", "an unchecked certificate is accepted");
        assert_eq!(
            names.all(),
            ["shop.invalid http/1.1"],
            "SNI is the request's host, ALPN http/1.1"
        );

        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, certificate).unwrap();
        let trust = Trust { ca: Some(ca.clone()), sni: Sni::Captured, ..Trust::default() };
        let checked =
            shadowtap::replay::ReplayOptions { target: target(address), trust, ..base.clone() };
        assert_eq!(
            replay(&exchanges, &checked).result("1-0"),
            "200",
            "a trusted certificate is accepted"
        );
        let other = [exchange(1, 0, 0, Some(1), b"GET / HTTP/1.1\r\nHost: other.invalid\r\n\r\n")];
        let result = replay(&other, &checked).result("1-0");
        assert!(result.starts_with("tls"), "a certificate for another name is not: {result}");
        // The target's name is asked for unless another one is: requests keep their host.
        let asked = |sni| {
            let trust = Trust { sni, ..checked.trust.clone() };
            replay(&other, &shadowtap::replay::ReplayOptions { trust, ..checked.clone() })
        };
        assert_eq!(asked(Sni::Name("shop.invalid".to_owned())).result("1-0"), "200");
        let refused = asked(Sni::Target);
        assert!(refused.result("1-0").contains("--sni NAME"), "{}", refused.result("1-0"));
        let failure = refused.outcome("1-0").failure.as_ref().unwrap();
        assert_eq!(failure.owner, Some(shadowtap::outcome::Owner::Settings));
        assert_eq!(refused.finished.hopeless.unwrap().failed, 1);
        std::fs::write(&ca, tls_server(Notes::default(), is_authority).1).unwrap();
        let result = replay(&exchanges, &checked).result("1-0");
        assert!(result.starts_with("tls"), "another certificate for this name is not: {result}");
    }
}

/// A TLS server with a certificate of its own for `shop.invalid`; notes each client's SNI and ALPN.
fn tls_server(notes: Notes, is_authority: bool) -> (std::net::SocketAddr, String) {
    let (config, certificate) = tls::config(is_authority, &["h2", "http/1.1"]);
    let address = server(move |_, mut peer| {
        use std::io::{Read as _, Write as _};
        let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::Stream::new(&mut session, &mut peer.stream);
        let mut buffer = [0; 4096];
        while let Ok(n) = stream.read(&mut buffer) {
            if n == 0 {
                return;
            }
            stream.write_all(OK).unwrap();
            let alpn = String::from_utf8_lossy(stream.conn.alpn_protocol().unwrap_or_default())
                .into_owned();
            notes.add(format!("{} {alpn}", stream.conn.server_name().unwrap_or_default()));
        }
    });
    (address, certificate)
}

// -- the client transport
// ------------------------------------------------------------------------------------------

#[test]
fn the_client_transport_keeps_order_and_tells_failures() {
    let notes = Notes::default();
    let address = server({
        let notes = notes.clone();
        move |_, mut peer| {
            while let Some(head) = peer.head() {
                let (method, rest) = head.split_once(' ').unwrap_or_default();
                notes.add(format!("{method} {}", rest.split(' ').next().unwrap_or_default()));
                if head.contains("/hang") {
                    peer.wait_for_end();
                    return;
                }
                if method == "POST" {
                    notes.add(
                        String::from_utf8(peer.exactly(4).unwrap_or_default()).unwrap_or_default(),
                    );
                }
                peer.say(if head.contains("/moved") {
                    b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"
                } else {
                    OK
                });
            }
        }
    });
    let post = b"POST /p?q=1 HTTP/1.1\r\nHost: shop.invalid\r\nContent-Length: 4\r\n\r\nbody";
    let exchanges = [
        exchange(1, 0, 0, Some(MS), post),
        exchange(1, 1, 2 * MS, Some(3 * MS), &get("/moved")),
        exchange(1, 2, 4 * MS, Some(5 * MS), &get("/hang")),
        exchange(1, 3, 2_000 * MS, Some(2_001 * MS), &get("/after")),
    ];
    let transport = shadowtap::replay::Transport::Client { proxy: None };
    let options =
        shadowtap::replay::ReplayOptions { transport, timeout_ns: 1_000 * MS, ..options(address) };
    let replayed =
        replay_with(&exchanges, with_unsafe(), &options, &Arc::new(ReplayStop::default()));
    assert_eq!(notes.all(), ["POST /p?q=1", "body", "GET /moved", "GET /hang", "GET /after"]);
    let results: Vec<_> =
        ["1-0", "1-1", "1-2", "1-3"].iter().map(|id| replayed.result(id)).collect();
    assert!(
        results[0] == "200" && results[1] == "302" && results[3] == "200",
        "redirects are not followed: {results:?}"
    );
    assert!(results[2].starts_with("timeout"), "{results:?}");
    assert_eq!(
        replayed.outcome("1-0").response.as_ref().map(|response| response.body.bytes.to_vec()),
        Some(b"ok".to_vec())
    );

    let port = Port::take();
    let closed = port.address;
    let options = shadowtap::replay::ReplayOptions {
        target: Target::resolve(&format!("http://{closed}")).unwrap(),
        ..options
    };
    let replayed = replay(&exchanges[1..2], &options);
    assert!(replayed.result("1-1").starts_with("connect"), "{}", replayed.result("1-1"));
}

#[test]
fn the_client_transport_keeps_to_the_connections_that_are_allowed() {
    let (handled, most) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let address = server({
        let (handled, most) = (Arc::clone(&handled), Arc::clone(&most));
        move |_, mut peer| {
            while peer.head().is_some() {
                let now = {
                    let mut handled = handled.lock().unwrap();
                    *handled += 1;
                    *handled
                };
                let mut most = most.lock().unwrap();
                *most = now.max(*most);
                drop(most);
                std::thread::sleep(Duration::from_millis(10));
                *handled.lock().unwrap() -= 1;
                peer.say(OK);
            }
        }
    });
    let exchanges: Vec<_> = (0..20).map(|n| exchange(n, 0, 0, Some(MS), &get("/"))).collect();
    let options = shadowtap::replay::ReplayOptions {
        transport: shadowtap::replay::Transport::Client { proxy: None },
        max_connections: Some(2),
        ..options(address)
    };
    let replayed = replay(&exchanges, &options);
    assert_eq!(replayed.finished.answered, 20, "{:?}", replayed.finished);
    assert!(*most.lock().unwrap() <= 2 && replayed.noted("waited-for-a-connection-slot") > 0);
}

#[test]
fn the_client_transport_goes_through_a_proxy() {
    let notes = Notes::default();
    let proxy = server({
        let notes = notes.clone();
        move |_, mut peer| {
            while let Some(head) = peer.head() {
                let host = head
                    .lines()
                    .find(|line| line.to_ascii_lowercase().starts_with("host:"))
                    .unwrap_or_default();
                notes.add(format!(
                    "{} | {}",
                    head.lines().next().unwrap_or_default(),
                    host.to_ascii_lowercase()
                ));
                peer.say(OK);
            }
        }
    });
    let transport = shadowtap::replay::Transport::Client {
        proxy: Some(Proxy::resolve(&format!("http://{proxy}")).unwrap()),
    };
    // Nobody listens at the target: only the proxy can answer for it.
    let port = Port::take();
    let closed = port.address;
    let options = shadowtap::replay::ReplayOptions { transport, ..options(closed) };
    let replayed = replay(&[exchange(1, 0, 0, Some(MS), &get("/a?b=c"))], &options);
    assert_eq!(replayed.result("1-0"), "200");
    assert_eq!(notes.all(), [format!("GET http://{closed}/a?b=c HTTP/1.1 | host: shop.invalid")]);
}

#[test]
fn the_client_transport_adds_nothing_to_a_request() {
    let heads = Notes::default();
    let address = server({
        let heads = heads.clone();
        move |_, mut peer| {
            while let Some(head) = peer.head() {
                heads.add(head.to_ascii_lowercase());
                peer.say(OK);
            }
        }
    });
    let transport = shadowtap::replay::Transport::Client { proxy: None };
    let options = shadowtap::replay::ReplayOptions { transport, ..options(address) };
    let recorded = "GET /a/../b?c HTTP/1.1\r\nHost: shop.invalid\r\nUpgrade: h2c\r\n\
        Connection: Upgrade\r\nX-A: 1\r\n\r\n";
    let replayed = replay(&[exchange(1, 0, 0, Some(MS), recorded.as_bytes())], &options);
    assert_eq!(replayed.result("1-0"), "200");
    assert_eq!(heads.all(), ["get /a/../b?c http/1.1\r\nhost: shop.invalid\r\nx-a: 1\r\n\r\n"]);
    assert!(replayed.outcome("1-0").connect_ns.is_some());
}

#[test]
fn a_proxy_that_is_dead_or_refuses_is_named_and_owns_the_failure() {
    let refusing = |line: &'static str| {
        server(move |_, mut peer| {
            while peer.head().is_some() {
                peer.say(line.as_bytes());
            }
        })
    };
    let dead = Port::take().address;
    for (proxy, target, said) in [
        (dead, "http://v2.invalid", "refused"),
        (
            refusing("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"),
            "http://v2.invalid",
            "407",
        ),
        (
            refusing(
                "HTTP/1.1 502 Bad Gateway\r\nProxy-Status: p; error=dns_error\r\n\
                 Content-Length: 0\r\n\r\n",
            ),
            "http://v2.invalid",
            "502",
        ),
        (
            refusing("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
            "https://v2.invalid",
            "it opens no tunnel to v2.invalid:443: HTTP/1.1 403",
        ),
        // Whose answer that is nobody can tell.
        (
            refusing("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
            "http://v2.invalid",
            "403 came through it, and whether it or v2 answers so is not known",
        ),
        (
            refusing("HTTP/1.1 503 Busy\r\nVia: 1.1 p\r\nContent-Length: 0\r\n\r\n"),
            "http://v2.invalid",
            "503 came through it",
        ),
        (server(|_, mut peer| drop(peer.head())), "http://v2.invalid", "no answer came through it"),
        (server(|_, _| {}), "http://v2.invalid", "no answer came through it"),
    ] {
        let through = Proxy::resolve(&format!("http://user:secret@{proxy}")).unwrap();
        let transport = shadowtap::replay::Transport::Client { proxy: Some(through) };
        let target = Target::behind_proxy(target).unwrap();
        let trust = Trust::nobody();
        let base = options("127.0.0.1:1".parse().unwrap());
        let options = shadowtap::replay::ReplayOptions { transport, target, trust, ..base };
        let replayed = replay(&[exchange(1, 0, 0, Some(MS), &get("/"))], &options);
        let failure = replayed.outcome("1-0").failure.clone().unwrap();
        assert_eq!(failure.owner, Some(shadowtap::outcome::Owner::Proxy), "{failure:?}");
        assert!(failure.detail.contains(&format!("the proxy http://{proxy}")), "{failure:?}");
        assert!(failure.detail.contains(said), "{failure:?}");
        assert!(!failure.detail.contains("secret"));
        assert!(replayed.finished.hopeless.is_some());
    }
}

#[test]
fn what_v1_refused_too_is_no_failure_of_a_proxy() {
    let proxy = server(|_, mut peer| {
        while peer.head().is_some() {
            peer.say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let through = Proxy::resolve(&format!("http://{proxy}")).unwrap();
    let transport = shadowtap::replay::Transport::Client { proxy: Some(through) };
    let target = Target::behind_proxy("http://v2.invalid").unwrap();
    let base = options("127.0.0.1:1".parse().unwrap());
    let options = shadowtap::replay::ReplayOptions { transport, target, ..base };
    let mut recorded = exchange(1, 0, 0, Some(MS), &get("/"));
    recorded.response.as_mut().unwrap().message.status = 403;
    let replayed = replay(&[recorded], &options);
    assert_eq!(replayed.result("1-0"), "403");
}

/// Ends a process with the test.
struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_client_transport_speaks_http_2_where_the_target_does() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["shop.invalid", "localhost"].map(str::to_owned))
            .unwrap();
    std::fs::write(folder.path().join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
    let kept = Port::take();
    let port = kept.address.port();
    let configuration = format!(
        "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; events {{ \
         }}\nhttp {{ access_log off;\n\
         client_body_temp_path {root}/1; proxy_temp_path {root}/2; fastcgi_temp_path {root}/3; \
         uwsgi_temp_path {root}/4; scgi_temp_path {root}/5;\n\
         server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {root}/cert.pem; \
         ssl_certificate_key {root}/key.pem;\n\
         location / {{ return 200 \"$server_protocol $request_method $host$request_uri \
         $http_x_mine\"; }} }} }}\n"
    );
    std::fs::write(folder.path().join("conf"), configuration).unwrap();
    let nginx = Command::new("nginx")
        .arg("-c")
        .arg(folder.path().join("conf"))
        .arg("-e")
        .arg(folder.path().join("log"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let Ok(nginx) = nginx.map(Ends) else {
        println!("skipped: nginx is not installed");
        return;
    };
    for _ in 0..500 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let request = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: shop.invalid\r\nX-Mine: kept\r\n\
             Connection: keep-alive\r\n\r\n"
        )
    };
    let exchanges: Vec<_> = (0..4u32)
        .map(|n| {
            exchange(
                u64::from(n % 2),
                n / 2,
                i64::from(n) * MS,
                Some(i64::from(n) * MS + 1),
                request(&format!("/{n}?q")).as_bytes(),
            )
        })
        .collect();
    let options = shadowtap::replay::ReplayOptions {
        transport: shadowtap::replay::Transport::Client { proxy: None },
        target: Target::resolve(&format!("https://localhost:{port}")).unwrap(),
        trust: Trust {
            ca: Some(folder.path().join("cert.pem")),
            sni: Sni::Captured,
            ..Trust::default()
        },
        ..options("127.0.0.1:1".parse().unwrap())
    };
    let asked = |sni| {
        let trust = Trust { sni, ..options.trust.clone() };
        replay(&exchanges, &shadowtap::replay::ReplayOptions { trust, ..options.clone() })
    };
    let both = [asked(Sni::Captured), asked(Sni::Target)];
    drop(nginx);
    // Whatever name TLS asks for, HTTP keeps the captured one.
    for (n, replayed) in (0..4u32).flat_map(|n| both.iter().map(move |replayed| (n, replayed))) {
        let outcome = replayed.outcome(&format!("{}-{}", n % 2, n / 2));
        let response =
            outcome.response.as_ref().unwrap_or_else(|| panic!("no answer: {outcome:?}"));
        assert_eq!((response.status, response.version), (200, shadowtap::message::Version::Http2));
        assert_eq!(
            String::from_utf8_lossy(&response.body.bytes),
            format!("HTTP/2.0 GET shop.invalid/{n}?q kept")
        );
    }
}
