//! A run from what was said: requests with both versions' answers, diffed in memory.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "a part of tests, each of which needs a part of it"
)]

use std::fs::File;
use std::io::Write;

use serde_json::Value;
use shadowtap::diff::approvals::Approvals;
use shadowtap::diff::engine::{self, CompareInputs, CompareSettings, DiffOutputs, Findings};
use shadowtap::diff::rules::{DiffConfig, Rules};
use shadowtap::diff::{Class, Difference};
use shadowtap::exchange::{Completeness, Exchange, ExchangeId, TimedRequest, TimedResponse};
use shadowtap::ledger::Ledger;
use shadowtap::message::protobuf::Schema;
use shadowtap::message::{Body, Framing, Headers, Request, Response};
use shadowtap::outcome::{Failure, FailureKind, Outcome, ReplayId, Unbound};
use shadowtap::record::exchanges::{self as exchange_log, End, Header};
use shadowtap::record::flows::Binding;
use shadowtap::record::outcomes as outcome_log;
use shadowtap::redact::Masker;
use shadowtap::time::Timestamp;

/// A request or an answer: what it begins with, header fields, body.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

/// An answer of this type.
pub fn answer(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Said {
    let fields = match kind {
        "" => vec![],
        kind => vec![("Content-Type".to_owned(), kind.to_owned())],
    };
    Said { status, fields, body: body.into(), ..Said::default() }
}

pub fn json(body: impl Into<Vec<u8>>) -> Said {
    answer(200, "application/json", body)
}

impl Said {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn ending(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn headers(&self) -> Headers {
        headers(&self.fields)
    }

    fn response(&self) -> Response {
        Response {
            status: self.status,
            headers: self.headers(),
            body: Body::whole(self.body.clone()),
            framing: Framing::ContentLength,
            trailers: headers(&self.trailers),
            ..Response::default()
        }
    }
}

fn headers(fields: &[(String, String)]) -> Headers {
    fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

/// An exchange of v1, and v2's answer; none where the request was skipped.
#[derive(Clone, Debug)]
pub struct Talk {
    pub request: &'static str,
    pub target: String,
    pub asked: Said,
    pub v1: Said,
    pub v2: Option<Said>,
    /// Values that it was sent with as recorded: exchange and place of their birth.
    pub lacks: Vec<Unbound>,
    /// Whether v1's client left before the answer was whole.
    pub left: bool,
}

/// `GET /x` with both answers.
pub fn talk(request: &str, v1: Said, v2: Said) -> Talk {
    let (method, target) = request.split_once(' ').unwrap();
    let request = ["GET", "PUT", "POST", "DELETE", "HEAD"];
    let request = request.into_iter().find(|known| *known == method).unwrap();
    Talk {
        request,
        target: target.to_owned(),
        asked: Said::default(),
        v1,
        v2: Some(v2),
        lacks: vec![],
        left: false,
    }
}

impl Talk {
    pub fn asking(mut self, name: &str, value: &str) -> Self {
        self.asked = self.asked.with(name, value);
        self
    }

    pub fn saying(mut self, body: &str) -> Self {
        self.asked.body = body.as_bytes().to_vec();
        self
    }

    /// Sent with v1's value of `place` of the answer to exchange `number`.
    pub fn lacking(mut self, number: usize, place: &str) -> Self {
        let root = ReplayId::first(id(number));
        self.lacks.push(Unbound { root, place: place.to_owned() });
        self
    }

    pub fn left(mut self) -> Self {
        self.left = true;
        self
    }

    pub fn skipped(mut self) -> Self {
        self.v2 = None;
        self
    }
}

/// What a diff found, and its differences.
pub struct Found {
    pub findings: Findings,
    pub differences: Vec<Difference>,
}

impl Found {
    /// Place and shape of the clusters of a class.
    pub fn of(&self, class: Class) -> Vec<String> {
        let clusters = self.findings.clusters.iter().filter(|cluster| cluster.class == class);
        clusters.map(|c| format!("{} {} {} [{}]", c.route, c.place, c.shape, c.why)).collect()
    }

    /// The places of the regressions.
    pub fn places(&self) -> Vec<String> {
        let clusters = self.findings.clusters.iter();
        clusters.filter(|c| c.class == Class::Regression).map(|c| c.place.clone()).collect()
    }
}

/// Diffs a run in which all this was said, 10 ms apart; v2 a day later.
pub fn diff(talks: &[Talk]) -> Found {
    diff_with(talks, "")
}

/// The same under `[diff]` of a configuration.
pub fn diff_with(talks: &[Talk], config: &str) -> Found {
    diff_by(talks, &settings(config), [&[], &[]])
}

/// The same with secrets masked.
pub fn diff_masked(talks: &[Talk]) -> Found {
    diff_by(talks, &CompareSettings { masker: Masker::new(b"key"), ..settings("") }, [&[], &[]])
}

/// The same with the names of messages.
pub fn diff_named(talks: &[Talk], config: &str, schema: Schema) -> Found {
    diff_by(talks, &CompareSettings { schema, ..settings(config) }, [&[], &[]])
}

/// The same where some of it is intended.
pub fn diff_approved(talks: &[Talk], approvals: Approvals) -> Found {
    diff_by(talks, &CompareSettings { approvals, ..settings("") }, [&[], &[]])
}

/// The same under bindings of v2 and of a baseline that answered as v1 did.
pub fn diff_under(talks: &[Talk], config: &str, bindings: [&[Binding]; 2]) -> Found {
    diff_by(talks, &settings(config), bindings)
}

fn settings(config: &str) -> CompareSettings {
    let config: DiffConfig = toml::from_str(config).unwrap();
    CompareSettings {
        rules: Rules::new(&config).unwrap(),
        approvals: Approvals::default(),
        noise: vec![],
        routes: None,
        schema: Schema::default(),
        masker: Masker::off(),
        today: "2026-11-23".to_owned(),
    }
}

/// The same beside a baseline, which answers so.
pub fn diff_beside(talks: &[Talk], staged: &[Said]) -> Found {
    let answered = talks.iter().zip(staged);
    let of = |(talk, said): (&Talk, &Said)| Talk { v2: Some(said.clone()), ..talk.clone() };
    let staged: Vec<Talk> = answered.map(of).collect();
    diff_all(talks, Some(&staged), &settings(""), [&[], &[]])
}

fn diff_by(talks: &[Talk], settings: &CompareSettings, bindings: [&[Binding]; 2]) -> Found {
    diff_all(talks, None, settings, bindings)
}

fn diff_all(
    talks: &[Talk],
    staged: Option<&[Talk]>,
    settings: &CompareSettings,
    bindings: [&[Binding]; 2],
) -> Found {
    let recorded: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let (exchanges, outcomes) = (records(talks, recorded), replayed(talks, recorded));
    let inputs = CompareInputs {
        exchanges,
        outcomes,
        baseline: staged.map(|staged| replayed(staged, recorded)),
        bindings: bindings.map(bound),
        spool: tempfile::tempfile().unwrap(),
    };
    let mut lines = Vec::new();
    let outputs = DiffOutputs { differences: &mut lines, mismatches: &mut std::io::sink() };
    let findings = engine::run(inputs, settings, outputs, &|_, _| ()).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    let differences = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Found { findings, differences }
}

/// A value that the answer to exchange `number` issued: place, v1's, v2's.
pub fn binding(number: usize, place: &str, v1: &str, v2: &str) -> Binding {
    Binding {
        slot: 0,
        id: ReplayId::first(id(number)),
        place: place.to_owned(),
        thing: None,
        flow: None,
        v1: v1.to_owned(),
        v2: Some(v2.to_owned()),
        reason: None,
    }
}

fn bound(bindings: &[Binding]) -> Option<File> {
    let mut lines = Vec::new();
    bindings.iter().for_each(|binding| exchange_log::write_line(&mut lines, binding));
    (!bindings.is_empty()).then(|| file(&lines))
}

fn id(number: usize) -> ExchangeId {
    ExchangeId { connection: number as u64 / 7, ordinal: number as u32 % 7 }
}

pub fn records(talks: &[Talk], recorded: Timestamp) -> File {
    let mut lines = Vec::new();
    exchange_log::write_line(&mut lines, &Header::new(recorded, vec!["v1.pcap".to_owned()]));
    for (number, talk) in talks.iter().enumerate() {
        let at = recorded.plus(number as i64 * 10_000_000);
        let mut headers = Headers::new();
        headers.push(b"Host", b"shop.test");
        let mut all: Headers = talk.asked.headers();
        all.iter().for_each(|(name, value)| headers.push(name, value));
        std::mem::swap(&mut all, &mut headers);
        let message = Request {
            method: talk.request.into(),
            target: talk.target.clone().into(),
            headers: all,
            body: Body::whole(talk.asked.body.clone()),
            ..Request::default()
        };
        let exchange = Exchange {
            carriage: None,
            id: id(number),
            client: "10.0.0.9:40112".parse().unwrap(),
            server: "10.0.0.1:8080".parse().unwrap(),
            protocol: "http/1".to_owned(),
            completeness: match (talk.left, talk.v1.status) {
                (true, 0) => Completeness::NoResponse,
                (true, _) => Completeness::ResponseDamaged,
                (false, _) => Completeness::Complete,
            },
            request: Some(TimedRequest { at, duration_ns: 0, message }),
            response: (talk.v1.status > 0).then(|| TimedResponse {
                at: at.plus(3_000_000),
                first_byte_ns: Some(3_000_000),
                last_byte_ns: Some(3_000_000),
                message: talk.v1.response(),
            }),
            interim: vec![],
            opened_at: None,
            handshake_ns: None,
            marks: vec![],
            closed: vec![],
        };
        exchange_log::write(&mut lines, &exchange);
    }
    let end = End::new(talks.len() as u64, Ledger::default(), exchange_log::Rest::default());
    exchange_log::write_line(&mut lines, &end);
    file(&lines)
}

fn replayed(talks: &[Talk], recorded: Timestamp) -> File {
    let mut lines = Vec::new();
    let header = outcome_log::OutcomesHeader {
        format: outcome_log::FORMAT.to_owned(),
        version: 1,
        run: "test".to_owned(),
        target: "http://v2.test:8080".to_owned(),
        started: recorded.plus(86_400_000_000_000),
        settings: Value::Null,
    };
    exchange_log::write_line(&mut lines, &header);
    for (number, talk) in talks.iter().enumerate() {
        let due = number as i64 * 10_000_000;
        let mut outcome = Outcome {
            id: ReplayId::first(id(number)),
            lane: id(number).connection,
            due_ns: due,
            unbound: talk.lacks.clone(),
            ..Outcome::default()
        };
        match &talk.v2 {
            Some(said) => {
                outcome.sent_ns = Some(due);
                outcome.first_byte_ns = Some(due + 3_000_000);
                outcome.last_byte_ns = Some(due + 3_000_000);
                outcome.response = Some(said.response());
            }
            None => {
                let detail = format!("unsafe method {}", talk.request);
                outcome.failure = Some(Failure::new(FailureKind::Skipped, detail));
            }
        }
        outcome_log::write(&mut lines, &outcome);
    }
    let end = outcome_log::OutcomesEnd::new(talks.len() as u64, Ledger::default(), Value::Null);
    exchange_log::write_line(&mut lines, &end);
    file(&lines)
}

fn file(lines: &[u8]) -> File {
    use std::io::{Seek as _, SeekFrom};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(lines).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file
}
