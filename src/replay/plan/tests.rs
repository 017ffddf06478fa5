//! Names, closes and waits of small plans.

use super::*;
use crate::exchange::{Closed, Completeness, Exchange, ExchangeId, TimedRequest};
use crate::message::Request;
use crate::record::exchanges::Rest;
use crate::time::Timestamp;

const MS: i64 = 1_000_000;

fn exchange(connection: u64, ordinal: u32, at: i64) -> Exchange {
    Exchange {
        carriage: None,
        id: ExchangeId { connection, ordinal },
        client: "192.0.2.1:1".parse().unwrap(),
        server: "192.0.2.2:80".parse().unwrap(),
        protocol: "http/1".to_owned(),
        completeness: Completeness::NoResponse,
        request: Some(TimedRequest {
            at: Timestamp::from_nanos(at),
            duration_ns: 0,
            message: Request { method: "GET".into(), target: "/".into(), ..Request::default() },
        }),
        response: None,
        interim: vec![],
        opened_at: None,
        handshake_ns: None,
        marks: vec![],
        closed: vec![],
    }
}

/// When the lanes of three connections close, told so: the first in time, the second after the
/// last request, the third not at all.
fn closes(speed: Speed, open: Option<u64>) -> (Vec<(u64, i64)>, Vec<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let wishes = Wishes { pacing: Pacing { speed, ..Pacing::default() }, ..Wishes::default() };
    let mut planner = Planner::new(folder.path(), wishes, None).unwrap();
    let told = |connection, at| Closed(connection, Timestamp::from_nanos(at));
    let mut last = exchange(2, 1, 50 * MS);
    last.closed = vec![told(0, 31 * MS), told(9, 5)];
    for exchange in [exchange(0, 0, MS), exchange(1, 0, 2 * MS), exchange(2, 0, 3 * MS), last] {
        planner.add(&exchange).unwrap();
    }
    planner.end(&Rest { closed: vec![told(1, 70 * MS)], open }).unwrap();
    let plan = planner.finish().unwrap();
    let steps: Vec<PlanStep> = plan.steps().unwrap().map(Result::unwrap).collect();
    let of_kind = |kind| steps.iter().filter(move |step| step.kind == kind);
    let ends = of_kind(StepKind::Send)
        .filter(|step| step.load.traits.is_last() && !step.load.traits.lane_closes());
    (
        of_kind(StepKind::Close).map(|step| (step.id.connection, step.when)).collect(),
        ends.map(|step| step.id.connection).collect(),
    )
}

#[test]
fn a_server_is_asked_for_by_the_host_that_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut asked = exchange(0, 0, MS);
    asked.request.as_mut().unwrap().message.headers.push(b"Host", b"captured.invalid:8443");
    let host = "host: other.invalid".parse().unwrap();
    for (set, name) in [(vec![], "captured.invalid"), (vec![host], "other.invalid")] {
        let wishes =
            Wishes { rewriter: Rewriter { set, ..Rewriter::default() }, ..Wishes::default() };
        let mut planner = Planner::new(folder.path(), wishes, None).unwrap();
        planner.add(&asked).unwrap();
        let plan = planner.finish().unwrap();
        let step = plan
            .steps()
            .unwrap()
            .map(Result::unwrap)
            .find(|step| step.kind == StepKind::Send)
            .unwrap();
        assert_eq!(&*plan.names[step.load.name as usize], name);
    }
}

#[test]
fn a_lane_closes_by_a_step_where_its_end_is_known_and_with_its_last_answer_where_it_is_not() {
    let one = Speed::Factor(1.0);
    assert_eq!(closes(one, Some(1)).0, [(0, 30 * MS), (1, 69 * MS), (2, i64::MAX - MS)]);
    assert_eq!(closes(one, Some(1)).1, [0; 0]);
    assert_eq!(closes(one, None), (vec![(0, 30 * MS), (1, 69 * MS)], vec![2]));
    assert_eq!(closes(Speed::Max, Some(1)), (vec![], vec![0, 1, 2]));
}

