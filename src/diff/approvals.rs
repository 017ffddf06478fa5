//! Intended differences: `approved.toml`, a file that is reviewed and checked in, with a reason and perhaps an end for each.

use serde::{Deserialize, Serialize};

use super::json::number::Decimal;
use super::{Cluster, Kind};

/// `approved.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Approvals {
    /// The approvals.
    pub approved: Vec<Approval>,
}

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
            let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            format!("{line}{}", error.message().split_whitespace().collect::<Vec<_>>().join(" "))
        })?;
        for approval in &read.approved {
            if let Some(day) = &approval.expires
                && !is_day(day)
            {
                return Err(format!("{}: expires = {day:?} is not a day such as \"2026-12-31\"", approval.text()));
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
            approval.kind == kind && approval.place == place && approval.route == route && fits(&approval.shape, label, values)
        };
        let mut fitting = (0..self.approved.len()).filter(|&at| holds(&self.approved[at]));
        let first = fitting.next()?;
        let lasting = |at: &usize| !self.approved[*at].is_expired(today);
        Some(std::iter::once(first).chain(fitting).find(lasting).unwrap_or(first))
    }
}

/// The file's text without the entries that `unwanted` names; comments and all else stay.
pub fn without(text: &str, unwanted: impl Fn(&Approval) -> bool) -> String {
    const START: &str = "[[approved]]";
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let starts: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].trim_start().starts_with(START)).collect();
    let mut out: String = lines[..starts.first().copied().unwrap_or(lines.len())].concat();
    for (number, &start) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(lines.len());
        // What is said at the end is said of the next entry.
        let about = |line: &&&str| line.trim().is_empty() || line.trim_start().starts_with('#');
        let behind = end - lines[start..end].iter().rev().take_while(about).count();
        let entry = lines[start..behind].concat();
        let gone = Approvals::parse(&entry).is_ok_and(|read| read.approved.iter().any(&unwanted));
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
        format!("{} {} {} {} ({})", self.route, self.kind.name(), self.place, self.shape, self.reason)
    }

    /// The text of a file entry, to be added at the end.
    pub fn toml(&self) -> String {
        let entry = Approvals { approved: vec![self.clone()] };
        toml::to_string(&entry).expect("an approval is made of strings")
    }
}

/// Whether `text` is a day of the calendar.
pub fn is_day(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

/// Whether a difference changes as `shape` says: its label, or what a label `changed` was found to mean.
pub(super) fn fits(shape: &str, label: &str, values: [Option<&str>; 2]) -> bool {
    if shape == label {
        return true;
    }
    let [Some(a), Some(b)] = values else { return false };
    label == "changed" && (shape == pair(a, b) || numeric(a, b).is_some_and(|(factor, step)| factor == shape || step == shape))
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
        let find =
            |place, label, a, b| approvals.find("GET /orders/{id}", Kind::Body, place, label, [Some(a), Some(b)], "2026-11-22");
        assert_eq!(find("$.total", "changed", "12.50", "1250"), Some(0));
        assert_eq!(find("$.total", "changed", "12.50", "1251"), None);
        assert_eq!(find("$.sum", "changed", "12.50", "1250"), None);
        assert_eq!(find("$.total", "number→string", "12.50", "1250"), None);
        assert!(!approvals.approved[0].is_expired("2026-12-31") && approvals.approved[0].is_expired("2027-01-01"));
        let again = Approvals::parse(&approvals.approved[0].toml()).unwrap();
        assert_eq!(again, approvals);
        let renewed = format!("{text}\n# said\n{}", text.replace("2026-12-31", "2027-12-31"));
        let both = Approvals::parse(&renewed).unwrap();
        let find = |today| both.find("GET /orders/{id}", Kind::Body, "$.total", "×100", [None, None], today);
        assert_eq!((find("2026-11-22"), find("2027-01-01"), find("2028-01-01")), (Some(0), Some(1), Some(0)));
        let left = without(&renewed, |approval| approval.is_expired("2027-01-01"));
        assert_eq!(Approvals::parse(&left).unwrap().approved, both.approved[1..]);
        assert!(left.contains("# said"), "{left}");
        let error = Approvals::parse("\n[[approved]]\nroute = 'x'\nkind = 7").unwrap_err();
        assert!(error.starts_with("line 4: ") && !error.contains('\n'), "{error}");
        for wrong in ["[[approved]]\nroute = 'x'", &text.replace("2026-12-31", "soon"), &text.replace("reason", "raison")] {
            assert!(Approvals::parse(wrong).is_err());
        }
    }
}
