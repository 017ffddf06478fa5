//! `shadowtap merge`: adds the outcomes of shards to one run, which `diff` and `report` then take
//! like any other.
//!
//! Each shard holds the exchanges and the outcomes of its own lanes. Lines are copied one by one,
//! so memory does not grow with the run.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::folder::{RunFolder, RunInfo, names, present, unreadable};
use super::output::print;
use super::progress::Progress;
use super::remote::RunPlace;
use super::{Exit, Failure, Global};
use crate::ledger::Ledger;
use crate::limits;
use crate::measure::open_records;
use crate::merge::{self, WeaveError, weave};
use crate::outcome::Outcome;
use crate::record::outcomes::{OutcomeLine, OutcomesEnd, OutcomesHeader, read, write};

/// Missing shards that are named.
const SHOWN_SHARDS: usize = 8;

/// What a shard's ledger calls the requests of the others.
const OTHER_SHARD: &str = "other-shard";

/// Add the results of shards to one run
///
/// Each DIR is the folder of `replay --shard I/N` of the same captures, or one that holds such
/// folders, here or in a store. `diff`, `report` and `gate`
/// take the folder that is made like that of any other run. Shards that did not start together are
/// put on the clock of the first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  shadowtap merge shards/1 shards/2 shards/3 -o reports/whole
  shadowtap diff reports/whole && shadowtap report reports/whole \\
      && shadowtap gate reports/whole")]
pub struct MergeArgs {
    /// Folders of shards
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Folder to make
    #[arg(help_heading = "Output", short, long, value_name = "DIR")]
    output: PathBuf,
    /// Replace the run that the folder holds
    #[arg(help_heading = "Output", long)]
    force: bool,
}

/// A merge, checked.
#[derive(Debug)]
pub(crate) struct MergeSettings {
    folders: Vec<PathBuf>,
    output: PathBuf,
    force: bool,
}

/// What was added up.
pub(crate) struct MergedShards {
    shards: usize,
    outcomes: u64,
    warnings: Vec<String>,
}

pub(crate) fn run(args: MergeArgs, global: &Global) -> Result<Exit, Failure> {
    let shown = args.output.display().to_string();
    let mut shards = Vec::new();
    for folder in &args.folders {
        shards.extend(RunPlace::of_shards(folder)?);
    }
    let place = RunPlace::to_make(&args.output, args.force)?;
    let folders = shards.iter().map(|shard| shard.path().to_owned()).collect();
    let output = place.path().to_owned();
    let merged = execute(&MergeSettings { folders, output, force: args.force }, global)?;
    place.put()?;
    for warning in &merged.warnings {
        tracing::warn!("{warning}");
    }
    let output = super::exit::printable(&shown);
    print(&format!(
        "{} shards, {} outcomes: {output}\nnext: shadowtap diff {output}\n",
        merged.shards, merged.outcomes
    ))?;
    Ok(Exit::Done)
}

/// Adds them up.
pub(crate) fn execute(settings: &MergeSettings, global: &Global) -> Result<MergedShards, Failure> {
    let mut shards = Vec::new();
    for path in &settings.folders {
        let same = |other: &Path| {
            other
                .canonicalize()
                .is_ok_and(|other| path.canonicalize().is_ok_and(|path| path == other))
        };
        if same(&settings.output) {
            return Err(Failure::usage(format!(
                "{} is to be read and to be made: choose another -o",
                path.display()
            )));
        }
        let folder = RunFolder::open(path)?;
        let info = folder.info()?;
        shards.push((folder, info));
    }
    let mut warnings = check(&shards)?;
    let into = RunFolder::create(&settings.output, settings.force)?;
    recording(&shards, &into)?;
    for name in [names::FLOWS, names::BINDINGS, names::BASELINE_BINDINGS] {
        warnings.extend(state(&shards, name, &into)?);
    }
    let total = shards
        .iter()
        .map(|(folder, _)| folder.file(names::OUTCOMES).metadata().map_or(0, |data| data.len()))
        .sum();
    let progress = Progress::start(global, "merge", Some(total));
    let mut done = 0;
    let mut outcomes = 0;
    for name in [names::OUTCOMES, names::BASELINE] {
        let parts: Vec<PathBuf> = shards
            .iter()
            .map(|(folder, _)| folder.file(name))
            .filter(|path| present(path))
            .collect();
        if name == names::BASELINE && parts.is_empty() {
            continue;
        }
        if parts.len() != shards.len() {
            return Err(Failure::unusable(format!(
                "{name} is missing in {} of the folders",
                shards.len() - parts.len()
            )));
        }
        let count = join(&parts, &into.file(name), |bytes| {
            done += bytes;
            progress.set(done, || format!("{} of {} MB", done / 1_000_000, total / 1_000_000));
        })?;
        if name == names::OUTCOMES {
            outcomes = count;
        }
    }
    into.write_info(&info(&shards))?;
    Ok(MergedShards { shards: shards.len(), outcomes, warnings })
}

