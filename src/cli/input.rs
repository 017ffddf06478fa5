//! Inputs as commands take them: what people see where one cannot be used, and how far their
//! reading is.

use super::progress::Progress;
use super::{Exit, Failure, Global};
use crate::run::recording_of;
use crate::source::{ReadingShown, SourceError};
use crate::store::paths::PathError;
use crate::store::remote::StoreError;

impl ReadingShown for Global {
    fn start(&self, total: Option<u64>) -> impl FnMut(u64, u64, u64) {
        let progress = Progress::start(self, "parse", total);
        move |bytes, packets, exchanges| {
            progress.set(bytes, || format!("{packets} packets, {exchanges} exchanges"));
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error {
            StoreError::Url { .. } | StoreError::Settings { .. } => Exit::Usage,
            _ => Exit::Unusable,
        };
        Self::new(exit, error.to_string()).because(&error)
    }
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Self {
        let exit = match error {
            PathError::Elsewhere(_) => Exit::Usage,
            _ => Exit::Unusable,
        };
        Self::new(exit, error.to_string()).because(&error)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Path(error) => error.into(),
            SourceError::Store(error) => error.into(),
            SourceError::NoInput | SourceError::Offset(_) | SourceError::StdinTwice => {
                Self::usage(error.to_string())
            }
            SourceError::Folder(ref path) => Self::unusable(match recording_of(path) {
                Some(recording) => format!(
                    "{} is the folder of a run: name its recording, {}",
                    path.display(),
                    recording.display()
                ),
                None => error.to_string(),
            }),
            _ => Self::unusable(error.to_string()).because(&error),
        }
    }
}
