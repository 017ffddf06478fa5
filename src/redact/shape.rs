//! What a secret is by its look.

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretShape {
    /// A JSON Web Token in compact form (RFC 7519 §3).
    Jwt,
    /// A token with a prefix that its issuer uses for nothing else.
    VendorToken,
    /// A payment card number: an issuer's range and length, and the check digit of ISO/IEC 7812-1.
    Card,
    /// A bank account's number with the right check digits (ISO 13616).
    Iban,
    /// The password in `scheme://user:password@host`.
    UrlPassword,
    /// A PEM block of a private key (RFC 7468 §10).
    PrivateKey,
    /// What stands behind a secret's name, or behind a scheme of authentication.
    Named,
    /// The same in the query or fragment of a URL, where it may be percent-encoded.
    Parameter,
    /// The value of a cookie, where it may be percent-encoded.
    Cookie,
    /// User and password in base64 (RFC 7617 §2).
    Basic,
    /// What a segment of a path announces.
    Route,
    /// An e-mail address.
    Email,
    /// A document or a form in base64, which may hold secrets.
    Base64,
    /// JSON, which may hold secrets.
    Document,
}
