//! Finding flows: how fast and in how much memory, beside a plain read of the same recording, in
//! turns. What is found is checked: each session has the same uses of the same values.
//!
//! `cargo bench --bench flows` makes a recording of 100,000 exchanges and goes over it three times;
//! `SHADOWTAP_FLOWS_EXCHANGES=10000000` makes it as large as asked, `SHADOWTAP_FLOWS_ROUNDS` says
//! how often, and `SHADOWTAP_FLOWS_MADE=1` makes it while it is read, so that it needs no disk; the
//! time of the making is then part of both figures. Temporary files go to `TMPDIR`.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;
use std::sync::Arc;

use shadowtap::bind::config::{Bind, FlowSection};
use shadowtap::bind::find::{self, FoundFlows, Order};
use shadowtap::exchange::{Exchange, ExchangeId, TimedRequest, TimedResponse};
use shadowtap::flow::Endpoint;
use shadowtap::message::{Body, Headers, Request, Response};
use shadowtap::record::exchanges::{self, Header, write_line};
use shadowtap::source::recording::{Recording, RecordingError};
use shadowtap::time::{Monotonic, Timestamp};

/// Requests of a session.
const STEPS: u64 = 8;
/// Sessions at the same time.
const OPEN: u64 = 64;
/// Where the recording begins, in nanoseconds since 1970.
const BEGIN: i64 = 1_795_000_000_000_000_000;

/// Numbers without a pattern: the same of the same.
fn mixed(a: u64, b: u64) -> u64 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    for _ in 0..2 {
        x ^= x >> 31;
        x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    x ^ x >> 32
}

/// A hexadecimal value of 32 digits, which means something.
fn token(session: u64, which: u64) -> String {
    format!("{:016x}{:016x}", mixed(session, which), mixed(which, !session))
}

fn uuid(session: u64, which: u64) -> String {
    let (a, b) = (mixed(session, which), mixed(!session, which));
    let (high, middle, low) = (a >> 32, a >> 16 & 0xffff, a & 0xfff);
    format!("{high:08x}-{middle:04x}-4{low:03x}-8{:03x}-{:012x}", b >> 52, b & 0xffff_ffff_ffff)
}

