//! What redaction costs beside a plain parse, in the time of one thread: traffic of other kinds of
//! bodies, the same capture with and without `--redact default`, in turns. Checks that no secret is
//! left and that nothing else has changed, and prints the ratio. `cargo bench --bench redact`

#[path = "support/traffic.rs"]
mod traffic;

use std::io::Cursor;

use shadowtap::capture::file::{self, Input};
use shadowtap::capture::merge::CaptureMerge;
use shadowtap::exchange::Exchange;
use shadowtap::message::Body;
use shadowtap::parse::{Parse, ParseOptions};
use shadowtap::record::exchanges;
use shadowtap::redact::{RedactRule, Redactor};
use traffic::Traffic;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns of each, of which the fastest counts.
const TURNS: usize = 5;

/// JSON as services send it: names that hold parts of secrets' names, addresses, and a token.
const VALID: &str = concat!(
    r#"{"id":4711,"company":"Tea & Co","shipping_code":"DHL","email":"joe@shop.example","#,
    r#""items":[{"sku":"A-1","name":"teapot","price":12.5,"inside":true}],"#,
    r#""access_token":"q7Zr0pW3sT9uVbN1mLcE5hJ8"}"#
);

#[expect(clippy::print_stdout, reason = "the figures")]
fn main() {
    let mut capture = Vec::new();
    let traffic = Traffic { exchanges: 10_000, ..Traffic::default() };
    let made = traffic.write(&mut capture).expect("memory can be written");
    println!("{} packets, {} exchanges", made.packets, traffic.exchanges);
    let redactor = Redactor::new(&[RedactRule::Default], b"a key for the bench");
    for name in ["text", "json"] {
        let mut best = [f64::MAX; 2];
        for _ in 0..TURNS {
            for (with, best) in best.iter_mut().enumerate() {
                let redactor = (with == 1).then(|| redactor.clone());
                let began = thread_ms();
                let lines = lines(&capture, name == "json", redactor);
                *best = best.min(thread_ms() - began);
                check(&lines, traffic.exchanges as usize, with == 1);
            }
        }
        let [plain, redacted] = best;
        println!(
            "{name}: plain {plain:.0} ms, redacted {redacted:.0} ms, {:.2} times; {:.0} MB/s",
            redacted / plain,
            made.bytes as f64 / 1e3 / redacted
        );
    }
}

/// What this thread has computed so far, in milliseconds: what else the machine does is not
/// counted.
fn thread_ms() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// The lines of the recording, as the program writes them.
fn lines(capture: &[u8], json: bool, redactor: Option<Redactor>) -> Vec<u8> {
    let source = match file::from_reader("memory", Box::new(Cursor::new(capture.to_vec())), None) {
        Ok(Input::Packets(file)) => CaptureMerge::new(vec![(file, 0)]),
        _ => panic!("the generator makes captures"),
    };
    let options = ParseOptions { threads: 1, ..ParseOptions::default() };
    // As long as the bodies of the text, at the mean.
    let body = Body::whole(format!("[{}]", [VALID; 8].join(",")));
    let render = move |mut exchange: Exchange, text: &mut Vec<u8>| {
        if json && let Some(response) = &mut exchange.response {
            response.message.body = body.clone();
        }
        if let Some(redactor) = &redactor {
            redactor.apply(&mut exchange);
        }
        exchanges::write_rest(text, &exchange);
    };
    let mut parse = Parse::start(Box::new(source), &options, render);
    let mut all = Vec::new();
    while let Some(rendered) = parse.next_output().expect("memory can be read") {
        rendered.lines().for_each(|line| all.extend_from_slice(line));
    }
    all
}

fn check(lines: &[u8], exchanges: usize, redacted: bool) {
    assert_eq!(memchr::memchr_iter(b'\n', lines).count(), exchanges);
    let found = |text: &[u8]| memchr::memmem::find(lines, text).is_some();
    assert!(found(b"in_stock") || found(b"shipping_code\\\":\\\"DHL"), "the bodies are there");
    assert_eq!(found(b"theme=dark"), !redacted);
    assert!(!(redacted && (found(b"q7Zr0pW3sT9uVbN1mLcE5hJ8") || found(b"joe@shop.example"))));
}
