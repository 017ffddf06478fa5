//! Every way in which v2 may fail, and that each has a record.

use super::*;

// -- failures
// ------------------------------------------------------------------------------------------

/// Two requests of one lane against a server that does `first` to the first connection and answers
/// on later ones.
fn trouble(first: impl Fn(&mut Peer) + Send + Sync + 'static) -> Replayed {
    let address = server(move |number, mut peer| {
        if number == 0 {
            first(&mut peer);
        } else {
            answers(number, peer);
        }
    });
    let exchanges = [
        exchange(1, 0, 0, Some(MS), &get("/first")),
        exchange(1, 1, 1_200 * MS, Some(1_201 * MS), &get("/second")),
    ];
    let options = shadowtap::replay::ReplayOptions { timeout_ns: 1_500 * MS, ..options(address) };
    let replayed = replay(&exchanges, &options);
    assert_eq!(replayed.outcomes.len(), 2);
    assert_eq!(replayed.result("1-1"), "200", "the lane goes on on another connection");
    replayed
}

#[test]
fn every_failure_has_its_kind() {
    let cases: [(&str, fn(&mut Peer)); 9] = [
        ("closed", |peer| drop(peer.head())),
        ("closed", |peer| {
            peer.head();
            peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        }),
        ("protocol", |peer| {
            peer.head();
            peer.say(b"SSH-2.0-OpenSSH_9.6\r\n");
            peer.wait_for_end();
        }),
        ("protocol", |peer| {
            peer.head();
            peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n");
            peer.wait_for_end();
        }),
        ("protocol", |peer| {
            // A header that never ends.
            peer.head();
            peer.say(b"HTTP/1.1 200 OK\r\n");
            for _ in 0..3_000 {
                peer.say(&[b"X: ", &[b'a'; 500][..], b"\r\n"].concat());
            }
            peer.wait_for_end();
        }),
        ("timeout", |peer| {
            peer.head();
            peer.wait_for_end();
        }),
        ("timeout", |peer| {
            peer.head();
            peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            peer.wait_for_end();
        }),
        ("closed", |peer| {
            // Reset in the middle of a body: what was not read yet makes the system reset the
            // connection.
            peer.until(b"GET").unwrap();
            peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            rustix::net::sockopt::set_socket_linger(&peer.stream, Some(Duration::ZERO)).unwrap();
        }),
        ("timeout", |peer| {
            // A body that never ends.
            peer.head();
            peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            peer.stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            for _ in 0..10_000 {
                peer.say(b"1\r\nx\r\n");
                if matches!(peer.stream.peek(&mut [0; 1]), Ok(0)) {
                    return;
                }
            }
        }),
    ];
    // Most of them wait for a timeout: all at once.
    let replayed = cases.map(|(_, first)| std::thread::spawn(move || trouble(first)));
    for (place, ((kind, _), replayed)) in cases.into_iter().zip(replayed).enumerate() {
        let replayed = replayed.join().unwrap();
        assert!(
            replayed.result("1-0").starts_with(kind),
            "case {place}: {}",
            replayed.result("1-0")
        );
        let part =
            replayed.outcome("1-0").response.as_ref().map(|response| response.body.bytes.to_vec());
        if place == 1 || place == 6 {
            assert_eq!(part.as_deref(), Some(&b"half"[..]), "what came is kept: case {place}");
        }
    }
}

/// What `/first` came to where its answer is `wire` and the connection stays open.
fn answered(wire: Vec<u8>) -> String {
    let replayed = trouble(move |peer| {
        while peer.head().is_some() {
            peer.say(&wire);
        }
    });
    replayed.result("1-0")
}

#[test]
fn a_status_line_of_a_version_without_status_lines_is_none() {
    for line in ["HTTP/2.0 200 OK", "HTTP/2 200", "HTTP/3.0 200 OK", "HTTP/2.1 404 Not Found"] {
        let wire = format!("{line}\r\nContent-Length: 2\r\n\r\n{{}}").into_bytes();
        assert!(answered(wire).starts_with("protocol"), "{line}");
    }
    for line in ["HTTP/1.0 200 OK", "HTTP/1.2 200 OK", "HTTP/1.01 200 OK"] {
        let wire = format!("{line}\r\nContent-Length: 2\r\n\r\n{{}}").into_bytes();
        assert_eq!(answered(wire), "200", "{line}");
    }
}

