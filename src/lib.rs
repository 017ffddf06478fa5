//! shadowtap replaces a live shadow deployment by an offline one.
//!
//! It records the ingress traffic of v1 at a node tap, rebuilds the HTTP exchanges, fires the
//! requests at v2 in staging with their original timing, compares what v2 answers with what v1
//! answered, and judges in CI.
//!
//! The modules stand in the order of the data. Each takes what the one before gives, and imports
//! point only backwards (`tests/architecture.rs` holds them to it):
//!
//! ```text
//! capture     Packet        live device, pcap, pcapng
//! decode      Segment       link, tunnels, IP, TCP; or a Reject with its reason
//! reassemble  StreamEvent   open, bytes, gap, close; per direction
//! wire        Exchange      a probe chooses a protocol's reader, for v1's bytes and for v2's
//! exchange    Exchange      a request with its response, their times, completeness
//! record                    exchanges.jsonl and outcomes.jsonl, written and read
//! redact                    the same without its secrets, in recordings and in what people read
//! parse                     the parallel driver from packets to exchanges
//! source                    where exchanges come from: captures, recordings, other tools
//! bind        Part          values that v1 issued and requests use: found, bound to v2's
//! schedule    Release       what is due when, on which lane
//! replay      Outcome       what became of it: due, sent, answered
//! diff        Difference    typed, located, classed, clustered
//! mock                      the recorded providers, for v2's egress
//! measure     Summary       histograms, rates
//! gate        Verdict       pass, fail, invalid; with reasons
//! report      bytes         HTML, CSV, JUnit, Markdown, JSON
//! inspect                   what captures and recordings hold
//! run                       the folder of a run
//! review                    what the folder of a run says, judged
//! merge                     runs of shards as one
//! demo                      a small shop in two versions
//! cli                       the commands
//! ```
//!
//! `time`, `flow`, `limits` and `ledger` lie below all of them; `message` is what was said,
//! whatever carried it, `route` what it was about, `store` where files are.

// What only capture and replay use has nobody to use it where these are not there.
#![cfg_attr(not(target_os = "linux"), allow(dead_code))]

pub mod flow;
pub mod ledger;
pub mod limits;
pub mod mode;
mod steps;
pub mod stop;
mod text_form;
pub mod time;
mod varint;

pub mod message;
pub mod route;
pub mod store;

pub mod capture;
pub mod decode;
pub mod reassemble;

pub mod exchange;
pub mod wire;

pub mod outcome;
pub mod record;

pub mod redact;

pub mod parse;
pub mod source;

pub mod bind;

pub mod schedule;

#[cfg(target_os = "linux")]
pub mod replay;
#[cfg(not(target_os = "linux"))]
#[path = "replay/elsewhere.rs"]
pub mod replay;

pub mod diff;

pub mod mock;

pub mod measure;

pub mod gate;

pub mod report;

pub mod inspect;
pub mod merge;
pub mod review;
pub mod run;

#[cfg(target_os = "linux")]
pub mod demo;

pub mod cli;
