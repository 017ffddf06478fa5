//! The flags of redaction, of every command that writes exchanges or answers; and what is said
//! where a recording was redacted otherwise than its replay.

use std::path::PathBuf;

use super::Failure;
use crate::exchange::Redacted;
use crate::message::protobuf::Schema;
use crate::record::exchanges::Header;
use crate::redact::{KnownTokens, RedactRule, RedactRuleError, Redactor, Unsearched, random_key};
use crate::source::Inputs;
use crate::time::Timestamp;

/// The variable that the key may be in.
const KEY_VARIABLE: &str = "SHADOWTAP_REDACT_KEY";
/// Shortest key that is taken: a shorter one can be guessed, and with it all short secrets.
const SHORTEST_KEY: usize = 16;

/// What to take out of exchanges.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Safety")]
pub struct RedactionFlags {
    /// Replace secrets in what is written by tokens of the same length and kind: `default`
    /// (credentials, cookies, tokens, numbers of cards and accounts, e-mail addresses), `strict`
    /// (the same, and bodies that cannot be searched are left out), header:NAME, cookie:NAME,
    /// query:NAME, form:NAME, json:PATH, pattern:REGEX (repeat for more)
    #[arg(long, value_name = "RULE", value_parser = rule)]
    pub redact: Vec<RedactRule>,
    /// File with the key of the tokens, so that recordings agree [default: $SHADOWTAP_REDACT_KEY,
    /// else drawn anew]
    #[arg(long, value_name = "FILE")]
    pub redact_key: Option<PathBuf>,
}

fn rule(text: &str) -> Result<RedactRule, RedactRuleError> {
    text.parse()
}

impl RedactionFlags {
    /// With what the file's `section` says where no flag does.
    pub(crate) fn or(
        self,
        section: &str,
        rules: &[String],
        key: Option<&PathBuf>,
    ) -> Result<Self, Failure> {
        let read = |text: &String| {
            rule(text).map_err(|why| Failure::usage(format!("[{section}] redact: {why}")))
        };
        Ok(Self {
            redact: if self.redact.is_empty() {
                rules.iter().map(read).collect::<Result<_, _>>()?
            } else {
                self.redact
            },
            redact_key: self.redact_key.or_else(|| key.cloned()),
        })
    }

    /// The redactor, where there is a rule; `schema` names fields of Protocol Buffers.
    pub(crate) fn redactor(&self, schema: Schema) -> Result<Option<Redactor>, Failure> {
        if self.redact.is_empty() {
            return match &self.redact_key {
                Some(_) => Err(Failure::usage(
                    "--redact-key is of no use without a rule: add --redact default",
                )),
                None => Ok(None),
            };
        }
        let key = match (&self.redact_key, std::env::var_os(KEY_VARIABLE)) {
            (Some(path), _) => {
                let text = std::fs::read(path).map_err(|error| {
                    Failure::usage(format!("cannot read the key {}", path.display()))
                        .because(&error)
                })?;
                checked(&text, &path.display().to_string())?
            }
            (None, Some(value)) => checked(value.as_encoded_bytes(), KEY_VARIABLE)?,
            (None, None) => random_key().to_vec(),
        };
        Ok(Some(Redactor::new(&self.redact, &key).with_schema(schema)))
    }
}

/// Inputs of which some are redacted and others not cannot be redacted together: what of a request
/// is a token and what a secret could not be told.
pub(crate) fn check(
    inputs: &[Option<Redacted>],
    redactor: Option<&Redactor>,
) -> Result<(), Failure> {
    let is_mixed = inputs.iter().any(Option::is_some) && inputs.iter().any(Option::is_none);
    if redactor.is_some() && is_mixed {
        return Err(Failure::usage(
            "some inputs are redacted and others are not: bring those to the same form first, by \
             shadowtap parse --redact",
        ));
    }
    Ok(())
}

