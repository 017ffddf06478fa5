//! `[capture]` of `shadowtap.toml`: every flag of the command under its own name. A flag beats the
//! file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// The section. Values are written as on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct CaptureSection {
    /// `--interface`
    pub interface: Vec<String>,
    /// `--port`
    pub port: Vec<u16>,
    /// `--filter`
    pub filter: Option<String>,
    /// `--output`
    pub output: Option<PathBuf>,
    /// `--format`
    pub format: Option<String>,
    /// `--spool`
    pub spool: Option<PathBuf>,
    /// `--metrics`
    pub metrics: Option<String>,
    /// `--duration`
    pub duration: Option<String>,
    /// `--rotate-size`
    pub rotate_size: Option<String>,
    /// `--rotate-every`
    pub rotate_every: Option<String>,
    /// `--keep-files`
    pub keep_files: Option<u32>,
    /// `--min-free`
    pub min_free: Option<String>,
    /// `--snaplen`
    pub snaplen: Option<String>,
    /// `--buffer`
    pub buffer: Option<String>,
    /// `--promiscuous`
    pub promiscuous: Option<bool>,
    /// `--threads`
    pub threads: Option<u16>,
    /// `--keylog`
    pub keylog: Vec<PathBuf>,
    /// `--redact`
    pub redact: Vec<String>,
    /// `--redact-key`
    pub redact_key: Option<PathBuf>,
    /// `--user`
    pub user: Option<String>,
}
