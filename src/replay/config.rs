//! `[replay]` of `shadowtap.toml`: every flag of the command under its own name. A flag beats the
//! file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// The section.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct ReplaySection {
    /// `--target`
    pub target: Option<String>,
    /// `--baseline`
    pub baseline: Option<String>,
    /// `--speed`: a number, or `"max"`
    pub speed: Option<SpeedValue>,
    /// `--ramp`
    pub ramp: Option<String>,
    /// `--max-gap`
    pub max_gap: Option<String>,
    /// `--keylog`
    pub keylog: Vec<PathBuf>,
    /// `--offset`
    pub offset: Vec<String>,
    /// `--loop`
    #[serde(rename = "loop")]
    pub loops: Option<u32>,
    /// `--multiply`
    pub multiply: Option<u32>,
    /// `--jitter`
    pub jitter: Option<String>,
    /// `--unsafe-methods`
    pub unsafe_methods: Option<bool>,
    /// `--websockets`: `play` or `skip`
    pub websockets: Option<String>,
    /// `--sample`
    pub sample: Option<String>,
    /// `--sample-by`
    pub sample_by: Option<String>,
    /// `--lanes`
    pub lanes: Option<String>,
    /// `--include`
    pub include: Vec<String>,
    /// `--exclude`
    pub exclude: Vec<String>,
    /// `--host`
    pub host: Vec<String>,
    /// `--port`
    pub port: Vec<u16>,
    /// `--rewrite`
    pub rewrite: Vec<String>,
    /// `--map-host`
    pub map_host: Vec<String>,
    /// `--header`
    pub header: Vec<String>,
    /// `--remove-header`
    pub remove_header: Vec<String>,
    /// `--marker`, `--no-marker`
    pub marker: Option<bool>,
    /// `--timeout`
    pub timeout: Option<String>,
    /// `--max-connections`
    pub max_connections: Option<usize>,
    /// `--max-body`
    pub max_body: Option<String>,
    /// `--transport`
    pub transport: Option<String>,
    /// `--order`
    pub order: Option<String>,
    /// `--include-producers`
    pub include_producers: Option<bool>,
    /// `--protocol`
    pub protocol: Option<String>,
    /// `--allow-downgrade`
    pub allow_downgrade: Option<bool>,
    /// `--h2-settings`
    pub h2_settings: Option<String>,
    /// `--arrivals`
    pub arrivals: Option<String>,
    /// `--pacing`
    pub pacing: Option<String>,
    /// `--sni`
    pub sni: Option<String>,
    /// `--cert`
    pub cert: Option<PathBuf>,
    /// `--key`
    pub key: Option<PathBuf>,
    /// `--insecure`
    pub insecure: Option<bool>,
    /// `--ca`
    pub ca: Option<PathBuf>,
    /// `--wait-ready`
    pub wait_ready: Option<String>,
    /// `--wait-for`
    pub wait_for: Option<String>,
    /// `--workers`
    pub workers: Option<usize>,
    /// `--allow-captured-server`
    pub allow_captured_server: Option<bool>,
    /// `--traces`
    pub traces: Option<String>,
    /// `--keep-traceparent`
    pub keep_traceparent: Option<bool>,
    /// `--trace-link`
    pub trace_link: Option<String>,
    /// `--redact`
    pub redact: Vec<String>,
    /// `--redact-key`
    pub redact_key: Option<PathBuf>,
}

/// A speed as a TOML value.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SpeedValue {
    /// `1.0`
    Number(f64),
    /// `"max"`
    Text(String),
}

impl std::fmt::Display for SpeedValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}
