//! Names of local files that are no paths: `file://` URLs, the folders and patterns behind them.

use std::io;
use std::path::Path;

use url::Url;

use super::glob::{GlobSegment, is_pattern, segments};

/// Why a name stands for no file here.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// It is no path of this machine.
    #[error("{0} is no file here: write it as file:///path")]
    Elsewhere(String),
    /// A folder cannot be listed.
    #[error("cannot list the files of {path}")]
    Unlisted {
        /// The folder or the pattern.
        path: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Nothing is there.
    #[error("there is no file {0}")]
    Missing(String),
}

/// The path of a `file://` URL; none for other names.
pub fn local_path(name: &str) -> Result<Option<String>, PathError> {
    if !name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("file://")) {
        return Ok(None);
    }
    let wrong = || PathError::Elsewhere(name.to_owned());
    if is_pattern(name) {
        // The marks of a pattern mean something else in URLs.
        let path = name[7..].strip_prefix("localhost").unwrap_or(&name[7..]);
        return if path.starts_with('/') { Ok(Some(path.to_owned())) } else { Err(wrong()) };
    }
    let path = Url::parse(name).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(wrong)?;
    path.into_os_string().into_string().map(Some).map_err(|_| wrong())
}

/// The files that a `file://` URL stands for: itself, all below it where it is a folder, or what
/// fits where it is a pattern; in the order of their names.
pub fn local_files(path: &str) -> Result<Vec<String>, PathError> {
    let unlisted = |cause| PathError::Unlisted { path: path.to_owned(), cause };
    let mut found = Vec::new();
    if is_pattern(path) && !Path::new(path).exists() {
        fitting(Path::new("/"), &segments(path), &mut found).map_err(unlisted)?;
    } else if Path::new(path).is_dir() {
        fitting(Path::new(path), &[GlobSegment::Any], &mut found).map_err(unlisted)?;
    } else {
        return Ok(vec![path.to_owned()]);
    }
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        return Err(PathError::Missing(path.to_owned()));
    }
    Ok(found)
}

fn fitting(folder: &Path, pattern: &[GlobSegment], found: &mut Vec<String>) -> io::Result<()> {
    let Some((first, rest)) = pattern.split_first() else { return Ok(()) };
    if let (GlobSegment::Name(name), false) = (first, rest.is_empty()) {
        let below = folder.join(name);
        return if below.is_dir() { fitting(&below, rest, found) } else { Ok(()) };
    }
    let is_any = matches!(first, GlobSegment::Any);
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(std::ffi::OsStr::to_str) else { continue };
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if is_any {
                fitting(&path, pattern, found)?;
            } else if first.fits(name) {
                fitting(&path, rest, found)?;
            }
            continue;
        }
        let fits = match (is_any, rest) {
            (true, []) => true,
            (true, [next]) => next.fits(name),
            (false, []) => first.fits(name),
            _ => false,
        };
        if let (true, Some(path)) = (fits, path.to_str()) {
            found.push(path.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn file_urls_are_paths_folders_and_patterns() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.pcap", "a 1.pcap", "c.txt", ".hidden.pcap"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("d")).unwrap();
        fs::write(folder.path().join("d/e.pcap"), "x").unwrap();
        let top = folder.path().to_str().unwrap();
        let files = |url: &str| {
            let path = local_path(&format!("file://{top}/{url}")).unwrap().unwrap();
            local_files(&path).map_or_else(
                |failure| vec![failure.to_string()],
                |found| found.iter().map(|path| path[top.len() + 1..].to_owned()).collect(),
            )
        };
        assert_eq!(files("a%201.pcap"), ["a 1.pcap"]);
        assert_eq!(files("*.pcap"), ["a 1.pcap", "b.pcap"]);
        assert_eq!(files("**/*.pcap"), ["a 1.pcap", "b.pcap", "d/e.pcap"]);
        assert_eq!(files(""), ["a 1.pcap", "b.pcap", "c.txt", "d/e.pcap"]);
        assert!(files("*.jsonl")[0].contains("there is no file"));
        assert_eq!(local_path("v1.pcap").unwrap(), None);
        assert!(local_path("file://host/v1.pcap").is_err());
    }
}
