//! Runs whose folder is in a store: made or fetched here, and sent there when they are whole.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::exit::Exit;
use super::{Failure, signals};
use crate::merge::OF_SHARD;
use crate::run::{RunError, RunFolder, is_run_in, is_there, names, recording_in, recording_of};
use crate::store::glob::is_pattern;
use crate::store::paths::local_path;
use crate::store::remote::{Remote, StoreError, is_store};

/// A run's folder: a path, or a prefix of a store with the folder that stands for it here.
pub(crate) struct RunPlace {
    local: PathBuf,
    remote: Option<Remote>,
}

impl RunPlace {
    /// For a run that is made. One that the store holds already is refused unless `force`.
    pub(crate) fn to_make(output: &Path, force: bool) -> Result<Self, Failure> {
        let Some(remote) = remote_of(output)? else { return Self::local(output) };
        if !force && is_run_in(has_object(&remote))? {
            return Err(Failure::usage(format!(
                "{} holds a run already: choose another prefix, or add --force to replace it",
                remote.url()
            )));
        }
        Ok(Self { local: temporary()?, remote: Some(remote) })
    }

    /// Of a run that is there: fetched, all of it.
    pub(crate) fn of_run(dir: &Path) -> Result<Self, Failure> {
        let Some(remote) = remote_of(dir)? else { return Self::local(dir) };
        let place = Self { local: temporary()?, remote: Some(remote.clone()) };
        place.fetch_run(&remote, |_| true)?;
        if RunFolder::open(&place.local).is_err() {
            let why = "nothing of one is below it".to_owned();
            return Err(RunError::NoRun { name: remote.url(), why }.into());
        }
        Ok(place)
    }

    /// The recording in a run's folder or prefix; none where `name` is none of a run.
    pub(crate) fn recording(name: &str) -> Result<Option<String>, Failure> {
        if is_store(name) && !is_pattern(name) {
            let remote = Remote::parse(name)?;
            if !is_run_in(has_object(&remote))? {
                return Ok(None);
            }
            let recording = recording_in(has_object(&remote))?;
            let recording = recording.as_deref().unwrap_or(names::EXCHANGES);
            return Ok(Some(remote.join(recording).url()));
        }
        let place = Self::local(Path::new(name))?;
        if !place.path().is_dir() || is_store(name) {
            return Ok(None);
        }
        let folder = RunFolder::open(place.path())?;
        let path = recording_of(folder.path()).unwrap_or_else(|| folder.file(names::EXCHANGES));
        Ok(Some(path.to_string_lossy().into_owned()))
    }

    /// Of the shards that `dir` stands for: itself, or the folders in it; fetched as far as a merge
    /// needs them.
    pub(crate) fn of_shards(dir: &Path) -> Result<Vec<Self>, Failure> {
        let Some(remote) = remote_of(dir)? else {
            let top = Self::local(dir)?;
            return shards_in(&top.local).into_iter().map(|shard| Self::local(&shard)).collect();
        };
        let pattern = format!("**/{}", names::RUN);
        let runs = remote.below(&pattern)?;
        let folders = runs.iter().filter_map(Remote::split).map(|(folder, _)| folder);
        let mut places = Vec::new();
        for folder in folders {
            let place = Self { local: temporary()?, remote: Some(folder.clone()) };
            place.fetch_run(&folder, |name| OF_SHARD.contains(&name.trim_end_matches(".zst")))?;
            places.push(place);
        }
        Ok(places)
    }

    fn local(path: &Path) -> Result<Self, Failure> {
        let url = path.to_str().map(local_path).transpose()?.flatten();
        Ok(Self { local: url.map_or_else(|| path.to_owned(), PathBuf::from), remote: None })
    }

