//! What a replay does, checked.

use std::path::PathBuf;
use std::sync::Arc;

use super::flags::ReplayShape;
use crate::cli::Failure;
use crate::cli::remote::RunPlace;
use crate::replay::UnderWay;
use crate::route::Routes;
use crate::run;
use crate::store::remote::Remote;

/// What `replay` does, checked.
#[derive(Clone, Debug)]
pub struct ReplaySettings {
    /// Captures or exchanges.
    pub inputs: Vec<String>,
    /// How.
    pub shape: ReplayShape,
    /// The run's folder.
    pub output: PathBuf,
    /// Replace a run that is there.
    pub force: bool,
    /// The folder's `egress.jsonl` is of this run: a mock writes it.
    pub keep_egress: bool,
    /// What comes back is compared at once, by the routes that are known before: what was recorded
    /// is surveyed, and where records stand is noted.
    pub survey: Option<Routes>,
    /// Told of the requests that v2 has not answered yet: a mock beside the replay asks.
    pub under_way: Option<Arc<UnderWay>>,
    /// The gate's flags, to be kept with the run.
    pub gate: serde_json::Value,
    /// Where the run goes when it is whole, if not to its folder.
    pub store: Option<Remote>,
}

impl ReplaySettings {
    /// Checks what replaying `inputs` needs.
    pub fn new(
        inputs: Vec<String>,
        shape: ReplayShape,
        output: Option<PathBuf>,
        force: bool,
    ) -> Result<Self, Failure> {
        if shape.target.is_none() {
            return Err(Failure::usage(
                "name v2 with --target URL (or as target in [replay] of shadowtap.toml)",
            ));
        }
        Ok(Self {
            inputs,
            shape,
            output: output.unwrap_or_else(run::default_path),
            force,
            keep_egress: false,
            survey: None,
            under_way: None,
            gate: serde_json::Value::Null,
            store: None,
        })
    }

    /// Where the run goes: its folder here is the output from now on.
    pub(crate) fn place(&mut self) -> Result<RunPlace, Failure> {
        let place = RunPlace::to_make(&self.output, self.force)?;
        self.output = place.path().to_owned();
        self.store = place.remote().cloned();
        Ok(place)
    }
}
