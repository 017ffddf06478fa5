//! What the mock says of itself under `/-/shadowtap/`: whether it is there, and what it counted.
//! These are no calls, and are counted nowhere.

use std::fmt::Write as _;

use serde_json::json;

use super::answer::{Reply, ReplyBody};
use super::ledger::VerdictCounts;
use super::shared::SharedMock;
use crate::message::target::path_and_query;

const HEALTH: &[u8] = b"/-/shadowtap/health";
const METRICS: &[u8] = b"/-/shadowtap/metrics";

/// The answer to a question about the mock itself; none for a call.
pub(super) fn answer<'r>(shared: &SharedMock, target: &[u8]) -> Option<Reply<'r>> {
    let path = path_and_query(target).0;
    let counts = || shared.journal.lock().expect("no holder of this lock panics").counts();
    if path == HEALTH {
        let calls = shared.recording.len();
        return Some(Reply::own(200, &json!({ "status": "ok", "recorded_calls": calls })));
    }
    (path == METRICS).then(|| Reply {
        body: Some(ReplyBody::Own(metrics(&counts()).into())),
        added: vec![("content-type", "text/plain; version=0.0.4".to_owned())],
        ..Reply::empty(200)
    })
}

/// The counts in the text format of Prometheus.
fn metrics(counts: &VerdictCounts) -> String {
    let mut out = String::from(
        "# HELP shadowtap_mock_calls_total Calls of v2, by what became of them.\n\
         # TYPE shadowtap_mock_calls_total counter\n",
    );
    for (verdict, count) in [
        ("matched", counts.matched),
        ("drifted", counts.drifted),
        ("repeated", counts.repeated),
        ("extra", counts.extra),
    ] {
        let _ = writeln!(out, "shadowtap_mock_calls_total{{verdict=\"{verdict}\"}} {count}");
    }
    out
}
