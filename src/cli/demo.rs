//! `shadowtap demo`: the whole road on a small shop that it starts itself. Version 1 is used by its
//! customers and captured, version 2 gets their requests again, and the report must find what is
//! planted in it.

mod serve;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser as _;

use super::config::Config;
use super::exit::unreadable;
use super::policy::GateFlags;
use super::progress::{Progress, show_measuring};
use super::remote::RunPlace;
use super::replay::{self, ReplayFlags, ReplayShape};
use super::signals::{self, Grace};
use super::{Exit, Failure, Global, log, mock, output, run};
use crate::capture::live;
use crate::capture::record::{PacketRecording, RecordError, RecordedPackets};
use crate::demo::clients::{self, CustomersDone};
use crate::demo::provider::Provider;
use crate::demo::{PROVIDER_HOST, SHOP_HOST, ShopFaults, shop};
use crate::diff::{Cluster, Kind};
use crate::gate::policy::Nanos;
use crate::gate::{Finding, Verdict};
use crate::mock::ledger::CallVerdict;
use crate::mock::summary::CallSummary;
use crate::mock::{self as egress, Timing};
use crate::report::shape_words;
use crate::review::Loaded;
use crate::run::{RunFolder, is_there, names};

/// Where it writes if nothing else is said.
const FOLDER: &str = "reports/demo";
/// The capture in the folder; with it the folder is known as a demo's, and may be overwritten by
/// the next one.
const CAPTURE: &str = "demo.pcap";
/// The capture that is used where this process may not capture: made in the same way, see
/// captures/README.md.
const RECORDED: &[u8] = include_bytes!("../../captures/demo.pcap");
/// The interface that the shop is on.
const LOOPBACK: &str = "lo";
/// How often it looks whether the customers are done, where no signal comes.
const LOOK: Duration = Duration::from_millis(50);
/// How long the capture runs before the first customer and after the last one.
const QUIET: Duration = Duration::from_millis(250);

/// See it all at work: a small shop in two versions
///
/// Starts version 1 of a shop and its payment provider on loopback, sends customers for eleven
/// seconds, captures them live (where this process may; else it takes a recorded capture), replays
/// them at version 2 with a mock in the provider's place, and reports. Five faults are planted in
/// version 2 and the report must find them, so the verdict is "fail", and the demo ends with 0.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  shadowtap demo -o reports/demo
  shadowtap demo serve v1 --listen 0.0.0.0:8080 \\
      --provider payments.example:8081"
)]
pub struct DemoArgs {
    #[command(subcommand)]
    part: Option<serve::DemoPart>,
    /// Folder of the run; an earlier demo in it is replaced
    #[arg(help_heading = "Output", short, long, value_name = "DIR", default_value = FOLDER)]
    output: PathBuf,
    /// Take the recorded capture even where a live one is allowed
    #[arg(help_heading = "Input", long)]
    recorded: bool,
}

/// What `demo` does, checked.
#[derive(Clone, Debug)]
pub struct DemoSettings {
    /// The run's folder.
    pub output: PathBuf,
    /// Take the recorded capture.
    pub recorded: bool,
    /// What is planted in version 2.
    pub faults: ShopFaults,
    /// How the customers behave.
    pub customers: clients::CustomerSettings,
}

