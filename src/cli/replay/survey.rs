//! The diff's survey of the recording, made while the recording is read to be planned. It spares a
//! reading and is nothing else: where it cannot be made, the diff makes its own.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::diff::planned::{PlannedSurvey, SurveyNotes};
use crate::exchange::Exchange;
use crate::record::noted::LineNotes;
use crate::route::Routes;
use crate::store::nameless_file;

/// A survey that is being made, where one was asked for.
pub(super) struct Survey(Option<SurveyUnderWay>);

struct SurveyUnderWay {
    survey: PlannedSurvey,
    lines: Arc<Mutex<LineNotes>>,
    /// What the lines are noted in.
    file: File,
}

impl Survey {
    /// One that begins with these routes, with its notes in files without a name in `folder`.
    pub(super) fn begin(routes: Option<&Routes>, folder: &Path) -> io::Result<Self> {
        let Some(routes) = routes else { return Ok(Self(None)) };
        let survey = PlannedSurvey::new(nameless_file(folder)?, routes.clone())?;
        let file = nameless_file(folder)?;
        let lines = Arc::new(Mutex::new(LineNotes::new(file.try_clone()?)));
        Ok(Self(Some(SurveyUnderWay { survey, lines, file })))
    }

    /// Told of the lines of the recording.
    pub(super) fn lines(&self) -> Option<Arc<Mutex<LineNotes>>> {
        self.0.as_ref().map(|under_way| Arc::clone(&under_way.lines))
    }

    /// Looks at the next exchange.
    pub(super) fn add(&mut self, exchange: &Exchange) {
        if self.0.as_mut().is_some_and(|under_way| under_way.survey.add(exchange).is_err()) {
            self.0 = None;
        }
    }

    /// What was found.
    pub(super) fn finish(self) -> Option<SurveyNotes> {
        let SurveyUnderWay { survey, lines, file } = self.0?;
        let is_whole = lines.lock().is_ok_and(|mut lines| lines.finish());
        is_whole.then(|| survey.finish(file).ok())?
    }
}
