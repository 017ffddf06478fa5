//! Objects of a store, by URL: `s3://bucket/key`, `gs://bucket/key`, `az://container/key`.
//!
//! Credentials and endpoints come from the environment (`clouds`), or from the machine (instance
//! roles, web identities). What fails is tried again, later each time.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig};

use crate::store::clouds;
use crate::store::glob::{GlobSegment, is_pattern, segments};
use crate::store::threads::runtime;

/// For how long a request that fails is retried.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most retries.
const RETRIES: usize = 6;
/// Most objects that one pattern or prefix may stand for.
const OBJECTS: usize = 100_000;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is none.
    #[error(
        "{url} names no object: write it as s3://bucket/key, gs://bucket/key or az://container/key"
    )]
    Url {
        /// As it was given.
        url: String,
    },
    /// Its settings are wrong or missing.
    #[error("{url}: the store cannot be used with the settings of the environment")]
    Settings {
        /// The object or prefix.
        url: String,
        /// Why.
        #[source]
        cause: Error,
    },
    /// There is no such object.
    #[error("{url} is not in the store")]
    Missing {
        /// The object or prefix.
        url: String,
    },
    /// A pattern stands for too many.
    #[error("{url} stands for more than {OBJECTS} objects: name fewer")]
    Many {
        /// The pattern.
        url: String,
    },
    /// Neither the environment nor the machine says who asks.
    #[error("{url} cannot be {what}: nothing says who asks; set {how}")]
    Nobody {
        /// The object or prefix.
        url: String,
        /// What was to be done.
        what: &'static str,
        /// The variables that say it.
        how: &'static str,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store refuses, or cannot be reached.
    #[error("{url} cannot be {what}")]
    Failed {
        /// The object or prefix.
        url: String,
        /// What was to be done.
        what: &'static str,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Missing { .. } => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Whether `name` is the URL of a store.
pub fn is_store(name: &str) -> bool {
    scheme(name).is_some()
}

fn scheme(name: &str) -> Option<(&'static str, &str)> {
    ["s3", "gs", "az"].into_iter().find_map(|scheme| {
        let rest = name.get(scheme.len()..)?;
        (name[..scheme.len()].eq_ignore_ascii_case(scheme)).then_some(())?;
        Some((scheme, rest.strip_prefix("://")?))
    })
}

/// An object of a store, or the prefix that stands before several.
#[derive(Clone)]
pub struct Remote {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    /// `s3://bucket`.
    root: String,
    /// What comes behind the root, as it was written.
    key: String,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

impl Remote {
    /// Of a URL. Nothing is asked of the store yet.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        Self::with_patience(url, RETRIES, PATIENCE)
    }

    /// As [`Self::parse`], for who has patience of its own.
    pub(super) fn with_patience(
        url: &str,
        max_retries: usize,
        retry_timeout: Duration,
    ) -> Result<Self, StoreError> {
        let wrong = || StoreError::Url { url: url.to_owned() };
        let (scheme, rest) = scheme(url).ok_or_else(wrong)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['@', ':', '?', '#']) {
            return Err(wrong());
        }
        let retry = RetryConfig { max_retries, retry_timeout, ..RetryConfig::default() };
        let store = clouds::open(scheme, bucket, retry)
            .map_err(|cause| StoreError::Settings { url: url.to_owned(), cause })?;
        let named = if is_pattern(key) { "" } else { key };
        Ok(Self {
            store,
            path: Path::parse(named.trim_end_matches('/')).map_err(|_| wrong())?,
            root: format!("{scheme}://{bucket}"),
            key: key.to_owned(),
        })
    }

    /// The URL.
    pub fn url(&self) -> String {
        format!("{}/{}", self.root, self.key)
    }

    /// The object `name` below this prefix; `name` may have slashes.
    pub fn join(&self, name: &str) -> Self {
        let mut key = self.key.trim_end_matches('/').to_owned();
        if !key.is_empty() {
            key.push('/');
        }
        key.push_str(name);
        self.at(&Path::from(key))
    }

    /// The prefix that this object is in, and its name there; none where it has no name.
    pub fn split(&self) -> Option<(Self, String)> {
        let (prefix, name) = self.key.rsplit_once('/').unwrap_or(("", &self.key));
        (!name.is_empty()).then(|| (self.at(&Path::from(prefix)), name.to_owned()))
    }

    /// Another object of the same store.
    fn at(&self, path: &Path) -> Self {
        let (store, root) = (Arc::clone(&self.store), self.root.clone());
        Self { store, root, path: path.clone(), key: path.to_string() }
    }

    pub(super) fn failed(
        &self,
        what: &'static str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        let (url, cause) = (self.url(), cause.into());
        if cause.to_string().contains(clouds::MACHINE) {
            let how = clouds::credentials(&self.root);
            return StoreError::Nobody { url, what, how, cause };
        }
        StoreError::Failed { url, what, cause }
    }

    pub(super) fn wait<T>(
        &self,
        what: &'static str,
        done: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        let runtime = runtime().map_err(|error| self.failed(what, error))?;
        runtime.block_on(done).map_err(|error| match error {
            Error::NotFound { .. } => StoreError::Missing { url: self.url() },
            error => self.failed(what, error),
        })
    }

    /// How many bytes the object has; none where there is no such object.
    pub fn length(&self) -> Result<Option<u64>, StoreError> {
        match self.wait("looked up", self.store.head(&self.path)) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts the object there where there is none of its name; whether that was so.
    pub fn create(&self, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let options = PutOptions::from(PutMode::Create);
        let runtime = runtime().map_err(|error| self.failed("written", error))?;
        match runtime.block_on(self.store.put_opts(&self.path, bytes.into(), options)) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed("written", error)),
        }
    }

    /// Takes the object away, where there is one.
    pub fn delete(&self) -> Result<(), StoreError> {
        match self.wait("removed", self.store.delete(&self.path)) {
            Err(StoreError::Missing { .. }) => Ok(()),
            done => done,
        }
    }

    /// The objects below this prefix that fit a pattern.
    pub fn below(&self, pattern: &str) -> Result<Vec<Self>, StoreError> {
        let key = format!("{}/{pattern}", self.key.trim_end_matches('/'));
        Self { key: key.trim_start_matches('/').to_owned(), ..self.clone() }.expand()
    }

    /// The objects that it stands for: itself, all below it where it is a prefix, or what fits
    /// where it is a pattern; in the order of their names, and so of time where these begin with
    /// it.
    pub fn expand(&self) -> Result<Vec<Self>, StoreError> {
        let mut found = Vec::new();
        if is_pattern(&self.key) {
            self.fitting(&Path::default(), &segments(&self.key), &mut found)?;
        } else {
            if !self.key.is_empty() && !self.key.ends_with('/') && self.length()?.is_some() {
                return Ok(vec![self.clone()]);
            }
            self.fitting(&self.path, &[GlobSegment::Any], &mut found)?;
        }
        found.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        found.dedup_by(|one, other| one.path == other.path);
        if found.is_empty() {
            return Err(StoreError::Missing { url: self.url() });
        }
        Ok(found)
    }

    /// Gathers the objects below `folder` whose further segments fit `pattern`.
    fn fitting(
        &self,
        folder: &Path,
        pattern: &[GlobSegment],
        found: &mut Vec<Self>,
    ) -> Result<(), StoreError> {
        let Some((first, rest)) = pattern.split_first() else { return Ok(()) };
        // What is named needs no list.
        if let (GlobSegment::Name(name), false) = (first, rest.is_empty()) {
            return self.fitting(&folder.clone().join(name.as_str()), rest, found);
        }
        let list = self.wait("listed", self.store.list_with_delimiter(Some(folder)))?;
        for object in list.objects {
            let name = object.location.filename().unwrap_or_default();
            let is_last = rest.iter().all(|segment| matches!(segment, GlobSegment::Any));
            let fits = match first {
                // `**/x` stands for `x` too.
                GlobSegment::Any => {
                    rest.first().is_none_or(|next| rest.len() == 1 && next.fits(name))
                }
                segment => is_last && segment.fits(name),
            };
            // Hidden names are of those who write: locks, and what is not whole.
            if fits && !name.starts_with('.') {
                found.push(self.at(&object.location));
            }
        }
        if found.len() > OBJECTS {
            return Err(StoreError::Many { url: self.url() });
        }
        for below in list.common_prefixes {
            let name = below.filename().unwrap_or_default();
            if matches!(first, GlobSegment::Any) {
                self.fitting(&below, pattern, found)?;
            } else if first.fits(name) {
                self.fitting(&below, rest, found)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use object_store::memory::InMemory;

    use super::*;

    /// A store in memory.
    pub(in crate::store) fn in_memory(key: &str) -> Remote {
        let path = if is_pattern(key) { Path::default() } else { Path::from(key) };
        let (store, root) = (Arc::new(InMemory::new()), "s3://bucket".to_owned());
        Remote { store, path, root, key: key.to_owned() }
    }

    fn names(remote: &Remote, pattern: &str) -> Vec<String> {
        let path = if is_pattern(pattern) { Path::default() } else { Path::from(pattern) };
        let asked = Remote { path, key: pattern.to_owned(), ..remote.clone() };
        asked.expand().map_or_else(
            |error| vec![error.to_string()],
            |found| found.iter().map(|object| object.key.clone()).collect(),
        )
    }

    #[test]
    fn urls_of_stores_are_known_and_others_are_not() {
        for url in ["s3://b/k", "S3://b/k", "gs://b/a/b", "az://c/"] {
            assert!(is_store(url), "{url}");
        }
        for name in ["s3.pcap", "s3:/b", "http://s3/b", "é3://b", "-", "", "az"] {
            assert!(!is_store(name), "{name}");
        }
        for wrong in ["s3://", "s3:///key", "s3://u:p@host/key"] {
            assert!(matches!(Remote::parse(wrong), Err(StoreError::Url { .. })), "{wrong}");
        }
    }

    #[test]
    fn an_object_is_itself_a_prefix_all_below_it_and_a_pattern_what_fits() {
        let top = in_memory("");
        for key in ["v1/b.pcap", "v1/a.pcap", "v1/x/c.pcap", "v1/.lock", "v2/a.pcap", "v1.pcap"] {
            assert!(top.join(key).create(b"x".to_vec()).unwrap());
            assert!(!top.join(key).create(b"y".to_vec()).unwrap(), "it is there already");
        }
        assert_eq!(names(&top, "v1/a.pcap"), ["v1/a.pcap"]);
        assert_eq!(names(&top, "v1/"), ["v1/a.pcap", "v1/b.pcap", "v1/x/c.pcap"]);
        assert_eq!(names(&top, "v1"), names(&top, "v1/"));
        assert_eq!(names(&top, "v1/*.pcap"), ["v1/a.pcap", "v1/b.pcap"]);
        assert_eq!(names(&top, "v?/a.pcap"), ["v1/a.pcap", "v2/a.pcap"]);
        assert_eq!(names(&top, "**/a.pcap"), ["v1/a.pcap", "v2/a.pcap"]);
        assert_eq!(names(&top, "**/c.pcap"), ["v1/x/c.pcap"]);
        let below: Vec<String> =
            top.join("v1").below("*").unwrap().iter().map(|object| object.key.clone()).collect();
        assert_eq!(below, ["v1/a.pcap", "v1/b.pcap"]);
        assert_eq!(names(&top, "v3/"), ["s3://bucket/v3/ is not in the store"]);
        assert_eq!(names(&top, "v3*"), ["s3://bucket/v3* is not in the store"]);
        let (folder, name) = top.join("v1/x/c.pcap").split().unwrap();
        assert_eq!((folder.url().as_str(), name.as_str()), ("s3://bucket/v1/x", "c.pcap"));
        assert_eq!(folder.join("d").url(), "s3://bucket/v1/x/d");
    }
}
