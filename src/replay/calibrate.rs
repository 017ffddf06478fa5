//! How many requests a second can this machine replay? Measured on loopback against the cheapest
//! server there is, which runs in this process and takes its share of the machine, as a v2 on the
//! same machine would.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::epoll;
use rustix::net::SendFlags;

use super::plan::{Planner, Wishes};
use super::{Arrivals, Outputs, ReplayError, ReplayOptions, ReplayStop, Think, Windows, run};
use crate::exchange::{Completeness, Exchange, ExchangeId, TimedRequest};
use crate::flow::Endpoint;
use crate::message::{Headers, Request};
use crate::replay::session::target::{Target, TargetError};
use crate::replay::session::tls::Trust;
use crate::schedule::pacing::{Pacing, Speed};
use crate::time::Timestamp;

/// Requests of the measurement, and the lanes that they are on.
const REQUESTS: u32 = 60_000;
const LANES: u32 = 64;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Requests a second with all lanes busy.
    pub per_second: f64,
    /// CPU seconds of this process (with the server's share) for 100,000 requests.
    pub cpu_per_100k_s: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// The server or the temporary files.
    #[error("the measurement on loopback could not be set up")]
    Setup(#[from] io::Error),
    /// The target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The replay.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// Measures with this many sending threads; temporary files (without a name) are in `folder`.
pub fn calibrate(
    folder: &Path,
    workers: usize,
    stop: &Arc<ReplayStop>,
) -> Result<Calibration, CalibrateError> {
    let server = CalibrationServer::start()?;
    let pacing = Pacing { speed: Speed::Max, ..Pacing::default() };
    let mut planner = Planner::new(folder, Wishes { pacing, ..Wishes::default() }, None)?;
    for number in 0..REQUESTS {
        planner.add(&exchange(number))?;
    }
    let plan = planner.finish()?;
    let options = ReplayOptions {
        run: "calibration".to_owned(),
        target: Target::resolve(&format!("http://{}", server.address))?,
        mapped: Vec::new(),
        baseline: None,
        trust: Trust::default(),
        transport: super::Transport::Wire,
        allow_downgrade: false,
        h2: Windows::Initial,
        arrivals: Arrivals::Causal,
        think: Think::Schedule,
        timeout_ns: 10_000_000_000,
        is_patient: false,
        max_connections: None,
        workers,
        max_body: 1 << 20,
        realtime: false,
        start_at: None,
        max_lateness_ns: i64::MAX,
        settings: serde_json::Value::Null,
        traces: None,
        under_way: None,
        redaction: None,
    };
    let target = crate::store::nameless_file(folder)?;
    let outputs = Outputs { target, baseline: None, bindings: [None, None] };
    let finished = run(&plan, &options, outputs, stop, None, |_| {})?;
    let seconds = finished.duration_ns.max(1) as f64 / 1e9;
    let cpu = finished.generator["cpu_process_ns"].as_f64().unwrap_or(0.0) / 1e9;
    let answered = finished.answered.max(1) as f64;
    Ok(Calibration {
        per_second: finished.answered as f64 / seconds,
        cpu_per_100k_s: cpu / answered * 1e5,
    })
}

/// A small request of a lane; they take turns.
fn exchange(number: u32) -> Exchange {
    let fields = [("Host", "calibration.invalid"), ("User-Agent", "shadowtap"), ("Accept", "*/*")];
    let headers: Headers =
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let message = Request {
        method: "GET".into(),
        target: "/calibrate".into(),
        headers,
        ..Request::default()
    };
    Exchange {
        carriage: None,
        id: ExchangeId { connection: u64::from(number % LANES), ordinal: number / LANES },
        client: Endpoint::new([192, 0, 2, 1].into(), 1),
        server: Endpoint::new([192, 0, 2, 2].into(), 80),
        protocol: "http/1".to_owned(),
        completeness: Completeness::NoResponse,
        request: Some(TimedRequest {
            at: Timestamp::from_nanos(i64::from(number)),
            duration_ns: 0,
            message,
        }),
        response: None,
        interim: Vec::new(),
        opened_at: None,
        handshake_ns: None,
        marks: Vec::new(),
        closed: Vec::new(),
    }
}

/// Answers whatever ends with an empty line.
struct CalibrationServer {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl CalibrationServer {
    fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("calibrate".to_owned()).spawn({
            let ended = Arc::clone(&ended);
            move || {
                let _ = serve(&listener, &ended);
            }
        })?;
        Ok(Self { address, ended, thread: Some(thread) })
    }
}

impl Drop for CalibrationServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, ended: &AtomicBool) -> rustix::io::Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, epoll::EventData::new_u64(u64::MAX), epoll::EventFlags::IN)?;
    let mut peers: Vec<Option<OwnedFd>> = Vec::new();
    let mut events: Vec<epoll::Event> = Vec::with_capacity(128);
    let mut buffer = vec![0; 16_384];
    let answers = ANSWER.repeat(64);
    let wait = rustix::time::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    while !ended.load(Ordering::Acquire) {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        for event in &events {
            if event.data.u64() == u64::MAX {
                while let Ok((stream, _)) = listener.accept() {
                    let _ = stream.set_nodelay(true);
                    let peer = OwnedFd::from(stream);
                    epoll::add(
                        &poll,
                        &peer,
                        epoll::EventData::new_u64(peers.len() as u64),
                        epoll::EventFlags::IN,
                    )?;
                    peers.push(Some(peer));
                }
                continue;
            }
            let Some(place) = peers.get_mut(event.data.u64() as usize) else { continue };
            let Some(peer) = place else { continue };
            let n = rustix::io::read(&*peer, &mut buffer).unwrap_or(0);
            // A request of the measurement is far smaller than a segment: it comes whole.
            let requests = memchr::memmem::find_iter(&buffer[..n], b"\r\n\r\n").count().min(64);
            let reply = &answers[..requests * ANSWER.len()];
            if n == 0
                || (requests > 0 && rustix::net::send(&*peer, reply, SendFlags::NOSIGNAL).is_err())
            {
                *place = None;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_of_the_measurement_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let measured = calibrate(folder.path(), 1, &Arc::new(ReplayStop::default())).unwrap();
        assert!(measured.per_second > 0.0 && measured.cpu_per_100k_s > 0.0, "{measured:?}");
    }
}
