//! The shop's payment provider: fees and charges. It counts what it was asked to charge, so that a
//! test can prove that a replay charged nobody.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::serve::FREE_PORT;
use super::{Dice, ShopServer};
use crate::time::Timestamp;

/// How long a charge takes.
const CHARGE: Duration = Duration::from_millis(18);
/// How long everything else takes.
const QUICK: Duration = Duration::from_millis(5);
/// Charges above this are declined, in cents.
const LIMIT: u64 = 25_000;

/// A running provider.
#[derive(Debug)]
pub struct Provider {
    server: ShopServer,
    state: Arc<Mutex<ProviderState>>,
}

#[derive(Debug)]
struct ProviderState {
    dice: Dice,
    charges: HashMap<String, u64>,
}

impl Provider {
    /// Starts it on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(FREE_PORT).await
    }

    /// Starts it at this address.
    pub async fn start_at(address: SocketAddr) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(ProviderState {
            dice: Dice::new(0xba6c),
            charges: HashMap::new(),
        }));
        let server = ShopServer::start(address, &[], {
            let state = Arc::clone(&state);
            move |request| answer(Arc::clone(&state), request)
        })
        .await?;
        Ok(Self { server, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// How often each cart was charged.
    pub fn charges(&self) -> HashMap<String, u64> {
        self.state.lock().map(|state| state.charges.clone()).unwrap_or_default()
    }
}

async fn answer(
    state: Arc<Mutex<ProviderState>>,
    request: Request<Bytes>,
) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/v1/fees") => {
            tokio::time::sleep(QUICK).await;
            let percent =
                if request.uri().query().is_some_and(|query| query.contains("method=card")) {
                    2
                } else {
                    0
                };
            reply(StatusCode::OK, &json!({ "fee_percent": percent }))
        }
        (&Method::POST, "/v1/charges") => {
            tokio::time::sleep(CHARGE).await;
            match serde_json::from_slice::<Value>(request.body()) {
                Ok(charge) => self::charge(&state, &charge),
                Err(_) => reply(StatusCode::BAD_REQUEST, &json!({ "error": "not JSON" })),
            }
        }
        _ => reply(StatusCode::NOT_FOUND, &json!({ "error": "no such resource" })),
    }
}

fn charge(state: &Mutex<ProviderState>, charge: &Value) -> Response<Full<Bytes>> {
    let (Some(amount), Some(reference)) = (charge["amount"].as_u64(), charge["reference"].as_str())
    else {
        return reply(
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!({ "error": "amount and reference are needed" }),
        );
    };
    let id = {
        let mut state = state.lock().expect("no holder of this lock panics");
        *state.charges.entry(reference.to_owned()).or_default() += 1;
        format!("ch_{:016x}", state.dice.next())
    };
    let status = if amount > LIMIT { "declined" } else { "succeeded" };
    let at = Timestamp::now().to_string();
    reply(
        StatusCode::OK,
        &json!({ "id": id, "amount": amount, "status": status, "created_at": at }),
    )
}

fn reply(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert("content-type", "application/json".parse().expect("a valid header value"));
    response
}
