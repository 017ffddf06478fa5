//! Routes that the user gave: what such a pattern looks like, and which requests it fits.

use std::str::FromStr;
use std::sync::Arc;

use crate::message::target::path_and_query;

/// A route that the user gave: `GET /orders/{id}`, `* /files/**`, `GET /index.php?action=list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePattern {
    text: Arc<str>,
    method: Option<String>,
    segments: Vec<PathPiece>,
    open: bool,
    query: Vec<(String, Option<String>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PathPiece {
    Literal(String),
    /// `{name}` with what stands before and behind it in the segment.
    Any {
        before: String,
        behind: String,
    },
}

impl FromStr for RoutePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is not a route: {why}; write for example \"GET /orders/{{id}}\" or \"* \
                 /files/**\""
            )
        };
        let (method, rest) =
            text.trim().split_once(' ').ok_or_else(|| wrong("a method and a path are needed"))?;
        let (path, query) = match rest.trim().split_once('?') {
            None => (rest.trim(), ""),
            Some((path, query)) => (path, query),
        };
        let path = path.strip_prefix('/').ok_or_else(|| wrong("the path must start with /"))?;
        let (path, open) = match path.strip_suffix("**") {
            None => (path, false),
            Some("") => ("", true),
            Some(path) => {
                (path.strip_suffix('/').ok_or_else(|| wrong("** must follow a /"))?, true)
            }
        };
        let segments = if open && path.is_empty() {
            Vec::new()
        } else {
            path.split('/')
                .map(|segment| match (segment.find('{'), segment.rfind('}')) {
                    (None, None) => Ok(PathPiece::Literal(segment.to_owned())),
                    (Some(start), Some(end)) if start < end => Ok(PathPiece::Any {
                        before: segment[..start].to_owned(),
                        behind: segment[end + 1..].to_owned(),
                    }),
                    _ => Err(wrong("a brace has no partner")),
                })
                .collect::<Result<_, _>>()?
        };
        let query = query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| match part.split_once('=') {
                None => (part.to_owned(), None),
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            })
            .collect();
        let method = (method != "*").then(|| method.to_owned());
        Ok(Self { text: text.trim().into(), method, segments, open, query })
    }
}

impl RoutePattern {
    /// The route's name: the pattern, with the request's method where the pattern takes any.
    pub(super) fn name(&self, method: &str) -> Arc<str> {
        match &self.method {
            Some(_) => Arc::clone(&self.text),
            None => format!("{method}{}", &self.text[1..]).into(),
        }
    }

    /// As it was given.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is the route of a request.
    pub fn matches(&self, method: &str, target: &[u8]) -> bool {
        if self.method.as_deref().is_some_and(|wanted| wanted != method) {
            return false;
        }
        let (path, query) = path_and_query(target);
        let Some(path) = path.strip_prefix(b"/") else { return false };
        let mut segments = path.split(|&byte| byte == b'/');
        for piece in &self.segments {
            let Some(segment) = segments.next() else { return false };
            let fits = match piece {
                PathPiece::Literal(literal) => segment == literal.as_bytes(),
                PathPiece::Any { before, behind } => {
                    segment.len() > before.len() + behind.len()
                        && segment.starts_with(before.as_bytes())
                        && segment.ends_with(behind.as_bytes())
                }
            };
            if !fits {
                return false;
            }
        }
        (self.open || segments.next().is_none())
            && self.query.iter().all(|wanted| has_parameter(query, wanted))
    }
}

fn has_parameter(query: &[u8], (name, value): &(String, Option<String>)) -> bool {
    query.split(|&byte| byte == b'&').any(|part| {
        let at = part.iter().position(|&byte| byte == b'=');
        let (n, v) = at.map_or((part, None), |at| (&part[..at], Some(&part[at + 1..])));
        n == name.as_bytes() && value.as_ref().is_none_or(|value| v == Some(value.as_bytes()))
    })
}
