//! The bytes of connections: header fields as they were, large answers, slow and broken peers.

use super::clients::client;
use super::*;

/// Reads one answer off a connection: its head as it came, and its body of a known length.
fn raw_answer(stream: &mut BufReader<TcpStream>) -> (String, Vec<u8>) {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "it ended inside a head: {head}");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

#[test]
fn answers_keep_the_case_the_order_and_the_duplicates_of_their_header_fields() {
    let mut exchange =
        Made { number: 1, target: "/odd", answer: "12345", ..Made::default() }.exchange();
    let response = &mut exchange.response.as_mut().unwrap().message;
    response.status = 299;
    response.reason = "Quite Odd".into();
    response.framing = Framing::ContentLength;
    response.headers = [
        ("X-ODD", "1"),
        ("set-cookie", "a=1"),
        ("CONTENT-length", "5"),
        ("Connection", "close"),
        ("Set-Cookie", "b=2"),
        ("x-odd", "2"),
    ]
    .iter()
    .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    .collect();
    let mock = Handle::start(
        CallRecording::build(vec![exchange], &EgressSelection::default(), FeatureRules::default())
            .unwrap(),
        settings(),
    )
    .unwrap();
    let mut stream = BufReader::new(TcpStream::connect(mock.address()).unwrap());
    let request = |method: &str| format!("{method} /odd HTTP/1.1\r\nHost: {PROVIDER}\r\n\r\n");
    // Two at once: they are answered in their order.
    stream.get_mut().write_all(request("GET").repeat(2).as_bytes()).unwrap();
    for _ in 0..2 {
        let (head, body) = raw_answer(&mut stream);
        let told = "HTTP/1.1 299 Quite Odd\r\nX-ODD: 1\r\nset-cookie: a=1\r\n\
            CONTENT-length: 5\r\nSet-Cookie: b=2\r\nx-odd: 2\r\n\r\n";
        assert_eq!((head.as_str(), body.as_slice()), (told, &b"12345"[..]));
    }
}

/// Large answers are kept on disk, not in memory, and come back whole over HTTP/1 and HTTP/2.
#[test]
fn a_large_answer_comes_back_whole() {
    let large: String = (0..3_000_000).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let mock = start(&[Made { number: 1, target: "/large", answer: &large, ..Made::default() }]);
    let (status, body) = send(mock.address(), "GET", "/large", "", "");
    assert!(status == 200 && body == large, "{status}, {} bytes", body.len());
    let url = format!("http://{}/large", mock.address());
    if let Some(text) = client(
        "curl",
        &["-sS", "--http2-prior-knowledge", "-H", &format!("Host: {PROVIDER}"), &url],
        &[],
    ) {
        assert!(text == large, "{} bytes", text.len());
    }
}

