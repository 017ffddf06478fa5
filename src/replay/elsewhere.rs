//! What is left of the replay where there is no `epoll` and no `timerfd`: the names that other
//! stages know, and its section of the configuration.

#[path = "config.rs"]
pub mod config;
#[path = "underway.rs"]
mod underway;

pub use underway::UnderWay;