#[test]
fn lies_of_v2_are_protocol_failures_at_once_and_the_lane_goes_on() {
    let ok = |rest: &str| format!("HTTP/1.1 200 OK\r\n{rest}").into_bytes();
    let lengths = ["-5", "99999999999999999999999", "2\r\nContent-Length: 3", "1, 2", "0x5", ""];
    let huge = ["9223372036854775807", "18446744073709551615"];
    let declared = lengths.iter().chain(&huge);
    let declared = declared.map(|length| ok(&format!("Content-Length: {length}\r\n\r\nabc")));
    let sizes = ["ffffffffffffffff", "7fffffffffffffff", "-1"];
    let chunked = sizes.map(|size| ok(&format!("Transfer-Encoding: chunked\r\n\r\n{size}\r\nabc")));
    let surplus = [
        ok("Content-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ok("Content-Length: 2\r\n\r\n{}more"),
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi".to_vec(),
    ];
    let twice = ok("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n");
    let flood = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_500);
    let lies: Vec<Vec<u8>> = declared.chain(chunked).chain(surplus).chain([twice, flood]).collect();
    let told = lies.into_iter().map(|lie| {
        let shown = String::from_utf8_lossy(&lie[..lie.len().min(80)]).into_owned();
        (shown, std::thread::spawn(move || answered(lie)))
    });
    for (lie, result) in told.collect::<Vec<_>>() {
        let result = result.join().unwrap();
        assert!(result.starts_with("protocol"), "{result} for {lie:?}");
    }
    for honest in ["Content-Length: 2\r\n\r\n{}\r\n", "Content-Length: 2, 2\r\n\r\n{}"] {
        assert_eq!(answered(ok(honest)), "200", "{honest:?}");
    }
}

/// A lie in the answer to HEAD, or in a 304, is one although no body follows.
#[test]
fn lengths_that_contradict_each_other_are_lies_without_a_body_too() {
    for transport in [wire(), client()] {
        for (method, lie) in [
            ("HEAD", "200 OK\r\nContent-Length: 2\r\nContent-Length: 3"),
            ("HEAD", "200 OK\r\nContent-Length: -2"),
            ("GET", "304 Not Modified\r\nContent-Length: 2, 5"),
        ] {
            let result = told(transport.clone(), method, &format!("HTTP/1.1 {lie}\r\n\r\n"));
            assert_eq!(result, "protocol: the answer is not whole: bad-length", "{lie}");
        }
        let twice = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(told(transport, "HEAD", twice), "200");
    }
}

#[test]
fn the_client_transport_tells_lies_as_the_wire_does() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let flood = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(5_000) + ok;
    for (lie, result) in [
        (format!("{ok}more"), "protocol: bytes that no request asked for stand behind it"),
        (ok.repeat(2), "protocol: bytes that no request asked for stand behind it"),
        (flood, "protocol: interim answers without end"),
        (ok.replace("Content", "Transfer-Encoding: identity\r\nContent"), "200"),
        (ok.to_owned(), "200"),
    ] {
        for transport in [wire(), client()] {
            let shown = &lie[..lie.len().min(90)];
            assert_eq!(told(transport.clone(), "GET", &lie), result, "{transport:?} {shown}");
        }
    }
}

const fn wire() -> shadowtap::replay::Transport {
    shadowtap::replay::Transport::Wire
}

const fn client() -> shadowtap::replay::Transport {
    shadowtap::replay::Transport::Client { proxy: None }
}

/// What becomes of a request that is answered so on a connection that stays open.
fn told(transport: shadowtap::replay::Transport, method: &str, answer: &str) -> String {
    let answer = answer.as_bytes().to_vec();
    let address = server(move |_, mut peer| {
        while peer.head().is_some() {
            peer.say(&answer);
        }
    });
    let request = format!("{method} /a HTTP/1.1\r\nHost: shop.invalid\r\n\r\n");
    let exchanges = [exchange(1, 0, 0, Some(MS), request.as_bytes())];
    let options =
        shadowtap::replay::ReplayOptions { transport, timeout_ns: 20_000 * MS, ..options(address) };
    replay(&exchanges, &options).result("1-0")
}