/// What a demo came to.
#[derive(Debug)]
pub struct DemoShown {
    /// Whether the capture was live.
    pub live: bool,
    /// What the customers did; none where the capture is the recorded one.
    pub customers: Option<CustomersDone>,
    /// The verdict.
    pub verdict: Verdict,
    /// Each planted fault: what it is, and how the report names it; none where it was not found.
    pub planted: Vec<(&'static str, Option<String>)>,
    /// What the report holds against version 2 beside that.
    pub unexpected: Vec<String>,
    /// Why the latencies were not judged, where this machine was too busy for that.
    pub untrusted: Vec<String>,
    /// How often the real provider was charged while version 2 was replayed: never, because of the
    /// mock.
    pub charged_by_replay: u64,
    /// The report's lines.
    text: String,
    /// Whether a signal ended the replay.
    interrupted: bool,
}

/// Runs the command.
pub(crate) fn run(args: DemoArgs, global: &Global) -> Result<Exit, Failure> {
    if let Some(part) = args.part {
        return serve::run(part, global);
    }
    let place = RunPlace::to_make(&args.output, true)?;
    let settings = DemoSettings {
        output: place.path().to_owned(),
        recorded: args.recorded,
        faults: ShopFaults::ALL,
        customers: clients::CustomerSettings::default(),
    };
    let shown = execute(&settings, global)?;
    let text = place.told(&text(&shown, &settings));
    place.put()?;
    output::print(&text)?;
    if shown.interrupted {
        return Ok(Exit::Interrupted);
    }
    let found = shown.planted.iter().all(|(_, found)| found.is_some());
    Ok(if found && shown.unexpected.is_empty() { Exit::Done } else { Exit::NoVerdict })
}

/// The end of the demo, for people.
fn text(shown: &DemoShown, settings: &DemoSettings) -> String {
    use std::fmt::Write as _;
    let mut text = shown.text.clone();
    // Writing into a string cannot fail.
    let _ = writeln!(text, "\nPlanted in version 2, and found:");
    for (fault, found) in &shown.planted {
        let _ = match found {
            Some(found) => writeln!(text, "  ✓ {fault}\n      {found}"),
            None => writeln!(text, "  ✗ {fault}\n      NOT FOUND"),
        };
    }
    for why in &shown.untrusted {
        let _ = writeln!(text, "  ! not to be trusted, this machine was too busy: {why}");
    }
    for surplus in &shown.unexpected {
        let _ = writeln!(text, "  ! not planted: {surplus}");
    }
    if shown.unexpected.is_empty() {
        let _ = writeln!(
            text,
            "Nothing else is held against it: times, request ids and the order of header fields \
             are noise, and\n\
             its sessions, tokens, carts and entity tags stand for those of version 1."
        );
    }
    let _ = writeln!(
        text,
        "The provider was charged {} times by the replay: the mock answered for it.",
        shown.charged_by_replay
    );
    let _ = writeln!(text, "\nReport: {}", settings.output.join("report.html").display());
    text
}

/// Goes the whole road, without printing its result.
pub fn execute(settings: &DemoSettings, global: &Global) -> Result<DemoShown, Failure> {
    let folder = &settings.output;
    let is_ours = folder.join(CAPTURE).is_file();
    if is_there(folder) && !is_ours {
        return Err(Failure::usage(format!(
            "{} holds another run: choose another folder with -o",
            folder.display()
        )));
    }
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::unusable(format!("cannot make the folder {}", folder.display())).because(&error)
    })?;
    let capture = folder.join(CAPTURE);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("shop")
        .enable_all()
        .build()
        .map_err(|error| Failure::unusable("cannot start threads").because(&error))?;
    let start = |error: std::io::Error| {
        Failure::unusable("cannot start the shop on loopback").because(&error)
    };
    let provider = runtime.block_on(Provider::start()).map_err(start)?;
    let customers = captured(settings, &capture, &runtime, &provider, global)?;
    let charged = provider.charges().values().sum::<u64>();

    let calls = egress::MockConfig {
        providers: vec![PROVIDER_HOST.to_owned()],
        timing: Timing::Recorded,
        ..egress::MockConfig::default()
    };
    let mut mock = mock::MockSettings::new(
        vec![capture.to_string_lossy().into_owned()],
        std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        Some(folder.join(names::EGRESS)),
        mock::MockFlags::default(),
        &Config { mock: calls, ..Config::default() },
    )?;
    mock.serve.threads = 1;
    mock.watches = true;
    mock.serve.bindings = Some(folder.join(names::BINDINGS));
    let mock = mock::start(&mock, global)?;
    let version2 = shop::ShopSettings {
        version: 2,
        faults: settings.faults,
        provider: mock.address(),
        avoid_ports: vec![SHOP_PORT_RECORDED],
    };
    let version2 = runtime.block_on(shop::start(version2)).map_err(start)?;
    say(
        global,
        &format!("replaying at version 2 on {} with the original timing", version2.address()),
    );
    // The planted slowness is 60 ms: a busy laptop may send this late and still show it.
    let gate = GateFlags::allowing_lateness(Nanos(15_000_000));
    let policy = gate.policy(&Config::default())?;
    let target = format!("http://{}", version2.address());
    let inputs = vec![capture.to_string_lossy().into_owned()];
    let mut replay =
        replay::ReplaySettings::new(inputs, shape(&target)?, Some(folder.to_owned()), true)?;
    replay.gate = gate.kept();
    let whole = run::RunSettings {
        replay,
        config: Config::default(),
        approved: None,
        show_secrets: false,
        excel: false,
        compress: false,
        policy: policy.clone(),
        mock: Some(mock),
    };
    let ran = run::execute(whole, global)?;
    drop(version2);
    let charged_by_replay = provider.charges().values().sum::<u64>() - charged;
    drop(provider);
    runtime.shutdown_background();

    let loaded = Loaded::read(&RunFolder::open(folder)?, &policy, false, show_measuring(global))?;
    let checks = &loaded.report().judgement.checks;
    let untrusted =
        checks.iter().filter(|check| !check.holds).map(|check| check.why.clone()).collect();
    let (planted, unexpected) =
        held_against(settings.faults, &loaded, &folder.join(names::EGRESS))?;
    Ok(DemoShown {
        live: customers.is_some(),
        customers,
        verdict: ran.verdict,
        planted,
        unexpected,
        untrusted,
        charged_by_replay,
        text: ran.text,
        interrupted: ran.interrupted,
    })
}

