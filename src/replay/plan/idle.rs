//! Which of the user's rules matched a request: one that matches none is most often mistyped, and a
//! replay without it is not the one that was asked for.

use std::borrow::Cow;

use super::guard::Captured;
use super::rewrite::Rewriter;
use crate::exchange::{Exchange, ExchangeId};
use crate::message::Request;
use crate::message::target::is_for;
use crate::schedule::select::{SelectRule, Selection};

/// Most rules that are told.
const TOLD: usize = 5;

/// For each rule whether it matched.
#[derive(Debug, Default)]
pub(super) struct RuleUse {
    include: Vec<bool>,
    exclude: Vec<bool>,
    hosts: Vec<bool>,
    targets: Vec<bool>,
    remove: Vec<bool>,
    /// Of each exchange that was named: the nearest that there is.
    ids: Vec<Option<ExchangeId>>,
}

impl RuleUse {
    pub(super) fn of(selection: &Selection, rewriter: &Rewriter) -> Self {
        Self {
            include: vec![false; selection.include.len()],
            exclude: vec![false; selection.exclude.len()],
            hosts: vec![false; rewriter.hosts.len()],
            targets: vec![false; rewriter.targets.len()],
            remove: vec![false; rewriter.remove.len()],
            ids: vec![None; selection.ids.len()],
        }
    }

    /// Takes note of an exchange, whether it is replayed or not.
    pub(super) fn see(&mut self, exchange: &Exchange, selection: &Selection) {
        for (wanted, nearest) in selection.ids.iter().zip(&mut self.ids) {
            let far = |id: ExchangeId| {
                (
                    id.connection.abs_diff(wanted.connection),
                    u64::from(id.ordinal.abs_diff(wanted.ordinal)),
                )
            };
            if nearest.is_none_or(|known| far(exchange.id) < far(known)) {
                *nearest = Some(exchange.id);
            }
        }
        let Some(request) = &exchange.request else { return };
        let sides =
            [(&mut self.include, &selection.include), (&mut self.exclude, &selection.exclude)];
        for (used, rules) in sides {
            mark(used, rules, |rule| rule.matches(&request.message));
        }
    }

    /// Takes note of a request that is replayed.
    pub(super) fn replay(&mut self, request: &Request, rewriter: &Rewriter) {
        mark(&mut self.hosts, &rewriter.hosts, |(host, ..)| is_for(request, host));
        mark(&mut self.remove, &rewriter.remove, |name| request.headers.get(name).is_some());
        if self.targets.iter().all(|used| *used) {
            return;
        }
        let mut target = Cow::Borrowed(&*request.target);
        for (used, rule) in self.targets.iter_mut().zip(&rewriter.targets) {
            if let Some(changed) = rule.replaced(&target) {
                *used = true;
                target = Cow::Owned(changed);
            }
        }
    }

    /// The rules that matched nothing, each in a line with what comes nearest.
    pub(super) fn told(
        &self,
        selection: &Selection,
        rewriter: &Rewriter,
        captured: &Captured,
    ) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for rule in idle(&self.include, &selection.include) {
            lines.push(format!("--include '{rule}' matches no request{}", near(captured, rule)));
        }
        for rule in idle(&self.exclude, &selection.exclude) {
            lines.push(format!("--exclude '{rule}' matches no request{}", near(captured, rule)));
        }
        for (host, ..) in idle(&self.hosts, &rewriter.hosts) {
            let near = nearest(captured.near_host(host));
            lines.push(format!("--map-host {host} matches no request that is replayed{near}"));
        }
        for rule in idle(&self.targets, &rewriter.targets) {
            let near = nearest(captured.near_path(&rule.to_string()));
            lines.push(format!("--rewrite '{rule}' matches no request that is replayed{near}"));
        }
        for name in idle(&self.remove, &rewriter.remove) {
            let near = nearest(captured.near_field(name));
            lines.push(format!("--remove-header {name} matches no request that is replayed{near}"));
        }
        let ids = self.ids.iter().zip(&selection.ids);
        lines.extend(ids.filter_map(|(nearest, wanted)| match nearest {
            Some(nearest) if nearest != wanted => {
                Some(format!("--id {wanted} names no exchange: the nearest is {nearest}"))
            }
            _ => None,
        }));
        if lines.len() > TOLD {
            let more = lines.len() - TOLD;
            lines.truncate(TOLD);
            lines.push(format!("{more} more rules match nothing"));
        }
        lines
    }
}

