//! The recorded providers, for v2's egress: answers v2's outgoing calls from the recording, never calls anybody itself, and
//! keeps the account of what v2 called beside what v1 called (`ledger`).

mod answer;
mod authority;
pub mod fault;
mod features;
mod journal;
pub mod ledger;
mod matcher;
mod recording;
mod server;

pub use authority::AuthorityError;
pub use features::Rules;
pub use journal::Finished;
pub use matcher::{Exhausted, Policy};
pub use recording::{BuildError, Recording, Selection};
pub use server::{Handle, Settings, StartError, Timing};
