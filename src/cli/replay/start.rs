//! `--start-at`: when a replay begins, so that all shards of it begin together.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cli::Failure;
use crate::cli::args::duration_ns;
use crate::record::exchanges::write_line;
use crate::store::remote::Remote;
use crate::time::Timestamp;

/// The file that shards agree by, beside their folders.
const MARKER: &str = "start.json";
const FORMAT: &str = "shadowtap/start";

/// When a replay begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At this time.
    At(Timestamp),
    /// So many nanoseconds after the first shard was ready; without shards, after this one is.
    After(i64),
}

impl FromStr for StartAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(after) = text.trim().strip_prefix('+') {
            return duration_ns(after).map(Self::After);
        }
        text.trim().parse().map(Self::At).map_err(|_| {
            format!(
                "{text:?} is no time: write it as 2026-11-28T20:15:00Z, or +30s for so long after \
                 the first shard is ready"
            )
        })
    }
}

/// What the first shard that is ready writes.
#[derive(Serialize, Deserialize)]
struct Marker {
    format: String,
    version: u32,
    /// When that was.
    at: Timestamp,
}

impl StartAt {
    /// Refuses a time that has passed, before anything is read.
    pub(super) fn check(self) -> Result<(), Failure> {
        match self {
            Self::At(at) if at <= Timestamp::now() => Err(Failure::usage(format!(
                "--start-at {at} has passed: name a later time, or +30s"
            ))),
            _ => Ok(()),
        }
    }

    /// The time, once everything is ready. Shards (`is_shard`) agree by a file beside the run,
    /// which the first one writes.
    pub(super) fn settle(
        self,
        is_shard: bool,
        run: &RunLocation<'_>,
    ) -> Result<Timestamp, Failure> {
        let now = Timestamp::now();
        let (at, what) = match self {
            Self::At(at) => (at, "reading the inputs took until then".to_owned()),
            Self::After(after) if !is_shard => (now.plus(after), String::new()),
            Self::After(after) => {
                let (first, marker) = run.agree(now)?;
                let what = format!(
                    "the first shard was ready at {first} by {marker}: take that file away where \
                     it is of an earlier replay"
                );
                (first.plus(after), what)
            }
        };
        if at < now {
            return Err(Failure::usage(format!(
                "--start-at {at} has passed ({what}); name a later time, or a longer +D"
            )));
        }
        Ok(at)
    }
}

/// Where a shard's run goes.
pub(super) enum RunLocation<'a> {
    /// Into this folder.
    Here(&'a Path),
    /// Below this prefix.
    InStore(&'a Remote),
}

impl RunLocation<'_> {
    /// The time in the marker beside the run, which is `now` where there is none yet, and the
    /// marker's name. Of several that write it at the same time one wins, and no reader sees half
    /// of it.
    fn agree(&self, now: Timestamp) -> Result<(Timestamp, String), Failure> {
        let ours = Marker { format: FORMAT.to_owned(), version: 1, at: now };
        let mut text = Vec::new();
        write_line(&mut text, &ours);
        let (shown, theirs) = match self {
            Self::Here(folder) => {
                let marker = folder.parent().unwrap_or(Path::new("")).join(MARKER);
                (marker.display().to_string(), first_here(&marker, &text))
            }
            Self::InStore(remote) => {
                let beside = remote.split().map(|(above, _)| above.join(MARKER));
                let marker = beside.ok_or_else(|| {
                    Failure::usage(format!(
                        "{}: shards need a prefix above them to agree on a start: \
                         s3://bucket/run/1",
                        remote.url()
                    ))
                })?;
                (marker.url(), first_in_store(&marker, &text))
            }
        };
        let cannot = |error: &dyn std::error::Error| {
            Failure::unusable(format!("cannot agree on a start by {shown}")).because(error)
        };
        let Some(theirs) = theirs.map_err(|error| cannot(&error))? else {
            return Ok((now, shown));
        };
        let theirs: Marker = serde_json::from_slice(&theirs).map_err(|error| cannot(&error))?;
        if theirs.format != FORMAT || theirs.version != 1 {
            return Err(Failure::unusable(format!("{shown} is no start of shards")));
        }
        Ok((theirs.at, shown))
    }
}

/// What the marker holds; none where it is ours.
fn first_here(marker: &Path, ours: &[u8]) -> io::Result<Option<Vec<u8>>> {
    if create_whole(marker, ours)? { Ok(None) } else { fs::read(marker).map(Some) }
}

fn first_in_store(marker: &Remote, ours: &[u8]) -> io::Result<Option<Vec<u8>>> {
    if marker.create(ours.to_owned())? {
        return Ok(None);
    }
    let mut theirs = Vec::new();
    marker.read()?.read_to_end(&mut theirs)?;
    Ok(Some(theirs))
}

/// Makes a file with this content unless there is one; whether it was made.
fn create_whole(path: &Path, content: &[u8]) -> io::Result<bool> {
    let own: PathBuf = path.with_file_name(format!(".{MARKER}.{}", std::process::id()));
    fs::write(&own, content)?;
    let linked = fs::hard_link(&own, path);
    fs::remove_file(&own)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_after_the_first_shard_is_ready() {
        assert_eq!("+30s".parse(), Ok(StartAt::After(30_000_000_000)));
        let at: StartAt = "2026-11-28T20:15:00Z".parse().unwrap();
        assert!(matches!(at, StartAt::At(_)));
        for wrong in ["soon", "+soon", "30s", ""] {
            assert!(wrong.parse::<StartAt>().is_err(), "{wrong}");
        }
        let past = StartAt::At(Timestamp::from_nanos(5));
        assert!(past.check().unwrap_err().to_string().contains("has passed"));
        assert!(
            past.settle(false, &RunLocation::Here(Path::new("x")))
                .unwrap_err()
                .to_string()
                .contains("has passed")
        );
    }

    #[test]
    fn all_shards_take_the_time_of_the_first_and_a_late_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let settle = |at: StartAt, is_shard, shard: &str| {
            at.settle(is_shard, &RunLocation::Here(&folder.path().join(shard)))
        };
        let hour = StartAt::After(3_600_000_000_000);
        let first = settle(hour, true, "1").unwrap();
        assert_eq!(settle(hour, true, "2").unwrap(), first);
        assert_ne!(settle(hour, false, "3").unwrap(), first);
        let late = settle(StartAt::After(0), true, "4").unwrap_err().to_string();
        assert!(late.contains("start.json") && late.contains("has passed"), "{late}");
        fs::write(folder.path().join(MARKER), "{}").unwrap();
        assert!(settle(hour, true, "5").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }
}
