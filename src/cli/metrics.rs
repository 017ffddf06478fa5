//! `--metrics ADDR`: figures of what runs, at `/metrics`, in the text format of OpenMetrics, which
//! Prometheus reads. Who counts registers here; this file serves, `push` sends.

mod push;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub(crate) use self::push::{MetricsPusher, PushUrl};
use super::Failure;
use crate::stop::Stop;

/// What answers are called (OpenMetrics 1.0).
const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How often a word is looked at while a scrape is waited for.
const LOOK: Duration = Duration::from_millis(100);
/// Longest that the head of a question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A registry that tells which program this is.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::with_prefix("shadowtap");
    let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The program", version);
    registry
}

/// A counter whose value somebody else keeps.
pub(crate) fn tell_counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> std::fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
}

/// A gauge whose value somebody else keeps.
pub(crate) fn tell_gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> std::fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

/// Serves figures until it is dropped.
pub(crate) struct MetricsServer {
    address: SocketAddr,
    scrapes: Arc<AtomicU64>,
    /// How many there were when the figures were final.
    before_final: AtomicU64,
    /// Dropped, it ends the thread.
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    /// Listens on `address`; `:9464` is that port on all addresses.
    pub(crate) fn start(address: &str, registry: Arc<Registry>) -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| {
            Failure::usage(format!("--metrics {address}: cannot listen there")).because(&error)
        };
        let whole =
            if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
        let listener = TcpListener::bind(whole).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let scrapes = Arc::<AtomicU64>::default();
        let (end, ended) = tokio::sync::oneshot::channel();
        let shared = Arc::new(SharedPage { registry, scrapes: Arc::clone(&scrapes) });
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, shared) => {}
                    _ = ended => {}
                }
            });
        };
        let thread =
            std::thread::Builder::new().name("metrics".to_owned()).spawn(serve).map_err(cannot)?;
        let (before_final, end) = (AtomicU64::new(0), Some(end));
        Ok(Self { address, scrapes, before_final, end, thread: Some(thread) })
    }

    /// Where it listens, to be told.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The figures are final from now on.
    pub(crate) fn settle(&self) {
        self.before_final.store(self.scrapes.load(Ordering::Acquire), Ordering::Release);
    }

    /// Waits until the final figures were asked for, but no longer than `longest`, nor when a word
    /// says so.
    pub(crate) fn linger(&self, longest: Duration, stop: &Stop) {
        let before = self.before_final.load(Ordering::Acquire);
        let mut left = longest;
        while self.scrapes.load(Ordering::Acquire) == before && !left.is_zero() {
            if stop.wait(Some(left.min(LOOK))) {
                return;
            }
            left = left.saturating_sub(LOOK);
        }
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct SharedPage {
    registry: Arc<Registry>,
    scrapes: Arc<AtomicU64>,
}

async fn accept(listener: TcpListener, shared: Arc<SharedPage>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, for a moment.
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let answer = service_fn(|request: Request<hyper::body::Incoming>| {
                let answer = answer(&shared, request.method(), request.uri().path());
                async { Ok::<_, std::convert::Infallible>(answer) }
            });
            let _ = http1::Builder::new()
                .timer(hyper_util::rt::TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

fn answer(shared: &SharedPage, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let mut text = String::new();
    let (status, kind) = match (method, path) {
        (&Method::GET | &Method::HEAD, "/metrics" | "/") => {
            // Writing into a string cannot fail.
            let _ = encode(&mut text, &shared.registry);
            shared.scrapes.fetch_add(1, Ordering::AcqRel);
            (StatusCode::OK, KIND)
        }
        _ => {
            "the figures are at /metrics\n".clone_into(&mut text);
            (StatusCode::NOT_FOUND, "text/plain")
        }
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    /// What the server says of `path`.
    pub(in crate::cli) fn ask(server: &MetricsServer, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        let question = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(question.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_figures_are_served_and_kept_until_they_were_asked_for() {
        let server = MetricsServer::start("127.0.0.1:0", registry().into()).unwrap();
        let text = ask(&server, "/metrics");
        let build = format!("shadowtap_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&build) && text.contains("# EOF"), "{text}");
        assert!(ask(&server, "/other").starts_with("HTTP/1.1 404"));
        let stop = Stop::new().unwrap();
        server.settle();
        std::thread::scope(|scope| {
            let lingering = scope.spawn(|| server.linger(Duration::from_secs(3600), &stop));
            while !lingering.is_finished() {
                ask(&server, "/metrics");
            }
        });
        server.linger(Duration::ZERO, &stop);
        assert!(MetricsServer::start("nowhere", registry().into()).is_err());
    }
}
