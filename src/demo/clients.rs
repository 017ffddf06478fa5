//! The shop's customers: seeded sessions that arrive as a Poisson process, each on a connection of
//! its own that is kept alive over its requests, with pauses to read in between. They log in first,
//! and say what the shop issued to them: cookie, CSRF token, cart, entity tag, gift card.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::stock::{CATEGORIES, FIRST, PRODUCTS};
use super::{Dice, SHOP_HOST};

const AGENTS: [&str; 3] =
    ["Mozilla/5.0 (X11; Linux x86_64)", "shop-app/3.2 (Android 16)", "shop-app/3.2 (iOS 26)"];
const WORDS: [&str; 12] = [
    "tea",
    "cup",
    "sencha",
    "espresso",
    "winter",
    "atlas",
    "garden",
    "caf\u{e9}",
    "jug",
    "\u{e9}lan",
    "classic",
    "book",
];

/// How the customers behave.
#[derive(Clone, Copy, Debug)]
pub struct CustomerSettings {
    /// Sessions that arrive in all.
    pub sessions: u32,
    /// Mean time between two arrivals.
    pub between_sessions: Duration,
    /// Mean time that a customer reads an answer.
    pub reading: Duration,
    /// Another seed is another day.
    pub seed: u64,
}

impl Default for CustomerSettings {
    /// About eleven seconds of a shop with some 150 requests a second.
    fn default() -> Self {
        Self {
            sessions: 200,
            between_sessions: Duration::from_millis(50),
            reading: Duration::from_millis(90),
            seed: 20_261_122,
        }
    }
}

/// What the customers did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CustomersDone {
    /// Requests that were answered.
    pub requests: u64,
    /// Of them: orders placed.
    pub orders: u64,
    /// Sessions that broke off.
    pub broken: u64,
}

/// Sends all customers to the shop at `shop` and waits until the last one is gone. `tick` is told
/// of each answered request.
pub async fn drive(
    shop: SocketAddr,
    settings: CustomerSettings,
    tick: impl Fn() + Clone + Send + 'static,
) -> CustomersDone {
    let mut dice = Dice::new(settings.seed);
    let mut sessions = JoinSet::new();
    let start = tokio::time::Instant::now();
    let mut at = Duration::ZERO;
    for _ in 0..settings.sessions {
        at += Duration::from_secs_f64(dice.exponential(settings.between_sessions.as_secs_f64()));
        let customer = Customer { dice: Dice::new(dice.next()), reading: settings.reading };
        let tick = tick.clone();
        sessions.spawn(async move {
            tokio::time::sleep_until(start + at).await;
            customer.shop(shop, tick).await
        });
    }
    let mut done = CustomersDone::default();
    while let Some(session) = sessions.join_next().await {
        match session {
            Ok((requests, orders, whole)) => {
                done.requests += requests;
                done.orders += orders;
                done.broken += u64::from(!whole);
            }
            Err(_) => done.broken += 1,
        }
    }
    done
}

struct Customer {
    dice: Dice,
    reading: Duration,
}

struct CustomerLine {
    send: SendRequest<Full<Bytes>>,
    trace: Dice,
    agent: &'static str,
    session: u64,
    requests: u64,
    issued: Issued,
}

/// What the shop issued to a customer.
#[derive(Default)]
struct Issued {
    cookie: String,
    csrf: String,
    cart: String,
    tag: String,
    gift: String,
}

impl Issued {
    /// Remembers what an answer issues.
    fn learn(&mut self, headers: &hyper::HeaderMap, body: &[u8]) {
        let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(cookie) = field("set-cookie").and_then(|cookie| cookie.split(';').next()) {
            cookie.clone_into(&mut self.cookie);
        }
        if let Some(tag) = field("etag") {
            tag.clone_into(&mut self.tag);
        }
        let said: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let own = [("csrf", &mut self.csrf), ("gift", &mut self.gift)];
        for (name, value) in own {
            if let Some(issued) = said[name].as_str() {
                issued.clone_into(value);
            }
        }
        if let Some(cart) = field("location").and_then(|at| at.strip_prefix("/carts/")) {
            cart.clone_into(&mut self.cart);
        }
    }
}

impl Customer {
    /// A session: looks around, searches, and perhaps buys. Gives the answered requests, the
    /// orders, and whether it went to its end.
    async fn shop(mut self, shop: SocketAddr, tick: impl Fn()) -> (u64, u64, bool) {
        let Ok(mut line) = self.connect(shop).await else { return (0, 0, false) };
        let plan = self.plan(line.session);
        let (mut orders, mut whole) = (0, true);
        for (method, target, body) in plan {
            let buys = target.ends_with("/checkout");
            match line.send(method, &target, body).await {
                Ok(status) => orders += u64::from(buys && status == 201),
                Err(_) => {
                    whole = false;
                    break;
                }
            }
            tick();
            tokio::time::sleep(Duration::from_secs_f64(
                self.dice.exponential(self.reading.as_secs_f64()),
            ))
            .await;
        }
        (line.requests, orders, whole)
    }