/// Shards of one run: the same captures, the same settings but for the shard, no shard twice.
fn check(shards: &[(RunFolder, RunInfo)]) -> Result<Vec<String>, Failure> {
    let Some((first, reference)) = shards.first() else { return Ok(Vec::new()) };
    let mut warnings = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for (folder, info) in shards {
        let prints = |info: &RunInfo| {
            info.inputs.iter().map(|input| (input.sha256.clone(), input.bytes)).collect::<Vec<_>>()
        };
        if prints(info) != prints(reference) {
            let (one, other) = (first.path().display(), folder.path().display());
            return Err(Failure::usage(format!(
                "{one} and {other} are of different captures: only shards of one run can be added"
            )));
        }
        let rest = |info: &RunInfo| {
            let mut settings = info.settings.clone();
            if let Some(settings) = settings.as_object_mut() {
                settings.remove("shard");
            }
            settings
        };
        if rest(info) != rest(reference) {
            warnings.push(format!(
                "{} was replayed with other settings than {}",
                folder.path().display(),
                first.path().display()
            ));
        }
        let shard = info
            .settings
            .get("shard")
            .and_then(|shard| shard.as_str())
            .unwrap_or_default()
            .to_owned();
        let division = |shard: &str| shard.split_once('/').map(|(_, count)| count.to_owned());
        let first_seen = seen.first().map(|shard| division(shard));
        let what = match division(&shard) {
            _ if seen.is_empty() => None,
            None => Some("is no shard but a whole run".to_owned()),
            Some(_) if first_seen == Some(None) => {
                Some(format!("is a shard of what {} holds whole", first.path().display()))
            }
            Some(_) if seen.contains(&shard) => Some(format!("is shard {shard} once more")),
            Some(count) if first_seen.clone().flatten().as_ref() != Some(&count) => Some(format!(
                "is shard {shard} and {} is shard {}: they overlap",
                first.path().display(),
                seen[0]
            )),
            Some(_) => None,
        };
        if let Some(what) = what {
            return Err(Failure::usage(format!(
                "{} {what}: its outcomes would count twice",
                folder.path().display()
            )));
        }
        seen.push(shard);
    }
    if let Some((_, count)) = seen.first().and_then(|shard| shard.split_once('/'))
        && let Ok(count) = count.parse::<usize>()
        && count != shards.len()
    {
        let is_given = |shard: &String| seen.contains(shard);
        let missing: Vec<String> = (1..=count)
            .map(|index| format!("{index}/{count}"))
            .filter(|shard| !is_given(shard))
            .take(SHOWN_SHARDS)
            .collect();
        return Err(Failure::usage(format!(
            "{} of {count} shards were given and the whole needs all: {} {} missing",
            shards.len(),
            missing.join(", "),
            if missing.len() == 1 { "is" } else { "are" }
        )));
    }
    Ok(warnings)
}

/// `run.json` of the whole.
fn info(shards: &[(RunFolder, RunInfo)]) -> RunInfo {
    let mut whole = shards.first().map(|(_, info)| info.clone()).unwrap_or_default();
    if let Some(settings) = whole.settings.as_object_mut() {
        let of: Vec<serde_json::Value> = shards
            .iter()
            .map(|(_, info)| info.settings.get("shard").cloned().unwrap_or_default())
            .collect();
        settings.remove("shard");
        settings.insert("shards".to_owned(), of.into());
    }
    for (_, info) in shards {
        whole.started = whole.started.min(info.started);
        whole.ended = whole.ended.max(info.ended);
        whole.interrupted |= info.interrupted;
    }
    whole.host = shards.iter().map(|(_, info)| info.host.clone()).collect();
    if let [host] = whole.host.as_array().map(Vec::as_slice).unwrap_or_default() {
        whole.host = host.clone();
    }
    whole
}

