//! `shadowtap gate`: judges a run by the policy and exits with the verdict.

use std::path::PathBuf;

use super::config::Config;
use super::output::print;
use super::paint::look;
use super::policy::GateFlags;
use super::progress::show_measuring;
use super::remote::RunPlace;
use super::{Exit, Failure, Global};
use crate::gate::{Judgement, Policy, Verdict};
use crate::report::terminal;
use crate::review::Loaded;
use crate::run::RunFolder;

/// Judge a run by the policy; the exit code is the verdict
///
/// Ends with 0 where v2 passes, 1 where it fails, 5 where there is no verdict: the run is invalid,
/// or has too few samples. The policy is [gate] of shadowtap.toml; flags beat it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  shadowtap gate reports/20261122T100000Z --max-p99-ratio 1.3")]
pub struct GateArgs {
    /// Folder of a run
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print every rule with its figures as JSON
    #[arg(help_heading = "Output", long)]
    json: bool,
    #[command(flatten)]
    gate: GateFlags,
}

/// What a judgement needs.
#[derive(Debug)]
pub(crate) struct GateSettings {
    folder: PathBuf,
    policy: Policy,
}

pub(crate) fn run(args: GateArgs, global: &Global) -> Result<Exit, Failure> {
    let config = Config::load(global)?;
    let place = RunPlace::of_run(&args.folder)?;
    let settings = GateSettings {
        policy: args.gate.over_those_of(place.path())?.policy(&config)?,
        folder: place.path().to_owned(),
    };
    let loaded = execute(&settings, global)?;
    let judgement = loaded.judgement();
    let text =
        if args.json { json(judgement) } else { terminal::verdict_lines(&loaded.report(), look()) };
    print(&text)?;
    Ok(exit(judgement.verdict))
}

/// Reads and judges.
pub(crate) fn execute(settings: &GateSettings, global: &Global) -> Result<Loaded, Failure> {
    let folder = RunFolder::open(&settings.folder)?;
    Ok(Loaded::read(&folder, &settings.policy, false, show_measuring(global))?)
}

/// The exit code of a verdict.
pub(crate) const fn exit(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Pass => Exit::Done,
        Verdict::Fail => Exit::GateFailed,
        Verdict::CannotSay | Verdict::Invalid => Exit::NoVerdict,
    }
}

fn json(judgement: &Judgement) -> String {
    serde_json::to_string_pretty(judgement).expect("strings and numbers serialise") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_have_the_codes_of_the_contract() {
        let codes = [
            (Verdict::Pass, 0),
            (Verdict::Fail, 1),
            (Verdict::CannotSay, 5),
            (Verdict::Invalid, 5),
        ];
        for (verdict, code) in codes {
            assert_eq!(exit(verdict) as u8, code, "{verdict:?}");
        }
    }
}
