//! What the flows of a recording come to.

use serde::{Deserialize, Serialize};

/// What a recording's flows come to. Of values and uses only those count that are bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowTotals {
    /// Whole requests.
    pub requests: u64,
    /// Clients across connections.
    pub sessions: u64,
    /// Values that answers issue and requests use.
    pub values: u64,
    /// Values that answers issue and only answers show again, or nobody.
    pub shown: u64,
    /// … of these, what requests that may change something were answered.
    pub made: u64,
    /// Uses.
    pub uses: u64,
    /// Requests with a use.
    pub using: u64,
    /// Waits for answers on other connections and of the own one.
    pub waits: u64,
    /// Requests that use values from before the recording.
    pub older: u64,
    /// The same by route, the most first.
    pub older_by_route: Vec<(String, u64)>,
    /// Requests that their client signed.
    pub signed: u64,
    /// Requests whose body cannot be read.
    pub opaque: u64,
    /// Requests of Protocol Buffers that no schema names: their numbers flow nowhere.
    pub unnamed: u64,
    /// Exchanges of which a bound kept values from being looked at.
    pub cut: u64,
    /// Requests with unsafe methods whose answers give values, by route, the most used first.
    pub producers: Vec<Producer>,
}

/// A route with an unsafe method whose answers give values to later requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Producer {
    /// Its name.
    pub route: String,
    /// How many of its requests give values.
    pub requests: u64,
    /// How many requests use them.
    pub users: u64,
}

impl std::fmt::Display for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { route, requests, users } = self;
        let (give, use_) =
            (if *requests == 1 { "gives" } else { "give" }, if *users == 1 { "" } else { "s" });
        write!(
            f,
            "{requests} skipped {route} {give} the values of {users} request{use_}: add \
             `--include-producers`"
        )
    }
}
