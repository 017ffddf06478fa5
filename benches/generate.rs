//! Writes a seeded capture to a file or to standard output, for measurements that other programs
//! take part in: `cargo bench --bench generate -- --exchanges 200000 --body 2100 -o big.pcap`

#[path = "support/traffic.rs"]
mod traffic;

use std::io::{BufWriter, Write};

use traffic::Traffic;

const USAGE: &str = "generate [--exchanges N] [--per-connection N] [--open N] [--body BYTES] \
    [--disorder PACKETS] [--tunnelled] [--seed N] -o FILE";

#[expect(clippy::print_stderr, reason = "what was made")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut traffic = Traffic::default();
    let mut output = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok()).ok_or(USAGE);
        match name.as_str() {
            "--exchanges" => traffic.exchanges = number()?,
            "--per-connection" => traffic.per_connection = number()?,
            "--open" => traffic.open = number()? as usize,
            "--body" => traffic.body = number()? as usize,
            "--disorder" => traffic.disorder = number()?,
            "--seed" => traffic.seed = number()?,
            "--tunnelled" => traffic.tunnelled = true,
            "-o" => output = arguments.next(),
            // cargo bench adds it.
            "--bench" => {}
            _ => return Err(USAGE.into()),
        }
    }
    // `cargo test --benches` runs it without arguments.
    let Some(output) = output else { return Ok(()) };
    let out: Box<dyn Write> = if output == "-" {
        Box::new(std::io::stdout().lock())
    } else {
        Box::new(std::fs::File::create(&output)?)
    };
    let made = traffic.write(BufWriter::with_capacity(1 << 20, out))?;
    eprintln!(
        "{output}: {} packets, {} bytes, {} exchanges, {} bytes of bodies",
        made.packets, made.bytes, traffic.exchanges, made.body_bytes
    );
    Ok(())
}
