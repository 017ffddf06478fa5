//! The diff: how fast and in how much memory, and how many of the planted differences it finds
//! (recall) and how many of what it reports were planted (precision). Every figure's answer is
//! checked.
//!
//! `cargo bench --bench diff` prints the table of precision and recall and a run of 50,000
//! exchanges; `SHADOWTAP_DIFF_EXCHANGES=1000000` makes that run as large as asked,
//! `SHADOWTAP_DIFF_DIR` says where its files go, and stay to be used again;
//! `SHADOWTAP_DIFF_THREADS=1` measures one number of threads alone; `-- speed` leaves the tables
//! out.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "../tests/support/pairs.rs"]
mod pairs;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use pairs::{FAULTS, NOISY_FAULTS, Plan};
use shadowtap::diff::Class;
use shadowtap::diff::engine::{self, CompareInputs, CompareSettings, DiffOutputs, Findings};
use shadowtap::diff::rules::Rules;
use shadowtap::redact::Masker;
use shadowtap::time::Monotonic;

fn diff(folder: &Path) -> Findings {
    let open = |name: &str| File::open(folder.join(name)).expect("the plan wrote it");
    let spool = tempfile::tempfile_in(folder).expect("the folder can be written");
    let inputs = CompareInputs {
        exchanges: open("exchanges.jsonl"),
        outcomes: open("outcomes.jsonl"),
        baseline: None,
        bindings: [None, None],
        spool,
    };
    let settings = CompareSettings {
        rules: Rules::default(),
        approvals: Default::default(),
        noise: vec![],
        routes: None,
        schema: Default::default(),
        masker: Masker::off(),
        today: "2026-11-22".to_owned(),
    };
    let outputs =
        DiffOutputs { differences: &mut std::io::sink(), mismatches: &mut std::io::sink() };
    engine::run(inputs, &settings, outputs, &|_, _| ()).expect("the plan's files can be read")
}

/// Planted faults that were found, clusters of regressions that are right, and all of these.
fn score(plan: &Plan) -> [usize; 3] {
    let folder = tempfile::tempdir().expect("a folder for the run");
    pairs::make(plan, folder.path());
    let findings = diff(folder.path());
    let clusters: Vec<_> =
        findings.clusters.iter().filter(|cluster| cluster.class == Class::Regression).collect();
    let mut found = BTreeSet::new();
    let mut right = 0;
    for cluster in &clusters {
        let planted = plan.faults.iter().enumerate().find(|(route, fault)| {
            let (_, place, _) = FAULTS[**fault];
            cluster.route == pairs::route(*route)
                && (cluster.place == place || place.starts_with(&cluster.place))
        });
        if planted.is_none() && (plan.samples >= 10 || plan.noise == 0) {
            println!(
                "wrong: {} {} {} ({})",
                cluster.route, cluster.place, cluster.shape, cluster.why
            );
        }
        right += usize::from(planted.is_some());
        found.extend(planted.map(|(route, _)| route));
    }
    [found.len(), right, clusters.len()]
}

fn table() {
    println!(
        "noisy places | random ids | samples a route | planted | found | recall | reported | \
         right | precision"
    );
    for (noise, ids) in [(0, 0), (0, pairs::IDS), (1, 0), (pairs::NOISES, 0)] {
        for samples in [2, 10, 1_000] {
            let seeds = if samples == 1_000 { 1 } else { 5 };
            let mut sum = [0; 3];
            for seed in 1..=seeds {
                let one = score(&Plan { seed, noise, ids, samples, ..Plan::small() });
                sum.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
            }
            let [found, right, reported] = sum;
            let planted = FAULTS.len() * seeds as usize;
            let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
            println!(
                "{noise:>12} | {ids:>10} | {samples:>15} | {planted:>7} | {found:>5} | {:>5.1}% | \
                 {reported:>8} | {right:>5} | {:>8.1}%",
                percent(found, planted),
                percent(right, reported)
            );
            // Two samples tell a random id; of booleans, words and small numbers they tell nothing.
            let is_told = samples >= 10 || noise == 0;
            assert!(!is_told || found == planted, "a planted difference was not found");
            let is_right = right * 100 >= reported * 99;
            assert!(!is_told || is_right, "more than one in a hundred is wrong");
        }
    }
}

