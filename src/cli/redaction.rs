//! The flags of redaction, of every command that writes exchanges from captures.

use std::path::PathBuf;

use super::Failure;
use crate::exchange::Redactor;
use crate::exchange::redact::{Rule, RuleError, random_key};

/// The variable that the key may be in.
const KEY_VARIABLE: &str = "SHADOWTAP_REDACT_KEY";
/// Shortest key that is taken: a shorter one can be guessed, and with it all short secrets.
const SHORTEST_KEY: usize = 16;

/// What to take out of exchanges.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Redaction {
    /// Replace secrets by tokens of the same length and kind: `default` (credentials, cookies, tokens, card numbers, e-mail addresses),
    /// header:NAME, cookie:NAME, query:NAME, form:NAME, json:PATH, pattern:REGEX (repeat for more)
    #[arg(long, value_name = "RULE", value_parser = rule)]
    pub redact: Vec<Rule>,
    /// File with the key of the tokens, so that recordings agree [default: $SHADOWTAP_REDACT_KEY, else drawn anew]
    #[arg(long, value_name = "FILE")]
    pub redact_key: Option<PathBuf>,
}

fn rule(text: &str) -> Result<Rule, RuleError> {
    text.parse()
}

impl Redaction {
    /// The redactor, where there is a rule.
    pub(crate) fn redactor(&self) -> Result<Option<Redactor>, Failure> {
        if self.redact.is_empty() {
            return match &self.redact_key {
                Some(_) => Err(Failure::usage("--redact-key is of no use without a rule: add --redact default")),
                None => Ok(None),
            };
        }
        let key = match (&self.redact_key, std::env::var_os(KEY_VARIABLE)) {
            (Some(path), _) => {
                let text = std::fs::read(path)
                    .map_err(|error| Failure::usage(format!("cannot read the key {}", path.display())).because(&error))?;
                checked(&text, &path.display().to_string())?
            }
            (None, Some(value)) => checked(value.as_encoded_bytes(), KEY_VARIABLE)?,
            (None, None) => random_key().to_vec(),
        };
        Ok(Some(Redactor::new(&self.redact, &key)))
    }
}

fn checked(key: &[u8], place: &str) -> Result<Vec<u8>, Failure> {
    // An editor ends a file by a line end, which is not part of the key.
    let key = key.trim_ascii();
    if key.len() < SHORTEST_KEY {
        return Err(Failure::usage(format!(
            "{place}: the key of redaction must have at least {SHORTEST_KEY} bytes: make one by head -c 32 /dev/urandom | base64"
        )));
    }
    Ok(key.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_long_enough_and_its_line_end_does_not_count() {
        assert_eq!(checked(b"0123456789abcdef\n", "key").unwrap(), b"0123456789abcdef");
        assert!(checked(b"short\n", "key").is_err());
        assert!(Redaction::default().redactor().unwrap().is_none());
        let no_rule = Redaction { redact: Vec::new(), redact_key: Some(PathBuf::from("key")) };
        assert_eq!(no_rule.redactor().unwrap_err().exit, crate::cli::Exit::Usage);
        let missing = Redaction { redact: vec![Rule::Default], redact_key: Some(PathBuf::from("/nonexistent/key")) };
        assert_eq!(missing.redactor().unwrap_err().exit, crate::cli::Exit::Usage);
    }
}
