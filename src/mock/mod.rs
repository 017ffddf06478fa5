//! The recorded providers, for v2's egress: answers v2's outgoing calls from the recording, never
//! calls anybody itself, and keeps the account of what v2 called beside what v1 called (`ledger`).

mod another;
mod answer;
mod authority;
mod bound;
mod cause;
mod context;
mod desk;
mod drawn;
pub mod fault;
mod features;
mod h1;
mod h2;
mod hashing;
mod head;
mod journal;
mod learning;
pub mod ledger;
mod matcher;
mod moving;
mod namespace;
mod naming;
mod nearest;
mod pace;
mod posts;
mod provider;
mod reads;
mod recording;
mod seats;
mod seen;
mod selection;
mod server;
mod shared;
mod shelf;
mod status;
mod stream;
pub mod summary;
mod teller;
mod told;
mod writer;

use crate::message::place::Pattern;

pub use authority::AuthorityError;
pub use features::FeatureRules;
pub use matcher::{Exhausted, MatchPolicy};
pub use recording::{BuildError, CallGatherer, CallRecording};
pub use selection::EgressSelection;
pub use server::{Handle, MockFinished, ServeSettings, StartError};
pub use shared::Timing;

/// The section `[mock]` of the configuration.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MockConfig {
    /// Hosts of v1's providers.
    pub providers: Vec<String>,
    /// Ports of v1's providers.
    pub ports: Vec<u16>,
    /// Header fields that must match too.
    pub match_headers: Vec<String>,
    /// Places whose value may be any.
    pub volatile: Vec<Pattern>,
    /// Faults on purpose.
    pub faults: Vec<String>,
    /// When answers are given.
    pub timing: Timing,
    /// What surplus calls get.
    pub exhausted: Exhausted,
    /// Least likeness of the nearest call.
    pub threshold: f64,
}

impl Default for MockConfig {
    fn default() -> Self {
        Self {
            providers: vec![],
            ports: vec![],
            match_headers: vec![],
            volatile: vec![],
            faults: vec![],
            timing: Timing::default(),
            exhausted: Exhausted::default(),
            threshold: MatchPolicy::default().threshold,
        }
    }
}
