//! Is the target there? One attempt to connect before a replay, and `--wait-ready`: an URL that
//! must answer first.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::flow::Endpoint;
use crate::replay::session::forward::{self, Forward};
use crate::replay::session::ready::ReadyCheck;
use crate::replay::session::target::Target;
use crate::replay::session::tls::{self, Nobody, Sni, Trust};
use crate::replay::task::ReplayStop;
use crate::time::Monotonic;
use rustls::{CertificateError, ClientConnection};

/// Bytes of a health check's answer from which no more is read: a message of two takes seven.
const HEALTH_BYTES: usize = 4 << 10;
/// Longest wait for one connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How often it is looked at where connections lead that this machine forwards: a Service may have
/// many endpoints, and each connection gets one of them.
const LOOKS: usize = 32;
/// How long all addresses of a target together are tried.
const ADDRESSES: Duration = Duration::from_secs(20);
/// How long a server that asked for a certificate is given to say that it wants one.
const REFUSAL: Duration = Duration::from_secs(1);
/// Pause between two attempts.
const AGAIN: Duration = Duration::from_millis(250);

/// Why a target cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// No connection; what happened at the last of its addresses.
    NoConnection(String),
    /// It does not speak TLS, or its certificate is not trusted.
    Tls(String),
    /// Connections to it lead to a server that is refused.
    Refused(Endpoint),
}

/// Why nobody said that it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unready {
    /// Not within the time; what happened at last.
    Late(String),
    /// The URL leads to a server that is refused.
    Refused(Endpoint),
}

/// Connects once to each of the target's addresses, and at the first where it is reached by TLS
/// shakes hands, so that a certificate that nobody trusts is found before a thousand requests fail
/// by it. No byte is sent where one of the connections leads to a server that is `refused`.
pub fn reach(
    target: &Target,
    trust: &Trust,
    refused: impl Fn(Endpoint) -> bool,
) -> Result<Forward, Unusable> {
    let (stream, forward) = connect(target, refused)?;
    if target.tls {
        shake_hands(stream, target, trust).map_err(Unusable::Tls)?;
    }
    Ok(forward)
}

/// Whether TLS is spoken where the target's URL says `http://`: a server's certificate, its refusal
/// of ours, and its alerts say so.
pub fn speaks_tls(target: &Target) -> bool {
    let Ok((mut stream, _)) = connect(target, |_| false) else { return false };
    let trust = Trust::nobody();
    let bounded = stream
        .set_read_timeout(Some(REFUSAL))
        .and_then(|()| stream.set_write_timeout(Some(REFUSAL)));
    let session = || {
        let config = trust.config(&[b"h2", b"http/1.1"]).ok()?;
        ClientConnection::new(config, trust.sni.name("", target)?).ok()
    };
    let (Ok(()), Some(mut session)) = (bounded, session()) else { return false };
    while session.is_handshaking() {
        let Err(error) = session.complete_io(&mut stream) else { continue };
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        return matches!(
            inner,
            Some(
                rustls::Error::AlertReceived(_)
                    | rustls::Error::PeerIncompatible(_)
                    | rustls::Error::InvalidCertificate(_)
                    | rustls::Error::NoCertificatesPresented
            )
        );
    }
    true
}