#[test]
fn a_time_without_requests_is_cut_for_all_lanes() {
    let folder = tempfile::tempdir().unwrap();
    let pacing = Pacing { max_gap_ns: Some(10 * MS), ..Pacing::default() };
    let mut planner =
        Planner::new(folder.path(), Wishes { pacing, ..Wishes::default() }, None).unwrap();
    let mut last = exchange(1, 0, 1_000 * MS);
    last.closed = vec![Closed(0, Timestamp::from_nanos(500 * MS))];
    last.opened_at = Some(Timestamp::from_nanos(999 * MS));
    for exchange in [exchange(0, 0, MS), exchange(0, 1, 6 * MS), last, exchange(2, 0, 1_004 * MS)] {
        planner.add(&exchange).unwrap();
    }
    let plan = planner.finish().unwrap();
    let when = |kind| -> Vec<i64> {
        let steps = plan.steps().unwrap().map(Result::unwrap);
        steps.filter(|step| step.kind == kind).map(|step| step.when / MS).collect()
    };
    assert_eq!(when(StepKind::Send), [0, 5, 15, 19]);
    assert_eq!(when(StepKind::Close), [15], "within the gap");
    assert_eq!(plan.totals.span, 19 * MS);
}

#[test]
fn a_lane_of_a_user_holds_his_requests_from_all_connections() {
    use crate::exchange::TimedResponse;
    let folder = tempfile::tempdir().unwrap();
    let of = |connection, ordinal, at, user: Option<&str>, took: i64| {
        let mut one = exchange(connection, ordinal, at * MS);
        one.completeness = Completeness::Complete;
        one.response =
            Some(TimedResponse { last_byte_ns: Some(took * MS), ..TimedResponse::default() });
        if let Some(user) = user {
            let cookie = format!("theme=dark; sid={user}");
            let headers = &mut one.request.as_mut().unwrap().message.headers;
            headers.push(b"Cookie", cookie.as_bytes());
        }
        one
    };
    let all = [
        of(0, 0, 1, Some("ann"), 10),
        of(0, 1, 12, Some("bob"), 1),
        of(1, 0, 3, Some("ann"), 5),
        of(1, 1, 14, Some("ann"), 1),
        of(1, 2, 16, None, 1),
        of(0, 2, 20, None, 1),
    ];
    let plan = |lanes| {
        let wishes = Wishes { lanes, ..Wishes::default() };
        let mut planner = Planner::new(folder.path(), wishes, None).unwrap();
        all.iter().for_each(|exchange| planner.add(exchange).unwrap());
        let plan = planner.finish().unwrap();
        let steps = plan.steps().unwrap().map(Result::unwrap);
        let told: Vec<_> = steps
            .filter(|step| step.kind == StepKind::Send)
            .map(|step| {
                let spreads = step.load.traits.spreads();
                (step.id.to_string(), step.lane, step.answered / MS, spreads)
            })
            .collect();
        (plan.totals.lanes, told)
    };
    let (lanes, told) = plan(Users::Cookie("sid".to_owned()));
    let row = |id: &str, lane, answered, spreads| (id.to_owned(), lane, answered, spreads);
    // Ann's second request was sent while her first was under way, on another connection: each
    // answer counts by itself, and both come before her third. Who says nothing stays with the
    // connection.
    let expected = [
        row("0-0", 1, 10, true),
        row("1-0", 1, 7, true),
        row("0-1", 3, 12, true),
        row("1-1", 1, 14, true),
        row("1-2", 2, 16, false),
        row("0-2", 0, 20, false),
    ];
    assert_eq!((lanes, told), (4, expected.to_vec()));
    let (lanes, told) = plan(Users::Connection);
    assert_eq!(lanes, 2);
    assert!(
        told.iter().all(|(id, lane, _, spreads)| id.starts_with(&lane.to_string()) && !spreads)
    );
}