#[test]
fn an_answer_that_came_before_its_request_is_none() {
    let early = |times: usize| {
        trouble(move |peer| {
            peer.say(&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".repeat(times));
            peer.wait_for_end();
        })
    };
    // Where the machine is slow the request may go out before what v2 said has come: such a run
    // shows nothing.
    for times in [1, 3] {
        let told = (0..20).any(|_| {
            early(times).result("1-0").starts_with("protocol: v2 spoke before it was asked")
        });
        assert!(told, "{times} answers");
    }
}

#[test]
fn a_connection_that_v2_closed_while_it_was_idle_is_opened_again() {
    let replayed = trouble(|peer| {
        peer.head();
        peer.say(OK);
        // Closed without a word, as at the end of a keep-alive time.
    });
    assert_eq!(replayed.result("1-0"), "200");
    assert_eq!(replayed.noted("reopened-connections"), 1);
    assert_eq!(replayed.finished.failures.len(), 0);
}

#[test]
fn nobody_listens() {
    let port = Port::take();
    let address = port.address;
    let exchanges: Vec<_> = (0..50u32)
        .map(|n| exchange(u64::from(n % 5), n / 5, i64::from(n), Some(i64::from(n)), &get("/")))
        .collect();
    let replayed = replay(&exchanges, &options(address));
    assert_eq!(replayed.outcomes.len(), 50);
    assert!(replayed.outcomes.iter().all(|outcome| {
        outcome.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Connect)
    }));
}

#[test]
fn a_hanging_v2_ends_the_run_with_a_record_for_each_request() {
    let address = server(|_, mut peer| peer.wait_for_end());
    // Forty requests in turn, with a timeout of 100 ms: waiting for each would take four seconds,
    // and hours in a long run.
    let exchanges: Vec<_> = (0..40u32)
        .map(|n| exchange(1, n, i64::from(n) * MS / 10, Some(i64::from(n) * MS / 10), &get("/")))
        .collect();
    let options = shadowtap::replay::ReplayOptions { timeout_ns: 100 * MS, ..options(address) };
    let replayed = replay(&exchanges, &options);
    assert_eq!(replayed.outcomes.len(), 40);
    assert_eq!(replayed.finished.failures["timeout"], 40);
    assert!(replayed.finished.sent < 10, "only some were tried: {}", replayed.finished.sent);
}

#[test]
fn a_half_open_target_ends_in_time_with_every_record() {
    // The system takes connections into the queue of a listener that nobody serves, as of a process
    // that hangs.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = shadowtap::replay::ReplayOptions {
        timeout_ns: 200 * MS,
        ..options(listener.local_addr().unwrap())
    };
    let exchanges: Vec<_> = (0..6u32)
        .map(|n| {
            exchange(u64::from(n % 3), n / 3, i64::from(n) * MS, Some(i64::from(n) * MS), &get("/"))
        })
        .collect();
    let replayed = replay(&exchanges, &options);
    assert_eq!((replayed.outcomes.len(), replayed.finished.failures["timeout"]), (6, 6));
    drop(listener);
}

#[test]
fn a_target_that_goes_down_in_the_middle_costs_its_requests_and_no_record() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let down = std::thread::spawn(move || {
        // Three answers on one connection, and then neither the connection nor the port are there
        // any more.
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        let mut peer = Peer::new(stream);
        for _ in 0..3 {
            peer.head().unwrap();
            peer.say(OK);
        }
    });
    let exchanges: Vec<_> = (0..10u32)
        .map(|n| {
            exchange(1, n, i64::from(n) * 20 * MS, Some(i64::from(n) * 20 * MS + 1), &get("/"))
        })
        .collect();
    let replayed = replay(&exchanges, &options(address));
    down.join().unwrap();
    assert_eq!(
        (replayed.outcomes.len(), replayed.finished.answered),
        (10, 3),
        "{:?}",
        replayed.finished.failures
    );
    let kinds: Vec<&str> = replayed.finished.failures.keys().copied().collect();
    assert!(kinds.iter().all(|kind| ["closed", "connect"].contains(kind)), "{kinds:?}");
    assert!(replayed.finished.failures["connect"] >= 6, "{:?}", replayed.finished.failures);
}