/// The shop's port in the recorded capture: version 2 must not be taken for the captured server.
const SHOP_PORT_RECORDED: u16 = 35_643;

/// The replay's flags, as a user would write them.
fn shape(target: &str) -> Result<ReplayShape, Failure> {
    #[derive(clap::Parser)]
    struct DemoLine {
        #[command(flatten)]
        flags: ReplayFlags,
    }
    let line = DemoLine::try_parse_from([
        "demo",
        "--target",
        target,
        "--unsafe-methods",
        "--host",
        SHOP_HOST,
    ])
    .map_err(|error| Failure::usage(error.to_string()))?;
    let config = Config::default();
    ReplayShape::new(line.flags, &config, &config.gate)
}

fn say(global: &Global, line: &str) {
    log::say(global, &format!("demo: {line}"));
}

/// Puts the customers' traffic into `capture`: live where that is allowed, else the recorded one.
/// Gives what the customers did.
fn captured(
    settings: &DemoSettings,
    capture: &Path,
    runtime: &tokio::runtime::Runtime,
    provider: &Provider,
    global: &Global,
) -> Result<Option<CustomersDone>, Failure> {
    let recorded = || {
        std::fs::write(capture, RECORDED).map_err(|error| {
            Failure::unusable(format!("cannot write {}", capture.display())).because(&error)
        })
    };
    if settings.recorded {
        say(global, "taking the recorded capture, as asked");
        recorded()?;
        return Ok(None);
    }
    let version1 = shop::ShopSettings {
        version: 1,
        faults: ShopFaults::NONE,
        provider: provider.address(),
        avoid_ports: vec![],
    };
    let version1 = runtime
        .block_on(shop::start(version1))
        .map_err(|error| Failure::unusable("cannot start the shop on loopback").because(&error))?;
    let options = live::LiveOptions {
        interfaces: vec![LOOPBACK.to_owned()],
        ports: vec![version1.address().port(), provider.address().port()],
        ..live::LiveOptions::default()
    };
    // A signal before its end leaves no part of a capture behind.
    let stop = signals::word()?;
    let _grace = Grace::ask();
    let recording = match PacketRecording::start(&options, capture) {
        Ok(recording) => recording,
        Err(RecordError::Live(error)) => {
            say(
                global,
                &format!("cannot capture live here ({error}): taking the recorded capture"),
            );
            recorded()?;
            return Ok(None);
        }
        Err(error) => return Err(Failure::unusable("cannot write the capture").because(&error)),
    };
    say(
        global,
        &format!(
            "capturing live on {LOOPBACK}: {} customers use version 1 on {}",
            settings.customers.sessions,
            version1.address()
        ),
    );
    std::thread::sleep(QUIET);
    let progress = Arc::new(Progress::start(global, "shop", None));
    let requests = Arc::new(AtomicU64::new(0));
    let tick = {
        let progress = Arc::clone(&progress);
        move || {
            let done = requests.fetch_add(1, Ordering::Relaxed) + 1;
            progress.set(done, || format!("{done} requests"));
        }
    };
    let driven = runtime.spawn(clients::drive(version1.address(), settings.customers, tick));
    while !driven.is_finished() && !stop.wait(Some(LOOK)) {}
    drop(progress);
    if stop.is_told() {
        driven.abort();
        recording.stop();
        let _ = std::fs::remove_file(capture);
        // Stays where something else is in it.
        let _ = std::fs::remove_dir(&settings.output);
        return Err(Failure::new(
            Exit::Interrupted,
            "interrupted while version 1 was captured: there is no run yet",
        ));
    }
    let done = runtime
        .block_on(driven)
        .map_err(|error| Failure::unusable("the customers broke off").because(&error))?;
    std::thread::sleep(QUIET);
    let recorded = recording.stop();
    complete(&recorded)?;
    say(
        global,
        &format!(
            "{} requests on {} connections, {} orders",
            done.requests, settings.customers.sessions, done.orders
        ),
    );
    Ok(Some(done))
}

