//! What GitHub Actions shows of a run beside its log: annotations, as workflow commands.

use super::{Report, text};
use crate::gate::Verdict;

/// Annotations of one step that GitHub shows.
const MOST: usize = 10;

/// The workflow commands, a line each: nothing where v2 passes.
pub fn annotations(report: &Report<'_>) -> String {
    let judgement = report.judgement;
    let kind = match judgement.verdict {
        Verdict::Pass => return String::new(),
        Verdict::Fail => "error",
        Verdict::CannotSay | Verdict::Invalid => "warning",
    };
    let title = property(&format!("shadowtap: {}", judgement.verdict.headline()));
    let told = judgement.reasons.iter().take(MOST);
    told.map(|reason| format!("::{kind} title={title}::{}\n", message(reason))).collect()
}

/// A message: nothing in it ends the command or begins another one.
fn message(reason: &str) -> String {
    text::visible(reason).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(value: &str) -> String {
    message(value).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stays_one_command() {
        assert_eq!(message("4.2 % differ\n::set-output x"), "4.2 %25 differ\\n::set-output x");
        assert_eq!(property("a: b, c"), "a%3A b%2C c");
    }
}