/// Marks the rules that hold, of those that did not yet.
fn mark<T>(used: &mut [bool], rules: &[T], holds: impl Fn(&T) -> bool) {
    for (used, rule) in used.iter_mut().zip(rules) {
        *used = *used || holds(rule);
    }
}

fn idle<'r, T>(used: &'r [bool], rules: &'r [T]) -> impl Iterator<Item = &'r T> {
    used.iter().zip(rules).filter(|(used, _)| !**used).map(|(_, rule)| rule)
}

fn near(captured: &Captured, rule: &SelectRule) -> String {
    nearest(match rule {
        SelectRule::Path(..) => captured.near_path(&rule.to_string()),
        SelectRule::Header(name, _) => captured.near_field(name),
        SelectRule::Cookie(name, _) => captured.near_cookie(name),
    })
}

fn nearest(names: String) -> String {
    if names.is_empty() { names } else { format!(": the nearest are {names}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Completeness, TimedRequest};

    fn exchange(number: u32, target: &str, host: &str) -> Exchange {
        let fields = [("Host", host), ("Cookie", "session=a1"), ("X-Tenant", "acme")];
        let message = Request {
            method: "GET".into(),
            target: target.to_owned().into(),
            headers: fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect(),
            ..Request::default()
        };
        let ends = ["10.0.0.9:4000", "10.0.0.1:8080"].map(|end| end.parse().unwrap());
        Exchange {
            id: ExchangeId { connection: u64::from(number), ordinal: 0 },
            completeness: Completeness::NoResponse,
            request: Some(TimedRequest { message, ..TimedRequest::default() }),
            ..Exchange::between(ends[0], ends[1])
        }
    }

    #[test]
    fn what_matches_nothing_is_told_with_what_comes_nearest() {
        let rule = |text: &str| text.parse::<SelectRule>().unwrap();
        let selection = Selection {
            include: vec![rule("GET ^/a/"), rule("GET ^/zz"), rule("header:x-tenant=^acme$")],
            exclude: vec![rule("GET ^/a/9"), rule("cookie:sesion=x"), rule("header:x-tennant")],
            ids: ["2-0", "77-1"].map(|id| id.parse().unwrap()).to_vec(),
            ..Selection::default()
        };
        let map = |host: &str| (host.to_owned(), 1, "v2".to_owned());
        let rewriter = Rewriter {
            hosts: vec![map("*.prod"), map("*.prdo"), map("shop.example:81")],
            targets: ["^/a/=>/b/", "^/b/=>/c/", "^/v1/=>/v2/"].map(|r| r.parse().unwrap()).to_vec(),
            remove: ["X-TENANT", "X-Tennant"].map(str::to_owned).to_vec(),
            ..Rewriter::default()
        };
        let mut rules = RuleUse::of(&selection, &rewriter);
        let mut captured = Captured::default();
        for (number, host) in (0..9).zip(["shop.example", "api.prod"].into_iter().cycle()) {
            let exchange = exchange(number, &format!("/a/{number}"), host);
            captured.add(&exchange);
            rules.see(&exchange, &selection);
            rules.replay(&exchange.request.as_ref().unwrap().message, &rewriter);
        }
        let told = rules.told(&selection, &rewriter, &captured);
        let expected = [
            ("--include 'GET ^/zz' matches no request", "GET /a/"),
            ("--exclude 'GET ^/a/9' matches no request", "GET /a/"),
            ("--exclude 'cookie:sesion=x' matches no request", "session"),
            ("--exclude 'header:x-tennant=' matches no request", "x-tenant"),
            ("--map-host *.prdo matches no request that is replayed", "api.prod"),
            ("4 more rules match nothing", ""),
        ];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (line, (start, near)) in told.iter().zip(expected) {
            assert!(line.starts_with(start) && line.contains(near), "{line}");
        }
        let rest = RuleUse { include: vec![], exclude: vec![], ..rules };
        let told = rest.told(&selection, &rewriter, &captured);
        let expected = [
            ("--map-host *.prdo ", "api.prod"),
            ("--map-host shop.example:81 ", "shop.example"),
            ("--rewrite '^/v1/=>/v2/' ", "GET /a/"),
            ("--remove-header X-Tennant ", "x-tenant"),
            ("--id 77-1 names no exchange", "8-0"),
        ];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (line, (start, near)) in told.iter().zip(expected) {
            assert!(line.starts_with(start) && line.contains(near), "{line}");
        }
    }
}
