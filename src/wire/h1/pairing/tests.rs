//! Tests of pairing.

use crate::time::Timestamp;
use crate::wire::h1::pairing::*;
use Direction::{ToClient, ToServer};

/// Drives a pairing as packets would: time and number count up, acknowledgements say all that was
/// given, unless told.
struct Drive {
    pairing: Pairing,
    packet: u64,
    given: [u64; 2],
    out: Vec<Exchange>,
}

impl Drive {
    fn new(joined: bool) -> Self {
        let origin = Origin {
            connection: 4,
            client: "10.0.0.1:1000".parse().unwrap(),
            server: "10.0.0.2:80".parse().unwrap(),
            opened_at: None,
            joined,
        };
        Self {
            pairing: Pairing::new(origin, ParserLimits::default()),
            packet: 0,
            given: [0; 2],
            out: Vec::new(),
        }
    }

    fn mark(&mut self, ack: u64) -> PacketMark {
        self.packet += 1;
        PacketMark {
            at: Timestamp::from_nanos(self.packet as i64 * 1000),
            packet: self.packet,
            ack: Some(ack),
            cut: false,
        }
    }

    fn send(&mut self, direction: Direction, bytes: &str) -> &mut Self {
        let ack = self.given[1 - direction as usize];
        self.send_acking(direction, bytes, ack)
    }

    fn send_acking(&mut self, direction: Direction, bytes: &str, ack: u64) -> &mut Self {
        let mark = self.mark(ack);
        self.given[direction as usize] += bytes.len() as u64;
        self.pairing
            .bytes(direction, bytes.as_bytes(), mark, &mut |exchange| self.out.push(exchange));
        self
    }

    fn lose(&mut self, direction: Direction, n: u64) -> &mut Self {
        let mark = self.mark(self.given[1 - direction as usize]);
        self.given[direction as usize] += n;
        self.pairing.gap(direction, n, mark, &mut |exchange| self.out.push(exchange));
        self
    }

    fn close(&mut self, direction: Direction, ending: Ending) -> &mut Self {
        self.pairing.close(direction, ending, &mut |exchange| self.out.push(exchange));
        self
    }

    /// What came out before the end and after it: `target>status completeness`.
    fn end(&mut self) -> Vec<String> {
        self.pairing.finish(&mut |exchange| self.out.push(exchange));
        self.out
            .iter()
            .enumerate()
            .for_each(|(place, exchange)| assert_eq!(exchange.id.ordinal as usize, place));
        self.out.iter().map(describe).collect()
    }
}

