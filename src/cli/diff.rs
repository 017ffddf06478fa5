//! `shadowtap diff DIR`: compares v2's answers with v1's, and writes what differs, by cause.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::config::Config;
use super::exit::unreadable;
use super::output::replace;
use super::progress::Progress;
use super::remote::RunPlace;
use super::{Exit, Failure, Global, log};
use crate::diff::approvals::Approvals;
use crate::diff::engine::{self, CompareInputs, DiffError, DiffOutputs, Findings, RunNotes};
use crate::diff::noise::NoisePlace;
use crate::diff::rules::Rules;
use crate::diff::{Class, Cluster, Totals, header_table};
use crate::measure::{compressed_twin, open_records};
use crate::message::media::UTF_8_MARK;
use crate::record::exchanges::write_line;
use crate::redact::Masker;
use crate::review;
use crate::route::Routes;
use crate::run::{RunFolder, names, present};
use crate::store::local::UnfinishedFile;
use crate::time::Timestamp;

/// The file of approvals that is read where `--approved` names none.
pub const APPROVED_FILE: &str = "approved.toml";
/// Clusters of each class that are printed.
const PRINTED: usize = 20;

/// Compare what v2 answered with what v1 answered.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  shadowtap diff reports/20261122T100000Z

Writes mismatches.csv, differences.jsonl, clusters.jsonl, noise.jsonl, routes.json and
diff.json into DIR and prints the causes. Rules are in shadowtap.toml ([[diff.ignore]],
[[diff.match]]), intended differences in approved.toml.")]
pub struct DiffArgs {
    /// The folder of a run
    #[arg(value_name = "DIR", required_unless_present = "list_ignored")]
    dir: Option<PathBuf>,
    /// Intended differences [default: approved.toml, where it exists]
    #[arg(help_heading = "Gate", long, value_name = "FILE")]
    approved: Option<PathBuf>,
    /// Take what an earlier noise.jsonl names for noise
    #[arg(help_heading = "Input", long, value_name = "FILE")]
    noise: Option<PathBuf>,
    /// Keep the routes of an earlier routes.json and learn the rest
    #[arg(help_heading = "Input", long, value_name = "FILE")]
    routes: Option<PathBuf>,
    /// Show passwords, tokens and cookies instead of masking them
    #[arg(help_heading = "Output", long)]
    show_secrets: bool,
    /// Threads [default: one for each core]
    #[arg(help_heading = "Input", long, value_name = "N")]
    threads: Option<usize>,
    /// Begin mismatches.csv with a byte order mark, so that Excel reads it as UTF-8
    #[arg(help_heading = "Output", long, conflicts_with = "list_ignored")]
    excel: bool,
    /// Print how headers are compared by default, and end
    #[arg(help_heading = "Output", long)]
    list_ignored: bool,
}

/// What a diff needs to know.
pub struct DiffSettings {
    /// The run.
    pub dir: PathBuf,
    /// Threads; 0 for one for each core.
    pub threads: usize,
    /// Whether the table begins with a byte order mark.
    pub excel: bool,
    /// What was noted of the records when they were written.
    pub(crate) notes: RunNotes,
    show_secrets: bool,
    engine: engine::CompareSettings,
}

impl DiffSettings {
    /// Checked settings of the command.
    pub fn new(args: &DiffArgs, dir: &Path, config: &Config) -> Result<Self, Failure> {
        let mut settings = Self::of_run(dir, config, args.approved.as_deref(), args.show_secrets)?;
        if let Some(path) = &args.noise {
            settings.engine.noise = read_noise(path)?;
        }
        if let Some(path) = &args.routes {
            settings.engine.routes =
                Some(read_routes(path)?.with_patterns(settings.engine.rules.patterns.clone()));
        }
        settings.threads = args.threads.unwrap_or(0);
        settings.excel = args.excel;
        Ok(settings)
    }

