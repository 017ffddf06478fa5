//! Intended differences: `approved.toml`, a file that is reviewed and checked in, with a reason and
//! perhaps an end for each.

use serde::{Deserialize, Serialize};

use super::renames::shape_words;
use super::{Cluster, Kind};
use crate::message::json::number::Decimal;

/// `approved.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Approvals {
    /// Of v2's answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved: Vec<Approval>,
    /// Of v2's outgoing calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved_call: Vec<CallApproval>,
}

/// Intended outgoing calls: all of a provider's route that differ from v1's in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallApproval {
    /// The provider's host.
    pub provider: String,
    /// The route.
    pub route: String,
    /// What the calls are: one of [`CALLS`].
    pub call: String,
    /// Where they differ from v1's, indices as `[*]`; empty where the call as a whole is the
    /// difference.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub places: String,
    /// How, as the cluster says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shape: String,
    /// Why it is intended.
    pub reason: String,
    /// The last day on which it holds, `2026-12-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The cluster it was made from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
}

/// What an outgoing call that is not v1's can be; `reordered` are v1's calls in another order.
pub const CALLS: [&str; 5] = ["drifted", "repeated", "extra", "missing", "reordered"];

/// One intended difference: everywhere on its route where place and shape are the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The route.
    pub route: String,
    /// What kind of thing differs.
    pub kind: Kind,
    /// The general place.
    pub place: String,
    /// How it changes, as the cluster says it.
    pub shape: String,
    /// Why it is intended.
    pub reason: String,
    /// The last day on which it holds, `2026-12-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The cluster it was made from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
}

impl Approvals {
    /// Reads the file's text and checks its dates.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|error| {
            let line =
                error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            format!("{line}{}", error.message().split_whitespace().collect::<Vec<_>>().join(" "))
        })?;
        for approval in &read.approved {
            if let Some(day) = &approval.expires
                && !is_day(day)
            {
                return Err(format!(
                    "{}: expires = {day:?} is not a day such as \"2026-12-31\"",
                    approval.text()
                ));
            }
        }
        for approval in &read.approved_call {
            if let Some(day) = approval.expires.as_deref().filter(|day| !is_day(day)) {
                return Err(format!(
                    "{}: expires = {day:?} is not a day such as \"2026-12-31\"",
                    approval.text()
                ));
            }
            if !CALLS.contains(&approval.call.as_str()) {
                return Err(format!(
                    "{}: call = {:?} is none of {}",
                    approval.text(),
                    approval.call,
                    CALLS.join(", ")
                ));
            }
        }
        Ok(read)
    }

    /// Which approval holds for a difference; of several the first that has not ended on `today`.
    pub fn find(
        &self,
        route: &str,
        kind: Kind,
        place: &str,
        label: &str,
        values: [Option<&str>; 2],
        today: &str,
    ) -> Option<usize> {
        let holds = |approval: &Approval| {
            approval.kind == kind
                && approval.place == place
                && approval.route == route
                && fits(&approval.shape, label, values)
        };
        let mut fitting = (0..self.approved.len()).filter(|&at| holds(&self.approved[at]));
        let first = fitting.next()?;
        let lasting = |at: &usize| !self.approved[*at].is_expired(today);
        Some(std::iter::once(first).chain(fitting).find(lasting).unwrap_or(first))
    }
}

/// The file's text without the entries that `unwanted` names, each given by itself; comments and
/// all else stay.
pub fn without(text: &str, unwanted: impl Fn(&Approvals) -> bool) -> String {
    const START: &str = "[[approved";
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let starts: Vec<usize> =
        (0..lines.len()).filter(|&at| lines[at].trim_start().starts_with(START)).collect();
    let mut out: String = lines[..starts.first().copied().unwrap_or(lines.len())].concat();
    for (number, &start) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(lines.len());
        // What is said at the end is said of the next entry.
        let about = |line: &&&str| line.trim().is_empty() || line.trim_start().starts_with('#');
        let behind = end - lines[start..end].iter().rev().take_while(about).count();
        let entry = lines[start..behind].concat();
        let gone = Approvals::parse(&entry).is_ok_and(|read| unwanted(&read));
        out.push_str(if gone { "" } else { &entry });
        out.push_str(&lines[behind..end].concat());
    }
    out
}

