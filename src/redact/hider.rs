//! What a walk asks of who hides secrets: the masker for readers, the redactor for recordings.

use std::ops::Range;

use super::names::{self, HeaderSecret};
use super::rules::RedactStep;
use super::shape::SecretShape;
use super::sieve::Kinds;

/// What is done with secrets, and which names the one who does it takes for secret.
pub(super) trait Hide {
    /// Whether what stands in a secret's place has its length and its kinds of characters.
    const KEEPS_LENGTH: bool;

    /// What stands in place of a secret, of which `source` is how it is written.
    fn hidden(&mut self, value: &[u8], source: &[u8]) -> Option<Vec<u8>>;

    /// What is secret in a value by its look.
    fn by_look(&self, value: &[u8]) -> Vec<(Range<usize>, SecretShape)>;

    /// Which hits of the sieve call for a closer look.
    fn looks_for(&self, kinds: Kinds) -> bool;

    /// Whether each value is looked at, whatever the sieve says.
    fn looks_at_all(&self) -> bool {
        false
    }

    /// How a member of JSON, an element or attribute of XML is secret by its name.
    fn field(&self, name: &str) -> Option<HeaderSecret> {
        names::field_secret(name)
    }

    /// How a field of a form is secret.
    fn form_field(&self, name: &str) -> Option<HeaderSecret> {
        names::field_secret(name)
    }

    /// How a parameter of a query is secret.
    fn parameter(&self, name: &str) -> Option<HeaderSecret> {
        names::parameter_secret(name)
    }

    /// Is told a secret inside of one that is hidden as a whole.
    fn noticed(&mut self, _value: &[u8]) {}

    /// Whether paths matter at all.
    fn has_paths(&self) -> bool {
        false
    }

    /// Whether a path into JSON is secret.
    fn is_path(&self, _steps: &[RedactStep]) -> bool {
        false
    }
}