    /// The settings for a run, as `shadowtap run` needs them.
    pub fn of_run(
        dir: &Path,
        config: &Config,
        approved: Option<&Path>,
        show_secrets: bool,
    ) -> Result<Self, Failure> {
        let rules = Rules::new(&config.diff).map_err(|error| Failure::usage(error.to_string()))?;
        let approvals = match approved {
            Some(path) => read_approvals(path)?,
            None if Path::new(APPROVED_FILE).exists() => read_approvals(Path::new(APPROVED_FILE))?,
            None => Approvals::default(),
        };
        // The mask's key is the run's own, and the run may not be there yet: `execute` sets it.
        let masker = Masker::off();
        let today = Timestamp::now().to_string()[..10].to_owned();
        let engine = engine::CompareSettings {
            rules,
            approvals,
            noise: Vec::new(),
            routes: None,
            schema: config.schema.clone(),
            masker,
            today,
        };
        let notes = RunNotes::default();
        Ok(Self { dir: dir.to_owned(), threads: 0, excel: false, notes, show_secrets, engine })
    }

    /// The routes that are known before the exchanges are looked at.
    pub(crate) fn routes(&self) -> Routes {
        self.engine.routes_before()
    }
}

/// Runs the command.
pub(crate) fn run(args: DiffArgs, global: &Global) -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    let result = match &args.dir {
        Some(dir) if !args.list_ignored => {
            let place = RunPlace::of_run(dir)?;
            let settings = DiffSettings::new(&args, place.path(), &Config::load(global)?)?;
            let findings = execute(settings, global)?;
            place.put()?;
            for warning in &findings.warnings {
                log::say(global, &format!("warning: {warning}"));
            }
            print(&mut out, &findings, dir)
        }
        _ => print_ignored(&mut out),
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::unusable("cannot write to standard output").because(&error))
        }
        _ => Ok(Exit::Done),
    }
}

/// Diffs a run and writes the files.
pub(crate) fn execute(mut settings: DiffSettings, global: &Global) -> Result<Findings, Failure> {
    let folder = RunFolder::open_to_write(&settings.dir)?;
    settings.engine.masker = review::masker(&folder, settings.show_secrets)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(settings.threads)
        .build()
        .map_err(|error| Failure::unusable("cannot start threads").because(&error))?;
    let present = |name| {
        let path = Some(folder.file(name)).filter(|path| present(path));
        path.map(|path| open(&path)).transpose()
    };
    let inputs = CompareInputs {
        exchanges: open(&folder.file(names::EXCHANGES))?,
        outcomes: open(&folder.file(names::OUTCOMES))?,
        baseline: present(names::BASELINE)?,
        bindings: [present(names::BINDINGS)?, present(names::BASELINE_BINDINGS)?],
        spool: spool(&folder.file("differences.part"))?,
    };
    let parts = [names::DIFFERENCES, names::MISMATCHES].map(|name| create(&folder.file(name)));
    let [(difference_part, mut differences), (mismatch_part, mut mismatches)] = match parts {
        [Ok(differences), Ok(mismatches)] => [differences, mismatches],
        [Err(failure), _] | [_, Err(failure)] => return Err(failure),
    };
    if settings.excel {
        let marked = mismatches.write_all(UTF_8_MARK);
        marked.map_err(|error| unwritable(&folder.file(names::MISMATCHES), &error))?;
    }
    let progress = Progress::start(global, "diff", Some(100));
    let outputs = DiffOutputs { differences: &mut differences, mismatches: &mut mismatches };
    let mut measuring = review::measuring(&folder);
    let findings = pool.install(|| {
        engine::run_before(
            &mut measuring,
            settings.notes,
            inputs,
            &settings.engine,
            outputs,
            &|done, total| {
                progress.set(done * 100 / total.max(1), || {
                    format!("{} of {} MiB", done >> 20, total >> 20)
                });
            },
        )
    });
    drop(progress);
    let mut findings = findings.map_err(|error| match &error {
        DiffError::Empty => Failure::unusable(format!("{}: {error}", settings.dir.display())),
        DiffError::Read { what, source } => {
            let dir = settings.dir.display();
            Failure::unusable(format!("cannot read {what} of {dir}")).because(source)
        }
        DiffError::Write { what, source } => {
            let dir = settings.dir.display();
            Failure::unusable(format!("cannot write {what} of {dir}")).because(source)
        }
    })?;
    for (part, name) in [(difference_part, names::DIFFERENCES), (mismatch_part, names::MISMATCHES)]
    {
        part.commit().map_err(|error| unwritable(&folder.file(name), &error))?;
    }
    // Those of an earlier time, which nobody reads beside the new ones.
    let _ = fs::remove_file(compressed_twin(&folder.file(names::DIFFERENCES)));
    write_lines(&folder.file(names::CLUSTERS), &findings.clusters)?;
    write_lines(&folder.file(names::NOISE), &findings.noise)?;
    write_json(&folder.file(names::ROUTES), &findings.routes)?;
    write_json(&folder.file(names::DIFF), &findings.totals)?;
    if let Some(whereabouts) = findings.whereabouts.take() {
        review::closeups::keep_places(&folder, &findings.clusters, &whereabouts);
    }
    // While they were at hand, so that who reports and judges need not read the records again.
    measuring.finish().map_or(Ok(()), |summary| review::keep_figures(&folder, &summary))?;
    Ok(findings)
}

