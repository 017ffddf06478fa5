//! Which recorded call a call stands for: carts, charges, traces, and what was asked of v2.

use super::*;

#[test]
fn a_drifted_payload_is_answered_by_the_next_in_order_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("egress.jsonl");
    let body = |amount: u32, cart: &str, key: &str| {
        format!(
            "{{\"amount\":{amount},\"currency\":\"EUR\",\"reference\":\"{cart}\",\
             \"idempotency_key\":\"{key}\"}}"
        )
    };
    let keys = ["f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "0190163d-8694-739b-aea5-966c26f8ad91"];
    let (a, b) = (body(1299, "c-11aa22", keys[0]), body(500, "c-33bb44", keys[0]));
    let recorded = [
        Made {
            number: 1,
            method: "POST",
            target: "/v1/charges",
            body: &a,
            answer: "a",
            ..Made::default()
        },
        Made {
            number: 2,
            method: "POST",
            target: "/v1/charges",
            body: &b,
            answer: "b",
            ..Made::default()
        },
        Made {
            number: 3,
            method: "POST",
            target: "/v1/notes",
            body: r#"{"a":1,"b":2,"c":3,"d":4}"#,
            ..Made::default()
        },
        Made {
            number: 4,
            method: "POST",
            target: "/v1/notes",
            body: r#"{"a":1,"b":2,"c":3,"d":5}"#,
            ..Made::default()
        },
    ];
    let mock =
        Handle::start(recording(&recorded), ServeSettings { log: Some(log.clone()), ..settings() })
            .unwrap();
    let send = |target: &str, body: &str| send(mock.address(), "POST", target, "", body);
    assert_eq!(
        send("/v1/charges", &body(500, "c-33bb44", keys[1])).1,
        "b",
        "another key is no drift"
    );
    assert_eq!(send("/v1/charges", &body(1399, "c-11aa22", keys[1])).1, "a");
    assert_eq!(send("/v1/charges", &body(1299, "c-11aa22", keys[1])).1, "a", "charged again");
    assert_eq!(send("/v1/notes", r#"{"a":1,"b":2,"c":3,"d":6}"#).0, 200);
    assert_eq!(send("/v1/notes", r#"{"a":1,"b":2,"c":3,"d":7}"#).0, 200);
    mock.stop(&|_| true).unwrap();
    let told: Vec<_> = calls(&log)
        .into_iter()
        .map(|call| {
            (
                call.verdict,
                call.recorded.unwrap().ordinal,
                call.places.into_iter().map(|p| p.place).collect::<Vec<_>>(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (CallVerdict::Matched, 2, vec![]),
            (CallVerdict::Drifted, 1, vec!["$.amount".to_owned()]),
            (CallVerdict::Repeated, 1, vec![]),
            (CallVerdict::Drifted, 3, vec!["$.d".to_owned()]),
            (CallVerdict::Drifted, 4, vec!["$.d".to_owned()]),
        ]
    );
    let summary =
        CallSummary::read(BufReader::new(std::fs::File::open(&log).unwrap()), &[]).unwrap();
    assert!(summary.complete);
    assert_eq!(
        (summary.clusters[0].verdict, summary.clusters[0].changes),
        (CallVerdict::Repeated, true),
        "the double charge first"
    );
    assert!(
        summary.clusters[0].example.payload.contains("c-11aa22"),
        "{:?}",
        summary.clusters[0].example
    );
}

/// Visits every cart, in its order, in one of eight threads that run at once.
fn eight_at_once(
    carts: impl Iterator<Item = usize> + Clone + Send,
    worker_of: impl Fn(usize) -> usize + Copy + Send,
    visit: impl Fn(usize) + Copy + Send,
) {
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let carts = carts.clone();
            scope.spawn(move || carts.filter(|&cart| worker_of(cart) == worker).for_each(visit));
        }
    });
}

/// Two hundred carts are charged at once, each with an idempotency key of its own, in another order
/// than v1's; every third charge has no reference, so that only the trace tells the carts apart.
#[test]
fn concurrent_carts_get_their_own_answers_in_every_run() {
    let trace = |cart: usize, span: usize| {
        format!("00-4bf92f3577b34da6a3ce{cart:012x}-00f067aa{span:08x}-01")
    };
    let body = |cart: usize, key: usize| {
        let reference = if cart.is_multiple_of(3) {
            String::new()
        } else {
            format!(r#","reference":"c-{cart:06x}a1""#)
        };
        let amount = 1000 + cart % 7;
        format!(
            "{{\"amount\":{amount}{reference},\"key\":\"f81d4fae-7dec-41d0-a765-{key:012x}\",\
             \"at\":\"2026-11-22T10:00:{:02}Z\"}}",
            key % 60
        )
    };
    let parts: Vec<_> = (0..200)
        .map(|cart| (trace(cart, 1), body(cart, cart), format!("answer of cart {cart}")))
        .collect();
    let headers: Vec<_> =
        parts.iter().map(|(trace, ..)| [("traceparent", trace.as_str())]).collect();
    let made: Vec<_> = parts
        .iter()
        .zip(&headers)
        .enumerate()
        .map(|(cart, ((_, body, answer), headers))| Made {
            number: cart as u32,
            method: "POST",
            target: "/v1/charges",
            headers,
            body,
            answer,
        })
        .collect();
    for run in 0..3 {
        let mock =
            Handle::start(recording(&made), ServeSettings { threads: 2, ..settings() }).unwrap();
        let address = mock.address();
        eight_at_once(
            (0..200).rev(),
            |cart| (cart * 7 + run) % 8,
            |cart| {
                let header = format!("traceparent: {}\r\n", trace(cart, 900 + cart));
                let (status, text) =
                    send(address, "POST", "/v1/charges", &header, &body(cart, 5_000 + cart + run));
                assert_eq!((status, text), (200, format!("answer of cart {cart}")));
            },
        );
        let counts = mock.stop(&|_| true).unwrap().counts;
        assert!(counts.is_clean() && counts.matched == 200, "{counts:?}");
    }
}

/// The same without any trace: the amounts tell them apart, whoever comes first.
#[test]
fn equal_charges_of_different_amounts_need_no_trace() {
    let body =
        |cart: usize| format!(r#"{{"amount":{},"currency":"EUR","capture":true}}"#, 1_000 + cart);
    let parts: Vec<_> =
        (0..200).map(|cart| (body(cart), format!("answer of cart {cart}"))).collect();
    let made: Vec<_> = parts
        .iter()
        .zip(0..)
        .map(|((body, answer), number)| Made {
            number,
            method: "POST",
            target: "/v1/charges",
            body,
            answer,
            ..Made::default()
        })
        .collect();
    for run in 0..3 {
        let mock =
            Handle::start(recording(&made), ServeSettings { threads: 2, ..settings() }).unwrap();
        let address = mock.address();
        eight_at_once(
            0..200,
            |cart| (cart * 11 + run) % 8,
            |cart| {
                let answer = send(address, "POST", "/v1/charges", "", &body(cart));
                assert_eq!(answer, (200, format!("answer of cart {cart}")));
            },
        );
        assert!(mock.stop(&|_| true).unwrap().counts.is_clean());
    }
}

/// Checkouts of carts, one after the other, each with a charge that equals all others byte for
/// byte; the answers differ.
fn checkouts(carts: u32) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for cart in 1..=carts {
        let answer = format!("charge of cart {cart}");
        let charge = Made {
            number: cart,
            method: "POST",
            target: "/charge",
            body: r#"{"plan":"monthly"}"#,
            answer: &answer,
            ..Made::default()
        };
        let target = format!("/carts/{cart}/checkout");
        let mut ingress = Made {
            number: cart,
            method: "POST",
            target: &target,
            answer: "done",
            ..Made::default()
        }
        .exchange();
        ingress.id = checkout(cart);
        ingress.client = "198.51.100.4:5000".parse().unwrap();
        ingress.server = "10.0.0.1:8080".parse().unwrap();
        let response = ingress.response.as_mut().unwrap();
        response.last_byte_ns = Some(90_000_000);
        exchanges.extend([ingress, charge.exchange()]);
    }
    exchanges
}

fn checkout(cart: u32) -> ExchangeId {
    ExchangeId { connection: 100 + u64::from(cart), ordinal: 0 }
}

/// A replay with `--traces` names its exchange in each request, and v2 hands that on with the trace:
/// equal charges get the answers of their own carts, wherever the mock runs.
#[test]
fn what_a_call_hands_on_tells_equal_charges_apart() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("egress.jsonl");
    let recording =
        CallRecording::build(checkouts(4), &EgressSelection::default(), FeatureRules::default())
            .unwrap();
    let mock =
        Handle::start(recording, ServeSettings { log: Some(log.clone()), ..settings() }).unwrap();
    let charge = |connection: u64, others: &str| {
        let header = format!(
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01\r\n\
             tracestate: {others}shadowtap={connection:016x}0000000000000001\r\n"
        );
        send(mock.address(), "POST", "/charge", &header, r#"{"plan":"monthly"}"#).1
    };
    for (cart, others) in [(3_u32, "vendor=1,"), (1, ""), (4, "")] {
        let connection = checkout(cart).connection;
        assert_eq!(charge(connection, others), format!("charge of cart {cart}"));
    }
    assert_eq!(charge(checkout(3).connection, ""), "charge of cart 3", "charged twice");
    mock.stop(&|_| true).unwrap();
    let told: Vec<_> = calls(&log).iter().map(|call| (call.verdict, call.cause)).collect();
    let of = |verdict, cart| (verdict, Some(checkout(cart)));
    assert_eq!(
        told,
        [
            of(CallVerdict::Matched, 3),
            of(CallVerdict::Matched, 1),
            of(CallVerdict::Matched, 4),
            of(CallVerdict::Repeated, 3),
            of(CallVerdict::Missing, 2)
        ]
    );
}

/// A replay in this process knows which checkout is at v2: equal charges get the answers of their
/// own carts, in any order, and a cart that is charged twice does not take another one's.
#[test]
fn what_is_at_v2_tells_equal_charges_apart_and_who_charged_twice() {
    let charge =
        |mock: &Handle| send(mock.address(), "POST", "/charge", "", r#"{"plan":"monthly"}"#).1;
    for watches in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("egress.jsonl");
        let recording = CallRecording::build(
            checkouts(4),
            &EgressSelection::default(),
            FeatureRules::default(),
        )
        .unwrap();
        let mock = Handle::start_beside(
            recording,
            ServeSettings { log: Some(log.clone()), ..settings() },
            watches,
        )
        .unwrap();
        let at_v2 = mock.under_way();
        let mut answers = Vec::new();
        for (cart, charges) in [(3, 1), (1, 2), (2, 1), (4, 1)] {
            at_v2.begin(checkout(cart));
            answers.extend((0..charges).map(|_| charge(&mock)));
            at_v2.end(checkout(cart));
        }
        let of = |carts: [u32; 5]| carts.map(|cart| format!("charge of cart {cart}"));
        mock.stop(&|_| true).unwrap();
        let repeated: Vec<_> =
            calls(&log).into_iter().filter(|call| call.verdict == CallVerdict::Repeated).collect();
        assert_eq!(repeated.len(), 1, "{repeated:?}");
        if watches {
            assert_eq!(answers, of([3, 1, 1, 2, 4]));
            assert_eq!(
                repeated[0].cause,
                Some(checkout(1)),
                "the cart that was charged twice is the one that is named"
            );
        } else {
            assert_eq!(answers, of([1, 2, 3, 4, 4]), "by their order alone");
            assert_eq!(repeated[0].cause, Some(checkout(4)), "and another cart is blamed");
        }
    }
}

/// A call that v2 makes after it has answered is still that exchange's, and copies of an exchange
/// may each make it.
#[test]
fn late_calls_and_copies_are_no_repeated_calls() {
    let charge =
        |mock: &Handle| send(mock.address(), "POST", "/charge", "", r#"{"plan":"monthly"}"#).1;
    let recording =
        CallRecording::build(checkouts(2), &EgressSelection::default(), FeatureRules::default())
            .unwrap();
    let mock =
        Handle::start_beside(recording, ServeSettings { copies: 2, ..settings() }, true).unwrap();
    let at_v2 = mock.under_way();
    for cart in [1, 1, 2] {
        at_v2.begin(checkout(cart));
        at_v2.end(checkout(cart));
    }
    let answers: Vec<_> = (0..3).map(|_| charge(&mock)).collect();
    assert_eq!(answers, ["charge of cart 1", "charge of cart 1", "charge of cart 2"]);
    at_v2.begin(checkout(2));
    let counts = mock.stop(&|_| true).unwrap().counts;
    assert_eq!(
        (counts.matched, counts.repeated, counts.missing, counts.unsafe_missing),
        (3, 0, 1, 1),
        "{counts:?}"
    );
}

/// Checkouts that v1 served at the same time are told apart by what their calls name.
#[test]
fn a_call_is_tied_to_the_request_that_names_the_same_cart() {
    let mut exchanges = Vec::new();
    for cart in 1..=3 {
        let body = format!(r#"{{"reference":"cart-77{cart}"}}"#);
        exchanges.push(
            Made {
                number: 10 + cart,
                method: "POST",
                target: "/charge",
                body: &body,
                ..Made::default()
            }
            .exchange(),
        );
        let target = format!("/carts/cart-77{cart}/checkout");
        let mut ingress =
            Made { number: cart, method: "POST", target: &target, ..Made::default() }.exchange();
        ingress.id = checkout(cart);
        ingress.client = "198.51.100.4:5000".parse().unwrap();
        ingress.server = "10.0.0.1:8080".parse().unwrap();
        ingress.response.as_mut().unwrap().last_byte_ns = Some(9_000_000_000);
        exchanges.push(ingress);
    }
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("egress.jsonl");
    let recording =
        CallRecording::build(exchanges, &EgressSelection::default(), FeatureRules::default())
            .unwrap();
    let mock =
        Handle::start(recording, ServeSettings { log: Some(log.clone()), ..settings() }).unwrap();
    send(mock.address(), "POST", "/charge", "", r#"{"reference":"cart-772"}"#);
    mock.stop(&|_| true).unwrap();
    let told: Vec<_> = calls(&log).iter().map(|call| (call.verdict, call.cause)).collect();
    assert_eq!(
        told,
        [
            (CallVerdict::Matched, Some(checkout(2))),
            (CallVerdict::Missing, Some(checkout(1))),
            (CallVerdict::Missing, Some(checkout(3)))
        ]
    );
}

/// An order that a client asks for, answered so after all calls were made.
fn order_under_way(number: u32, answer: &str) -> Exchange {
    let order = Made { number, method: "POST", target: "/orders", answer, ..Made::default() };
    let mut ingress = order.exchange();
    ingress.id = checkout(number);
    ingress.client = "198.51.100.4:5000".parse().unwrap();
    ingress.server = "10.0.0.1:8080".parse().unwrap();
    ingress.response.as_mut().unwrap().last_byte_ns = Some(9_000_000_000);
    ingress
}

/// An id that v1 made up and told its client is another one at v2, also where several exchanges
/// were under way and any of them may have made the call. One that no answer tells is not.
#[test]
fn ids_that_answers_tell_may_be_others_whatever_else_is_under_way() {
    let user = |version: u32, number: u32| format!("f81d4fae-7dec-41d0-a76{version}-{number:012x}");
    for tells in [true, false] {
        let mut exchanges = Vec::new();
        for number in 1..=3 {
            let id = user(5, number * 7919);
            let body = format!(r#"{{"plan":"p{number}","user_id":"{id}"}}"#);
            let call = Made {
                number: 10 + number,
                method: "POST",
                target: "/subscriptions",
                body: &body,
                ..Made::default()
            };
            let answer = if tells { id } else { "done".to_owned() };
            exchanges.extend([order_under_way(number, &answer), call.exchange()]);
        }
        let recording =
            CallRecording::build(exchanges, &EgressSelection::default(), FeatureRules::default())
                .unwrap();
        let mock = Handle::start(recording, settings()).unwrap();
        for number in 1..=3 {
            let id = user(6, number * 104_729);
            let body = format!(r#"{{"plan":"p{number}","user_id":"{id}"}}"#);
            let answer = send(mock.address(), "POST", "/subscriptions", "", &body);
            assert_eq!(answer.0 == 200, tells, "{number}: {answer:?}");
        }
        mock.stop(&|_| true).unwrap();
    }
}

/// A number that v1 counted up and told its client is another one at v2, wherever a call says it.
/// What an answer does not tell, or tells as an amount, is not.
#[test]
fn numbers_that_answers_tell_may_be_others_wherever_they_are_said() {
    type Says = fn(u32, u32) -> String;
    let says: [(&str, Says, bool); 7] = [
        ("order_id", |n, _| format!("{{\"order_id\":\"{n}\"}}"), true),
        ("order_id", |n, _| format!("{{\"metadata\":{{\"order\":{n}}}}}"), true),
        ("id", |n, _| format!("{{\"text\":\"Order #{n}\",\"ref\":\"SO-{n}\"}}"), true),
        ("id", |n, _| format!("{{\"back\":\"https://shop.test/orders/{n}/done\"}}"), true),
        ("order_id", |n, i| format!("{{\"order_id\":{n},\"amount\":{}}}", i + n / 1_000), false),
        ("order_id", |n, _| format!("{{\"amount\":{n}}}"), false),
        ("total", |n, _| format!("{{\"order_id\":{n}}}"), false),
    ];
    for (told, says, is_same) in says {
        let mut exchanges = Vec::new();
        for number in 1..=6 {
            let call = Made {
                number: 10 + number,
                method: "POST",
                target: "/charges",
                body: &says(40 + number, number),
                ..Made::default()
            };
            let answer = format!("{{\"{told}\":{}}}", 40 + number);
            exchanges.extend([order_under_way(number, &answer), call.exchange()]);
        }
        let recording =
            CallRecording::build(exchanges, &EgressSelection::default(), FeatureRules::default())
                .unwrap();
        let mock = Handle::start(recording, settings()).unwrap();
        for number in 1..=6 {
            let body = says(3_040 + number, number);
            send(mock.address(), "POST", "/charges", "", &body);
        }
        let told = mock.stop(&|_| true).unwrap().counts;
        assert_eq!(told.matched == 6, is_same, "{} {told:?}", says(41, 1));
    }
}

#[test]
fn without_a_trace_a_rare_value_that_varies_tells_carts_apart() {
    let body = |cart: u32, key: u32| {
        format!(
            "{{\"cart\":\"f81d4fae-7dec-41d0-a765-{cart:012x}\",\
             \"key\":\"0190163d-8694-439b-aea5-{key:012x}\",\"amount\":5}}"
        )
    };
    let bodies: Vec<_> = (0..50).map(|cart| (body(cart, cart), cart.to_string())).collect();
    let made: Vec<_> = bodies
        .iter()
        .zip(0..)
        .map(|((body, answer), number)| Made {
            number,
            method: "POST",
            target: "/pay",
            body,
            answer,
            ..Made::default()
        })
        .collect();
    let mock = start(&made);
    for cart in (0..50).rev() {
        assert_eq!(
            send(mock.address(), "POST", "/pay", "", &body(cart, 1_000 + cart)).1,
            cart.to_string()
        );
    }
    assert_eq!(
        send(mock.address(), "POST", "/pay", "", &body(9, 7_777)).1,
        "9",
        "a second charge of the same cart"
    );
    let counts = mock.stop(&|_| true).unwrap().counts;
    assert_eq!((counts.matched, counts.repeated, counts.unsafe_repeated), (50, 1, 1));
}
