//! Makes runs of a service in two versions: stable data, planted noise in both versions, planted
//! differences in the second. Seeded: the same plan makes the same files. Used by `tests/diff.rs`
//! and `benches/diff.rs`.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "a part of tests and benches, each of which needs a part of it"
)]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};
use shadowtap::exchange::{Completeness, Exchange, ExchangeId, TimedRequest, TimedResponse};
use shadowtap::ledger::Ledger;
use shadowtap::message::{Body, Framing, Headers, Request, Response};
use shadowtap::outcome::{Outcome, ReplayId};
use shadowtap::record::exchanges as exchange_log;
use shadowtap::record::exchanges::{End, Header};
use shadowtap::record::outcomes as outcome_log;
use shadowtap::time::Timestamp;

/// A small seeded generator (SplitMix64).
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from_digit(self.below(16) as u32, 16).unwrap()).collect()
    }

    pub fn uuid(&mut self) -> String {
        let hex = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    pub fn token(&mut self, length: usize) -> String {
        self.of(length, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    }

    /// So many of these signs.
    fn of(&mut self, length: usize, signs: &[u8]) -> String {
        (0..length).map(|_| signs[self.below(signs.len() as u64) as usize] as char).collect()
    }
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What may be planted in a route's second version, with the place and the shape that it must be
/// found by.
pub const FAULTS: [(&str, &str, &str); 16] = [
    ("cents", "$.price", "×100"),
    ("off-by-one", "$.quantity", "+1"),
    ("null", "$.description", "string→null"),
    ("type", "$.quantity", "number→string"),
    ("removed", "$.description", "removed"),
    ("renamed", "$.quantity", "renamed quantity→qty"),
    ("added", "$.debug", "added"),
    ("constant-text", "$.name", "changed"),
    ("element-lost", "$.lines[*]", "removed"),
    ("reordered", "$.lines", "reordered"),
    ("nested", "$.lines[*].tax", "changed"),
    ("status", "status", "200→500"),
    ("created", "status", "200→201"),
    ("header-lost", "x-api-version", "removed"),
    ("header-changed", "content-language", "changed"),
    ("precision", "$.big", "changed"),
];

/// Kinds of noise; each is made at a place of its own.
pub const NOISES: usize = 20;

/// Kinds of random ids; each is made at a place of its own.
pub const IDS: usize = 20;

/// What may be planted at a place that varies by itself, with the place and the shape that it must
/// be found by.
pub const NOISY_FAULTS: [(&str, &str, &str); 7] = [
    ("noisy-type", "$.load", "number→string"),
    ("noisy-null", "$.request_id", "string→null"),
    ("noisy-removed", "$.span", "removed"),
    ("noisy-constant", "$.csrf", "changed"),
    ("noisy-constant-number", "$.visits", "changed"),
    ("noisy-kind", "$.generated_at", "changed"),
    ("noisy-header", "x-shard", "removed"),
];

/// What to make.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Routes with each fault, and as many without any.
    pub faults: Vec<usize>,
    pub clean: usize,
    /// Exchanges of each route.
    pub samples: usize,
    /// Noisy places of each route.
    pub noise: usize,
    /// Places of each route with random ids.
    pub ids: usize,
    /// Least size of a body, in bytes.
    pub padding: usize,
    /// Only one in so many targets is faulty.
    pub faulty_targets: u64,
    /// One of [`NOISY_FAULTS`], on every route.
    pub noisy_fault: Option<&'static str>,
    /// Whether no target is asked for twice.
    pub distinct: bool,
    /// Draws the second version's noise, where it is not 0.
    pub replay_seed: u64,
}

impl Plan {
    pub fn small() -> Self {
        Self {
            seed: 1,
            faults: (0..FAULTS.len()).collect(),
            clean: 4,
            samples: 10,
            noise: 0,
            ids: 0,
            padding: 0,
            faulty_targets: 1,
            noisy_fault: None,
            distinct: false,
            replay_seed: 0,
        }
    }

    fn routes(&self) -> usize {
        self.faults.len() + self.clean
    }

    pub fn exchanges(&self) -> usize {
        self.routes() * self.samples
    }
}

/// The name of a route, as it is learned.
pub fn route(number: usize) -> String {
    format!("GET /{}/{{id}}", word(number))
}

fn word(number: usize) -> String {
    const SYLLABLES: [&str; 8] = ["ba", "ke", "li", "mo", "nu", "ra", "se", "to"];
    format!("{}{}{}", SYLLABLES[number % 8], SYLLABLES[number / 8 % 8], SYLLABLES[number / 64 % 8])
}

/// Writes the run's files into `folder`.
pub fn make(plan: &Plan, folder: &Path) {
    let create = |name: &str| BufWriter::new(File::create(folder.join(name)).unwrap());
    let (mut exchanges, mut outcomes) = (create("exchanges.jsonl"), create("outcomes.jsonl"));
    std::fs::write(folder.join("run.json"), "{}").unwrap();
    let recorded: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let replayed: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let mut line = Vec::new();
    exchange_log::write_line(&mut line, &Header::new(recorded, vec!["v1.pcap".to_owned()]));
    exchanges.write_all(&line).unwrap();
    line.clear();
    let header = outcome_log::OutcomesHeader {
        format: outcome_log::FORMAT.to_owned(),
        version: 1,
        run: "test".to_owned(),
        target: "http://v2.test:8080".to_owned(),
        started: replayed,
        settings: Value::Null,
    };
    exchange_log::write_line(&mut line, &header);
    outcomes.write_all(&line).unwrap();
    let mut service = Service {
        plan,
        v1: Dice(plan.seed),
        v2: Dice(plan.seed ^ 0xffff ^ plan.replay_seed << 20),
    };
    for number in 0..plan.exchanges() {
        let (exchange, outcome) = service.exchange(number, recorded, replayed);
        line.clear();
        exchange_log::write(&mut line, &exchange);
        exchanges.write_all(&line).unwrap();
        line.clear();
        outcome_log::write(&mut line, &outcome);
        outcomes.write_all(&line).unwrap();
    }
    line.clear();
    exchange_log::write_line(
        &mut line,
        &End::new(plan.exchanges() as u64, Ledger::default(), exchange_log::Rest::default()),
    );
    exchanges.write_all(&line).unwrap();
    line.clear();
    let end =
        outcome_log::OutcomesEnd::new(plan.exchanges() as u64, Ledger::default(), Value::Null);
    exchange_log::write_line(&mut line, &end);
    outcomes.write_all(&line).unwrap();
    exchanges.flush().unwrap();
    outcomes.flush().unwrap();
}

struct Service<'p> {
    plan: &'p Plan,
    v1: Dice,
    v2: Dice,
}