fn describe(exchange: &Exchange) -> String {
    let target = exchange
        .request
        .as_ref()
        .map_or("-".into(), |r| String::from_utf8_lossy(&r.message.target).into_owned());
    let status =
        exchange.response.as_ref().map_or("-".to_owned(), |r| r.message.status.to_string());
    let interim: String =
        exchange.interim.iter().map(|r| format!("{}+", r.message.status)).collect();
    format!("{target}>{interim}{status} {}", exchange.completeness.name())
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn pairs_go_by_order_and_leave_when_they_are_whole() {
    let mut drive = Drive::new(false);
    drive.send(ToServer, &(get("/1") + &get("/2"))).send(ToClient, &answer(200, "a"));
    assert_eq!(drive.out.iter().map(describe).collect::<Vec<_>>(), ["/1>200 complete"]);
    assert_eq!(drive.out[0].response.as_ref().unwrap().first_byte_ns, Some(1000));
    drive.send(ToClient, &answer(404, "")).send(ToServer, &get("/3"));
    assert_eq!(
        drive.send(ToClient, &answer(500, "")).end(),
        ["/1>200 complete", "/2>404 complete", "/3>500 complete"]
    );
}

#[test]
fn head_interim_early_and_missing_answers() {
    let mut drive = Drive::new(false);
    drive
        .send(ToServer, "HEAD /h HTTP/1.1\r\n\r\n")
        .send(ToClient, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
    drive.send(ToServer, "POST /p HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    drive
        .send(ToClient, "HTTP/1.1 100 Continue\r\n\r\n")
        .send(ToServer, "body")
        .send(ToClient, &answer(201, ""));
    drive
        .send(ToServer, "POST /early HTTP/1.1\r\nContent-Length: 4\r\n\r\nbo")
        .send(ToClient, &answer(413, ""))
        .send(ToServer, "dy");
    drive.send(ToServer, &get("/none"));
    assert_eq!(
        drive.end(),
        ["/h>200 complete", "/p>100+201 complete", "/early>413 complete", "/none>- no-response"]
    );
}

#[test]
fn an_answer_that_was_captured_before_its_request_waits_for_it() {
    let mut drive = Drive::new(false);
    let request = "HEAD /late HTTP/1.1\r\n\r\n";
    drive.send_acking(
        ToClient,
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        request.len() as u64,
    );
    assert!(drive.out.is_empty());
    drive.send_acking(ToServer, request, 0);
    assert_eq!(drive.end(), ["/late>200 complete"]);
    assert!(
        drive.out[0].response.as_ref().unwrap().first_byte_ns < Some(0),
        "times are those of the capture"
    );
}

#[test]
fn a_server_that_answers_too_often_does_not_shift_the_pairs() {
    let mut drive = Drive::new(false);
    drive.send(ToServer, &get("/1")).send(ToClient, &(answer(200, "") + &answer(299, "")));
    // The next surplus answer left before the request it stands behind was received.
    let seen = drive.given[0];
    drive
        .send(ToServer, &get("/2"))
        .send_acking(ToClient, &answer(298, ""), seen)
        .send(ToClient, &answer(201, ""));
    assert_eq!(
        drive.end(),
        ["/1>200 complete", "->299 orphan-response", "->298 orphan-response", "/2>201 complete"]
    );
}

#[test]
fn after_a_gap_the_acknowledgements_tell_which_request_is_answered() {
    let mut drive = Drive::new(false);
    drive.send(ToServer, &get("/1")).send(ToClient, &answer(200, ""));
    drive.send(ToServer, &get("/2"));
    drive.lose(ToClient, 500);
    drive.send(ToServer, &get("/3")).send(ToClient, &answer(203, ""));
    assert_eq!(drive.end(), ["/1>200 complete", "/2>- response-damaged", "/3>203 complete"]);
    assert_eq!(drive.out[1].marks, ["response lost with missing bytes"]);
}

#[test]
fn after_a_gap_a_client_that_waits_for_answers_tells_which_one_comes() {
    let mut drive = Drive::new(false);
    drive.send(ToServer, &get("/1")).send(ToClient, &answer(200, "")).send(ToServer, &get("/2"));
    drive.lose(ToClient, answer(202, "").len() as u64);
    drive.send(ToServer, &get("/3")).send(ToClient, &answer(203, "three"));
    drive.send(ToServer, &get("/4")).send(ToClient, &answer(204, ""));
    assert_eq!(
        drive.end(),
        ["/1>200 complete", "/2>- response-damaged", "/3>203 complete", "/4>204 complete"]
    );
}

#[test]
fn a_101_that_names_no_protocol_is_to_the_one_that_was_asked_for() {
    for (asked, wanted) in [("h2c", "http/2"), ("websocket", "websocket"), ("a, b", "upgraded")] {
        let mut drive = Drive::new(false);
        let offer = format!("GET /1 HTTP/1.1\r\nUpgrade: {asked}\r\n\r\n");
        drive.send(ToServer, &offer).send(ToClient, "HTTP/1.1 101 Yes\r\n\r\n");
        assert_eq!(drive.pairing.protocol(), wanted);
    }
}

#[test]
fn an_upgrade_whose_answer_is_lost_holds_no_request_back() {
    let offer = |target: &str| {
        let get = get(target);
        get.trim_end().to_owned() + "\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    };
    let mut drive = Drive::new(false);
    drive.send(ToServer, &offer("/1")).lose(ToClient, 300);
    drive.send(ToServer, &offer("/2")).send(ToClient, &answer(202, "two"));
    drive.send(ToServer, &offer("/3")).send(ToClient, &answer(203, ""));
    assert_eq!(drive.end(), ["/1>- response-damaged", "/2>202 complete", "/3>203 complete"]);
}

#[test]
fn after_a_gap_no_answer_is_given_to_requests_that_were_pipelined() {
    let mut drive = Drive::new(false);
    drive.send(ToServer, &(get("/1") + &get("/2") + &get("/3") + &get("/4")));
    drive.send(ToClient, &answer(200, "")).lose(ToClient, 300);
    drive.send(ToClient, &(answer(203, "") + &answer(204, "")));
    drive.send(ToServer, &get("/5")).send(ToClient, &answer(205, ""));
    assert_eq!(
        drive.end(),
        [
            "/1>200 complete",
            "/2>- response-damaged",
            "/3>- response-damaged",
            "/4>- response-damaged",
            "->203 orphan-response",
            "->204 orphan-response",
            "/5>- response-damaged",
            "->205 orphan-response",
        ]
    );
    assert_eq!(drive.out[2].marks, [UNTOLD]);
    // Only one is left, so it is the one.
    let mut drive = Drive::new(false);
    drive.send(ToServer, &(get("/1") + &get("/2")));
    drive.send(ToClient, &answer(200, "")).lose(ToClient, 300).send(ToClient, &answer(202, ""));
    assert_eq!(drive.end(), ["/1>200 complete", "/2>202 complete"]);
    // One that was sent while an answer came had not been waited with either.
    let mut drive = Drive::new(false);
    let long = answer(200, "a body of two segments");
    drive.send(ToServer, &get("/1")).send(ToClient, &long[..30]).send(ToServer, &get("/2"));
    drive.send(ToClient, &long[30..]).send(ToServer, &get("/3")).lose(ToClient, 300);
    drive.send(ToClient, &answer(203, ""));
    assert_eq!(
        drive.end(),
        [
            "/1>200 complete",
            "/2>- response-damaged",
            "/3>- response-damaged",
            "->203 orphan-response",
        ]
    );
}

#[test]
fn a_gap_in_a_request_does_not_hurt_the_next() {
    let mut drive = Drive::new(false);
    drive
        .send(ToServer, "POST /1 HTTP/1.1\r\nContent-Length: 8\r\n\r\nab")
        .lose(ToServer, 6)
        .send(ToClient, &answer(200, ""));
    drive
        .lose(ToServer, 300)
        .send(ToClient, &answer(204, ""))
        .send(ToServer, &get("/3"))
        .send(ToClient, &answer(203, ""));
    assert_eq!(drive.end(), ["/1>200 request-damaged", "->204 orphan-response", "/3>203 complete"]);
    assert_eq!(drive.out[0].marks, ["request: gap of 6 bytes at packet 2"]);
}

#[test]
fn content_tells_who_the_client_is() {
    let mut drive = Drive::new(true);
    drive.send(ToClient, &get("/1")).send(ToServer, &answer(200, ""));
    assert_eq!(drive.end(), ["/1>200 complete"]);
    assert_eq!(drive.out[0].client, "10.0.0.2:80".parse().unwrap());
    let mut drive = Drive::new(true);
    drive
        .send(ToServer, "the rest of a body\n")
        .send(ToServer, &answer(200, ""))
        .send(ToClient, &get("/2"));
    drive.send(ToServer, &answer(201, ""));
    assert_eq!(drive.end(), ["->200 orphan-response", "/2>201 complete"]);
    assert_eq!(drive.pairing.roles().1, "10.0.0.1:1000".parse().unwrap());
}

#[test]
fn what_follows_an_upgrade_or_a_connect_is_counted_and_not_read() {
    let mut drive = Drive::new(false);
    drive
        .send(ToServer, "CONNECT a:1 HTTP/1.1\r\n\r\nEHLO\r\n")
        .send(ToClient, "HTTP/1.1 200 OK\r\n\r\n220 hi\r\n");
    drive.send(ToServer, &get("/inside"));
    assert_eq!(drive.end(), ["a:1>200 complete"]);
    assert_eq!(
        (drive.pairing.tunnelled(), drive.pairing.protocol()),
        (6 + 8 + 33, "connect-tunnel")
    );
    // Refused: the connection goes on.
    let mut drive = Drive::new(false);
    drive
        .send(ToServer, "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
        .send(ToServer, &get("/2"));
    drive.send(ToClient, &answer(400, "")).send(ToClient, &answer(200, ""));
    assert_eq!(drive.end(), ["/ws>400 complete", "/2>200 complete"]);
}

#[test]
fn an_answer_without_length_ends_with_its_direction() {
    for (ending, wanted) in
        [(Ending::Closed, "/>200 complete"), (Ending::Cut, "/>200 response-damaged")]
    {
        let mut drive = Drive::new(false);
        drive
            .send(ToServer, &get("/"))
            .send(ToClient, "HTTP/1.0 200 OK\r\n\r\nall")
            .close(ToServer, Ending::Closed);
        assert!(drive.out.is_empty());
        assert_eq!(drive.close(ToClient, ending).end(), [wanted]);
    }
}

#[test]
fn other_protocols_are_named_and_their_bytes_not_wanted() {
    let mut drive = Drive::new(false);
    drive.send(ToServer, "SSH-2.0-x\r\n");
    assert!(!drive.pairing.wants(ToServer) && drive.pairing.wants(ToClient));
    drive.send(ToClient, &answer(400, "what?"));
    assert_eq!(drive.end(), ["->400 orphan-response"]);
    let mut drive = Drive::new(false);
    drive.send(ToServer, &get("/")).send(ToClient, "SSH-2.0-x\r\n");
    assert_eq!(drive.end(), ["/>- no-response"]);
    assert_eq!(Drive::new(false).pairing.protocol(), "empty");
}

#[test]
fn requests_that_are_never_answered_do_not_pile_up() {
    let mut drive = Drive::new(false);
    for _ in 0..limits::OUTSTANDING_REQUESTS + 10 {
        drive.send(ToServer, &get("/"));
    }
    assert_eq!(drive.out.len(), 10);
    assert_eq!(drive.end().len(), limits::OUTSTANDING_REQUESTS + 10);
}

#[test]
fn where_memory_is_short_bodies_are_hashed_and_waiting_requests_leave() {
    let mut drive = Drive::new(false);
    drive.send(ToServer, &get("/1")).send(ToServer, &get("/2"));
    drive.send(ToClient, "HTTP/1.1 200 X\r\nContent-Length: 6\r\n\r\nabc");
    assert!(drive.pairing.held() > 600);
    drive.pairing.relieve(&mut |exchange| drive.out.push(exchange));
    assert_eq!(drive.pairing.held(), 0);
    drive.send(ToClient, "def");
    assert_eq!(drive.end(), ["/1>- no-response", "/2>- no-response", "->200 orphan-response"]);
    let body = &drive.out[2].response.as_ref().unwrap().message.body;
    assert_eq!((body.bytes.len(), body.length, body.sha256.is_some()), (0, 6, true));
    assert!(
        drive.out[2].marks.iter().any(|mark| mark.contains("body-not-kept")),
        "{:?}",
        drive.out[2].marks
    );
}

#[test]
fn what_ended_first_may_turn_the_directions_round_and_the_other_one_is_ended_all_the_same() {
    let mut drive = Drive::new(false);
    drive
        .send(ToServer, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
        .send(ToClient, "GET /half HTTP/1.1\r\nHost: h\r\n");
    let out = drive.end();
    assert!(out.iter().any(|exchange| exchange.contains("/half")), "{out:?}");
    assert_eq!(drive.pairing.held(), 0);
}

#[test]
fn interim_answers_without_end_are_counted_and_few_are_kept() {
    let long = format!("HTTP/1.1 103 Early\r\nLink: {}\r\n\r\n", "a".repeat(200_000));
    for (what, interim, most) in [
        ("short ones", "HTTP/1.1 102 Processing\r\n\r\n", limits::INTERIM_RESPONSES),
        ("hints", "HTTP/1.1 103 Early\r\nLink: <a>\r\n\r\n", limits::INTERIM_RESPONSES),
        ("long heads", long.as_str(), limits::INTERIM_BYTES / 200_000),
    ] {
        for asked in [true, false] {
            let mut drive = Drive::new(!asked);
            if asked {
                drive.send(ToServer, &get("/"));
            }
            for _ in 0..500 {
                drive.send(ToClient, interim);
            }
            assert!(drive.pairing.held() < 3 << 20, "{what}: {}", drive.pairing.held());
            drive.send(ToClient, &answer(200, "end")).end();
            let [exchange] = &drive.out[..] else { panic!("{what}: one exchange") };
            assert_eq!(exchange.response.as_ref().map(|answer| answer.message.status), Some(200));
            assert_eq!(exchange.interim.len(), most, "{what}");
            let more = format!("interim: {} more were not kept", 500 - most);
            assert!(exchange.marks.contains(&more), "{what}: {:?}", exchange.marks);
            assert_eq!(drive.pairing.unkept_interim(), 500 - most as u64);
            assert_eq!(drive.pairing.held(), 0);
        }
    }
}