/// A file of records that can be read at any place: one that is compressed is unpacked into a file
/// without a name beside it.
fn open(path: &Path) -> Result<File, Failure> {
    let unreadable = |error: io::Error| unreadable(path, &error);
    if path.exists() || !present(path) {
        return File::open(path).map_err(unreadable);
    }
    let mut source = open_records(path).map_err(unreadable)?;
    let mut file = spool(&path.with_extension("part"))?;
    io::copy(&mut source, &mut file).map_err(unreadable)?;
    Ok(file)
}

/// Whether a run could be compared afterwards: the rules and the approvals can be used. For
/// commands that replay first.
pub(crate) fn check(config: &Config, approved: Option<&Path>) -> Result<(), Failure> {
    DiffSettings::of_run(Path::new(""), config, approved, false).map(drop)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::unusable(format!("cannot write {}", path.display())).because(error)
}

fn create(path: &Path) -> Result<(UnfinishedFile, BufWriter<File>), Failure> {
    let created = UnfinishedFile::create(path).and_then(|part| {
        let file = part.file()?;
        Ok((part, BufWriter::with_capacity(1 << 18, file)))
    });
    created.map_err(|error| unwritable(path, &error))
}

/// A file that is gone from the folder at once and from the disk when it is closed, however the
/// program ends.
fn spool(path: &Path) -> Result<File, Failure> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
    let file = file.map_err(|error| unwritable(path, &error))?;
    fs::remove_file(path).map_err(|error| unwritable(path, &error))?;
    Ok(file)
}

fn write_lines(path: &Path, lines: &[impl serde::Serialize]) -> Result<(), Failure> {
    let mut text = Vec::new();
    for line in lines {
        write_line(&mut text, line);
    }
    replace(path, &text)
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text =
        serde_json::to_vec_pretty(value).expect("a record of strings and integers serialises");
    text.push(b'\n');
    replace(path, &text)
}

fn read_text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {}", path.display())).because(&error))
}

/// Reads a file of approvals.
pub(super) fn read_approvals(path: &Path) -> Result<Approvals, Failure> {
    Approvals::parse(&read_text(path)?)
        .map_err(|why| Failure::usage(format!("{}: {why}", path.display())))
}

fn read_noise(path: &Path) -> Result<Vec<NoisePlace>, Failure> {
    let text = read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| {
                Failure::usage(format!(
                    "{}: line {}: not a noisy place: {error}",
                    path.display(),
                    number + 1
                ))
            })
        })
        .collect()
}

fn read_routes(path: &Path) -> Result<Routes, Failure> {
    serde_json::from_str(&read_text(path)?).map_err(|error| {
        Failure::usage(format!("{}: not a file of routes: {error}", path.display()))
    })
}