/// Changes planted where v1 varies by itself: of type, of presence, a constant.
fn noisy_table() {
    println!(
        "a change at a noisy place | samples a route | routes | found | other causes reported"
    );
    for (fault, place, shape) in NOISY_FAULTS {
        for samples in [2, 10, 1_000] {
            let plan = Plan {
                noisy_fault: Some(fault),
                faults: vec![],
                noise: pairs::NOISES,
                samples,
                ..Plan::small()
            };
            let folder = tempfile::tempdir().expect("a folder for the run");
            pairs::make(&plan, folder.path());
            let findings = diff(folder.path());
            let regressions =
                || findings.clusters.iter().filter(|cluster| cluster.class == Class::Regression);
            let found = regressions()
                .filter(|cluster| cluster.place == place && cluster.shape == shape)
                .count();
            let others = regressions().count() - found;
            println!("{fault:>25} | {samples:>15} | {:>6} | {found:>5} | {others:>5}", plan.clean);
            assert!(samples < 10 || (found, others) == (plan.clean, 0), "{fault} was not found");
        }
    }
}

fn throughput() {
    let wanted: usize = std::env::var("SHADOWTAP_DIFF_EXCHANGES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(50_000);
    let made = tempfile::tempdir().expect("a folder for the run");
    let kept = std::env::var_os("SHADOWTAP_DIFF_DIR")
        .map(|parent| Path::new(&parent).join(format!("diff-{wanted}")));
    let folder = kept.as_deref().unwrap_or(made.path());
    let plan = Plan {
        faults: vec![0, 4],
        clean: 18,
        samples: wanted / 20,
        noise: 3,
        padding: 2_000,
        ..Plan::small()
    };
    if !folder.join("made").exists() {
        std::fs::create_dir_all(folder).expect("the folder can be made");
        pairs::make(&plan, folder);
        std::fs::write(folder.join("made"), "").expect("the folder can be written");
    }
    let lines = (plan.exchanges() as u64).max(1);
    let bytes = File::open(folder.join("exchanges.jsonl"))
        .and_then(|file| file.metadata())
        .map_or(0, |file| file.len());
    let only: Option<usize> =
        std::env::var("SHADOWTAP_DIFF_THREADS").ok().and_then(|text| text.parse().ok());
    for threads in [1, 2].into_iter().filter(|threads| only.is_none_or(|only| only == *threads)) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let before = Monotonic::now();
        let findings = pool.install(|| diff(folder));
        let seconds = before.elapsed() as f64 / 1e9;
        assert_eq!(findings.totals.compared, lines);
        assert_eq!(
            findings.clusters.iter().filter(|cluster| cluster.class == Class::Regression).count(),
            2
        );
        // A body is about 2 KB on each side; the larger part of the bytes that are read.
        let compared = findings.totals.compared as f64 * 2.0 * 2_450.0;
        println!(
            "{threads} threads: {lines} exchanges ({} MB of exchanges.jsonl) in {seconds:.2} s: \
             {:.0} exchanges/s, {:.0} MB/s of compared JSON",
            bytes / 1_000_000,
            lines as f64 / seconds,
            compared / seconds / 1e6
        );
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(peak) = status.lines().find(|line| line.starts_with("VmHWM"))
    {
        println!("peak memory, {}", peak.replace('\t', " "));
    }
}

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // `cargo test --benches` runs this with `--test`: the checks alone.
    let asked = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    if asked("--test") {
        return;
    }
    if !asked("speed") {
        table();
        noisy_table();
    }
    throughput();
}