impl Service<'_> {
    fn exchange(
        &mut self,
        number: usize,
        recorded: Timestamp,
        replayed: Timestamp,
    ) -> (Exchange, Outcome) {
        let plan = self.plan;
        let (route, sample) = (number % plan.routes(), number / plan.routes());
        let fault = plan.faults.get(route).map(|&fault| FAULTS[fault].0);
        // Each target is asked for several times: that is what self-noise is found from.
        let targets = (plan.samples / 5).max(1);
        let item = if plan.distinct {
            1_000 + sample as u64
        } else {
            mix((sample % targets) as u64) % 9_000 + 1_000
        };
        let target = format!("/{}/{item}", word(route));
        let offset = number as i64 * 10_000_000;
        let mut headers = Headers::new();
        headers.push(b"Host", b"shop.test");
        headers.push(b"Accept", b"application/json");
        let request =
            Request { method: "GET".into(), target: target.into(), headers, ..Request::default() };
        let mut v1 = self.answer(route, item, recorded.plus(offset + 2_000_000), 1);
        let mut v2 = self.answer(route, item, replayed.plus(offset + 2_000_000), 2);
        if let Some(fault) = fault.filter(|_| item.is_multiple_of(plan.faulty_targets)) {
            plant(fault, &mut v2);
        }
        if let Some(fault) = plan.noisy_fault {
            plant(fault, &mut v2);
        }
        let at = recorded.plus(offset);
        let id = ExchangeId { connection: number as u64 / 7, ordinal: number as u32 % 7 };
        let exchange = Exchange {
            carriage: None,
            id,
            client: "10.0.0.9:40112".parse().unwrap(),
            server: "10.0.0.1:8080".parse().unwrap(),
            protocol: "http/1".to_owned(),
            completeness: Completeness::Complete,
            request: Some(TimedRequest { at, duration_ns: 0, message: request }),
            response: Some(TimedResponse {
                at: at.plus(3_000_000),
                first_byte_ns: Some(3_000_000),
                last_byte_ns: Some(3_000_000),
                message: v1.finish(),
            }),
            interim: vec![],
            opened_at: None,
            handshake_ns: None,
            marks: vec![],
            closed: vec![],
        };
        let outcome = Outcome {
            id: ReplayId::first(id),
            lane: id.connection,
            due_ns: offset,
            sent_ns: Some(offset),
            first_byte_ns: Some(offset + 3_000_000),
            last_byte_ns: Some(offset + 3_000_000),
            response: Some(v2.finish()),
            ..Outcome::default()
        };
        (exchange, outcome)
    }

    fn answer(&mut self, route: usize, item: u64, now: Timestamp, version: u8) -> Answer {
        let mut data = Dice(item ^ (route as u64) << 32);
        let lines: Vec<Value> = (0..4)
            .map(|n| {
                let label = format!("line {n} of {item}");
                json!({ "id": item * 10 + n, "tax": data.below(50), "label": label })
            })
            .collect();
        let mut body = json!({
            "id": item,
            "name": format!("item {}", data.hex(6)),
            "price": 100 + data.below(90_000),
            "quantity": 1 + data.below(9),
            "description": format!("a thing of kind {}", data.below(5)),
            "big": 9_007_199_254_740_992_u64 + data.below(1000) * 2,
            "lines": lines,
            "created_at": "2019-03-01T08:00:00Z",
            "owner": Dice(item).uuid(),
        });
        if self.plan.padding > 0 {
            let mut rows = Vec::new();
            let mut size = 0;
            while size < self.plan.padding {
                let row = json!({
                    "row": rows.len(),
                    "value": data.below(1_000_000),
                    "text": data.hex(16),
                    "ok": data.below(2) == 0,
                });
                size += row.to_string().len() + 1;
                rows.push(row);
            }
            body["rows"] = rows.into();
        }
        let mut headers = vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("X-Api-Version".to_owned(), "7".to_owned()),
            ("Content-Language".to_owned(), "en".to_owned()),
            ("Date".to_owned(), now.to_string()),
        ];
        let dice = if version == 1 { &mut self.v1 } else { &mut self.v2 };
        for noise in 0..self.plan.noise {
            make_noise(noise, dice, now, &mut body, &mut headers);
        }
        for kind in 0..self.plan.ids {
            make_id(kind, dice, &mut body, &mut headers);
        }
        if version == 2 {
            headers.reverse();
        }
        Answer { status: 200, headers, body }
    }
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Value,
}