/// `lanes` requests at the same time, each on a connection of its own that is answered only once
/// all that can be there are.
fn crowd(lanes: u32) -> Replayed {
    let address = server(|_, mut peer| {
        peer.head();
        std::thread::sleep(Duration::from_secs(1));
        peer.say(OK);
        peer.wait_for_end();
    });
    let exchanges: Vec<_> =
        (0..lanes).map(|n| exchange(u64::from(n), 0, 0, Some(MS), &get("/"))).collect();
    let replayed = replay(&exchanges, &options(address));
    assert_eq!(replayed.outcomes.len(), lanes as usize);
    replayed
}

#[test]
fn more_connections_than_ports_start_from_more_addresses_of_loopback() {
    const NAME: &str =
        "failures::more_connections_than_ports_start_from_more_addresses_of_loopback";
    if !elsewhere::is_here(NAME) {
        elsewhere::run(
            NAME,
            "ip link set lo up; echo 40000 40015 > /proc/sys/net/ipv4/ip_local_port_range; exec \
             \"$0\" \"$@\"",
        );
        return;
    }
    let replayed = crowd(40);
    assert_eq!(replayed.finished.answered, 40, "{:?}", replayed.finished.failures);
}

#[test]
fn few_file_descriptors_make_lanes_take_turns_and_say_how_many_are_needed() {
    const NAME: &str =
        "failures::few_file_descriptors_make_lanes_take_turns_and_say_how_many_are_needed";
    if !elsewhere::is_here(NAME) {
        // Without the right to raise the hard limit again, as for any user but root.
        let shell = "ip link set lo up; ulimit -n 90; exec setpriv --bounding-set -sys_resource \
            --inh-caps -sys_resource \"$0\" \"$@\"";
        elsewhere::run(NAME, shell);
        return;
    }
    let replayed = crowd(40);
    assert_eq!(replayed.finished.answered, 40, "{:?}", replayed.outcomes);
    assert!(
        replayed.finished.warnings.iter().any(|warning| warning.contains("ulimit -n 104")),
        "{:?}",
        replayed.finished.warnings
    );
}

// -- the end
// ------------------------------------------------------------------------------------------

#[test]
fn an_interrupted_replay_has_its_records() {
    let stop = Arc::new(ReplayStop::default());
    let address = server({
        let stop = Arc::clone(&stop);
        move |_, mut peer| {
            peer.head();
            peer.say(OK);
            peer.head();
            stop.set();
            peer.wait_for_end();
        }
    });
    let far = 3_600_000 * MS;
    let exchanges = [
        exchange(1, 0, 0, Some(1), &get("/")),
        exchange(1, 1, 2 * MS, Some(3 * MS), &get("/")),
        exchange(1, 2, 4 * MS, Some(5 * MS), &get("/")),
        exchange(2, 0, far, Some(far + 1), &get("/")),
    ];
    let replayed = replay_with(&exchanges, Wishes::default(), &options(address), &stop);
    assert!(replayed.finished.interrupted);
    assert_eq!(replayed.result("1-0"), "200");
    assert!(
        replayed.result("1-1").starts_with("skipped: interrupted"),
        "{}",
        replayed.result("1-1")
    );
    assert!(replayed.outcome("1-1").sent_ns.is_some());
    assert_eq!(replayed.finished.ledger.input, 4, "{:?}", replayed.finished.ledger);
}

#[test]
fn a_full_disk_ends_the_run_with_its_own_error() {
    let address = server(answers);
    let exchanges: Vec<_> =
        (0..10u32).map(|n| exchange(u64::from(n), 0, 0, Some(1), &get("/"))).collect();
    let result = replay_to(&exchanges, &options(address), Path::new("/dev/full"));
    assert!(matches!(result, Err(ReplayError::Records(_))), "{result:?}");
}
