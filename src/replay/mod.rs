//! Sends requests at their due times and records what became of each: an [`Outcome`].
//!
//! This module is given due times and does not know how they were made.

mod arrivals;
mod bell;
mod binder;
pub mod calibrate;
pub mod config;
mod counts;
mod engine;
mod feed;
mod gate;
mod hope;
pub mod plan;
mod recorder;
pub mod session;
mod shared;
mod side;
mod spoken;
mod stopping;
mod supply;
mod task;
mod traces;
mod underway;
mod worker;

pub use binder::FlowCount;
pub(crate) use engine::run_noting;
pub use engine::{Finished, Outputs, ReplayError, ReplayOptions, ReplayProgress, Transport, run};
pub use hope::Hopeless;
pub use recorder::record::{Observed, Observer};
pub use recorder::redaction::Redaction;
pub use session::Spoken;
pub use session::h2::Windows;
pub use supply::{SupplyError, supply};
pub use task::{Original, ReplayStop, TargetSide};
pub use traces::Traces;
pub use underway::UnderWay;
pub use worker::lane::{Arrivals, Think};