impl Answer {
    fn finish(&mut self) -> Response {
        let headers: Headers =
            self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let body = Body::whole(self.body.to_string().into_bytes());
        Response {
            status: self.status,
            reason: "OK".into(),
            headers,
            body,
            framing: Framing::ContentLength,
            ..Response::default()
        }
    }
}

/// One kind of noise, the same in both versions.
fn make_noise(
    kind: usize,
    dice: &mut Dice,
    now: Timestamp,
    body: &mut Value,
    headers: &mut Vec<(String, String)>,
) {
    match kind {
        0 => body["request_id"] = dice.uuid().into(),
        1 => body["generated_at"] = now.to_string().into(),
        2 => headers.push(("X-Request-Id".to_owned(), dice.uuid())),
        3 => body["load"] = dice.below(100_000).into(),
        4 => body["at_ms"] = (now.nanos() / 1_000_000).into(),
        5 => body["span"] = dice.hex(32).into(),
        6 => body["node"] = ["alpha", "beta", "gamma", "delta"][dice.below(4) as usize].into(),
        7 => headers
            .push(("Set-Cookie".to_owned(), format!("sid={}; Path=/; HttpOnly", dice.token(32)))),
        8 => body["score"] = (dice.below(1_000_000) as f64 / 1_000_003.0).into(),
        9 => {
            // Half of the answers have it.
            if dice.below(2) == 0 {
                body["hint"] = "try the other one".into();
            }
        }
        10 => {
            let mut tags = vec!["red", "green", "blue", "black", "white"];
            for at in (1..tags.len()).rev() {
                tags.swap(at, dice.below(at as u64 + 1) as usize);
            }
            body["tags"] = tags.into();
        }
        11 => {
            body["recommended"] =
                (0..3).map(|_| json!({ "pick": dice.below(5_000) })).collect::<Vec<_>>().into()
        }
        12 => body["csrf"] = dice.token(40).into(),
        13 => {
            body["message"] =
                format!("rendered at {} by {}", &now.to_string()[..19], dice.hex(16)).into()
        }
        14 => body["flag"] = (dice.below(2) == 0).into(),
        15 => headers.push(("X-Shard".to_owned(), dice.below(50).to_string())),
        16 => body["expires_at"] = now.plus(30 * 86_400_000_000_000).to_string().into(),
        17 => body["meta"] = json!({ "trace": dice.hex(16), "rand": dice.below(1 << 40) }),
        18 => body["visits"] = json!(1_000 + dice.below(1_000_000)),
        _ => headers.push(("ETag".to_owned(), format!("\"{}\"", dice.hex(12)))),
    }
}

