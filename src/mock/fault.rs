//! Faults on purpose: how v2 bears its providers' bad days. Drawn from a seed, so that a run can be
//! repeated.
//!
//! Written as `METHOD PATH-REGEX: [SHARE%] ACTION[, ACTION]`, e.g. `POST ^/charge: 5% 503`, `* /:
//! delay 2s`, `GET /rates: 1% reset`.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::str::FromStr;
use std::time::Duration;

use regex::Regex;

/// Longest delay, so that a typing error does not hang a run for good.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What is done to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answered with this status and no recorded answer.
    Status(u16),
    /// Answered later.
    Delay(Duration),
    /// The connection is reset.
    Reset,
    /// Never answered; the connection stays open.
    Hang,
}

/// A fault: which calls, which share of them, what.
#[derive(Clone, Debug)]
pub struct Fault {
    text: String,
    method: Option<String>,
    path: Regex,
    share: f64,
    actions: Vec<Action>,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: String| {
            format!(
                "{what}: write for example 'POST ^/charge: 5% 503', '* /: delay 2s' or 'GET /: \
                 reset'"
            )
        };
        let (calls, what) = text.rsplit_once(": ").ok_or_else(|| {
            wrong(format!("{text:?} has no ': ' between the calls and what happens"))
        })?;
        let (method, path) = calls
            .trim()
            .split_once(' ')
            .ok_or_else(|| wrong(format!("{calls:?} is not a method and a path")))?;
        let path = Regex::new(path.trim())
            .map_err(|error| wrong(format!("the path is no regular expression ({error})")))?;
        let mut what = what.trim();
        let mut share = 1.0;
        if let Some((number, rest)) = what.split_once('%') {
            share = number
                .trim()
                .parse::<f64>()
                .map_err(|_| wrong(format!("{number:?} is not a share in percent")))?
                / 100.0;
            if !(0.0..=1.0).contains(&share) {
                return Err(wrong(format!("{number}% is not between 0% and 100%")));
            }
            what = rest.trim();
        }
        let actions = what
            .split(',')
            .map(|action| self::action(action.trim()).map_err(wrong))
            .collect::<Result<_, _>>()?;
        let method = (method != "*").then(|| method.to_ascii_uppercase());
        Ok(Self { text: text.to_owned(), method, path, share, actions })
    }
}

fn action(text: &str) -> Result<Action, String> {
    if let Some(delay) = text.strip_prefix("delay ") {
        let delay = humantime::parse_duration(delay.trim())
            .map_err(|_| format!("{delay:?} is not a duration"))?;
        return if delay <= LONGEST {
            Ok(Action::Delay(delay))
        } else {
            Err(format!("{delay:?} is longer than an hour"))
        };
    }
    match text {
        "reset" => Ok(Action::Reset),
        "hang" => Ok(Action::Hang),
        _ => match text.parse() {
            Ok(status @ 200..=599) => Ok(Action::Status(status)),
            _ => Err(format!("{text:?} is not a status, 'delay TIME', 'reset' or 'hang'")),
        },
    }
}

/// All faults, with their seed.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    all: Vec<Fault>,
    seed: u64,
    drawn: u64,
}

impl Faults {
    /// These faults, drawn from this seed.
    pub fn new(all: Vec<Fault>, seed: u64) -> Self {
        Self { all, seed, drawn: 0 }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What happens to the next call; the text of the fault that does it. The first fault that fits
    /// and is drawn counts.
    pub fn draw(&mut self, method: &str, target: &str) -> Option<(String, Vec<Action>)> {
        for (index, fault) in self.all.iter().enumerate() {
            if fault.method.as_deref().is_some_and(|own| own != method)
                || !fault.path.is_match(target)
            {
                continue;
            }
            self.drawn += 1;
            let mut hasher = DefaultHasher::new();
            (self.seed, index, self.drawn).hash(&mut hasher);
            if ((hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64) < fault.share {
                return Some((fault.text.clone(), fault.actions.clone()));
            }
        }
        None
    }

    /// Whether any of them resets connections.
    pub fn can_reset(&self) -> bool {
        self.all.iter().any(|fault| fault.actions.contains(&Action::Reset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_drawn_by_their_share_the_same_each_time() {
        let fault: Fault = "POST ^/charge: 5% 503, delay 20ms".parse().unwrap();
        assert_eq!(fault.actions, [Action::Status(503), Action::Delay(Duration::from_millis(20))]);
        let draw = |seed| {
            let mut faults = Faults::new(vec![fault.clone(), "* /: reset".parse().unwrap()], seed);
            assert!(faults.draw("GET", "/charge").is_some_and(|(text, _)| text == "* /: reset"));
            (0..10_000)
                .map(|_| faults.draw("POST", "/charge").unwrap().1.len() == 2)
                .collect::<Vec<_>>()
        };
        let hits = draw(1).iter().filter(|hit| **hit).count();
        assert!((400..600).contains(&hits), "{hits} of 10,000 at 5%");
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn what_is_no_fault_is_told_with_an_example() {
        for text in [
            "",
            "POST /x",
            "POST /x: ",
            "POST /x: 700",
            "POST /x: 150% 503",
            "POST: 503",
            "POST (: 503",
            "GET /: delay 2 moons",
        ] {
            let error = text.parse::<Fault>().unwrap_err();
            assert!(error.contains("for example"), "{text}: {error}");
        }
    }
}
