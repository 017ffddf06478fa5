//! `--metrics ADDR`: figures of the running replay in Prometheus' text format, at `/metrics`.
//!
//! | name | labels | unit |
//! |---|---|---|
//! | `shadowtap_requests_total` | `version`, `route` | requests that were recorded |
//! | `shadowtap_failures_total` | `version`, `kind` | of them without a whole answer |
//! | `shadowtap_request_duration_seconds` | `version`, `route` | histogram, from sent to the whole answer (v1: as captured) |
//! | `shadowtap_own_lateness_seconds` | | histogram, of the replayer |
//! | `shadowtap_sent_total`, `shadowtap_in_flight`, `shadowtap_connections`, `shadowtap_waiting` | | |
//!
//! `version` is `v1`, `v2` or `baseline`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::exchange::Exchange;
use crate::outcome::Outcome;
use crate::replay::plan::RouteOf;
use crate::replay::{Progress, Side};
use crate::route::Routes;

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 18] = [
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5,
    1.0, 2.5, 10.0,
];

#[derive(Clone, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    fn add(&mut self, nanos: i64) {
        let seconds = nanos.max(0) as f64 / 1e9;
        if let Some(place) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[place] += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    fn write(&self, out: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut below = 0;
        for (bound, n) in BOUNDS.iter().zip(&self.buckets) {
            below += n;
            let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {below}");
        }
        let braces =
            |labels: &str| if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", self.count);
        let _ = writeln!(out, "{name}_sum{} {}", braces(labels), self.sum);
        let _ = writeln!(out, "{name}_count{} {}", braces(labels), self.count);
    }
}

#[derive(Default)]
struct Table {
    durations: BTreeMap<(&'static str, Arc<str>), (u64, Histogram)>,
    failures: BTreeMap<(&'static str, &'static str), u64>,
    lateness: Histogram,
    progress: Progress,
}

/// The figures, shared by those who count and those who ask.
#[derive(Clone, Default)]
pub(super) struct Metrics(Arc<Mutex<Table>>);

/// Names a request's route by the shape of its path: nothing has been learned while the replay
/// runs.
pub(super) fn route_of() -> RouteOf {
    let routes = Routes::new(Vec::new());
    Box::new(move |method, target| routes.route(method, target))
}

impl Metrics {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Counts a recorded exchange of v1.
    pub(super) fn recorded(&self, exchange: &Exchange, route: &Arc<str>) {
        let mut table = self.table();
        let (count, histogram) = table.durations.entry(("v1", Arc::clone(route))).or_default();
        *count += 1;
        if let Some(nanos) = exchange.response.as_ref().and_then(|response| response.last_byte_ns) {
            histogram.add(nanos);
        }
    }

    /// Counts an outcome.
    pub(super) fn replayed(&self, side: Side, route: &Arc<str>, outcome: &Outcome) {
        let version = match side {
            Side::Target => "v2",
            Side::Baseline => "baseline",
        };
        let mut table = self.table();
        if let Some(failure) = &outcome.failure {
            *table.failures.entry((version, failure.kind.name())).or_default() += 1;
        }
        if let Some(nanos) = outcome.own_lateness_ns() {
            table.lateness.add(nanos);
        }
        let (count, histogram) = table.durations.entry((version, Arc::clone(route))).or_default();
        *count += 1;
        if let (Some(sent), Some(last)) = (outcome.sent_ns, outcome.last_byte_ns) {
            histogram.add(last - sent);
        }
    }

    /// Takes over how far the replay is.
    pub(super) fn progress(&self, progress: &Progress) {
        self.table().progress = *progress;
    }