/// One kind of random id, the same in both versions, under a name that says nothing.
fn make_id(kind: usize, dice: &mut Dice, body: &mut Value, headers: &mut Vec<(String, String)>) {
    const CROCKFORD: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    const ALPHANUMERIC: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let id = match kind {
        0 => dice.uuid(),
        1 => format!("urn:uuid:{}", dice.uuid()),
        2 => format!("{}-eu", dice.uuid()),
        3 => dice.hex(12),
        4 => dice.hex(40),
        // Nano ids, and tokens in base64url of 8, 16 and 32 bytes.
        5 => dice.token(21),
        6 => dice.token(11),
        7 => dice.token(22),
        8 => dice.token(43),
        9 => format!("{}==", dice.of(22, ALPHANUMERIC)),
        // A ULID and a KSUID of one day.
        10 => format!("01KB5{}", dice.of(21, CROCKFORD)),
        11 => format!("36x{}", dice.of(24, ALPHANUMERIC)),
        // Snowflakes of one hour.
        12 => (1_994_000_000_000_000_000 + dice.below(15_000_000_000_000)).to_string(),
        13 => dice.of(16, &ALPHANUMERIC[..36]),
        14 => format!("ch_{}", dice.of(24, ALPHANUMERIC)),
        15 => format!("/static/app-{}.js", dice.hex(8)),
        16 => format!("see https://shop.example/t/{}?a=1 for more", dice.token(16)),
        17 => format!("<input name=\"t\" value=\"{}\">", dice.of(32, ALPHANUMERIC)),
        18 => {
            let policy = format!("script-src 'nonce-{}=='", dice.of(22, ALPHANUMERIC));
            return headers.push(("Content-Security-Policy".to_owned(), policy));
        }
        _ => {
            let cookie = format!("XSRF-TOKEN={}; Path=/", dice.token(36));
            return headers.push(("Set-Cookie".to_owned(), cookie));
        }
    };
    body[format!("value{kind}")] = id.into();
}

fn plant(fault: &str, answer: &mut Answer) {
    let body = &mut answer.body;
    let number = |value: &Value| value.as_u64().unwrap();
    match fault {
        "cents" => body["price"] = (number(&body["price"]) * 100).into(),
        "off-by-one" => body["quantity"] = (number(&body["quantity"]) + 1).into(),
        "null" => body["description"] = Value::Null,
        "type" => body["quantity"] = body["quantity"].to_string().into(),
        "removed" => drop(body.as_object_mut().unwrap().remove("description")),
        "renamed" => {
            let quantity = body.as_object_mut().unwrap().remove("quantity").unwrap();
            body["qty"] = quantity;
        }
        "added" => body["debug"] = json!({ "sql": "select 1" }),
        "constant-text" => body["name"] = "unknown".into(),
        "element-lost" => drop(body["lines"].as_array_mut().unwrap().pop()),
        "reordered" => body["lines"].as_array_mut().unwrap().reverse(),
        "nested" => body["lines"][2]["tax"] = (number(&body["lines"][2]["tax"]) + 51).into(),
        "status" => {
            answer.status = 500;
            answer.body = json!({ "error": "internal" });
        }
        "created" => answer.status = 201,
        "header-lost" => answer.headers.retain(|(name, _)| name != "X-Api-Version"),
        "header-changed" => {
            for (_, value) in
                answer.headers.iter_mut().filter(|(name, _)| name == "Content-Language")
            {
                *value = "de".to_owned();
            }
        }
        "noisy-type" => body["load"] = body["load"].to_string().into(),
        "noisy-null" => body["request_id"] = Value::Null,
        "noisy-removed" => drop(body.as_object_mut().unwrap().remove("span")),
        "noisy-constant" => body["csrf"] = "Qk3vX9-aLm2ZtR7_bWc5YpD1sHj8NfU4gEo6KiTx".into(),
        "noisy-constant-number" => body["visits"] = 1_001.into(),
        "noisy-kind" => body["generated_at"] = "just now".into(),
        "noisy-header" => answer.headers.retain(|(name, _)| name != "X-Shard"),
        "precision" => body["big"] = (number(&body["big"]) + 1).into(),
        other => panic!("no such fault: {other}"),
    }
}
