//! The shop: catalogue, products, reviews, search, logins, carts, gift cards, and a checkout that
//! calls the payment provider over HTTP. What it issues (sessions, CSRF tokens, carts, entity tags,
//! gift cards) differs between its versions, as it would between two databases.
//!
//! How long a request takes depends on what is asked and not on chance, so that the two versions
//! differ in their latency only where that is planted.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::serve::FREE_PORT;
use super::stock::{self, Product};
use super::{Dice, PROVIDER_HOST, ShopFaults, ShopServer, digest};
use crate::time::Timestamp;

/// What the planted slowness costs, in milliseconds.
pub const SLOWER_MS: u64 = 60;
/// The shortest time a request takes, in milliseconds, and how much of it depends on what is asked.
const BASE_MS: (u64, u64) = (6, 6);
/// How long the shop waits for its provider.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(10);
/// Products on a page of the catalogue, and results of a search.
const PAGE: usize = 6;

/// Which shop to start.
#[derive(Clone, Debug)]
pub struct ShopSettings {
    /// The version that it runs, 1 or 2: they write the header fields in another order.
    pub version: u8,
    /// What is planted.
    pub faults: ShopFaults,
    /// Where the payment provider (or the mock in its place) listens.
    pub provider: SocketAddr,
    /// Ports not to listen on: those that a capture has as servers.
    pub avoid_ports: Vec<u16>,
}

/// Starts a shop on a free loopback port.
pub async fn start(settings: ShopSettings) -> io::Result<ShopServer> {
    start_at(FREE_PORT, settings).await
}

/// Starts a shop at this address.
pub async fn start_at(address: SocketAddr, settings: ShopSettings) -> io::Result<ShopServer> {
    let avoid = settings.avoid_ports.clone();
    let shop = Arc::new(Shop {
        products: stock::products(),
        sessions: Mutex::default(),
        carts: Mutex::default(),
        gifts: Mutex::default(),
        dice: Mutex::new(Dice::new(digest("request ids") ^ u64::from(settings.version))),
        lines: Mutex::default(),
        settings,
    });
    ShopServer::start(address, &avoid, move |request| {
        let shop = Arc::clone(&shop);
        async move { shop.answer(&request).await }
    })
    .await
}