    fn text(&self) -> String {
        let table = self.table();
        let mut out = String::new();
        let head = |out: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        head(&mut out, "shadowtap_requests_total", "counter", "Requests that were recorded.");
        let label = |version: &str, route: &str| {
            let route: String = route
                .chars()
                .flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] })
                .collect();
            format!("version=\"{version}\",route=\"{}\"", route.replace('\n', "\\n"))
        };
        for ((version, route), (count, _)) in &table.durations {
            let _ = writeln!(out, "shadowtap_requests_total{{{}}} {count}", label(version, route));
        }
        head(&mut out, "shadowtap_failures_total", "counter", "Requests without a whole answer.");
        for ((version, kind), count) in &table.failures {
            let _ = writeln!(
                out,
                "shadowtap_failures_total{{version=\"{version}\",kind=\"{kind}\"}} {count}"
            );
        }
        head(
            &mut out,
            "shadowtap_request_duration_seconds",
            "histogram",
            "From sent to the whole answer; v1 as captured.",
        );
        for ((version, route), (_, histogram)) in &table.durations {
            histogram.write(&mut out, "shadowtap_request_duration_seconds", &label(version, route));
        }
        head(
            &mut out,
            "shadowtap_own_lateness_seconds",
            "histogram",
            "How late the replayer itself sent.",
        );
        table.lateness.write(&mut out, "shadowtap_own_lateness_seconds", "");
        let now = &table.progress;
        for (name, kind, help, value) in [
            ("shadowtap_sent_total", "counter", "Requests sent.", now.sent),
            (
                "shadowtap_in_flight",
                "gauge",
                "Requests that were sent and not answered.",
                now.in_flight(),
            ),
            ("shadowtap_connections", "gauge", "Open connections.", now.connections),
            ("shadowtap_waiting", "gauge", "Requests that are due and wait for v2.", now.waiting),
        ] {
            head(&mut out, name, kind, help);
            let _ = writeln!(out, "{name} {value}");
        }
        out
    }
}

/// Serves the figures until it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `address`.
    pub(super) fn start(address: &str, metrics: Metrics) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn({
            let ended = Arc::clone(&ended);
            move || {
                for stream in listener.incoming() {
                    if ended.load(Ordering::Acquire) {
                        return;
                    }
                    if let Ok(stream) = stream {
                        let _ = answer(stream, &metrics);
                    }
                }
            }
        })?;
        Ok(Self { address, ended, thread: Some(thread) })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the thread, which waits for the next connection.
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok();
        if let Some(thread) = self.thread.take()
            && woken
        {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < 16_384 {
        match stream.read(&mut buffer)? {
            0 => break,
            n => head.extend_from_slice(&buffer[..n]),
        }
    }
    let (status, body) = if head.starts_with(b"GET /metrics") || head.starts_with(b"GET / ") {
        ("200 OK", metrics.text())
    } else {
        ("404 Not Found", "the figures are at /metrics\n".to_owned())
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Failure, FailureKind};

    #[test]
    fn the_figures_are_served() {
        let metrics = Metrics::default();
        let route: Arc<str> = "GET /a\"b".into();
        let outcome =
            Outcome { sent_ns: Some(1_000), last_byte_ns: Some(2_001_000), ..Outcome::default() };
        metrics.replayed(Side::Target, &route, &outcome);
        let failure = Some(Failure::new(FailureKind::Timeout, ""));
        metrics.replayed(Side::Target, &route, &Outcome { failure, ..Outcome::default() });
        metrics.progress(&Progress { sent: 7, answered: 4, ..Progress::default() });
        let server = Server::start("127.0.0.1:0", metrics).unwrap();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        for line in [
            "shadowtap_requests_total{version=\"v2\",route=\"GET /a\\\"b\"} 2",
            "shadowtap_failures_total{version=\"v2\",kind=\"timeout\"} 1",
            "shadowtap_request_duration_seconds_bucket{version=\"v2\",route=\"GET /a\\\"b\",le=\"0.001\"} 0",
            "shadowtap_request_duration_seconds_bucket{version=\"v2\",route=\"GET /a\\\"b\",le=\"0.0025\"} 1",
            "shadowtap_request_duration_seconds_count{version=\"v2\",route=\"GET /a\\\"b\"} 1",
            "shadowtap_own_lateness_seconds_bucket{le=\"+Inf\"} 1",
            "shadowtap_sent_total 7",
            "shadowtap_in_flight 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
    }
}