    async fn connect(&mut self, shop: SocketAddr) -> io::Result<CustomerLine> {
        let stream = TcpStream::connect(shop).await?;
        stream.set_nodelay(true)?;
        let (send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(CustomerLine {
            send,
            trace: Dice::new(self.dice.next()),
            agent: AGENTS[self.dice.below(3) as usize],
            session: self.dice.next(),
            requests: 0,
            issued: Issued::default(),
        })
    }

    /// What the customer will do, in order. `{cart}` and `{gift}` stand for what the shop issues.
    fn plan(&mut self, session: u64) -> Vec<(Method, String, Option<String>)> {
        let dice = &mut self.dice;
        let category = CATEGORIES[dice.below(4) as usize];
        let page = 1 + dice.below(3);
        let name = json!({ "name": format!("customer-{session:016x}") });
        let mut plan = vec![
            (Method::POST, "/login".to_owned(), Some(name.to_string())),
            (Method::GET, format!("/catalogue?category={category}&page={page}"), None),
        ];
        for _ in 0..1 + dice.below(3) {
            if dice.chance(0.6) {
                let word = WORDS[dice.below(WORDS.len() as u64) as usize];
                let query: String = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("q", word)
                    .finish();
                plan.push((Method::GET, format!("/search?{query}"), None));
            }
            let product = u64::from(FIRST) + dice.below(u64::from(PRODUCTS));
            plan.push((Method::GET, format!("/products/{product}"), None));
            if dice.chance(0.85) {
                plan.push((Method::GET, format!("/products/{product}/reviews"), None));
            }
        }
        if dice.chance(0.6) {
            plan.push((Method::POST, "/carts".to_owned(), Some("{}".to_owned())));
            for _ in 0..1 + dice.below(2) {
                let product = u64::from(FIRST) + dice.below(u64::from(PRODUCTS));
                let body = json!({ "product": product, "quantity": 1 + dice.below(3) });
                plan.push((Method::POST, "/carts/{cart}/items".to_owned(), Some(body.to_string())));
            }
            plan.push((Method::GET, "/carts/{cart}".to_owned(), None));
            if dice.chance(0.7) {
                let shipping = if dice.chance(0.3) { "express" } else { "standard" };
                plan.push((
                    Method::POST,
                    "/carts/{cart}/checkout".to_owned(),
                    Some(json!({ "shipping": shipping }).to_string()),
                ));
            }
        }
        // Few buy gift cards, and look at them once or twice.
        if dice.chance(0.08) {
            let body = json!({ "amount": 10 + dice.below(5) * 10 });
            plan.push((Method::POST, "/gifts".to_owned(), Some(body.to_string())));
            for _ in 0..1 + dice.below(2) {
                plan.push((Method::GET, "/gifts/{gift}".to_owned(), None));
            }
        }
        plan
    }
}

impl CustomerLine {
    /// Sends one request and reads its answer; gives the status.
    async fn send(
        &mut self,
        method: Method,
        target: &str,
        body: Option<String>,
    ) -> io::Result<u16> {
        let issued = &self.issued;
        let target = target.replace("{cart}", &issued.cart).replace("{gift}", &issued.gift);
        let changes = method == Method::POST && target != "/login";
        let buys = target.ends_with("/checkout");
        let mut request = Request::builder()
            .method(method)
            .uri(&target)
            .header("host", SHOP_HOST)
            .header("user-agent", self.agent)
            .header("accept", "application/json")
            .header(
                "traceparent",
                format!(
                    "00-{:016x}{:016x}-{:016x}-01",
                    self.session,
                    self.trace.next(),
                    self.trace.next()
                ),
            );
        if !issued.cookie.is_empty() {
            request = request.header("cookie", &issued.cookie);
        }
        if changes {
            request = request.header("x-csrf-token", &issued.csrf);
        }
        if buys {
            request = request.header("if-match", &issued.tag);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request =
            request.body(Full::from(body.unwrap_or_default())).map_err(io::Error::other)?;
        self.send.ready().await.map_err(io::Error::other)?;
        let response = self.send.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        self.issued.learn(&head.headers, &body);
        self.requests += 1;
        Ok(head.status.as_u16())
    }
}
