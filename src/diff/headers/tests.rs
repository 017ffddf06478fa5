//! What comparing many fields costs.

use super::super::rules::RouteRules;
use super::*;
use crate::message::Request;
use crate::redact::Masker;

#[test]
fn no_head_costs_more_than_n_log_n() {
    let context = Context {
        request: &Request::default(),
        expected_at: "2026-11-22T10:00:00Z".parse().unwrap(),
        actual_at: None,
        hosts: &Default::default,
        rules: &RouteRules::default(),
        readings: &Default::default(),
        masker: &Masker::off(),
        bound: None,
        asked: Default::default(),
    };
    let names: [fn(usize, usize, usize) -> String; 4] = [
        |_, _, _| "x-same".to_owned(),
        |n, at, side| format!("x-{}", if side == 0 { at } else { n - at }),
        |_, at, side| format!("x-{}", at * 2 + side),
        |_, at, _| format!("x-{}", at % 7),
    ];
    for name in names {
        steps::hold_to_n_log_n(500, |n| {
            let head = |side: usize| -> Headers {
                let fields = (0..n).map(|at| (name(n, at, side), (at + side).to_string()));
                let fields: Vec<_> = fields.collect();
                fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
            };
            compare(&context, &head(0), &head(1), true, &mut Sink::default());
        });
    }
}
