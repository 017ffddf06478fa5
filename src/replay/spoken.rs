//! The protocols that are spoken with v2.

/// Which protocol is spoken on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1.
    #[default]
    One,
    /// HTTP/2.
    Two,
}
