//! An HTTP/1.1 server for the shop and its provider. Ends when dropped.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// Largest request that the shop reads, in bytes: far above its largest order.
const REQUEST_BYTES: usize = 1 << 20;
/// How often a port is asked for again where the system chose one to avoid.
const PORT_TRIES: usize = 64;
/// A loopback port of the system's choice.
pub(super) const FREE_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A running server.
#[derive(Debug)]
pub struct ShopServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl ShopServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `answer` at `at`; where its port is 0, on a free one that is none of `avoid`. Must be
    /// called within a runtime.
    pub(super) async fn start<A, F>(at: SocketAddr, avoid: &[u16], answer: A) -> io::Result<Self>
    where
        A: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let mut listener = TcpListener::bind(at).await?;
        let mut refused = Vec::new();
        while at.port() == 0
            && avoid.contains(&listener.local_addr()?.port())
            && refused.len() < PORT_TRIES
        {
            // Kept until another port is found, so that the system does not choose it again.
            refused.push(std::mem::replace(&mut listener, TcpListener::bind(at).await?));
        }
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, Arc::new(answer)));
        Ok(Self { address, task })
    }
}

impl Drop for ShopServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<A, F>(listener: TcpListener, answer: Arc<A>)
where
    A: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    // Dropped with this task: no connection outlives its server.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let answer = Arc::clone(&answer);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let answer = Arc::clone(&answer);
                async move { Ok::<_, Infallible>(read_and_answer(request, &*answer).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn read_and_answer<A, F>(
    request: Request<hyper::body::Incoming>,
    answer: &A,
) -> Response<Full<Bytes>>
where
    A: Fn(Request<Bytes>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let (head, body) = request.into_parts();
    match Limited::new(body, REQUEST_BYTES).collect().await {
        Ok(body) => answer(Request::from_parts(head, body.to_bytes())).await,
        Err(_) => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
            response
        }
    }
}
