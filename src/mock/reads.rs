//! Whether a call only reads: then it names what it wants, and nothing else may be given for it.
//!
//! Calls in the styles of AWS, SOAP, JSON-RPC and GraphQL are POST whatever they do; what they do
//! is told by the operation that they name.

use crate::message::Request;
use crate::message::method::is_safe;
use crate::message::target::path_and_query;

/// What operations that read begin with.
const READING: [&str; 20] = [
    "batchget", "check", "count", "describe", "exists", "fetch", "find", "get", "head", "list",
    "load", "lookup", "multiget", "query", "read", "retrieve", "scan", "search", "select", "show",
];
/// What those begin with that change something, though they may say that they read as well.
const WRITING: [&str; 16] = [
    "add", "cancel", "charge", "create", "delete", "insert", "mutation", "patch", "pay", "post",
    "put", "remove", "save", "send", "set", "update",
];
/// Ends of paths that are asked by POST.
const ASKED: [&str; 11] = [
    "search",
    "_search",
    "query",
    "_query",
    "_msearch",
    "_mget",
    "_count",
    "_field_caps",
    "lookup",
    "find",
    "sparql",
];
/// Methods of WebDAV and its like that only read (RFC 4918, RFC 3253, RFC 5323).
const READING_METHODS: [&[u8]; 3] = [b"PROPFIND", b"REPORT", b"SEARCH"];

/// Whether a request only reads; `operation` is what it names.
pub(super) fn reads(request: &Request, operation: Option<&str>) -> bool {
    if is_safe(&request.method) || READING_METHODS.contains(&&*request.method) {
        return true;
    }
    if &*request.method != b"POST" {
        return false;
    }
    if let Some(operation) = operation {
        return operation_reads(operation);
    }
    let path = path_and_query(&request.target).0;
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let content = &request.body.bytes;
    let kind = request.headers.get("content-type").unwrap_or_default();
    if let Some(method) = xml_rpc(content) {
        return operation_reads(method);
    }
    // A method of gRPC may be a verb alone.
    if kind.starts_with(b"application/grpc") {
        return std::str::from_utf8(last).is_ok_and(operation_reads);
    }
    ASKED.iter().any(|name| name.as_bytes() == last)
        || std::str::from_utf8(last).is_ok_and(is_reading_procedure)
        || last == b"graphql" && memchr::memmem::find(content, b"mutation").is_none()
}

/// The method that a call of XML-RPC names, in its first lines.
fn xml_rpc(content: &[u8]) -> Option<&str> {
    let head = &content[..content.len().min(512)];
    let start = memchr::memmem::find(head, b"<methodCall")?;
    let name = &head[start + memchr::memmem::find(&head[start..], b"<methodName>")? + 12..];
    let name = &name[..memchr::memchr(b'<', name)?];
    std::str::from_utf8(name).ok().map(str::trim)
}

/// Whether a path's end is a procedure's name that reads, as gRPC and its like have them:
/// `GetOrder`, `listOrders`.
fn is_reading_procedure(name: &str) -> bool {
    name.bytes().skip(1).any(|byte| byte.is_ascii_uppercase()) && operation_reads(name)
}

fn operation_reads(operation: &str) -> bool {
    let words = || operation.split(['.', ':', '/', '_', '-', ' ', '#']).filter(|w| !w.is_empty());
    let is = |word: &str, verbs: &[&str]| verbs.iter().any(|verb| begins(word, verb));
    let (Some(first), Some(last)) = (words().next(), words().next_back()) else { return false };
    (is(first, &READING) || is(last, &READING)) && !words().any(|word| is(word, &WRITING))
}

/// Whether a word is a verb, or begins with it: `getBalance`, `GetItem`, `get`.
fn begins(word: &str, verb: &str) -> bool {
    word.get(..verb.len()).is_some_and(|start| start.eq_ignore_ascii_case(verb))
        && !word[verb.len()..].starts_with(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Body;

    #[test]
    fn operations_are_known_by_their_verbs() {
        for reading in [
            "DynamoDB_20120810.GetItem",
            "AmazonSQS.ListQueues",
            "getCustomer",
            "customers.get",
            "get_customer",
            "query Order",
            "eth_getBalance",
            "FindOrders",
        ] {
            assert!(operation_reads(reading), "{reading}");
        }
        for writing in [
            "DynamoDB_20120810.PutItem",
            "AmazonSQS.ReceiveMessage",
            "Charge",
            "mutation GetOrCreate",
            "get_or_create_customer",
            "Getaway",
            "widget",
            "",
        ] {
            assert!(!operation_reads(writing), "{writing}");
        }
    }

    #[test]
    fn methods_and_paths_tell_the_rest() {
        let of = |method: &str, target: &str, body: &str| {
            let request = Request {
                method: method.to_owned().into(),
                target: target.to_owned().into(),
                body: Body::whole(body.as_bytes().to_vec()),
                ..Request::default()
            };
            reads(&request, None)
        };
        assert!(of("GET", "/orders", ""));
        assert!(of("POST", "/orders/_search?size=5", "{}"));
        assert!(of("POST", "/graphql", r#"{"query":"{ order(id: 7) { total } }"}"#));
        assert!(!of("POST", "/graphql", r#"{"query":"mutation { pay(id: 7) }"}"#));
        assert!(of("POST", "/shop.Orders/GetOrder", ""));
        assert!(of("POST", "/twirp/shop.Orders/ListOrders", "{}"));
        assert!(!of("POST", "/shop.Orders/PlaceOrder", ""));
        assert!(!of("POST", "/orders", "{}"));
        assert!(!of("POST", "/orders/list", "{}"));
        assert!(!of("PUT", "/search", "{}"));
        let call = |method: &str| {
            let body =
                format!("<?xml version='1.0'?><methodCall><methodName>{method}</methodName>");
            of("POST", "/RPC2", &body)
        };
        assert!(call("blog.getPost") && !call("blog.newPost") && !call(""));
        assert!(of("REPORT", "/calendars/1", "<href>/c/1</href>"));
        assert!(of("POST", "/orders/_mget", "{\"ids\":[1]}"));
        let mut call = Request {
            method: "POST".into(),
            target: "/shop.Orders/Get".into(),
            ..Request::default()
        };
        assert!(!reads(&call, None));
        call.headers.push(b"content-type", b"application/grpc+proto");
        assert!(reads(&call, None));
        call.target = "/shop.Orders/Set".into();
        assert!(!reads(&call, None));
    }
}
