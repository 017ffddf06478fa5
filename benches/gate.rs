//! The gate's promise as a table: of equal versions, and of versions slower by half throughout, how
//! many runs fail, pass, or have no verdict. Seeded.
//!
//! `cargo bench --bench gate [RUNS]`

use rayon::prelude::*;

use shadowtap::gate::Verdict;

#[path = "../tests/support/families.rs"]
#[expect(dead_code, reason = "a test asks for more")]
mod families;
#[path = "../tests/support/made_run.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "only its random numbers are used here")]
mod made_run;

use families::{FAMILIES, Family, judged};

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() {
    let runs = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(1_000u64);
    println!("{runs} runs each; limit of typical latency 1.2, of p99 1.2, must_see 2");
    println!("| family | requests | equal: fail | slower by half: fail | no verdict | pass |");
    println!("|---|---|---|---|---|---|");
    for family in FAMILIES {
        for requests in [200, 1_000, 2_000, 5_000] {
            let [equal, ..] = shares(family, requests, 1.0, runs);
            let [fail, none, pass] = shares(family, requests, 1.5, runs);
            println!(
                "| {family:?} | {requests} | {equal:.1} % | {fail:.1} % | {none:.1} % | {pass:.1} \
                 % |"
            );
            assert!(equal <= 5.0 + 3.0 * (475.0 / runs as f64).sqrt(), "the gate cries wolf");
        }
    }
}

/// Shares of the runs that fail, have no verdict, pass; in percent.
fn shares(family: Family, requests: usize, factor: f64, runs: u64) -> [f64; 3] {
    let verdict = |seed| judged(&family.run(requests, factor, seed)).verdict;
    let verdicts: Vec<Verdict> = (0..runs).into_par_iter().map(verdict).collect();
    let share = |so: &dyn Fn(&Verdict) -> bool| {
        100.0 * verdicts.iter().filter(|verdict| so(verdict)).count() as f64 / runs as f64
    };
    [
        share(&|verdict| *verdict == Verdict::Fail),
        share(&|verdict| matches!(verdict, Verdict::CannotSay | Verdict::Invalid)),
        share(&|verdict| *verdict == Verdict::Pass),
    ]
}
