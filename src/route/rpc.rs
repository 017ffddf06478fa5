//! What a request asks for where its path does not say: calls in the styles of AWS (`X-Amz-Target`,
//! `Action=`), SOAP, JSON-RPC and GraphQL, which all go to one path.

use serde::Deserialize;

use crate::message::{Request, kinds, target};

/// Longest name of an operation, in bytes.
const LONGEST: usize = 80;
/// Largest body that is looked at, in bytes.
const BODY: usize = 1 << 20;

/// The operation that a request names; none where its path is all there is.
pub fn operation(request: &Request) -> Option<String> {
    let query = target::path_and_query(&request.target).1;
    if &*request.method != b"POST" {
        return action(query);
    }
    let field = |name: &str| {
        let value = std::str::from_utf8(request.headers.get(name)?).ok()?;
        Some(value.trim().trim_matches('"').to_owned())
    };
    let kind = field("content-type").unwrap_or_default().to_ascii_lowercase();
    let body = if request.body.is_cut() { &b""[..] } else { &request.body.bytes };
    let body = if body.len() <= BODY { body } else { b"" };
    field("x-amz-target")
        .and_then(|name| plain(&name))
        .or_else(|| plain(last_of(&field("soapaction")?)))
        .or_else(|| soap_action(&field("content-type")?))
        .or_else(|| action(query))
        .or_else(|| kind.contains("x-www-form-urlencoded").then(|| action(body)).flatten())
        .or_else(|| of_json(body))
}

/// Whether a request may name one: what costs little to ask of every line of a record.
pub fn may_name(method: &[u8], target: &[u8]) -> bool {
    method == b"POST" || memchr::memmem::find(target, b"Action=").is_some()
}

/// `Action=ListQueues` of a query or a form of AWS' query protocol, which names its version too.
fn action(pairs: &[u8]) -> Option<String> {
    let value = |wanted: &str| {
        let pair = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
            (name == wanted).then(|| value.into_owned())
        };
        url::form_urlencoded::parse(pairs).find_map(pair)
    };
    memchr::memmem::find(pairs, b"Action=")?;
    value("Version")?;
    plain(&value("Action")?)
}

/// The `action` of a SOAP 1.2 type.
fn soap_action(kind: &str) -> Option<String> {
    let (_, rest) = kind.split_once("action=")?;
    let rest = rest.trim_start_matches('"');
    plain(last_of(rest.split(['"', ';']).next()?))
}

/// What stands behind the last slash or hash of a URI.
fn last_of(uri: &str) -> &str {
    uri.rsplit(['/', '#', ':']).next().unwrap_or(uri)
}

/// What calls in JSON are known by.
#[derive(Deserialize)]
struct RpcCall {
    jsonrpc: Option<serde_json::Value>,
    method: Option<serde_json::Value>,
    #[serde(rename = "operationName")]
    operation: Option<serde_json::Value>,
    query: Option<serde_json::Value>,
}

/// The method of JSON-RPC, or the operation of GraphQL; of the first call where there are several.
fn of_json(body: &[u8]) -> Option<String> {
    let has = |name: &[u8]| memchr::memmem::find(body, name).is_some();
    if !matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
        || !(has(b"\"jsonrpc\"") || has(b"\"query\"") || has(b"\"operationName\""))
    {
        return None;
    }
    let call: RpcCall = match serde_json::from_slice(body) {
        Ok(call) => call,
        Err(_) => serde_json::from_slice::<Vec<RpcCall>>(body).ok()?.into_iter().next()?,
    };
    if call.jsonrpc.is_some() {
        return plain(call.method?.as_str()?);
    }
    let query = call.query.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    let written = graphql(query);
    let named = call.operation.as_ref().and_then(serde_json::Value::as_str).and_then(plain);
    match (written, named) {
        (Some((kind, _)), Some(name)) => Some(format!("{kind} {name}")),
        (Some((kind, Some(name))), None) => plain(name).map(|name| format!("{kind} {name}")),
        (None, Some(name)) if query.is_empty() => Some(name),
        _ => None,
    }
}

/// The kind and the name of the first operation of a GraphQL document.
fn graphql(query: &str) -> Option<(&'static str, Option<&str>)> {
    let query = query.trim_start();
    let kind =
        ["query", "mutation", "subscription"].into_iter().find(|kind| query.starts_with(kind))?;
    let rest = query[kind.len()..].trim_start();
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    Some((kind, Some(&rest[..end]).filter(|name| !name.is_empty())))
}

/// A name that is one: short, of plain characters, and no identifier that is new each time.
fn plain(name: &str) -> Option<String> {
    let fits = !name.is_empty()
        && name.len() <= LONGEST
        && name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'/')
        })
        && name.bytes().any(|byte| byte.is_ascii_alphabetic())
        && kinds::of_text(name).is_none();
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Body;

    fn of(method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Option<String> {
        operation(&Request {
            method: method.to_owned().into(),
            target: target.to_owned().into(),
            headers: fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect(),
            body: Body::whole(body.as_bytes().to_vec()),
            ..Request::default()
        })
    }

    #[test]
    fn calls_are_known_by_what_they_name() {
        const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
        for (method, target, fields, body, wanted) in [
            (
                "POST",
                "/",
                &[("X-Amz-Target", "DynamoDB_20120810.GetItem")][..],
                "{}",
                "DynamoDB_20120810.GetItem",
            ),
            ("POST", "/", &[FORM], "Action=ListQueues&Version=2012-11-05", "ListQueues"),
            ("GET", "/?Version=2010-05-08&Action=ListUsers", &[], "", "ListUsers"),
            ("POST", "/ws", &[("SOAPAction", "\"urn:pay#Charge\"")], "<e/>", "Charge"),
            (
                "POST",
                "/ws",
                &[("Content-Type", "application/soap+xml; action=\"http://x/Refund\"")],
                "",
                "Refund",
            ),
            ("POST", "/rpc", &[], r#"{"jsonrpc":"2.0","method":"eth_call","id":1}"#, "eth_call"),
            ("POST", "/rpc", &[], r#" [{"id":1,"method":"a.b","jsonrpc":"2.0"}]"#, "a.b"),
            (
                "POST",
                "/graphql",
                &[],
                r#"{"operationName":"Cart","query":"query Cart { a }"}"#,
                "query Cart",
            ),
            (
                "POST",
                "/graphql",
                &[],
                r#"{"query":"mutation AddItem($x: Int) { a }"}"#,
                "mutation AddItem",
            ),
        ] {
            assert_eq!(of(method, target, fields, body).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn other_requests_are_known_by_their_path_alone() {
        for (method, target, fields, body) in [
            ("POST", "/orders", &[][..], r#"{"method":"card","query":"shoes"}"#),
            ("GET", "/logs?Action=delete", &[], ""),
            ("POST", "/x", &[("SOAPAction", "\"\"")], ""),
            ("POST", "/x", &[], r#"{"jsonrpc":"2.0","method":7}"#),
            ("POST", "/graphql", &[], r#"{"query":"{ cart { id } }"}"#),
            ("POST", "/x", &[("X-Amz-Target", "6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11")], ""),
        ] {
            assert_eq!(of(method, target, fields, body), None, "{method} {target} {body}");
        }
    }
}
