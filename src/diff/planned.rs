//! The survey of a recording made while it is read for the replay, so that the diff need not walk
//! through it for that: what was found of each exchange goes to a file, and how long the lines are
//! to another one.

use std::fs::File;
use std::io;

use super::survey::{Brief, DiffSurvey, NONE, Surveyed, Surveyor, is_closing};
use crate::exchange::Exchange;
use crate::limits::LINE_BYTES;
use crate::record::lines::read_at;
use crate::record::noted::{NotedNumbers, NumberNotes};
use crate::route::Routes;

/// Surveys the exchanges of a recording in its order.
pub struct PlannedSurvey {
    surveyor: Surveyor,
    notes: NumberNotes,
    file: File,
    rank: u64,
}

impl PlannedSurvey {
    /// A survey whose findings go to `file`, and whose routes these are so far.
    ///
    /// # Errors
    ///
    /// The file has no second handle.
    pub fn new(file: File, routes: Routes) -> io::Result<Self> {
        let notes = NumberNotes::new(file.try_clone()?);
        Ok(Self { surveyor: Surveyor::new(routes), notes, file, rank: 0 })
    }

    /// Looks at the next exchange.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn add(&mut self, exchange: &Exchange) -> io::Result<()> {
        let Surveyed { pair, full, is_call } = self.surveyor.look(Brief::of_exchange(exchange));
        // How far back, and 0 for nowhere; most often there is neither.
        let back = |rank: u32| self.rank - u64::from(rank);
        self.notes.add(if pair == NONE { 0 } else { back(pair) })?;
        self.notes.add(full.map_or(0, back) << 1 | u64::from(is_call))?;
        self.rank += 1;
        Ok(())
    }

    /// Ends it; `lines` holds how long the lines are in which the exchanges stand, first and last
    /// ones too.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn finish(mut self, lines: File) -> io::Result<SurveyNotes> {
        self.notes.flush()?;
        let mut routes = self.surveyor.routes;
        routes.settle();
        Ok(SurveyNotes { found: self.file, lines, exchanges: self.rank, routes })
    }
}

/// What a survey found, until it is wanted.
#[derive(Debug)]
pub struct SurveyNotes {
    found: File,
    lines: File,
    exchanges: u64,
    routes: Routes,
}

/// A survey, and the first and the last line of its file.
pub(super) type OpenedSurvey = (DiffSurvey, [Vec<u8>; 2]);

