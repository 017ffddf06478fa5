//! `--flows`: shards take what flows in the inputs from one place. One of them finds it and writes
//! it there, so that the others need not read the inputs twice, nor look for it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bind::find::{self, FoundFlows, FoundIn};
use crate::cli::exit::printable;
use crate::cli::{Exit, Failure};
use crate::schedule::select::Shard;
use crate::source::InputInfo;
use crate::stop::Stop;
use crate::store::local::UnfinishedFile;
use crate::store::paths::local_path;
use crate::store::remote::{Remote, is_store};

/// How often is looked for what another shard has to find.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Every so many looks, which is once a minute, is said that it is waited for.
const SAY_EVERY: u64 = 120;

/// Where found flows are shared.
#[derive(Clone, Debug)]
pub struct SharedFlows {
    place: FlowsPlace,
    /// Whether this replay finds them where they are not there.
    finds: bool,
}

#[derive(Clone, Debug)]
enum FlowsPlace {
    Here(PathBuf),
    InStore(Remote),
}

/// Flows that another replay found, and in which inputs.
pub(super) struct TakenFlows {
    pub(super) found: FoundFlows,
    pub(super) inputs: Vec<(u64, String)>,
}

impl SharedFlows {
    /// At a path or an object. The first shard finds them, and who is no shard.
    pub(super) fn new(name: &str, shard: Option<Shard>) -> Result<Self, Failure> {
        let place = match is_store(name) {
            true => FlowsPlace::InStore(Remote::parse(name)?),
            false => FlowsPlace::Here(PathBuf::from(
                local_path(name)?.unwrap_or_else(|| name.to_owned()),
            )),
        };
        Ok(Self { place, finds: shard.is_none_or(|shard| shard.index == 0) })
    }

    /// The name by which people know the place.
    pub(super) fn shown(&self) -> String {
        match &self.place {
            FlowsPlace::Here(path) => path.display().to_string(),
            FlowsPlace::InStore(remote) => remote.url(),
        }
    }

    /// What is there, waited for where another shard finds it; none where this replay has to. Other
    /// `settings` than those it was found with are refused.
    pub(super) fn take(
        &self,
        settings: &str,
        folder: &Path,
        word: &Stop,
    ) -> Result<Option<TakenFlows>, Failure> {
        let mut looks = 0;
        let input = loop {
            if word.is_told() {
                let why = "interrupted while waiting for what flows in the inputs";
                return Err(Failure::new(Exit::Interrupted, why));
            }
            if let Some(input) = self.open().map_err(|error| self.unreadable(&error))? {
                break input;
            }
            if self.finds {
                return Ok(None);
            }
            if looks % SAY_EVERY == 0 {
                tracing::warn!(
                    "waiting for what flows in the inputs: shard 1 finds it and writes {}",
                    printable(&self.shown())
                );
            }
            looks += 1;
            word.wait(Some(LOOK_EVERY));
        };
        let loaded = find::load(input, folder).map_err(|error| self.unreadable(&error));
        let (found, FoundIn { settings: theirs, inputs }) = loaded?;
        if theirs != settings {
            return Err(self.of_others("with other settings"));
        }
        Ok(Some(TakenFlows { found, inputs }))
    }

    fn open(&self) -> io::Result<Option<Box<dyn Read>>> {
        match &self.place {
            FlowsPlace::Here(path) => match File::open(path) {
                Ok(file) => Ok(Some(Box::new(file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            FlowsPlace::InStore(remote) => {
                let there = remote.length()?.is_some();
                let read = || remote.read().map(|object| Box::new(object) as Box<dyn Read>);
                Ok(there.then(read).transpose()?)
            }
        }
    }

    /// Puts what was found there, whole or not at all.
    pub(super) fn give(&self, found: &FoundFlows, found_in: &FoundIn) -> Result<(), Failure> {
        let given = match &self.place {
            FlowsPlace::Here(path) => UnfinishedFile::create(path).and_then(|part| {
                find::save(found, found_in, part.file()?)?;
                part.commit()
            }),
            FlowsPlace::InStore(remote) => {
                let mut object = remote.write();
                find::save(found, found_in, &mut object).and_then(|()| object.finish())
            }
        };
        given.map_err(|error| {
            Failure::unusable(format!("cannot write {}", self.shown())).because(&error)
        })
    }

    /// Refuses flows that were found in other `inputs` than the ones that were read.
    pub(super) fn check(
        &self,
        expected: &[(u64, String)],
        inputs: &[InputInfo],
    ) -> Result<(), Failure> {
        match prints(inputs) == expected {
            true => Ok(()),
            false => Err(self.of_others("in other inputs")),
        }
    }

    fn of_others(&self, what: &str) -> Failure {
        Failure::usage(format!(
            "{} tells flows that were found {what}: take that file away, or name another one with \
             --flows",
            self.shown()
        ))
    }

    fn unreadable(&self, error: &dyn std::error::Error) -> Failure {
        Failure::unusable(format!("cannot use the flows in {}", self.shown())).because(error)
    }
}

/// Length and hash of each input.
pub(super) fn prints(inputs: &[InputInfo]) -> Vec<(u64, String)> {
    inputs.iter().map(|input| (input.bytes, input.sha256.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind::find::{FindConfig, Finder};
    use crate::stop::Stop;

    fn shared(path: &Path, shard: Option<Shard>) -> SharedFlows {
        SharedFlows::new(path.to_str().unwrap(), shard).unwrap()
    }

    #[test]
    fn the_first_shard_finds_and_the_others_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/flows");
        let config = FindConfig {
            rules: crate::bind::config::FlowSection::default(),
            schema: crate::message::protobuf::Schema::default(),
            bind: crate::bind::config::Bind::Sure,
            order: find::Order::Session,
            folder: folder.path().to_owned(),
        };
        let found = Finder::new(&config).unwrap().finish().unwrap();
        let inputs = [InputInfo { name: "a".into(), bytes: 3, sha256: "00ff".into() }];
        let found_in = FoundIn { settings: "these".into(), inputs: prints(&inputs) };
        let shard = |index| Some(Shard { index, count: 2 });
        let (first, second) = (shared(&path, shard(0)), shared(&path, shard(1)));
        let word = Stop::new().unwrap();
        let take = |of: &SharedFlows, settings: &str| of.take(settings, folder.path(), &word);
        assert!(take(&first, "these").unwrap().is_none());
        assert!(take(&shared(&path, None), "these").unwrap().is_none());
        let taken = std::thread::scope(|scope| {
            let waits = scope.spawn(|| take(&second, "these"));
            first.give(&found, &found_in).unwrap();
            waits.join().unwrap().unwrap().unwrap()
        });
        assert_eq!(taken.inputs, prints(&inputs));
        assert!(first.check(&taken.inputs, &inputs).is_ok());
        let other = [InputInfo { bytes: 4, ..inputs[0].clone() }];
        let refused = first.check(&taken.inputs, &other).unwrap_err().to_string();
        assert!(refused.contains("other inputs") && refused.contains("deep/flows"), "{refused}");
        let refused = take(&first, "others").err().unwrap().to_string();
        assert!(refused.contains("other settings"), "{refused}");
        // Damage is told, wherever it is.
        let whole = std::fs::read(&path).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert!(take(&second, "these").is_err(), "{at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(take(&second, "these").is_err(), "cut at {at}");
        }
        // Who waits for what never comes ends with a signal.
        std::fs::remove_file(&path).unwrap();
        word.tell();
        assert!(take(&second, "these").err().unwrap().to_string().contains("interrupted"));
    }
}