    /// Fetches the files of a run that are `wanted`; fails where another run took its place
    /// meanwhile. Its `run.json` is the first object that then goes, and the last that comes.
    fn fetch_run(&self, folder: &Remote, wanted: impl Fn(&str) -> bool) -> Result<(), Failure> {
        let run = folder.join(names::RUN);
        let of_run = || -> io::Result<Option<Vec<u8>>> {
            let mut text = Vec::new();
            let object = run.read().map_err(io::Error::from);
            match object.and_then(|mut object| object.read_to_end(&mut text)) {
                Ok(_) => Ok(Some(text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        };
        let cannot = |error: io::Error| {
            Failure::unusable(format!("cannot fetch {}", run.url())).because(&error)
        };
        let before = of_run().map_err(cannot)?;
        for (name, object) in files(folder)? {
            if wanted(&name) {
                self.fetch(&name, &object)?;
            }
        }
        if of_run().map_err(cannot)? != before {
            return Err(Failure::unusable(format!(
                "another run took the place of {} while it was fetched: try again when that one \
                 is there",
                folder.url()
            )));
        }
        Ok(())
    }

    fn fetch(&self, name: &str, object: &Remote) -> Result<(), Failure> {
        object.fetch(&self.local.join(name)).map_err(|error| {
            Failure::unusable(format!("cannot fetch {}", object.url())).because(&error)
        })
    }

    /// The folder here.
    pub(crate) fn path(&self) -> &Path {
        &self.local
    }

    /// The prefix of a store that it stands for.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// A text for people, with the folder under the name that they know it by.
    pub(crate) fn told(&self, text: &str) -> String {
        match (&self.remote, self.local.to_str()) {
            (Some(remote), Some(local)) => text.replace(local, &remote.url()),
            _ => text.to_owned(),
        }
    }

    /// Sends the run to the store, where it is of one and came to be. `run.json` goes last where
    /// there is one, so that nobody finds half of a run.
    pub(crate) fn put(mut self) -> Result<(), Failure> {
        if !is_there(&self.local) {
            return Ok(());
        }
        let Some(remote) = self.remote.take() else { return Ok(()) };
        let sent = if signals::has_come() {
            Err(io::Error::from(io::ErrorKind::Interrupted))
        } else {
            self.send(&remote)
        };
        match sent {
            Ok(()) => {
                let _ = fs::remove_dir_all(&self.local);
                Ok(())
            }
            // What was measured is not thrown away.
            Err(error) => Err(Failure::new(
                if signals::has_come() { Exit::Interrupted } else { Exit::Unusable },
                format!(
                    "the run is not in {}, but in {}: copy it there",
                    remote.url(),
                    self.local.display()
                ),
            )
            .because(&error)),
        }
    }

    fn send(&self, remote: &Remote) -> io::Result<()> {
        let mut ours = Vec::new();
        for entry in fs::read_dir(&self.local)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && name != names::RUN {
                ours.push(name);
            }
        }
        // What an earlier run of that name left is no part of this one.
        remote.join(names::RUN).delete()?;
        for (name, object) in files(remote)? {
            if !ours.contains(&name) {
                object.delete()?;
            }
        }
        if self.local.join(names::RUN).is_file() {
            ours.push(names::RUN.to_owned());
        }
        ours.iter().try_for_each(|name| remote.join(name).send(&self.local.join(name)))
    }
}

impl Drop for RunPlace {
    fn drop(&mut self) {
        // Of a store, and not sent on purpose: fetched to be read, or no run came to be.
        if self.remote.is_some() {
            let _ = fs::remove_dir_all(&self.local);
        }
    }
}

/// What a prefix of a store has.
fn has_object(folder: &Remote) -> impl Fn(&str) -> Result<bool, Failure> {
    move |name| {
        let length = folder.join(name).length()?;
        Ok(length.is_some())
    }
}

fn remote_of(path: &Path) -> Result<Option<Remote>, Failure> {
    match path.to_str().filter(|name| is_store(name)) {
        Some(name) => Ok(Some(Remote::parse(name)?)),
        None => Ok(None),
    }
}

/// The objects right below a prefix, by name; none where there are none.
fn files(folder: &Remote) -> Result<Vec<(String, Remote)>, StoreError> {
    match folder.below("*") {
        Ok(found) => {
            Ok(found.into_iter().filter_map(|object| Some((object.split()?.1, object))).collect())
        }
        Err(StoreError::Missing { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A folder of this run's own, for its owner alone.
fn temporary() -> Result<PathBuf, Failure> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let top = std::env::temp_dir();
    let (process, now) = (std::process::id(), crate::time::Timestamp::now().nanos());
    let name = format!("shadowtap-{process}-{}-{now:x}", MADE.fetch_add(1, Ordering::Relaxed));
    let path = top.join(name);
    // Whoever made one of that name before is not trusted: this fails then.
    fs::create_dir(&path).map(|()| path).map_err(|error| {
        Failure::unusable(format!("cannot make a folder in {}", top.display())).because(&error)
    })
}

/// The folder itself where it is a run's, else the runs' folders in it.
fn shards_in(dir: &Path) -> Vec<PathBuf> {
    let mut runs = Vec::new();
    if RunFolder::open(dir).is_err() {
        let below = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        runs.extend(below.filter(|path| RunFolder::open(path).is_ok()));
        runs.sort_unstable();
    }
    // What is neither is refused by who opens it, by its name.
    if runs.is_empty() { vec![dir.to_owned()] } else { runs }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_shards_stands_for_them() {
        let folder = tempfile::tempdir().unwrap();
        for shard in ["2", "1", "no-run"] {
            fs::create_dir(folder.path().join(shard)).unwrap();
        }
        for shard in ["1", "2"] {
            fs::write(folder.path().join(shard).join(names::RUN), "{}").unwrap();
        }
        let of = |path: PathBuf| {
            let places = RunPlace::of_shards(&path).unwrap();
            places.iter().map(|place| place.path().to_owned()).collect::<Vec<_>>()
        };
        let one = folder.path().join("1");
        assert_eq!(of(folder.path().to_owned()), [one.clone(), folder.path().join("2")]);
        assert_eq!(of(one.clone()), [one]);
    }
}
