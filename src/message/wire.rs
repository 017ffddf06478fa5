//! How a message travelled, where its parts do not tell: the protocol's version, how the end of a
//! body was told, and what of a request's bytes is kept so that it is replayed as it came.

use bytes::Bytes;

/// How the end of a body was told (RFC 9112 §6.3).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// No body.
    #[default]
    None,
    /// A `Content-Length`.
    ContentLength,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Up to the end of the connection.
    Close,
    /// Frames of HTTP/2 (RFC 9113 §6.1).
    Frames,
}

/// A protocol version as a start line names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/0.9: a request of one line, an answer without head (RFC 1945 §4.1).
    Http09,
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// Another `HTTP/x.y`, digits kept.
    Other(u8, u8),
    /// HTTP/2 (RFC 9113).
    Http2,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http09 => f.write_str("0.9"),
            Self::Http10 => f.write_str("1.0"),
            Self::Http11 => f.write_str("1.1"),
            Self::Http2 => f.write_str("2"),
            Self::Other(major, minor) => write!(f, "{major}.{minor}"),
        }
    }
}

impl std::str::FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let other = || {
            let (major, minor) = text.split_once('.')?;
            // `01.1` is 1.1 as well.
            Some(match (major.parse().ok()?, minor.parse().ok()?) {
                (0, 9) => Self::Http09,
                (1, 0) => Self::Http10,
                (1, 1) => Self::Http11,
                (major, minor) => Self::Other(major, minor),
            })
        };
        match text {
            "0.9" => Ok(Self::Http09),
            "1.0" => Ok(Self::Http10),
            "1.1" => Ok(Self::Http11),
            "2" => Ok(Self::Http2),
            _ => other().ok_or_else(|| format!("not an HTTP version: {text:?}")),
        }
    }
}

/// What of a request cannot be told from its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verbatim {
    /// Its head with the empty line that ends it; none where the usual form is what came.
    pub head: Option<Bytes>,
    /// Where its body was cut into chunks; none for no chunk but the last, or for one.
    pub chunks: Option<Chunks>,
}

/// Where a body was cut into chunks (RFC 9112 §7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// By their sizes, all in the usual form.
    Sizes(Vec<u64>),
    /// All that stood around the chunks' data, from the first size to the empty line behind the
    /// trailers: sizes in another form, extensions, other line ends.
    Framing(Bytes),
}

impl Verbatim {
    /// The verbatim part of a request as it is put together; none where there is nothing to keep.
    pub(crate) fn of(head: Option<Bytes>, chunks: Option<Chunks>) -> Option<Box<Self>> {
        (head.is_some() || chunks.is_some()).then(|| Box::new(Self { head, chunks }))
    }

    /// With another field behind the others in a head that is kept.
    pub fn push_field(&mut self, name: &[u8], value: &[u8]) {
        if let Some(head) = &mut self.head {
            let end = if head.ends_with(b"\r\n") { 2 } else { 1 };
            let at = head.len().saturating_sub(end);
            *head = [&head[..at], name, b": ", value, b"\r\n", &head[at..]].concat().into();
        }
    }

    /// Only the sizes of chunks, and those only of a body of `length` bytes: all that holds no text
    /// of the request.
    pub fn sizes_of(self, length: u64) -> Option<Box<Self>> {
        let chunks = self
            .chunks
            .filter(|chunks| matches!(chunks, Chunks::Sizes(sizes) if sum(sizes) == Some(length)));
        chunks.map(|chunks| Box::new(Self { head: None, chunks: Some(chunks) }))
    }
}

pub(crate) fn sum(sizes: &[u64]) -> Option<u64> {
    sizes.iter().try_fold(0u64, |sum, &size| sum.checked_add(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_one_form() {
        for (text, want) in [
            ("1.1", "1.1"),
            ("01.1", "1.1"),
            ("1.00", "1.0"),
            ("0.9", "0.9"),
            ("2", "2"),
            ("2.0", "2.0"),
            ("3.7", "3.7"),
        ] {
            let version: Version = text.parse().expect("a version");
            assert_eq!(version.to_string(), want);
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        assert!("one".parse::<Version>().is_err());
    }
}