/// Clients that hang are let go and counted; the others notice nothing.
#[test]
fn half_a_request_a_slow_reader_and_nonsense_are_let_go_and_counted() {
    let large = "x".repeat(24 << 20);
    let calls = [
        Made { number: 1, target: "/ok", answer: "fine", ..Made::default() },
        Made { number: 2, target: "/large", answer: &large, ..Made::default() },
    ];
    let mock = Handle::start(
        recording(&calls),
        ServeSettings { patience: Duration::from_millis(300), ..settings() },
    )
    .unwrap();
    let say = |text: &str| {
        let mut stream = TcpStream::connect(mock.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let mut slow = say(&format!("GET /large HTTP/1.1\r\nHost: {PROVIDER}\r\n\r\n"));
    let idle: Vec<_> = (0..200).map(|_| TcpStream::connect(mock.address()).unwrap()).collect();
    for (text, status) in [
        ("POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf", "408"),
        ("GET /ok HT", "408"),
        ("this is no request\r\nat all\r\n\r\n", "400"),
    ] {
        let mut answer = String::new();
        say(text).read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{text:?}: {answer:?}");
    }
    assert_eq!(send(mock.address(), "GET", "/ok", "", ""), (200, "fine".to_owned()));
    for _ in 0..1_000 {
        if mock.broken().unread > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut read = 0;
    let mut block = vec![0; 1 << 20];
    while let Ok(more @ 1..) = slow.read(&mut block) {
        read += more;
    }
    assert!(read < large.len(), "it was let go before it had read all");
    drop(idle);
    let broken = mock.stop(&|_| true).unwrap().broken;
    assert_eq!((broken.unfinished, broken.not_understood, broken.unread), (2, 1, 1));
}

#[test]
fn idle_connections_give_way_to_who_has_something_to_say() {
    let mock = Handle::start(
        recording(&[Made { target: "/rates", answer: "EUR", ..Made::default() }]),
        ServeSettings { connections: 40, ..settings() },
    )
    .unwrap();
    let idle: Vec<TcpStream> = (0..200)
        .map(|at| {
            let mut stream = TcpStream::connect(mock.address()).unwrap();
            // Some say nothing, some a part of a head, some have had an answer.
            match at % 3 {
                0 => {}
                1 => stream.write_all(b"GET /rates HTTP/1.1\r\nHost: x").unwrap(),
                _ => {
                    let request = b"GET /rates HTTP/1.1\r\nHost: provider.test\r\n\r\n";
                    stream.write_all(request).unwrap();
                }
            }
            stream
        })
        .collect();
    let (status, body) = send(mock.address(), "GET", "/rates", "", "");
    assert_eq!((status, &*body), (200, "EUR"));
    // The first that came has given its place.
    let mut rest = Vec::new();
    let mut oldest = &idle[0];
    oldest.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert!(matches!(oldest.read_to_end(&mut rest), Ok(0) | Err(_)) && rest.is_empty());
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let mock = start(&[Made { target: "/rates", answer: "EUR", ..Made::default() }]);
    for names in [
        "Host: provider.test\r\nHost: evil.test",
        "Host: provider.test\r\nhost: provider.test",
        "Host: provider.test, evil.test",
        "Host: provider.test\r\nContent-Length: 0\r\nContent-Length: 1",
        "Host: provider.test\r\nContent-Length: -1",
        "Host: provider.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "Host: provider.test\r\nTransfer-Encoding: chunked, chunked",
    ] {
        let mut stream = TcpStream::connect(mock.address()).unwrap();
        let body = if names.ends_with("chunked") { "0\r\n\r\n" } else { "" };
        write!(stream, "GET /rates HTTP/1.1\r\n{names}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{names}: {answer}");
    }
    assert_eq!(mock.broken().not_understood, 7);
}

#[test]
fn a_client_that_waits_for_100_gets_it_and_chunks_and_http_1_0_are_understood() {
    let mock = start(&[Made {
        number: 1,
        method: "POST",
        target: "/c",
        body: "hello world",
        answer: "ok",
        ..Made::default()
    }]);
    let mut stream = BufReader::new(TcpStream::connect(mock.address()).unwrap());
    stream
        .get_mut()
        .write_all(
            format!(
                "POST /c HTTP/1.1\r\nHost: {PROVIDER}\r\nExpect: 100-continue\r\n\
                Transfer-Encoding: chunked\r\n\r\n"
            )
            .as_bytes(),
        )
        .unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
    stream.read_line(&mut line).unwrap();
    stream.get_mut().write_all(b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n").unwrap();
    line.clear();
    stream.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    let old =
        format!("POST /c HTTP/1.0\r\nHost: {PROVIDER}\r\nContent-Length: 11\r\n\r\nhello world");
    let mut stream = TcpStream::connect(mock.address()).unwrap();
    stream.write_all(old.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("Content-Length: 2\r\n") && answer.ends_with("\r\n\r\nok"),
        "no chunks for HTTP/1.0: {answer}"
    );
}

#[test]
fn half_a_request_and_a_large_body_disturb_nobody() {
    let calls = [Made { number: 1, target: "/ok", answer: "fine", ..Made::default() }];
    let mock = start(&calls);
    let mut hanging = TcpStream::connect(mock.address()).unwrap();
    hanging
        .write_all(
            b"POST /ok HTTP/1.1\r\nHost: payments.example\r\nContent-Length: 100\r\n\r\nhalf",
        )
        .unwrap();
    let mut silent = TcpStream::connect(mock.address()).unwrap();
    silent.write_all(b"GE").unwrap();
    let mut large = TcpStream::connect(mock.address()).unwrap();
    let length = 96 << 20;
    write!(
        large,
        "POST /ok HTTP/1.1\r\nHost: payments.example\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..length / block.len() {
        large.write_all(&block).unwrap();
    }
    let mut answer = [0; 12];
    large.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 599");
    assert_eq!(send(mock.address(), "GET", "/ok", "", ""), (200, "fine".to_owned()));
}