fn print(out: &mut impl Write, findings: &Findings, dir: &Path) -> io::Result<()> {
    let Totals { compared, mismatched, noisy, approved, failed, consequences, fixed, .. } =
        findings.totals;
    let totals = &findings.totals;
    let not: u64 = findings.totals.not_compared.values().sum();
    let reasons: Vec<String> = findings
        .totals
        .not_compared
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let reasons =
        if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    let noun = if compared == 1 { "exchange" } else { "exchanges" };
    writeln!(out, "{compared} {noun} compared, {not} not{reasons}")?;
    writeln!(
        out,
        "{mismatched} differ ({failed} without an answer of v2), {approved} as approved, {noisy} \
         by noise only, {} are equal",
        compared - mismatched - approved - noisy - consequences - fixed
    )?;
    if totals.unbound > 0 {
        writeln!(
            out,
            "{} requests were sent with v1's values, since v2 had not issued {}: {} of their \
             answers differ, and count in no rate",
            totals.unbound, totals.not_issued, totals.unbound_differ
        )?;
    }
    if consequences > 0 {
        writeln!(
            out,
            "{consequences} only in what follows from {}",
            crate::report::undone(totals)
        )?;
    }
    if fixed > 0 {
        writeln!(out, "{fixed} only in that v1 failed and v2 answers")?;
    }
    for class in Class::ALL {
        let title = match class {
            Class::Regression => "Regressions",
            Class::Consequence => "Consequences of what v2 did not issue or was not sent",
            Class::Fixed => "Fixed",
            Class::Approved => "Approved",
            Class::Noise => "Noise",
        };
        let clusters: Vec<&Cluster> =
            findings.clusters.iter().filter(|cluster| cluster.class == class).collect();
        if clusters.is_empty() {
            continue;
        }
        let causes = crate::report::once_each(clusters.iter().copied()).count();
        let noun = if causes == 1 { "cause" } else { "causes" };
        let many = clusters.len();
        let cluster = if many == 1 { "cluster" } else { "clusters" };
        writeln!(out, "\n{title}: {many} {cluster}, {causes} {noun}")?;
        for cluster in clusters.iter().take(PRINTED) {
            print_cluster(out, cluster)?;
        }
        if clusters.len() > PRINTED {
            writeln!(
                out,
                "  … and {} more in {}",
                clusters.len() - PRINTED,
                dir.join(names::CLUSTERS).display()
            )?;
        }
    }
    for (title, lines) in [
        ("Rules that matched nothing", &findings.totals.unmatched_rules),
        ("Approvals that matched nothing", &findings.totals.unmatched_approvals),
        ("Approvals that have expired", &findings.totals.expired_approvals),
    ] {
        if !lines.is_empty() {
            writeln!(out, "\n{title}:")?;
            for line in lines {
                writeln!(out, "  {}", super::exit::printable(line))?;
            }
        }
    }
    Ok(())
}

fn print_cluster(out: &mut impl Write, cluster: &Cluster) -> io::Result<()> {
    let text = |text: &str| super::exit::printable(text);
    writeln!(
        out,
        "  {}  {}  {}  in {} of {}",
        cluster.id,
        text(&cluster.route),
        text(&crate::report::what(cluster)),
        cluster.exchanges,
        cluster.compared
    )?;
    if let Some(only) = &cluster.only_where {
        writeln!(out, "              only where {}", text(only))?;
    }
    if cluster.also_on > 0 {
        writeln!(out, "              {}", crate::report::elsewhere(cluster))?;
    }
    if cluster.class == Class::Regression {
        let side = |value: &Option<String>| value.as_deref().map_or("nothing".to_owned(), text);
        let example = &cluster.example;
        writeln!(
            out,
            "              {}: {} became {}",
            example.id,
            side(&example.expected),
            side(&example.actual)
        )?;
    }
    if !cluster.why.is_empty() {
        writeln!(out, "              {}", text(&cluster.why))?;
    }
    Ok(())
}

fn print_ignored(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "| header | compared | why |\n|---|---|---|")?;
    for (name, how, why) in header_table::BUILT_IN {
        writeln!(out, "| `{name}` | {} | {why} |", how.name())?;
    }
    writeln!(
        out,
        "| `set-cookie` | by cookie and attribute | `Expires` by presence, a `Domain` of v1 or v2 \
         itself not |"
    )?;
    writeln!(
        out,
        "| `location`, `content-location` | without v1's and v2's own host | a redirect to itself |"
    )?;
    writeln!(out, "| all others | by value | |")
}