/// What people must know where v2's answers do not get the tokens that v1's have.
pub(crate) fn warnings(
    inputs: &[Option<Redacted>],
    redactor: Option<&Redactor>,
    known: Option<&KnownTokens>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for recorded in inputs.iter().flatten() {
        let rules: Vec<String> =
            recorded.rules.iter().map(|rule| format!("--redact {}", quoted(rule))).collect();
        let rules = rules.join(" ");
        let Some(ours) = redactor.map(Redactor::mark) else {
            warnings.push(format!(
                "the recording is redacted and v2's answers are not: secrets that v2 makes or \
                 looks up itself are written as they are \
                 and count as differences; add {rules} --redact-key FILE, with the key of the \
                 recording"
            ));
            continue;
        };
        match &recorded.key {
            None => warnings.push(
                "the recording was redacted more than once, so that v2's answers cannot get the \
                 tokens that v1's have: secrets that v2 \
                 makes or looks up itself count as differences; redact the capture anew, once"
                    .to_owned(),
            ),
            key if *key != ours.key => warnings.push(
                "the recording was redacted under another key: secrets that v2 makes or looks up \
                 itself get other tokens than v1's and \
                 count as differences; name its key by --redact-key FILE (or \
                 $SHADOWTAP_REDACT_KEY); where it was drawn for that run \
                 alone, redact the capture anew with a key that is kept"
                    .to_owned(),
            ),
            _ if recorded.rules != ours.rules => warnings.push(format!(
                "the recording was redacted by other rules, so that places of v2's answers differ \
                 that only one of them covers: give \
                 {rules}"
            )),
            _ => {}
        }
    }
    let left_out = known.map_or(0, KnownTokens::left_out);
    if left_out > 0 {
        warnings.push(format!(
            "the recording holds so many tokens that {left_out} of them are known only in the \
             answer to their own request: where v2 \
             shows them later, they count as differences; replay a --sample or a --shard"
        ));
    }
    warnings
}

/// What is said of bodies that nobody could look into.
pub(crate) fn unsearched(redactor: Option<&Redactor>) -> Option<String> {
    let redactor = redactor?;
    let Unsearched { bodies, bytes } = redactor.unsearched();
    let (what, way_out) = if redactor.is_strict() {
        ("were left out", "name a type that redaction reads, or redact by other rules")
    } else {
        (
            "were kept as they are, but for secrets with a look of their own",
            "leave them out by --redact strict",
        )
    };
    (bodies > 0).then(|| {
        format!(
            "{bodies} bodies of {bytes} bytes could not be searched for secrets, as they are of no \
             form \
             that is known (archives, unknown compression, Protocol Buffers without --proto), and \
             {what}: {way_out}"
        )
    })
}

/// For a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.');
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn checked(key: &[u8], place: &str) -> Result<Vec<u8>, Failure> {
    // An editor ends a file by a line end, which is not part of the key.
    let key = key.trim_ascii();
    if key.len() < SHORTEST_KEY {
        return Err(Failure::usage(format!(
            "{place}: the key of redaction must have at least {SHORTEST_KEY} bytes: make one by \
             head -c 32 /dev/urandom | base64"
        )));
    }
    Ok(key.to_vec())
}

/// The first line of what is made of `inputs`: their names, and how they are redacted then.
pub(crate) fn header(inputs: &mut Inputs, redactor: Option<&Redactor>) -> Result<Header, Failure> {
    let before = inputs.redactions()?;
    let redacted = match redactor {
        None => Redacted::of_all(&before),
        Some(redactor) => Some(
            before
                .iter()
                .flatten()
                .fold(redactor.mark(), |ours, earlier| earlier.clone().then(&ours)),
        ),
    };
    let names = inputs.names().iter().map(|name| match redactor {
        Some(redactor) => redactor.text(name),
        None => name.clone(),
    });
    Ok(Header::new(Timestamp::now(), names.collect()).redacted(redacted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_long_enough_and_its_line_end_does_not_count() {
        assert_eq!(checked(b"0123456789abcdef\n", "key").unwrap(), b"0123456789abcdef");
        assert!(checked(b"short\n", "key").is_err());
        assert!(RedactionFlags::default().redactor(Schema::default()).unwrap().is_none());
        let no_rule = RedactionFlags { redact: Vec::new(), redact_key: Some(PathBuf::from("key")) };
        assert_eq!(no_rule.redactor(Schema::default()).unwrap_err().exit, crate::cli::Exit::Usage);
        let missing = RedactionFlags {
            redact: vec![RedactRule::Default],
            redact_key: Some(PathBuf::from("/nonexistent/key")),
        };
        assert_eq!(missing.redactor(Schema::default()).unwrap_err().exit, crate::cli::Exit::Usage);
    }
}