impl Approval {
    /// An approval of a cluster.
    pub fn of(cluster: &Cluster, reason: &str, expires: Option<&str>) -> Self {
        Self {
            route: cluster.route.clone(),
            kind: cluster.kind,
            place: cluster.place.clone(),
            shape: cluster.shape.clone(),
            reason: reason.to_owned(),
            expires: expires.map(str::to_owned),
            cluster: cluster.id.clone(),
        }
    }

    /// Whether it holds no more on `today` (`2026-11-22`); days compare as their text does.
    pub fn is_expired(&self, today: &str) -> bool {
        self.expires.as_deref().is_some_and(|last| last < today)
    }

    /// As a person would write it.
    pub fn text(&self) -> String {
        let kind = self.kind.name();
        // The place of a status is called as its kind is.
        let place = if self.place == kind { "" } else { self.place.as_str() };
        let shape = shape_words(&self.shape);
        let parts = [self.route.as_str(), kind, place, shape.as_str()];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{} ({})", parts.join(" "), self.reason)
    }

    /// The text of a file entry, to be added at the end.
    pub fn toml(&self) -> String {
        let entry = Approvals { approved: vec![self.clone()], ..Approvals::default() };
        toml::to_string(&entry).expect("an approval is made of strings")
    }
}

impl CallApproval {
    /// Whether it names the same calls.
    pub fn is_of_same(&self, other: &Self) -> bool {
        let key = |of: &Self| {
            [&of.provider, &of.route, &of.call, &of.places, &of.shape].map(String::clone)
        };
        key(self) == key(other)
    }

    /// Whether it is of calls of this kind that differ at `places`, by `label` or by what `changed`
    /// means for `values`, v1's and v2's.
    pub fn fits(
        &self,
        [provider, route, call, places]: [&str; 4],
        label: &str,
        values: [Option<&str>; 2],
    ) -> bool {
        [self.provider.as_str(), &self.route, &self.call, &self.places]
            == [provider, route, call, places]
            && fits(&self.shape, label, values)
    }

    /// Whether it holds no more on `today`.
    pub fn is_expired(&self, today: &str) -> bool {
        self.expires.as_deref().is_some_and(|last| last < today)
    }

    /// Why calls are approved, in words.
    pub fn why(&self) -> String {
        let until = self.expires.as_deref().map(|day| format!(" until {day}")).unwrap_or_default();
        format!("approved{until}: {}", self.reason)
    }

    /// As a person would write it.
    pub fn text(&self) -> String {
        let parts =
            [&self.call, "call", &self.route, "at", &self.provider, &self.places, &self.shape];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{} ({})", parts.join(" "), self.reason)
    }

    /// The text of a file entry, to be added at the end.
    pub fn toml(&self) -> String {
        let entry = Approvals { approved_call: vec![self.clone()], ..Approvals::default() };
        toml::to_string(&entry).expect("an approval is made of strings")
    }
}