/// The recording of the whole: what shards that hold their own part only have in common, or what
/// all of them have.
fn recording(shards: &[(RunFolder, RunInfo)], into: &RunFolder) -> Result<(), Failure> {
    let to = into.file(names::EXCHANGES);
    let parts: Vec<&RunFolder> = shards
        .iter()
        .map(|(folder, _)| folder)
        .filter(|f| present(&f.file(names::PLACES)))
        .collect();
    match shards.first() {
        Some((first, _)) if parts.is_empty() => return unpack(&first.file(names::EXCHANGES), &to),
        _ if parts.len() == shards.len() => {}
        _ => {
            return Err(Failure::unusable(format!(
                "{} is missing in {} of the folders",
                names::PLACES,
                shards.len() - parts.len()
            )));
        }
    }
    let open = |path: PathBuf| {
        open_records(&path)
            .map(|file| BufReader::with_capacity(1 << 18, file))
            .map_err(|error| unreadable(&path, &error))
    };
    let threads = parts.iter().map(|folder| {
        Ok((open(folder.file(names::EXCHANGES))?, open(folder.file(names::PLACES))?))
    });
    let unwritable = |error: &dyn std::error::Error| {
        Failure::unusable(format!("cannot write {}", to.display())).because(error)
    };
    let threads = threads.collect::<Result<Vec<_>, Failure>>()?;
    let file = File::create(&to).map_err(|error| unwritable(&error))?;
    weave(threads, &mut BufWriter::with_capacity(1 << 20, file)).map(drop).map_err(|error| {
        if let WeaveError::Write(cause) = &error {
            return unwritable(cause);
        }
        let folders: Vec<String> = parts.iter().map(|f| f.path().display().to_string()).collect();
        Failure::unusable(format!("{}: {error}", folders.join(", "))).because(&error)
    })
}

/// What was bound, of all shards; says so where some of them do not tell.
fn state(
    shards: &[(RunFolder, RunInfo)],
    name: &str,
    into: &RunFolder,
) -> Result<Option<String>, Failure> {
    let parts: Vec<PathBuf> =
        shards.iter().map(|(folder, _)| folder.file(name)).filter(|path| present(path)).collect();
    if parts.is_empty() {
        return Ok(None);
    }
    let files = parts.iter().map(|path| {
        open_records(path)
            .map(|file| BufReader::with_capacity(1 << 18, file))
            .map_err(|error| unreadable(path, &error))
    });
    let files = files.collect::<Result<Vec<_>, Failure>>()?;
    let to = into.file(name);
    let added = File::create(&to).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        match name {
            names::FLOWS => merge::flows(files, &mut out),
            _ => merge::bindings(files, &mut out),
        }
    });
    added.map_err(|error| {
        Failure::unusable(format!("cannot add {name} of the folders to {}", to.display()))
            .because(&error)
    })?;
    let missing = shards.len() - parts.len();
    Ok((missing > 0).then(|| {
        format!(
            "{name} is missing in {missing} of the folders: values that v2 issued there in the \
             place of v1's count as differences"
        )
    }))
}

/// Copies a file of records, which may be compressed.
fn unpack(from: &Path, to: &Path) -> Result<(), Failure> {
    let copied = open_records(from)
        .and_then(|mut source| std::io::copy(&mut source, &mut File::create(to)?));
    copied.map(drop).map_err(|error| {
        Failure::unusable(format!("cannot copy {} to {}", from.display(), to.display()))
            .because(&error)
    })
}