struct Shop {
    settings: ShopSettings,
    products: Vec<Product>,
    /// By session cookie.
    sessions: Mutex<HashMap<String, ShopSession>>,
    carts: Mutex<HashMap<String, Cart>>,
    /// What gift cards are worth, by token.
    gifts: Mutex<HashMap<String, u64>>,
    dice: Mutex<Dice>,
    /// Idle connections to the provider.
    lines: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// A customer who is known.
struct ShopSession {
    csrf: String,
    /// How many carts and gift cards were issued.
    issued: u64,
}

/// A cart: how many of each product, and its entity tag.
#[derive(Default)]
struct Cart {
    items: BTreeMap<u32, u64>,
    tag: String,
}

type ShopAnswer = (StatusCode, Value);
/// Header fields of one answer.
type ShopFields = Vec<(&'static str, String)>;

impl Shop {
    async fn answer(&self, request: &Request<Bytes>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let method = request.method();
        self.work(method, &parts, request.uri()).await;
        let mut fields = ShopFields::new();
        let refused = self.refused(request, &parts);
        let (status, mut body) = match (method, parts.as_slice()) {
            _ if refused.is_some() => refused.expect("just seen"),
            (&Method::POST, ["login"]) => self.login(request.body(), &mut fields),
            (&Method::POST, ["carts"]) => self.new_cart(request, &mut fields),
            (&Method::POST, ["gifts"]) => self.new_gift(request),
            (&Method::GET, ["gifts", token]) => self.gift(token),
            (&Method::GET, ["catalogue"]) => self.catalogue(&query(request)),
            (&Method::GET, ["search"]) => self.search(&query(request)),
            (&Method::GET, ["products", id]) => self.product(id),
            (&Method::GET, ["products", id, "reviews"]) => self.reviews(id).await,
            (&Method::GET, ["carts", id]) => self.cart(id, &mut fields),
            (&Method::POST, ["carts", id, "items"]) => self.add(id, request.body()),
            (&Method::POST, ["carts", id, "checkout"]) => self.checkout(id, request).await,
            _ => (StatusCode::NOT_FOUND, json!({ "error": "no such page" })),
        };
        let request_id = self.dice.lock().expect("no holder of this lock panics").uuid();
        body["request_id"] = json!(request_id);
        self.reply(status, &body, &request_id, fields)
    }

    /// Why a request is not served: of carts and gift cards only those who are known hear, and what
    /// changes something needs their token.
    fn refused(&self, request: &Request<Bytes>, parts: &[&str]) -> Option<ShopAnswer> {
        if !matches!(parts.first(), Some(&("carts" | "gifts"))) {
            return None;
        }
        let sessions = self.sessions.lock().expect("no holder of this lock panics");
        let Some(session) = cookie(request).and_then(|cookie| sessions.get(cookie)) else {
            return Some((StatusCode::UNAUTHORIZED, json!({ "error": "log in first" })));
        };
        let token = request.headers().get("x-csrf-token").and_then(|token| token.to_str().ok());
        let forged = request.method() == Method::POST && token != Some(&session.csrf);
        forged.then(|| (StatusCode::FORBIDDEN, json!({ "error": "the token is not yours" })))
    }

    /// A value that this version issues, the same in every run.
    fn issue(&self, what: &str) -> u64 {
        digest(&format!("version {}: {what}", self.settings.version))
    }

    fn login(&self, body: &[u8], fields: &mut ShopFields) -> ShopAnswer {
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = said["name"].as_str().unwrap_or_default();
        let two = |what: &str| {
            let [high, low] = ["a", "b"].map(|half| self.issue(&format!("{what} {half} {name}")));
            format!("{high:016x}{low:016x}")
        };
        let (cookie, csrf) = (two("session"), two("csrf"));
        fields.push(("set-cookie", format!("session={cookie}; Path=/; HttpOnly")));
        let session = ShopSession { csrf: csrf.clone(), issued: 0 };
        self.sessions.lock().expect("no holder of this lock panics").insert(cookie, session);
        (StatusCode::OK, json!({ "csrf": csrf }))
    }

    /// Names the next thing of a session.
    fn next_name(&self, request: &Request<Bytes>) -> u64 {
        let cookie = cookie(request).unwrap_or_default();
        let mut sessions = self.sessions.lock().expect("no holder of this lock panics");
        let number = sessions.get_mut(cookie).map_or(0, |session| {
            session.issued += 1;
            session.issued
        });
        self.issue(&format!("{cookie} {number}"))
    }

    fn new_cart(&self, request: &Request<Bytes>, fields: &mut ShopFields) -> ShopAnswer {
        // Twelve digits: the databases of the two versions count from different numbers.
        let first = 100_000_000_000 * (3 + 2 * u64::from(self.settings.version));
        let id = (first + self.next_name(request) % 100_000_000_000).to_string();
        fields.push(("location", format!("/carts/{id}")));
        let mut carts = self.carts.lock().expect("no holder of this lock panics");
        carts.insert(id.clone(), Cart::default());
        (StatusCode::CREATED, json!({ "id": id }))
    }

    fn new_gift(&self, request: &Request<Bytes>) -> ShopAnswer {
        let order: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let worth = order["amount"].as_u64().unwrap_or(10);
        let name = self.next_name(request);
        let token = format!("{name:016x}{:08x}", self.issue(&format!("gift {name}")) as u32);
        self.gifts.lock().expect("no holder of this lock panics").insert(token.clone(), worth);
        let mut body = json!({ "amount": worth, "gift": token });
        if self.settings.faults.lost_gift {
            body = json!({ "amount": worth });
        }
        (StatusCode::CREATED, body)
    }

    fn gift(&self, token: &str) -> ShopAnswer {
        match self.gifts.lock().expect("no holder of this lock panics").get(token) {
            Some(worth) => (StatusCode::OK, json!({ "gift": token, "worth": worth })),
            None => (StatusCode::NOT_FOUND, json!({ "error": "no such gift card" })),
        }
    }

    /// What the request costs: the same in both versions and in every run.
    async fn work(&self, method: &Method, parts: &[&str], uri: &hyper::Uri) {
        let (least, spread) = BASE_MS;
        // What names a cart or a gift card differs between the versions.
        let asked = match parts {
            [what @ ("carts" | "gifts"), _, rest @ ..] => format!("{what} {rest:?}"),
            _ => uri.to_string(),
        };
        let cost = least + digest(&format!("{method} {asked}")) % spread;
        tokio::time::sleep(Duration::from_millis(cost)).await;
    }

    fn reply(
        &self,
        status: StatusCode,
        body: &Value,
        request_id: &str,
        more: ShopFields,
    ) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = status;
        let mut fields = [
            ("content-type", "application/json; charset=utf-8"),
            ("cache-control", "private, no-cache"),
            ("x-request-id", request_id),
        ];
        if self.settings.version != 1 {
            fields.reverse();
        }
        for (name, value) in fields {
            let value = HeaderValue::from_str(value).expect("the shop's own values are ASCII");
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
        for (name, value) in more {
            let value = HeaderValue::from_str(&value).expect("the shop's own values are ASCII");
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
        response
    }

    fn catalogue(&self, query: &HashMap<String, String>) -> ShopAnswer {
        let category = query.get("category").map_or("tea", String::as_str);
        let page: usize =
            query.get("page").and_then(|page| page.parse().ok()).unwrap_or(1).clamp(1, 1000);
        let shelf: Vec<_> =
            self.products.iter().filter(|product| product.category == category).collect();
        let items: Vec<Value> = shelf
            .iter()
            .skip((page - 1) * PAGE)
            .take(PAGE)
            .map(|p| json!({ "id": p.id, "name": p.name }))
            .collect();
        (
            StatusCode::OK,
            json!({ "category": category, "page": page, "pages": shelf.len().div_ceil(PAGE),
                    "items": items, "generated_at": Timestamp::now().to_string() }),
        )
    }

    fn search(&self, query: &HashMap<String, String>) -> ShopAnswer {
        let words = query.get("q").map_or("", String::as_str).to_lowercase();
        if self.settings.faults.broken_search && !words.is_ascii() {
            return (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": "internal error" }));
        }
        let found: Vec<Value> = self
            .products
            .iter()
            .filter(|product| product.name.to_lowercase().contains(&words))
            .take(PAGE)
            .map(|product| json!({ "id": product.id, "name": product.name }))
            .collect();
        (
            StatusCode::OK,
            json!({ "query": words, "results": found, "took_at": Timestamp::now().to_string() }),
        )
    }

    fn find(&self, id: &str) -> Option<&Product> {
        let id: u32 = id.parse().ok()?;
        self.products.iter().find(|product| product.id == id)
    }

    fn product(&self, id: &str) -> ShopAnswer {
        let Some(product) = self.find(id) else { return no_product() };
        let off =
            if self.settings.faults.wrong_price { product.discount * 5 } else { product.discount };
        let price = product.list_price * (100 - off) / 100;
        (
            StatusCode::OK,
            json!({ "id": product.id, "name": product.name, "category": product.category,
                    "price": cents(price), "currency": "EUR", "in_stock": product.id % 7 != 0 }),
        )
    }

    async fn reviews(&self, id: &str) -> ShopAnswer {
        if self.settings.faults.slow_reviews {
            tokio::time::sleep(Duration::from_millis(SLOWER_MS)).await;
        }
        let Some(product) = self.find(id) else { return no_product() };
        let reviews: Vec<Value> = stock::reviews(product.id)
            .into_iter()
            .map(|(stars, text)| json!({ "stars": stars, "text": text }))
            .collect();
        (StatusCode::OK, json!({ "product": product.id, "reviews": reviews }))
    }

    fn add(&self, cart: &str, body: &[u8]) -> ShopAnswer {
        let order: Value = serde_json::from_slice(body).unwrap_or_default();
        let (Some(product), Some(quantity)) =
            (order["product"].as_u64(), order["quantity"].as_u64())
        else {
            return (
                StatusCode::UNPROCESSABLE_ENTITY,
                json!({ "error": "product and quantity are needed" }),
            );
        };
        let Some(product) = self.find(&product.to_string()) else { return no_product() };
        let mut carts = self.carts.lock().expect("no holder of this lock panics");
        let Some(held) = carts.get_mut(cart) else { return no_cart() };
        let count = held.items.entry(product.id).or_default();
        *count = count.saturating_add(quantity).min(99);
        let count = *count;
        held.tag = format!("{:016x}", self.issue(&format!("{cart} {:?}", held.items)));
        (StatusCode::CREATED, json!({ "cart": cart, "product": product.id, "quantity": count }))
    }

    /// The cart's lines and its total in cents.
    fn lines(&self, cart: &str) -> Option<(Vec<Value>, u64, u64)> {
        let carts = self.carts.lock().expect("no holder of this lock panics");
        let items = &carts.get(cart)?.items;
        let (mut lines, mut count, mut total) = (Vec::new(), 0, 0);
        for (&id, &quantity) in items {
            let price = self
                .find(&id.to_string())
                .map_or(0, |product| product.list_price * (100 - product.discount) / 100);
            lines.push(json!({ "product": id, "quantity": quantity, "price": cents(price) }));
            count += quantity;
            total += price * quantity;
        }
        Some((lines, count, total))
    }

    /// The entity tag of a cart's present state.
    fn tag(&self, cart: &str) -> Option<String> {
        let carts = self.carts.lock().expect("no holder of this lock panics");
        carts.get(cart).map(|cart| format!("\"{}\"", cart.tag))
    }

    fn cart(&self, cart: &str, fields: &mut ShopFields) -> ShopAnswer {
        let Some((lines, count, total)) = self.lines(cart) else { return no_cart() };
        fields.extend(self.tag(cart).map(|tag| ("etag", tag)));
        let name = if self.settings.faults.renamed_field { "items_count" } else { "item_count" };
        (
            StatusCode::OK,
            json!({ "id": cart, name: count, "lines": lines, "total": cents(total),
                    "currency": "EUR" }),
        )
    }

    async fn checkout(&self, cart: &str, request: &Request<Bytes>) -> ShopAnswer {
        let order: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let Some((_, _, total)) = self.lines(cart) else { return no_cart() };
        let seen = request.headers().get("if-match").and_then(|tag| tag.to_str().ok());
        if seen.is_some() && seen != self.tag(cart).as_deref() {
            return (
                StatusCode::PRECONDITION_FAILED,
                json!({ "error": "the cart has changed since" }),
            );
        }
        let express = order["shipping"] == "express";
        let Ok(fees) =
            self.call(request, Method::GET, "/v1/fees?method=card&currency=EUR", None).await
        else {
            return unpaid();
        };
        let fee = total * fees["fee_percent"].as_u64().unwrap_or(0) / 100;
        let amount = total + fee + if express { 990 } else { 390 };
        let charge = json!({
            "amount": amount, "currency": "EUR", "reference": cart, "capture": true,
            "idempotency_key": self.dice.lock().expect("no holder of this lock panics").uuid(),
            "requested_at": Timestamp::now().to_string(),
        });
        let mut paid = self.call(request, Method::POST, "/v1/charges", Some(&charge)).await;
        if self.settings.faults.charges_twice && express {
            paid = self.call(request, Method::POST, "/v1/charges", Some(&charge)).await;
        }
        let Ok(paid) = paid else { return unpaid() };
        if paid["status"] != "succeeded" {
            return (
                StatusCode::PAYMENT_REQUIRED,
                json!({ "error": "the charge was declined", "charge": paid["id"] }),
            );
        }
        self.carts.lock().expect("no holder of this lock panics").remove(cart);
        (
            StatusCode::CREATED,
            json!({ "order": format!("o-{cart}"), "total": cents(amount), "charge": paid["id"],
                    "placed_at": Timestamp::now().to_string() }),
        )
    }

    /// Calls the provider on a kept connection; hands the trace of the request on that caused it.
    async fn call(
        &self,
        cause: &Request<Bytes>,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> io::Result<Value> {
        let mut request = Request::builder().method(method).uri(target);
        request = request
            .header("host", PROVIDER_HOST)
            .header("authorization", "Bearer sk_demo_4eC39HqLyjWDarjtT1zdp7dc");
        if let Some(trace) = cause.headers().get("traceparent") {
            request = request.header("traceparent", self.child(trace));
        }
        for state in cause.headers().get_all("tracestate") {
            request = request.header("tracestate", state);
        }
        let bytes = body.map(Value::to_string).unwrap_or_default();
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::from(bytes)).map_err(io::Error::other)?;
        let exchange = async {
            let mut line = self.line().await?;
            let response = line.send_request(request).await.map_err(io::Error::other)?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
            self.lines.lock().expect("no holder of this lock panics").push(line);
            if !status.is_success() {
                return Err(io::Error::other(format!("the provider answered {status}")));
            }
            serde_json::from_slice(&body).map_err(io::Error::other)
        };
        tokio::time::timeout(PROVIDER_PATIENCE, exchange).await.map_err(io::Error::other)?
    }

    /// The trace's header field for a call: the same trace, a span of its own (W3C Trace Context
    /// §3.2).
    fn child(&self, trace: &HeaderValue) -> HeaderValue {
        let span = self.dice.lock().expect("no holder of this lock panics").next();
        let text = trace.to_str().unwrap_or_default();
        match text.split('-').collect::<Vec<_>>().as_slice() {
            [version, trace, _, flags] => {
                HeaderValue::from_str(&format!("{version}-{trace}-{span:016x}-{flags}"))
                    .unwrap_or(HeaderValue::from_static(""))
            }
            _ => trace.clone(),
        }
    }

    /// A connection to the provider: an idle one, else a new one.
    async fn line(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        loop {
            let Some(mut line) = self.lines.lock().expect("no holder of this lock panics").pop()
            else {
                break;
            };
            if line.ready().await.is_ok() {
                return Ok(line);
            }
        }
        let stream = TcpStream::connect(self.settings.provider).await?;
        stream.set_nodelay(true)?;
        let (line, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(line)
    }
}

/// The session that a request is of.
fn cookie(request: &Request<Bytes>) -> Option<&str> {
    request.headers().get("cookie")?.to_str().ok()?.strip_prefix("session=")
}

fn query(request: &Request<Bytes>) -> HashMap<String, String> {
    url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
        .into_owned()
        .collect()
}

fn cents(amount: u64) -> Value {
    json!(amount as f64 / 100.0)
}

fn no_product() -> ShopAnswer {
    (StatusCode::NOT_FOUND, json!({ "error": "no such product" }))
}

fn no_cart() -> ShopAnswer {
    (StatusCode::NOT_FOUND, json!({ "error": "no such cart" }))
}

fn unpaid() -> ShopAnswer {
    (StatusCode::BAD_GATEWAY, json!({ "error": "the payment provider did not answer" }))
}