/// A capture with losses would be judged as invalid later; here the reason is known.
fn complete(recorded: &RecordedPackets) -> Result<(), Failure> {
    if let Some(error) = &recorded.failure {
        return Err(Failure::unusable("the capture broke off").because(error));
    }
    let counts = &recorded.counts;
    let dropped = counts.dropped_by_kernel + counts.dropped_by_interface + counts.dropped_by_us;
    if dropped > 0 {
        tracing::warn!("{dropped} packets were dropped: this machine is busy");
    }
    Ok(())
}

/// What is planted, with how the report names it; and what else it holds against version 2.
fn held_against(
    faults: ShopFaults,
    loaded: &Loaded,
    ledger: &Path,
) -> Result<(Vec<(&'static str, Option<String>)>, Vec<String>), Failure> {
    let report = loaded.report();
    let mut clusters: Vec<&Cluster> = report.clusters.regressions().collect();
    let mut take = |route: &str, fits: &dyn Fn(&Cluster) -> bool| {
        let mut first = None;
        clusters.retain(|cluster| {
            let is = cluster.route == route && fits(cluster);
            if is && first.is_none() {
                first = Some(named(cluster));
            }
            !is
        });
        first
    };
    let mut planted = Vec::new();
    let mut routes = Vec::new();
    let mut plant = |is: bool, fault: &'static str, route: &'static str, found: Option<String>| {
        if is {
            planted.push((fault, found));
            routes.push(route);
        }
    };
    let (cart, product, search, reviews) =
        ("GET /carts/{id}", "GET /products/{id}", "GET /search", "GET /products/{id}/reviews");
    let renamed =
        take(cart, &|cluster| ["$.item_count", "$.items_count"].contains(&cluster.place.as_str()));
    plant(faults.renamed_field, "GET /carts/{id} calls item_count items_count", cart, renamed);
    let price = take(product, &|cluster| cluster.place == "$.price");
    plant(
        faults.wrong_price,
        "GET /products/{id} takes five times the discount off",
        product,
        price,
    );
    let broken =
        take(search, &|cluster| cluster.kind == Kind::Status && cluster.shape.contains("500"));
    plant(
        faults.broken_search,
        "GET /search answers 500 where the query is not ASCII",
        search,
        broken,
    );
    let lost = take("POST /gifts", &|cluster| cluster.place == "$.gift" && cluster.followed_by > 0);
    plant(
        faults.lost_gift,
        "POST /gifts does not say the gift card's token, which later requests use",
        "POST /gifts",
        lost,
    );
    let slower = report
        .judgement
        .with(Finding::Fail)
        .find(|rule| rule.rule.ends_with("_ratio") && rule.route.as_deref() == Some(reviews))
        .map(|rule| rule.why.clone());
    plant(faults.slow_reviews, "GET /products/{id}/reviews takes 60 ms longer", reviews, slower);

    let mut unexpected: Vec<String> = clusters.iter().map(|cluster| named(cluster)).collect();
    for rule in report.judgement.with(Finding::Fail) {
        if rule.route.as_deref().is_some_and(|route| !routes.contains(&route)) {
            unexpected.push(rule.why.clone());
        }
    }
    let calls = outgoing(ledger)?;
    let mut twice = None;
    for cluster in &calls.clusters {
        let line = format!(
            "{} at {}: {} {} calls, e.g. {}",
            cluster.route,
            cluster.provider,
            cluster.calls,
            cluster.verdict.name(),
            if cluster.example.payload.is_empty() {
                &cluster.example.recorded_payload
            } else {
                &cluster.example.payload
            }
        );
        if faults.charges_twice
            && cluster.verdict == CallVerdict::Repeated
            && cluster.route == "POST /v1/charges"
        {
            twice = Some(line);
        } else {
            unexpected.push(line);
        }
    }
    if faults.charges_twice {
        // A second charge takes its time, too.
        unexpected.retain(|line| !line.starts_with("POST /carts/{id}/checkout: p"));
        planted.push(("POST /carts/{id}/checkout charges express orders twice", twice));
    }
    Ok((planted, unexpected))
}

fn named(cluster: &Cluster) -> String {
    let cause = cluster
        .only_where
        .as_ref()
        .map(|cause| format!(", only where {cause}"))
        .unwrap_or_default();
    let cause = match cluster.followed_by {
        0 => cause,
        many => format!("{cause}; {many} requests follow from it"),
    };
    let kind = cluster.kind.name();
    let what = match cluster.place == kind {
        true => kind.to_owned(),
        false => format!("{kind} {}", cluster.place),
    };
    format!(
        "{}: {what} {} in {} of {} exchanges{cause}",
        cluster.route,
        shape_words(&cluster.shape),
        cluster.exchanges,
        cluster.compared
    )
}

fn outgoing(ledger: &Path) -> Result<CallSummary, Failure> {
    let file = std::fs::File::open(ledger).map_err(|error| unreadable(ledger, &error))?;
    CallSummary::read(std::io::BufReader::new(file), &[])
        .map_err(|error| unreadable(ledger, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{InputOptions, Inputs};

    #[test]
    fn the_recorded_capture_is_of_the_shop_and_its_provider() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CAPTURE);
        std::fs::write(&path, RECORDED).unwrap();
        let (mut shop, mut provider) = (0, 0);
        let quiet = Global { quiet: true, ..Global::default() };
        Inputs::open(&[path.to_string_lossy().into_owned()], InputOptions::default())
            .unwrap()
            .each(&quiet, |exchange| {
                let request = exchange.request.as_ref().unwrap();
                match request.message.headers.get("host").unwrap() {
                    host if host == SHOP_HOST.as_bytes() => {
                        assert_eq!(exchange.server.port, SHOP_PORT_RECORDED);
                        shop += 1;
                    }
                    host if host == PROVIDER_HOST.as_bytes() => provider += 1,
                    other => panic!("{other:?}"),
                }
                Ok::<_, Failure>(())
            })
            .unwrap();
        assert_eq!((shop, provider), (1970, 170));
    }
}