/// One file of outcomes from several: first and last lines become one each, times count from the
/// earliest start.
fn join(parts: &[PathBuf], to: &Path, mut progress: impl FnMut(u64)) -> Result<u64, Failure> {
    let headers =
        parts.iter().map(|path| header(path)).collect::<Result<Vec<OutcomesHeader>, Failure>>()?;
    let mut whole =
        headers.first().cloned().ok_or_else(|| Failure::usage("name at least one folder"))?;
    whole.started = headers.iter().map(|header| header.started).min().unwrap_or(whole.started);
    let unwritable = |error: &dyn std::error::Error| {
        Failure::unusable(format!("cannot write {}", to.display())).because(error)
    };
    let mut out =
        BufWriter::with_capacity(1 << 20, File::create(to).map_err(|error| unwritable(&error))?);
    let mut buffer = Vec::new();
    crate::record::exchanges::write_line(&mut buffer, &whole);
    let (mut ledger, mut outcomes, mut own, mut closed) = (Ledger::default(), 0, Vec::new(), true);
    for (path, header) in parts.iter().zip(&headers) {
        let shift = header.started.since(whole.started);
        let mut end = None;
        lines(path, |number, line| {
            progress(line.len() as u64);
            match read(line) {
                Ok(OutcomeLine::Outcome(mut outcome)) => {
                    outcomes += 1;
                    if shift == 0 {
                        buffer.extend_from_slice(line.trim_ascii_end());
                        buffer.push(b'\n');
                    } else {
                        later(&mut outcome, shift);
                        write(&mut buffer, &outcome);
                    }
                }
                Ok(OutcomeLine::Header(_)) => {}
                Ok(OutcomeLine::End(last)) => end = Some(last),
                // The last line of a file whose writer was killed.
                Err(_) if !line.ends_with(b"\n") => {}
                Err(error) => {
                    return Err(Failure::unusable(format!(
                        "{}: line {number} cannot be used",
                        path.display()
                    ))
                    .because(&error));
                }
            }
            if buffer.len() > 1 << 16 {
                out.write_all(&buffer).map_err(|error| unwritable(&error))?;
                buffer.clear();
            }
            Ok(())
        })?;
        closed &= end.is_some();
        if let Some(end) = end {
            let mut part = end.ledger;
            // What another shard sent is not lost: it is in that shard's account.
            part.input -= part.rejected.remove(OTHER_SHARD).unwrap_or(0);
            ledger.merge(&part);
            own.push(end.generator);
        }
    }
    // Where a shard was cut off, so is the whole: no last line.
    if closed {
        let own = serde_json::json!({ "shards": own });
        crate::record::exchanges::write_line(&mut buffer, &OutcomesEnd::new(outcomes, ledger, own));
    }
    out.write_all(&buffer).and_then(|()| out.flush()).map_err(|error| unwritable(&error))?;
    Ok(outcomes)
}

/// Counts from an earlier start.
fn later(outcome: &mut Outcome, shift: i64) {
    outcome.due_ns = outcome.due_ns.saturating_add(shift);
    let instants = [
        &mut outcome.sent_ns,
        &mut outcome.first_byte_ns,
        &mut outcome.last_byte_ns,
        &mut outcome.failed_ns,
    ];
    for instant in instants.into_iter().flatten() {
        *instant = instant.saturating_add(shift);
    }
}

/// The first line of a file.
fn header(path: &Path) -> Result<OutcomesHeader, Failure> {
    let mut line = Vec::new();
    let file = open_records(path).map_err(|error| unreadable(path, &error))?;
    BufReader::new(file)
        .take(1 << 20)
        .read_until(b'\n', &mut line)
        .map_err(|error| unreadable(path, &error))?;
    match read(&line) {
        Ok(OutcomeLine::Header(header)) => Ok(*header),
        Ok(_) => Err(Failure::unusable(format!(
            "{} does not begin with the line that names its format",
            path.display()
        ))),
        Err(error) => {
            Err(Failure::unusable(format!("{}: line 1 cannot be used", path.display()))
                .because(&error))
        }
    }
}

fn lines(
    path: &Path,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut reader = BufReader::with_capacity(
        1 << 20,
        open_records(path).map_err(|error| unreadable(path, &error))?,
    );
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(limits::LINE_BYTES as u64).read_until(b'\n', &mut line);
        if read.map_err(|error| unreadable(path, &error))? == 0 {
            break;
        }
        if !line.trim_ascii().is_empty() {
            each(number, &line)?;
        }
    }
    Ok(())
}
