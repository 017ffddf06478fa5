//! What the mock says of itself under `/-/shadowtap/`: whether it is there, and what it counted.
//! These are no calls, and are counted nowhere.

use std::fmt::Write as _;

use serde_json::json;

use super::answer::{Reply, ReplyBody};
use super::journal::Journal;
use super::shared::SharedMock;
use crate::message::target::path_and_query;

const HEALTH: &[u8] = b"/-/shadowtap/health";
const METRICS: &[u8] = b"/-/shadowtap/metrics";

/// The answer to a question about the mock itself; none for a call.
pub(super) fn answer<'r>(shared: &SharedMock, target: &[u8]) -> Option<Reply<'r>> {
    let path = path_and_query(target).0;
    if path == HEALTH {
        let calls = shared.recording.len();
        return Some(Reply::own(200, &json!({ "status": "ok", "recorded_calls": calls })));
    }
    (path == METRICS).then(|| Reply {
        body: Some(ReplyBody::Own(
            metrics(&shared.journal.lock().expect("no holder of this lock panics")).into(),
        )),
        added: vec![("content-type", "text/plain; version=0.0.4".to_owned())],
        ..Reply::empty(200)
    })
}

/// The counts in the text format of Prometheus.
fn metrics(journal: &Journal) -> String {
    let mut out = format!(
        "# HELP shadowtap_build_info The program.\n\
         # TYPE shadowtap_build_info gauge\n\
         shadowtap_build_info{{version=\"{}\"}} 1\n\
         # HELP shadowtap_mock_calls_total Calls of v2, by what became of them, route and status.\n\
         # TYPE shadowtap_mock_calls_total counter\n",
        env!("CARGO_PKG_VERSION")
    );
    for ((verdict, route, status), count) in journal.made() {
        let route = route.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let code = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let verdict = verdict.name();
        let _ = writeln!(
            out,
            "shadowtap_mock_calls_total{{verdict=\"{verdict}\",route=\"{route}\",code=\"{code}\"}} \
             {count}"
        );
    }
    out
}
