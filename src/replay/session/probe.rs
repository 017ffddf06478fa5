//! Is the target there? One attempt to connect before a replay, and `--wait-ready`: an URL that
//! must answer first.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::{CertificateError, ClientConnection};
use url::Url;

use crate::flow::Endpoint;
use crate::replay::session::forward::{self, Forward};
use crate::replay::session::target::Target;
use crate::replay::session::tls::{self, Nobody, Sni, Trust};
use crate::replay::task::ReplayStop;
use crate::time::Monotonic;

/// Longest wait for one connection.
const CONNECT: Duration = Duration::from_secs(5);
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

/// Connects once to one of the target's addresses, and where it is reached by TLS shakes hands, so
/// that a certificate that nobody trusts is found before a thousand requests fail by it. No byte is
/// sent where the connection leads to a server that is `refused`.
pub fn reach(
    target: &Target,
    trust: &Trust,
    refused: impl Fn(Endpoint) -> bool,
) -> Result<Forward, Unusable> {
    let mut last = "it has no address".to_owned();
    for address in target.addresses.iter().take(8) {
        match TcpStream::connect_timeout(address, CONNECT) {
            Ok(stream) => {
                let forward = forward::behind(&stream);
                if let Forward::To(end) = forward
                    && refused(end)
                {
                    return Err(Unusable::Refused(end));
                }
                if target.tls {
                    shake_hands(stream, target, trust).map_err(Unusable::Tls)?;
                }
                return Ok(forward);
            }
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(Unusable::NoConnection(last))
}

/// A TLS handshake under the name that requests will ask for, where that is known.
fn shake_hands(mut stream: TcpStream, target: &Target, trust: &Trust) -> Result<(), String> {
    let nobody = Arc::<Nobody>::default();
    let config = trust.config_as(&[b"http/1.1"], &nobody).map_err(|error| innermost(&error))?;
    let Some(name) = trust.sni.name("", target) else { return Ok(()) };
    let mut session = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
    let bounded = stream
        .set_read_timeout(Some(CONNECT))
        .and_then(|()| stream.set_write_timeout(Some(CONNECT)));
    bounded.map_err(|error| error.to_string())?;
    while session.is_handshaking() {
        let Err(error) = session.complete_io(&mut stream) else { continue };
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

/// Asks `url` until it answers with a status below 400, for at most `wait_ns`.
pub fn wait_ready(url: &Url, trust: &Trust, wait_ns: i64, stop: &ReplayStop) -> Result<(), String> {
    let started = Monotonic::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let client = client(url, trust)?;
    loop {
        let last = runtime.block_on(async {
            let left = Duration::from_nanos((wait_ns - started.elapsed()).max(1).unsigned_abs());
            match client.get(url.clone()).timeout(CONNECT.min(left)).send().await {
                Ok(response) if response.status().as_u16() < 400 => Ok(()),
                Ok(response) => Err(format!("status {}", response.status().as_u16())),
                Err(error) => Err(innermost(&error)),
            }
        });
        let Err(why) = last else { return Ok(()) };
        if stop.is_set() {
            return Err("interrupted".to_owned());
        }
        if started.elapsed().saturating_add(AGAIN.as_nanos() as i64) >= wait_ns {
            let within = Duration::from_nanos(wait_ns.max(0).unsigned_abs());
            return Err(format!("not ready within {within:?}, at last: {why}"));
        }
        std::thread::sleep(AGAIN);
    }
}

fn client(url: &Url, trust: &Trust) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let builder = if url.scheme() == "https" {
        let config = trust.config(&[b"http/1.1"]).map_err(|error| error.to_string())?;
        builder.tls_backend_preconfigured((*config).clone())
    } else {
        // The library wants a TLS configuration in any case; it is never used.
        let config = Trust::nobody().config(&[]).map_err(|error| error.to_string())?;
        builder.tls_backend_preconfigured((*config).clone())
    };
    builder.build().map_err(|error| innermost(&error))
}

/// The cause at the root of an error: the outer ones repeat the URL.
pub(in crate::replay) fn innermost(error: &dyn std::error::Error) -> String {
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
    fn waits_until_the_answer_is_good() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url: Url =
            format!("http://{}/healthz", listener.local_addr().unwrap()).parse().unwrap();
        let server = std::thread::spawn(move || {
            for status in ["503 No", "200 OK"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = [0; 1024];
                let _ = stream.read(&mut buffer).unwrap();
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                )
                .unwrap();
            }
        });
        assert_eq!(
            wait_ready(&url, &Trust::default(), 20_000_000_000, &ReplayStop::default()),
            Ok(())
        );
        server.join().unwrap();
        let error = wait_ready(&url, &Trust::default(), 0, &ReplayStop::default()).unwrap_err();
        assert!(error.contains("not ready within 0ns"), "{error}");
    }
}
