//! A report of a large run: time, exchanges a second and the most memory that the program held, as
//! the kernel counted it.
//!
//! `cargo bench --bench report` makes a run of 200,000 exchanges;
//! `SHADOWTAP_BENCH_EXCHANGES=1000000` makes it a million.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench says what it measured, and ends where it cannot"
)]

#[path = "../tests/support/made_run.rs"]
mod made_run;

use std::process::{Command, Stdio};
use std::time::Duration;

use made_run::{MadeRun, cluster};
use shadowtap::diff::Kind;
use shadowtap::time::Monotonic;

fn main() {
    let exchanges = std::env::var("SHADOWTAP_BENCH_EXCHANGES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(200_000);
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let clusters = (0..1_000).map(|number| {
        let values =
            [Some("{\"title\": \"Blue mug\", \"price\": 12.5}"), Some("{\"title\": null}")];
        cluster(
            number,
            "GET /products/{id}",
            Kind::Body,
            &format!("$.items[*].field{number}"),
            values,
            u64::from(1_000 - number),
        )
    });
    MadeRun { exchanges, clusters: clusters.collect(), ..MadeRun::default() }.write(&run);
    let bytes: u64 = ["exchanges.jsonl", "outcomes.jsonl"]
        .iter()
        .map(|name| run.join(name).metadata().unwrap().len())
        .sum();

    let started = Monotonic::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["report", "-q"])
        .arg(&run)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        peak = peak.max(resident_peak(child.id()));
        std::thread::sleep(Duration::from_millis(2));
    };
    let seconds = started.elapsed() as f64 / 1e9;
    assert!(status.success());

    let summary: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["replay"]["replayed"], exchanges);
    assert_eq!(summary["latency"][0]["count"], exchanges);
    let page = run.join("report.html").metadata().unwrap().len();
    assert!(page < 2_000_000, "the page has {page} bytes");
    println!(
        "report: {exchanges} exchanges, {} MB of records in {seconds:.2} s: {:.0} exchanges/s, \
         {:.0} MB/s; {peak} kB at most; page {page} bytes",
        bytes / 1_000_000,
        f64::from(exchanges) / seconds,
        bytes as f64 / 1e6 / seconds
    );
}

/// The most memory that a process held until now, in kB; 0 where the system does not say.
fn resident_peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