/// Whether `text` is a day of the calendar.
pub fn is_day(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

/// Whether a difference changes as `shape` says: its label, or what a label `changed` was found to
/// mean.
pub(super) fn fits(shape: &str, label: &str, values: [Option<&str>; 2]) -> bool {
    if shape == label {
        return true;
    }
    let [Some(a), Some(b)] = values else { return false };
    label == "changed"
        && (shape == pair(a, b)
            || numeric(a, b).is_some_and(|(factor, step)| factor == shape || step == shape))
}

/// `"a"→"b"`.
pub fn pair(a: &str, b: &str) -> String {
    format!("\"{a}\"→\"{b}\"")
}

/// The factor and the step from one number to another; empty where there is no plain one.
pub fn numeric(a: &str, b: &str) -> Option<(String, String)> {
    let (a, b) = (Decimal::parse(a)?, Decimal::parse(b)?);
    Some((a.factor(&b).unwrap_or_default(), a.step(&b).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approved_status_is_named_once() {
        let text = r#"
            [[approved]]
            route = "GET /a"
            kind = "status"
            place = "status"
            shape = "200→404"
            reason = "gone"
        "#;
        let approvals = Approvals::parse(text).unwrap();
        assert_eq!(approvals.approved[0].text(), "GET /a status 200→404 (gone)");
    }

    #[test]
    fn an_approval_holds_for_its_route_place_and_shape() {
        let text = r#"
            [[approved]]
            route = "GET /orders/{id}"
            kind = "body"
            place = "$.total"
            shape = "×100"
            reason = "cents since v2"
            expires = "2026-12-31"
        "#;
        let approvals = Approvals::parse(text).unwrap();
        let find = |place, label, a, b| {
            approvals.find(
                "GET /orders/{id}",
                Kind::Body,
                place,
                label,
                [Some(a), Some(b)],
                "2026-11-22",
            )
        };
        assert_eq!(find("$.total", "changed", "12.50", "1250"), Some(0));
        assert_eq!(find("$.total", "changed", "12.50", "1251"), None);
        assert_eq!(find("$.sum", "changed", "12.50", "1250"), None);
        assert_eq!(find("$.total", "number→string", "12.50", "1250"), None);
        assert!(
            !approvals.approved[0].is_expired("2026-12-31")
                && approvals.approved[0].is_expired("2027-01-01")
        );
        let again = Approvals::parse(&approvals.approved[0].toml()).unwrap();
        assert_eq!(again, approvals);
        let renewed = format!("{text}\n# said\n{}", text.replace("2026-12-31", "2027-12-31"));
        let both = Approvals::parse(&renewed).unwrap();
        let find = |today| {
            both.find("GET /orders/{id}", Kind::Body, "$.total", "×100", [None, None], today)
        };
        assert_eq!(
            (find("2026-11-22"), find("2027-01-01"), find("2028-01-01")),
            (Some(0), Some(1), Some(0))
        );
        let left = without(&renewed, |entry| {
            entry.approved.iter().any(|approval| approval.is_expired("2027-01-01"))
        });
        assert_eq!(Approvals::parse(&left).unwrap().approved, both.approved[1..]);
        assert!(left.contains("# said"), "{left}");
        let call = |shape: &str| {
            format!(
                "[[approved_call]]\nprovider = 'p'\nroute = 'POST /c'\ncall = 'drifted'\n\
                 places = '$.a'\nshape = '{shape}'\nreason = 'r'\n"
            )
        };
        let mixed = format!("{text}\n{}{}", call("×2"), call("removed"));
        let left =
            without(&mixed, |entry| entry.approved_call.iter().any(|call| call.shape == "×2"));
        let left = Approvals::parse(&left).unwrap();
        assert_eq!(
            (left.approved.len(), left.approved_call.len()),
            (1, 1),
            "entries of the other kind stay"
        );
        let calls = Approvals::parse(&mixed).unwrap().approved_call;
        let of = ["p", "POST /c", "drifted", "$.a"];
        assert!(
            calls[0].fits(of, "changed", [Some("4"), Some("8")])
                && !calls[0].fits(of, "changed", [Some("4"), Some("9")])
        );
        assert!(
            calls[1].fits(of, "removed", [Some("4"), None])
                && !calls[1].fits(["q", of[1], of[2], of[3]], "removed", [None, None])
        );
        assert_eq!(Approvals::parse(&calls[1].toml()).unwrap().approved_call, calls[1..]);
        assert!(
            Approvals::parse(&call("×2").replace("drifted", "wrong"))
                .unwrap_err()
                .contains("is none of drifted")
        );
        let error = Approvals::parse("\n[[approved]]\nroute = 'x'\nkind = 7").unwrap_err();
        assert!(error.starts_with("line 4: ") && !error.contains('\n'), "{error}");
        for wrong in [
            "[[approved]]\nroute = 'x'",
            &text.replace("2026-12-31", "soon"),
            &text.replace("reason", "raison"),
        ] {
            assert!(Approvals::parse(wrong).is_err());
        }
    }
}