impl SurveyNotes {
    /// The survey of `file`; none where that is not a recording of just these lines: a first one,
    /// exchanges, and a last one.
    pub(super) fn open(self, file: &File) -> io::Result<Option<OpenedSurvey>> {
        let whole = file.metadata()?.len();
        let (mut found, mut lines) =
            (NotedNumbers::new(self.found)?, NotedNumbers::new(self.lines)?);
        let mut survey = DiffSurvey::new();
        let mut edges = [(0, 0); 2];
        let mut offset = 0;
        for number in 0..self.exchanges + 2 {
            let Some(length) = lines.next_u32()?.filter(|length| *length as usize <= LINE_BYTES)
            else {
                return Ok(None);
            };
            if number == 0 || number > self.exchanges {
                edges[usize::from(number > 0)] = (offset, length);
            } else {
                let rank = number - 1;
                let (Some(pair), Some(more)) = (found.next()?, found.next()?) else {
                    return Ok(None);
                };
                let before =
                    |back: u64| rank.checked_sub(back).and_then(|at| u32::try_from(at).ok());
                let to = |back: u64| if back == 0 { None } else { before(back) };
                let pair = to(pair).unwrap_or(NONE);
                let found = Surveyed { pair, full: to(more >> 1), is_call: more & 1 == 1 };
                survey.add(offset, length, &found);
            }
            offset += u64::from(length) + 1;
        }
        if offset != whole || lines.next()?.is_some() {
            return Ok(None);
        }
        let [first, last] = edges.map(|(offset, length)| read_at(file, offset, length));
        let edges = [first?, last?];
        let is_one = edges.each_ref().map(|line| is_closing(line)) == [Some(false), Some(true)];
        survey.routes = self.routes;
        survey.closed = true;
        Ok(is_one.then_some((survey, edges)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::diff::survey::survey;
    use crate::record::exchanges::{self, Line};
    use crate::record::noted::LineNotes;

    const HEADER: &str = "{\"format\":\"shadowtap/exchanges\",\"version\":1,\
                          \"created\":\"2026-11-22T10:00:00Z\",\"tool\":\"t\",\"inputs\":[]}";
    const END: &str = r#"{"format":"shadowtap/end","exchanges":1,"ledger":{"in":1,"used":1}}"#;

    /// Exchange `n` of a recording in which requests come again, some of them with conditions,
    /// after writes, in calls, without an answer, and damaged.
    fn exchange(n: u32) -> String {
        let method = if n % 7 == 3 { "POST" } else { "GET" };
        let headers = match n % 11 {
            2 => r#"["Cookie","s=1"],["If-None-Match","\"a\""]"#,
            5 => r#"["Content-Type","application/grpc"]"#,
            8 => r#"["Range","bytes=0-5"]"#,
            _ => r#"["Host","a"]"#,
        };
        let message =
            r#""version":"1.1","body":null,"body_bytes":0,"framing":"none","trailers":[]"#;
        let status = if n % 13 == 1 { 304 } else { 200 };
        let (completeness, answer) = match n % 9 {
            4 => ("no-response", "null".to_owned()),
            6 => (
                "response-damaged",
                format!(r#"{{"status":{status},"reason":"","headers":[],{message}}}"#),
            ),
            _ => (
                "complete",
                format!(
                    "{{\"first_byte_ns\":1,\"last_byte_ns\":1,\"status\":{status},\"reason\":\"\",\
                     \"headers\":[],{message}}}"
                ),
            ),
        };
        let request = format!(
            "{{\"at\":\"2026-11-22T10:00:00.{:03}000000Z\",\"duration_ns\":0,\
             \"method\":\"{method}\",\"target\":\"/{}/{}\",\"headers\":[{headers}],{message}}}",
            n,
            ["carts", "me"][n as usize % 2],
            n % 5
        );
        let request = if n % 29 == 28 { "null" } else { &request };
        format!(
            "{{\"id\":\"{n}-0\",\"connection\":{n},\"client\":\"10.0.0.9:4000\",\
             \"server\":\"10.0.0.1:80\",\"protocol\":\"http/1\",\
             \"completeness\":\"{completeness}\",\"request\":{request},\"response\":{answer},\
             \"interim\":[]}}"
        )
    }

    fn shown(survey: &DiffSurvey, edges: &[Vec<u8>]) -> String {
        let DiffSurvey { routes, places, pairs, full, calls, damaged, closed } = survey;
        let full: std::collections::BTreeMap<_, _> = full.iter().collect();
        let routes = serde_json::to_string(routes).unwrap();
        format!("{places:?} {pairs:?} {full:?} {calls:?} {damaged} {closed} {routes} {edges:?}")
    }

    fn noted(lines: &[String], seen: &str) -> SurveyNotes {
        let mut planned =
            PlannedSurvey::new(tempfile::tempfile().unwrap(), Routes::default()).unwrap();
        for line in lines {
            if let Ok(Line::Exchange(exchange)) = exchanges::read(line.as_bytes()) {
                planned.add(&exchange).unwrap();
            }
        }
        let file = tempfile::tempfile().unwrap();
        let mut lengths = LineNotes::new(file.try_clone().unwrap());
        lengths.add(seen.as_bytes());
        lengths.finish();
        planned.finish(file).unwrap()
    }

    #[test]
    fn a_survey_while_planning_is_that_of_a_walk() {
        let mut lines = vec![HEADER.to_owned()];
        lines.extend((0..400).map(exchange));
        lines.push(END.to_owned());
        let text = lines.join("\n") + "\n";
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut edges = Vec::new();
        let walked = survey(&file, Routes::default(), |_| (), |line| edges.push(line.to_vec()));
        let walked = walked.unwrap();
        assert!(walked.pairs.iter().filter(|pair| **pair != NONE).count() > 50);
        assert!(!walked.full.is_empty() && !walked.calls.is_empty());
        let (planned, planned_edges) = noted(&lines, &text).open(&file).unwrap().unwrap();
        assert_eq!(shown(&planned, &planned_edges), shown(&walked, &edges));
        // Of other lines, more, fewer, or without their ends it is no survey of this file.
        let longer = text.replacen("/me/1", "/me/one", 1);
        for (of, seen) in [
            (&lines[..], &text[..text.len() - 1]),
            (&lines[..], &text[HEADER.len() + 1..]),
            (&lines[..], &longer),
            (&lines[..300], &text),
            (&[lines.clone(), lines.clone()].concat(), &text),
        ] {
            assert!(noted(of, seen).open(&file).unwrap().is_none());
        }
        let put_together = [&text[..], &text].concat();
        file.write_all(text.as_bytes()).unwrap();
        let twice = [lines.clone(), lines].concat();
        assert!(noted(&twice, &put_together).open(&file).unwrap().is_none());
    }
}