/// The `step`th exchange of a session of a shop: a login, a list, its products, a cart, an order, a
/// page. Its bodies are about as long as those of real services.
fn exchange(session: u64, step: u64, at: i64) -> Exchange {
    let endpoint = |text: &str| text.parse::<Endpoint>().expect("an endpoint");
    let client =
        format!("10.{}.{}.{}:4000", session >> 16 & 255, session >> 8 & 255, session & 255);
    let mut exchange = Exchange::between(endpoint(&client), endpoint("10.0.1.1:80"));
    exchange.id = ExchangeId { connection: session, ordinal: step as u32 };
    let product = 1_000 + mixed(session, 1) % 9_000;
    let (cart, order) = (uuid(session, 2), token(session, 3));
    let (sid, csrf, tag) = (token(session, 4), token(session, 5), token(session, 6));
    let (method, target, sent, status, kind, said) = match step {
        0 => {
            ("POST", "/login".into(), format!("user=u{session}&password=p&next=%2F"), 200, JSON, {
                format!(r#"{{"user":{{"id":{session},"name":"u{session}"}},"csrf":"{csrf}"}}"#)
            })
        }
        1 => (
            "GET",
            format!("/api/products?page={}&limit=10", session % 50),
            String::new(),
            200,
            JSON,
            list(session, product),
        ),
        2 => (
            "GET",
            format!("/api/products/{product}"),
            String::new(),
            200,
            JSON,
            item(session, product),
        ),
        3 => {
            let sent =
                format!(r#"{{"product_id":{product},"quantity":2,"key":"{}"}}"#, uuid(session, 7));
            (
                "POST",
                "/api/carts".into(),
                sent,
                201,
                JSON,
                format!(r#"{{"cart":{{"id":"{cart}","total":"19.90","currency":"EUR"}}}}"#),
            )
        }
        4 => (
            "PUT",
            format!("/api/carts/{cart}"),
            format!(r#"{{"id":"{cart}","quantity":3}}"#),
            200,
            JSON,
            {
                format!(
                    r#"{{"cart":{{"id":"{cart}","total":"29.85","items":[{}]}}}}"#,
                    item(session, product)
                )
            },
        ),
        5 => ("POST", "/api/orders".into(), format!(r#"{{"cart":"{cart}"}}"#), 201, JSON, {
            format!(r#"{{"order":{{"id":"{order}","cart":"{cart}","state":"open"}}}}"#)
        }),
        6 => ("GET", format!("/api/orders/{order}"), String::new(), 200, JSON, {
            format!(
                r#"{{"order":{{"id":"{order}","state":"paid","lines":[{}]}}}}"#,
                item(session, product)
            )
        }),
        _ => (
            "GET",
            "/account".into(),
            String::new(),
            200,
            "text/html; charset=utf-8",
            page(session, &order),
        ),
    };
    let mut headers = vec![
        ("Host", "shop.example".to_owned()),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".to_owned(),
        ),
        ("Accept", "application/json, text/plain, */*".to_owned()),
        ("Accept-Language", "en-US,en;q=0.5".to_owned()),
        ("Accept-Encoding", "gzip, deflate".to_owned()),
    ];
    if step > 0 {
        headers.push(("Cookie", format!("theme=dark; sid={sid}")));
        headers.push(("Referer", "http://shop.example/".to_owned()));
    }
    if !sent.is_empty() {
        let kind = if step == 0 { "application/x-www-form-urlencoded" } else { JSON };
        headers.push(("Content-Type", kind.to_owned()));
        headers.push(("Content-Length", sent.len().to_string()));
    }
    if step > 0 && method != "GET" {
        headers.push(("X-CSRF-Token", csrf));
    }
    let mut answered = vec![
        ("Date", "Sun, 22 Nov 2026 10:00:00 GMT".to_owned()),
        ("Server", "nginx/1.27.0".to_owned()),
        ("Content-Type", kind.to_owned()),
        ("Content-Length", said.len().to_string()),
        ("X-Request-Id", uuid(session, 10 + step)),
    ];
    match step {
        0 => answered.push(("Set-Cookie", format!("sid={sid}; Path=/; HttpOnly; SameSite=Lax"))),
        2 => answered.push(("ETag", format!("\"{tag}\""))),
        3 => answered.push(("Location", format!("/api/carts/{cart}"))),
        4 => headers.push(("If-Match", format!("\"{tag}\""))),
        _ => {}
    }
    exchange.request = Some(TimedRequest {
        at: Timestamp::from_nanos(at),
        duration_ns: 0,
        message: Request {
            method: method.into(),
            target: target.into(),
            headers: fields(&headers),
            body: Body::whole(sent.into_bytes()),
            ..Request::default()
        },
    });
    exchange.response = Some(TimedResponse {
        at: Timestamp::from_nanos(at + 3_000_000),
        first_byte_ns: Some(2_900_000),
        last_byte_ns: Some(3_000_000),
        message: Response {
            status,
            headers: fields(&answered),
            body: Body::whole(said.into_bytes()),
            ..Response::default()
        },
    });
    exchange
}

/// What each session uses: its cookie in seven requests, the CSRF token in three, the product's
/// number in two, its entity tag in one, the cart's id in three (one of them twice), the order's.
const USES: u64 = 7 + 3 + 2 + 1 + 4 - 1 + 1;
const JSON: &str = "application/json";

fn fields(fields: &[(&str, String)]) -> Headers {
    fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

fn item(session: u64, product: u64) -> String {
    let sku = token(product | 1 << 40, session % 7);
    let stock = product % 40;
    let first = format!(r#"{{"id":{product},"sku":"{sku}","name":"A lamp, number {product}","#);
    let text = "Warm light for long evenings; with a switch on its cord and a shade of linen.";
    format!(
        "{first}{}{text}{}",
        format_args!(r#""price":"9.95","stock":{stock},"tags":["lamp","light"],"description":""#),
        r#"","updated_at":"2026-11-20T08:15:30Z"}"#
    )
}

fn list(session: u64, product: u64) -> String {
    let items: Vec<String> = (0..10).map(|n| item(session, product + n)).collect();
    format!(r#"{{"data":[{}],"total":9000,"page":{}}}"#, items.join(","), session % 50)
}

fn page(session: u64, order: &str) -> String {
    let mut page = String::from(
        "<!doctype html><html><head><meta charset=\"utf-8\"><title>Account</title>\n\
         <link rel=\"stylesheet\" href=\"/static/site.css\"></head>\n\
         <body><nav><a href=\"/\">Home</a><a href=\"/cart\">Cart</a></nav><table>\n",
    );
    for n in 0..8 {
        let link = format!("<a href=\"/orders/{order}/{n}\">Order {n}</a>");
        let rest = format!("<td>19.90 EUR</td><td>2026-11-2{n}</td>");
        let _ = writeln!(page, "<tr class=\"order\"><td>{n}</td><td>{link}</td>{rest}</tr>");
    }
    let csrf = token(session, 9);
    let input = format!("<input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">");
    let form = format!("<form method=\"post\" action=\"/logout\">{input}<button>Leave</button>");
    page + "</table>" + &form + "</form></body></html>"
}

/// A recording that is made while it is read.
struct Made {
    next: u64,
    end: u64,
    bytes: Vec<u8>,
    at: usize,
}

impl Made {
    fn new(exchanges: u64) -> Self {
        let mut bytes = Vec::new();
        write_line(&mut bytes, &Header::new(Timestamp::from_nanos(BEGIN), Vec::new()));
        Self { next: 0, end: exchanges, bytes, at: 0 }
    }
}

impl Read for Made {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.bytes.len() {
            self.bytes.clear();
            self.at = 0;
            while self.next < self.end && self.bytes.len() < 1 << 20 {
                let (round, within) = (self.next / (OPEN * STEPS), self.next % (OPEN * STEPS));
                let session = round * OPEN + within % OPEN;
                let at = BEGIN + self.next as i64 * 100_000;
                exchanges::write(&mut self.bytes, &exchange(session, within / OPEN, at));
                self.next += 1;
            }
        }
        let left = &self.bytes[self.at..];
        let count = left.len().min(out.len());
        out[..count].copy_from_slice(&left[..count]);
        self.at += count;
        Ok(count)
    }
}

/// The most memory that the process had since it was last asked, in MB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    // Begins anew.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    kb.unwrap_or(0) / 1024
}

/// Seconds that all threads have computed so far: other programs change them little.
fn computed() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks =
        behind_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok());
    // Of a hundredth of a second each, on every Linux.
    ticks.sum::<f64>() / 100.0
}

fn finding(recording: Recording, folder: &Path) -> FoundFlows {
    let config = find::FindConfig {
        schema: Default::default(),
        rules: FlowSection::default(),
        bind: Bind::Sure,
        order: Order::Session,
        folder: folder.to_owned(),
    };
    find::find(all(recording), &config).unwrap_or_else(|error| panic!("{error}"))
}

/// What may go wrong here.
#[derive(Debug)]
struct Failed(String);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<RecordingError> for Failed {
    fn from(error: RecordingError) -> Self {
        Self(error.to_string())
    }
}

fn all(mut recording: Recording) -> impl Iterator<Item = Result<Exchange, Failed>> {
    std::iter::from_fn(move || recording.read().map_err(Failed::from).transpose())
}

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // `cargo test --benches` runs it without `--bench`: a small one, for its checks.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let exchanges = number("SHADOWTAP_FLOWS_EXCHANGES", if is_test { 1_024 } else { 100_000 });
    // Whole sessions.
    let exchanges = exchanges.next_multiple_of(OPEN * STEPS);
    let rounds = number("SHADOWTAP_FLOWS_ROUNDS", if is_test { 1 } else { 3 });
    let is_made = number("SHADOWTAP_FLOWS_MADE", 0) > 0;
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("made.jsonl");
    let bytes = if is_made {
        let sample = io::copy(&mut Made::new(OPEN * STEPS * 20), &mut io::sink());
        sample.expect("it is made") / (OPEN * STEPS * 20) * exchanges
    } else {
        let mut file = File::create(&path).expect("room for the recording");
        let bytes = io::copy(&mut Made::new(exchanges), &mut file).expect("room for it");
        file.flush().expect("room for it");
        bytes
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().map(Arc::new);
    let pool = pool.expect("two threads");
    let open = || {
        let reader: Box<dyn Read + Send> = match is_made {
            true => Box::new(Made::new(exchanges)),
            false => Box::new(File::open(&path).expect("it was made")),
        };
        let reader = BufReader::with_capacity(1 << 20, reader);
        Recording::new("made".to_owned(), Box::new(reader), 0).ahead(Arc::clone(&pool))
    };
    println!("{exchanges} exchanges, {} MB; two threads", bytes / 1_000_000);
    let tell = |what: &str, since: (Monotonic, f64)| {
        let (seconds, computed) = (since.0.elapsed() as f64 / 1e9, computed() - since.1);
        let mb = bytes as f64 / 1e6;
        println!(
            "{what}: {:.0} MB/s, {:.1} s of computing ({:.0} MB/s on two cores without others), \
             {} MB of memory",
            mb / seconds,
            computed,
            2.0 * mb / computed,
            peak()
        );
    };
    let begin = || {
        peak();
        (Monotonic::now(), computed())
    };
    for _ in 0..rounds {
        let before = begin();
        let mut count = 0;
        for exchange in all(open()) {
            count += u64::from(exchange.is_ok_and(|exchange| exchange.request.is_some()));
        }
        assert_eq!(count, exchanges);
        tell("read", before);
        let before = begin();
        let found = pool.install(|| finding(open(), folder.path()));
        tell("read and find", before);
        let totals = found.totals;
        assert_eq!(totals.requests, exchanges);
        assert_eq!(totals.sessions, exchanges / STEPS);
        assert_eq!(totals.uses, exchanges / STEPS * USES, "{totals:?}");
    }
}
