//! What is told of a run beside its differences: the routes with their counts, rules and approvals
//! that matched nothing, and warnings.

use super::Engine;
use crate::diff::account::{Account, ComparedSide};
use crate::diff::{RouteTotals, Totals};

impl Engine<'_> {
    /// Puts the routes, and the rules and approvals that were of no use, into the totals.
    pub(super) fn fill(
        &self,
        totals: &mut Totals,
        account: &Account,
        [mismatched, excused]: [&[u64]; 2],
        used: &[bool],
    ) {
        totals.unlisted = account.unlisted;
        totals.routes = account
            .routes
            .iter()
            .zip(mismatched.iter().zip(excused))
            .filter(|(counts, _)| counts.compared[ComparedSide::Live as usize] + counts.unbound > 0)
            .map(|(counts, (&mismatched, &excused))| RouteTotals {
                route: counts.name.to_string(),
                compared: counts.compared[ComparedSide::Live as usize],
                mismatched,
                failed: counts.failed,
                excused,
                unbound: counts.unbound,
            })
            .collect();
        totals
            .routes
            .sort_by(|a, b| b.compared.cmp(&a.compared).then_with(|| a.route.cmp(&b.route)));
        let unused = |index: &usize| account.rule_hits[*index] == 0;
        totals.unmatched_rules = (0..self.settings.rules.len())
            .filter(unused)
            .map(|index| self.settings.rules.text(index).to_owned())
            .collect();
        for (approval, &used) in self.settings.approvals.approved.iter().zip(used) {
            if !used {
                totals.unmatched_approvals.push(approval.text());
            } else if approval.is_expired(&self.settings.today) {
                totals.expired_approvals.push(approval.text());
            }
        }
        for approval in &self.settings.approvals.approved_call {
            match approval.is_expired(&self.settings.today) {
                true => totals.expired_approvals.push(approval.text()),
                false => totals.call_approvals.push(approval.clone()),
            }
        }
    }

    /// What is said of damage and of bounds.
    pub(super) fn warnings(&self, totals: &Totals, damaged_outcomes: u64) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |count: u64, text: &str| {
            if count > 0 {
                warnings.push(text.replace('#', &count.to_string()));
            }
        };
        warn(self.survey.damaged, "# lines of exchanges.jsonl are damaged and were left out");
        warn(
            self.outcomes.damaged + damaged_outcomes,
            "# lines of outcomes.jsonl are damaged and were left out",
        );
        warn(
            u64::from(!self.survey.closed),
            "exchanges.jsonl has no last line: it may have been cut",
        );
        warn(
            u64::from(!self.outcomes.closed),
            "outcomes.jsonl has no last line: the replay may have been interrupted",
        );
        warn(u64::from(self.outcomes.len() == 0), "outcomes.jsonl holds no outcome");
        for bindings in [&self.bindings, &self.baseline_bindings].into_iter().flatten() {
            warn(bindings.damaged, "# lines of the bindings are damaged and were left out");
            warn(
                bindings.beyond,
                "# bindings are more than a comparison keeps: their values are compared as written",
            );
        }
        warn(
            totals.unlisted,
            "# differences of exchanges with very many are counted and not listed",
        );
        warnings
    }
}
