//! What a balancer says before its client does: the PROXY protocol, in both of its versions. It
//! stands before TLS, HTTP/1 and HTTP/2 alike, and is no part of what either end says.

/// How a direction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// With what its client says.
    Absent,
    /// It may be a header, and more bytes tell.
    Short,
    /// With a header of so many bytes.
    Header(usize),
}

/// The signature of version 2, before its version, its addresses' kind and its length.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// What the length says of, and what stands before it.
const FIXED_BYTES: usize = 16;
/// Bytes of a line of version 1 at most, with its end.
const LINE_BYTES: usize = 107;
/// Bytes of a header of version 2 that is taken for one: addresses and what balancers add to them
/// are a few hundred.
const HEADER_BYTES: usize = 2 << 10;

/// Looks at the first bytes of a direction.
pub(super) fn prefix(first: &[u8]) -> Prefix {
    match first {
        [b'P', ..] => line(first),
        [b'\r', ..] => binary(first),
        _ => Prefix::Absent,
    }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 40000 80\r\n`, or `PROXY UNKNOWN` and anything.
fn line(first: &[u8]) -> Prefix {
    let families = [&b"PROXY TCP4 "[..], b"PROXY TCP6 ", b"PROXY UNKNOWN"];
    if !families.iter().any(|family| first.starts_with(family)) {
        let begun = families.iter().any(|family| family.starts_with(first));
        return if begun { Prefix::Short } else { Prefix::Absent };
    }
    let looked_at = &first[..first.len().min(LINE_BYTES)];
    match memchr::memchr(b'\n', looked_at) {
        Some(end) => {
            let request = memchr::memmem::find(&first[..end], b" HTTP/").is_some();
            let header = first[..end].ends_with(b"\r") && !request;
            if header { Prefix::Header(end + 1) } else { Prefix::Absent }
        }
        None if looked_at.len() < LINE_BYTES => Prefix::Short,
        None => Prefix::Absent,
    }
}

fn binary(first: &[u8]) -> Prefix {
    if !first.starts_with(SIGNATURE) {
        return if SIGNATURE.starts_with(first) { Prefix::Short } else { Prefix::Absent };
    }
    match first[SIGNATURE.len()..] {
        [version, _, high, low, ..] if version >> 4 == 2 => {
            let bytes = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
            match bytes {
                HEADER_BYTES.. => Prefix::Absent,
                _ if first.len() < bytes => Prefix::Short,
                _ => Prefix::Header(bytes),
            }
        }
        [version, ..] if version >> 4 != 2 => Prefix::Absent,
        _ => Prefix::Short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_where_their_versions_say() {
        let v2 = |length: u8, rest: usize| {
            let fixed = [SIGNATURE, &[0x21, 0x11, 0, length]].concat();
            [&fixed[..], &vec![7; rest]].concat()
        };
        for (first, wanted) in [
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET".to_vec(), Prefix::Header(32)),
            (b"PROXY TCP6 ::1 ::1 1 2\r\n".to_vec(), Prefix::Header(24)),
            (b"PROXY UNKNOWN\r\n".to_vec(), Prefix::Header(15)),
            (b"PROXY TC".to_vec(), Prefix::Short),
            (b"PROXY TCP4 1.2.3.4".to_vec(), Prefix::Short),
            (b"PROXY TCP4 1.2.3.4\n".to_vec(), Prefix::Absent),
            ([&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat(), Prefix::Absent),
            (b"PROXY UNKNOWN HTTP/1.1\r\n".to_vec(), Prefix::Absent),
            (b"PROXY /a HTTP/1.1\r\n".to_vec(), Prefix::Absent),
            (b"POST /a HTTP/1.1\r\n".to_vec(), Prefix::Absent),
            (b"P".to_vec(), Prefix::Short),
            (b"\r\nGET / HTTP/1.1\r\n".to_vec(), Prefix::Absent),
            (b"\r\n".to_vec(), Prefix::Short),
            (v2(12, 12), Prefix::Header(28)),
            (v2(12, 11), Prefix::Short),
            (v2(0, 40), Prefix::Header(16)),
            ([SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat(), Prefix::Absent),
            ([SIGNATURE, &[0x31]].concat(), Prefix::Absent),
            (SIGNATURE.to_vec(), Prefix::Short),
        ] {
            assert_eq!(prefix(&first), wanted, "{}", first.escape_ascii());
        }
    }
}
