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
        let read: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for approval in &read.approved {
            if let Some(day) = &approval.expires
                && !is_day(day)
            {
                return Err(format!("{}: expires = {day:?} is not a day such as \"2026-12-31\"", approval.text()));
            }
        }
        Ok(read)
    }

    /// Which approval holds for a difference.
    pub fn find(&self, route: &str, kind: Kind, place: &str, label: &str, values: [Option<&str>; 2]) -> Option<usize> {
        self.approved.iter().position(|approval| {
            approval.kind == kind && approval.place == place && approval.route == route && fits(&approval.shape, label, values)
        })
    }
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
        let find = |place, label, a, b| approvals.find("GET /orders/{id}", Kind::Body, place, label, [Some(a), Some(b)]);
        assert_eq!(find("$.total", "changed", "12.50", "1250"), Some(0));
        assert_eq!(find("$.total", "changed", "12.50", "1251"), None);
        assert_eq!(find("$.sum", "changed", "12.50", "1250"), None);
        assert_eq!(find("$.total", "number→string", "12.50", "1250"), None);
        assert!(!approvals.approved[0].is_expired("2026-12-31") && approvals.approved[0].is_expired("2027-01-01"));
        let again = Approvals::parse(&approvals.approved[0].toml()).unwrap();
        assert_eq!(again, approvals);
        for wrong in ["[[approved]]\nroute = 'x'", &text.replace("2026-12-31", "soon"), &text.replace("reason", "raison")] {
            assert!(Approvals::parse(wrong).is_err());
        }
    }
}