/// A connection to the first address that takes one, after a look at where each of them leads.
fn connect(
    target: &Target,
    refused: impl Fn(Endpoint) -> bool,
) -> Result<(TcpStream, Forward), Unusable> {
    let started = Monotonic::now();
    let mut last = "it has no address".to_owned();
    let (mut first, mut looked_at_all) = (None, true);
    let left = || {
        let spent = Duration::from_nanos(started.elapsed().max(0).unsigned_abs());
        ADDRESSES.checked_sub(spent).filter(|left| !left.is_zero())
    };
    for address in &target.addresses {
        let Some(wait) = left() else {
            looked_at_all = false;
            break;
        };
        match TcpStream::connect_timeout(address, CONNECT.min(wait)) {
            Ok(stream) => {
                let forward = look(&stream, &refused)?;
                for _ in 1..LOOKS {
                    let (Forward::To(_), Some(wait)) = (forward, left()) else { break };
                    let other = TcpStream::connect_timeout(address, CONNECT.min(wait));
                    let Ok(other) = other else { break };
                    look(&other, &refused)?;
                }
                looked_at_all &= forward != Forward::Unknown;
                first.get_or_insert((stream, forward));
            }
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    let (stream, forward) = first.ok_or(Unusable::NoConnection(last))?;
    Ok((stream, if looked_at_all { forward } else { Forward::Unknown }))
}

/// Where a connection leads, if that is not `refused`.
fn look(stream: &TcpStream, refused: &impl Fn(Endpoint) -> bool) -> Result<Forward, Unusable> {
    match forward::behind(stream) {
        Forward::To(end) if refused(end) => Err(Unusable::Refused(end)),
        forward => Ok(forward),
    }
}

/// A TLS handshake under the name that requests will ask for, where that is known.
fn shake_hands(mut stream: TcpStream, target: &Target, trust: &Trust) -> Result<(), String> {
    let nobody = Arc::<Nobody>::default();
    // Whatever the server speaks: some refuse who does not offer HTTP/2 (gRPC's in Go and in Node).
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    let config = trust.config_as(both, &nobody).map_err(|error| innermost(&error))?;
    let Some(name) = trust.sni.name("", target) else { return Ok(()) };
    let mut session = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
    let bounded = stream
        .set_read_timeout(Some(CONNECT))
        .and_then(|()| stream.set_write_timeout(Some(CONNECT)));
    bounded.map_err(|error| error.to_string())?;
    while session.is_handshaking() {
        let Err(error) = session.complete_io(&mut stream) else { continue };
        if is_pause(&error) {
            return Err(format!("it said nothing for {} s", CONNECT.as_secs()));
        }
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let other_name = matches!(
            inner,
            Some(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            ))
        );
        // Requests ask under their own hosts then.
        let fits = other_name && trust.sni == Sni::Captured;
        return if fits { Ok(()) } else { Err(tls::failure(&error).detail) };
    }
    if nobody.asked.load(Ordering::Relaxed) { refused(&mut session, &mut stream) } else { Ok(()) }
}

/// A server asked who the client is and was not told: it says soon whether it wanted to know (with
/// TLS 1.3 only behind the handshake), or waits for a request.
fn refused(session: &mut ClientConnection, stream: &mut TcpStream) -> Result<(), String> {
    let bounded = stream.set_read_timeout(Some(REFUSAL));
    bounded.map_err(|error| error.to_string())?;
    while session.wants_read() {
        match session.complete_io(stream) {
            Ok((0, _)) => return Err(format!("it closed the connection: {}", tls::CLIENT)),
            Ok(_) => {}
            Err(error) if is_pause(&error) => return Ok(()),
            Err(error) => {
                return Err(tls::refusal(&error).map_or_else(
                    || format!("{error}: {}", tls::CLIENT),
                    |refusal| refusal.detail,
                ));
            }
        }
    }
    Ok(())
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Asks what `check` says until it is ready, for at most `wait_ns`; its server is resolved anew
/// each time. No byte is sent to a server that is `refused`, whenever
/// the name or a forwarder begins to lead to it.
pub fn wait_ready(
    check: &ReadyCheck,
    trust: &Trust,
    wait_ns: i64,
    stop: &ReplayStop,
    refused: impl Fn(Endpoint) -> bool,
) -> Result<(), Unready> {
    let started = Monotonic::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Unready::Late(error.to_string()))?;
    // The library wants a TLS configuration in any case; over plain HTTP it is never used.
    // A resource may be served over either version, and some servers speak HTTP/2 alone.
    let protocols: &[&[u8]] = if check.is_call() { &[b"h2"] } else { &[b"h2", b"http/1.1"] };
    let config = match check.url.scheme() {
        "https" => trust.config(protocols),
        _ => Trust::nobody().config(&[]),
    };
    let config = config.map_err(|error| Unready::Late(error.to_string()))?;
    let mut answered = None;
    loop {
        let mut ask = || {
            let target =
                Target::serving(&check.url).map_err(|error| Unready::Late(innermost(&error)))?;
            let ends = target.addresses.iter();
            let mut ends = ends.map(|end| Endpoint::new(end.ip().to_canonical(), end.port()));
            if let Some(end) = ends.find(|end| refused(*end)) {
                return Err(Unready::Refused(end));
            }
            match connect(&target, &refused) {
                Ok(_) => {}
                Err(Unusable::Refused(end)) => return Err(Unready::Refused(end)),
                Err(Unusable::NoConnection(why) | Unusable::Tls(why)) => {
                    return Err(Unready::Late(why));
                }
            }
            let mut client = reqwest::Client::builder();
            if check.is_call() {
                client = client.http2_prior_knowledge();
            }
            let client = client
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .resolve_to_addrs(&target.host, &target.addresses)
                .tls_backend_preconfigured((*config).clone())
                .build()
                .map_err(|error| Unready::Late(innermost(&error)))?;
            let left = Duration::from_nanos((wait_ns - started.elapsed()).max(1).unsigned_abs());
            let was_cut = left < CONNECT;
            let request = check.ask(&client).timeout(CONNECT.min(left));
            let answer = runtime.block_on(async {
                let mut response = request.send().await?;
                let (status, headers) = (response.status(), response.headers().clone());
                // Who is asked for a resource is ready with its status.
                let mut body = Vec::new();
                while check.is_call()
                    && body.len() < HEALTH_BYTES
                    && let Some(chunk) = response.chunk().await?
                {
                    body.extend_from_slice(&chunk);
                }
                reqwest::Result::Ok((status, headers, body))
            });
            match answer {
                Ok((status, headers, body)) => {
                    let judged = check.judge(status, &headers, &body);
                    judged.map_err(|why| Unready::Late(answered.insert(why).clone()))
                }
                // The end of the wait says nothing of the server.
                Err(error) if was_cut && error.is_timeout() => {
                    let last = answered.take().unwrap_or_else(|| innermost(&error));
                    Err(Unready::Late(last))
                }
                Err(error) => {
                    answered = None;
                    Err(Unready::Late(innermost(&error)))
                }
            }
        };
        let why = match ask() {
            Err(Unready::Late(why)) => why,
            done_or_refused => return done_or_refused,
        };
        if stop.is_set() {
            return Err(Unready::Late("interrupted".to_owned()));
        }
        if started.elapsed().saturating_add(AGAIN.as_nanos() as i64) >= wait_ns {
            let within = Duration::from_nanos(wait_ns.max(0).unsigned_abs());
            return Err(Unready::Late(format!("not ready within {within:?}, at last: {why}")));
        }
        std::thread::sleep(AGAIN);
    }
}

/// The cause at the root of an error: the outer ones repeat the URL.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};

    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

    use url::Url;

    use super::*;

    #[test]
    fn a_closed_port_is_not_reached() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target =
            Target::resolve(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        assert!(reach(&target, &Trust::default(), |_| false).is_ok());
        // Bound, so that nobody else is given it, and not listening.
        let closed = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&closed, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = SocketAddr::try_from(getsockname(&closed).unwrap()).unwrap();
        let closed = Target::resolve(&format!("http://{address}")).unwrap();
        let refused = reach(&closed, &Trust::default(), |_| false);
        assert!(matches!(refused, Err(Unusable::NoConnection(_))), "{refused:?}");
    }

    #[test]
    fn a_server_of_tls_is_reached_whichever_protocol_is_the_only_one_it_speaks() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        for protocol in [&b"h2"[..], b"http/1.1"] {
            let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut config = rustls::ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key.into())
                .unwrap();
            config.alpn_protocols = vec![protocol.to_vec()];
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("https://{}", listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
                while session.is_handshaking() && session.complete_io(&mut stream).is_ok() {}
                session.alpn_protocol().map(<[u8]>::to_vec)
            });
            let target = Target::resolve(&url).unwrap();
            let trust = Trust { insecure: true, ..Trust::default() };
            let reached = reach(&target, &trust, |_| false);
            assert!(reached.is_ok(), "{reached:?}");
            assert_eq!(server.join().unwrap().as_deref(), Some(protocol));
        }
    }

    #[test]
    fn waits_until_the_answer_is_good() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url: Url =
            format!("http://{}/healthz", listener.local_addr().unwrap()).parse().unwrap();
        let server = std::thread::spawn(move || {
            let mut answers = ["503 No", "200 OK"].into_iter().peekable();
            while let Some(status) = answers.peek() {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = [0; 1024];
                // A look at where the connection leads sends nothing.
                if stream.read(&mut buffer).unwrap() == 0 {
                    continue;
                }
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                )
                .unwrap();
                answers.next();
            }
        });
        let check = ReadyCheck::of(&url).unwrap();
        let (trust, stop) = (Trust::default(), ReplayStop::default());
        assert_eq!(wait_ready(&check, &trust, 20_000_000_000, &stop, |_| false), Ok(()));
        server.join().unwrap();
        let late = wait_ready(&check, &trust, 0, &stop, |_| false);
        assert!(
            matches!(&late, Err(Unready::Late(why)) if why.contains("not ready within 0ns")),
            "{late:?}"
        );
        let end = format!("127.0.0.1:{}", url.port().unwrap()).parse().unwrap();
        let refused = wait_ready(&check, &trust, 0, &stop, |_| true);
        assert_eq!(refused, Err(Unready::Refused(end)));
    }

    /// What the last answer said is told, not that the wait ended within another attempt.
    #[test]
    fn the_end_of_the_wait_is_no_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let (ended, end) = std::sync::mpsc::channel::<()>();
        let server = std::thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                if stream.read(&mut [0; 1024]).unwrap() > 0 {
                    let answer = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
                    stream.write_all(answer).unwrap();
                    break;
                }
            }
            // From here on connections are taken by the system, and nobody answers.
            end.recv().unwrap_err();
        });
        let check = ReadyCheck::of(&url).unwrap();
        let (trust, stop) = (Trust::default(), ReplayStop::default());
        let late = wait_ready(&check, &trust, 2_500_000_000, &stop, |_| false);
        let Err(Unready::Late(why)) = late else { panic!("{late:?}") };
        assert!(why.ends_with("at last: status 404"), "{why}");
        drop(ended);
        server.join().unwrap();
    }

    /// A server of the health check, which says each of these in turn.
    fn health(says: Vec<(u8, Option<&'static str>)>) -> u16 {
        use http_body_util::{BodyExt as _, Full};
        use hyper_util::rt::{TokioExecutor, TokioIo};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let says = Arc::new(std::sync::Mutex::new(says.into_iter()));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let says = Arc::clone(&says);
                    let service = hyper::service::service_fn(
                        move |request: hyper::Request<hyper::body::Incoming>| {
                            let next = says.lock().unwrap().next();
                            async move {
                                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                                assert_eq!(request.headers()["te"], "trailers");
                                let asked = request.into_body().collect().await?.to_bytes();
                                assert_eq!(&asked[..], b"\0\0\0\0\x06\x0a\x04shop");
                                let (code, status) = next.unwrap();
                                let answer = crate::message::grpc::frame_of(&[8, code]);
                                let mut response = hyper::Response::builder();
                                if let Some(status) = status {
                                    response = response.header("grpc-status", status);
                                }
                                let body = if status.is_some() { Vec::new() } else { answer };
                                let body = Full::new(bytes::Bytes::from(body));
                                Ok::<_, hyper::Error>(response.body(body).unwrap())
                            }
                        },
                    );
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let connection = server.serve_connection(TokioIo::new(stream), service);
                    tokio::spawn(connection);
                }
            });
        });
        port
    }

    #[test]
    fn waits_until_a_service_serves() {
        let port = health(vec![(0, Some("14")), (2, None), (1, None)]);
        let url: Url = format!("grpc://127.0.0.1:{port}/shop").parse().unwrap();
        let check = ReadyCheck::of(&url).unwrap();
        let (trust, stop) = (Trust::default(), ReplayStop::default());
        assert_eq!(wait_ready(&check, &trust, 20_000_000_000, &stop, |_| false), Ok(()));
    }
}
