//! What a method promises: whether it is safe (changes nothing) and idempotent (a retry does no
//! more than the first request, RFC 9110 §9.2.2).
//!
//! Methods are case-sensitive (RFC 9110 §9.1), so `get` is another method than `GET`.

/// Methods that change nothing at the server (RFC 9110 §9.2.1; QUERY by its registration).
pub const SAFE: [&[u8]; 5] = [b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"QUERY"];

/// Whether a method is safe. One that nobody knows is not.
pub fn is_safe(method: &[u8]) -> bool {
    SAFE.contains(&method)
}

/// Whether a request may be sent twice with the effect of one (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &[u8]) -> bool {
    is_safe(method) || matches!(method, b"PUT" | b"DELETE")
}

/// Header fields by which a request asks for another method than its own.
pub const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_ones_are_idempotent_and_unknown_ones_are_neither() {
        for (method, safe, idempotent) in [
            ("GET", true, true),
            ("QUERY", true, true),
            ("PUT", false, true),
            ("DELETE", false, true),
            ("POST", false, false),
            ("PATCH", false, false),
            ("get", false, false),
            ("PROPFIND", false, false),
            ("", false, false),
        ] {
            let found = (is_safe(method.as_bytes()), is_idempotent(method.as_bytes()));
            assert_eq!(found, (safe, idempotent), "{method}");
        }
    }
}
