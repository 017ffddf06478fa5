//! Files that are given by an `http(s)://` URL: downloaded before they are read.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use super::nameless_file;
use super::shown::without_secrets;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a file cannot be downloaded.
#[derive(Debug, thiserror::Error)]
#[error("{what} {url}")]
pub struct DownloadError {
    what: &'static str,
    /// As people see it.
    url: String,
    #[source]
    cause: Cause,
}

/// Whether a name is a URL that is downloaded.
pub fn is_url(name: &str) -> bool {
    let is = |scheme: &str| {
        name.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    is("http://") || is("https://")
}

/// Downloads into a file that has no name any more, so that nothing is left behind however the
/// program ends.
pub fn download(url: &str) -> Result<File, DownloadError> {
    let failed = |what, cause: Cause| DownloadError { what, url: without_secrets(url), cause };
    let mut file = nameless_file(&std::env::temp_dir())
        .map_err(|error| failed("no temporary file for", error.into()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("cannot download", error.into()))?;
    super::encrypt_by_ring();
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(30))
            .read_timeout(Duration::from_secs(60))
            .build()
            .map_err(|error| failed("cannot download", error.into()))?;
        let response = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
        let mut response =
            response.map_err(|error| failed("cannot download", error.without_url().into()))?;
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| failed("the download broke off:", error.without_url().into()))?
        {
            file.write_all(&chunk).map_err(|error| failed("no room for", error.into()))?;
        }
        Ok(file)
    })
}
