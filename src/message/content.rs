//! Content codings (RFC 9110 §8.4.1) undone: gzip, deflate (with and without its zlib wrapper), br,
//! zstd, several of them, and the chunks in which clients of S3 sign what they send.
//!
//! What comes out is bounded: a body that would grow beyond the limit is an error, found after at
//! most the limit's bytes.

use std::borrow::Cow;
use std::io::Read;

/// Most codings of one body; more is an attack.
const MAX_CODINGS: usize = 8;
/// Largest window of a zstd frame, as a power of two: RFC 8878 §3.1.1.1.2 advises 8 MiB for
/// interchange; browsers take that.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Why a body's coding cannot be undone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// A coding that this program does not know.
    #[error("unknown content coding {0:?}")]
    Unknown(String),
    /// The bytes are not what the coding's name says.
    #[error("not valid {coding}: {why}")]
    Damaged {
        /// The coding.
        coding: &'static str,
        /// What the decoder says.
        why: String,
    },
    /// Longer than allowed.
    #[error("longer than {limit} bytes when decoded")]
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// More codings than any real body has.
    #[error("{0} content codings")]
    TooMany(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// Chunks with a signature each, around whatever coding the content has itself.
    AwsChunked,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Whether these values of `Content-Encoding` name any coding but `identity`.
pub fn is_coded<'a>(values: impl Iterator<Item = &'a [u8]>) -> bool {
    names(values).next().is_some()
}

/// Undoes the codings that the values of `Content-Encoding` name, the last applied first. At most
/// `limit` bytes come out of each.
pub fn decode<'b, 'a>(
    body: &'b [u8],
    values: impl Iterator<Item = &'a [u8]>,
    limit: usize,
) -> Result<Cow<'b, [u8]>, ContentError> {
    let codings = names(values).map(coding).collect::<Result<Vec<_>, _>>()?;
    if codings.len() > MAX_CODINGS {
        return Err(ContentError::TooMany(codings.len()));
    }
    let mut content = Cow::Borrowed(body);
    // Signed chunks are the outermost, wherever the field names them.
    let (chunked, others): (Vec<_>, Vec<_>) =
        codings.into_iter().partition(|coding| *coding == Coding::AwsChunked);
    for coding in chunked.into_iter().chain(others.into_iter().rev()) {
        // No body at all (HEAD, 304) is fine under any coding.
        if !content.is_empty() {
            content = Cow::Owned(undo(coding, &content, limit)?);
        }
    }
    Ok(content)
}

fn names<'a>(values: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    values
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"))
}

fn coding(name: &[u8]) -> Result<Coding, ContentError> {
    match name.to_ascii_lowercase().as_slice() {
        b"aws-chunked" => Ok(Coding::AwsChunked),
        b"gzip" | b"x-gzip" => Ok(Coding::Gzip),
        b"deflate" => Ok(Coding::Deflate),
        b"br" => Ok(Coding::Brotli),
        b"zstd" => Ok(Coding::Zstd),
        _ => Err(ContentError::Unknown(String::from_utf8_lossy(name).chars().take(40).collect())),
    }
}

fn undo(coding: Coding, bytes: &[u8], limit: usize) -> Result<Vec<u8>, ContentError> {
    match coding {
        Coding::AwsChunked => unchunked(bytes, limit),
        Coding::Gzip => drain("gzip", flate2::bufread::MultiGzDecoder::new(bytes), limit),
        // Servers send both what the RFC says (zlib) and raw deflate.
        Coding::Deflate => {
            match drain("deflate", flate2::bufread::ZlibDecoder::new(bytes), limit) {
                Err(ContentError::Damaged { why, .. }) => {
                    drain("deflate", flate2::bufread::DeflateDecoder::new(bytes), limit)
                        .map_err(|_| ContentError::Damaged { coding: "deflate", why })
                }
                done => done,
            }
        }
        Coding::Brotli => {
            drain("br", brotli_decompressor::Decompressor::new(bytes, 16 << 10), limit)
        }
        Coding::Zstd => {
            let damaged = |error: std::io::Error| ContentError::Damaged {
                coding: "zstd",
                why: error.to_string(),
            };
            let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(damaged)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(damaged)?;
            drain("zstd", decoder, limit)
        }
    }
}

/// Chunks as `5;chunk-signature=…`, a line end, five bytes, a line end; behind the last one, of no
/// bytes, may stand checksums.
fn unchunked(bytes: &[u8], limit: usize) -> Result<Vec<u8>, ContentError> {
    let damaged = |why: &str| ContentError::Damaged { coding: "aws-chunked", why: why.to_owned() };
    let mut content = Vec::new();
    let mut rest = bytes;
    loop {
        let end = memchr::memmem::find(rest, b"\r\n").ok_or_else(|| damaged("a cut chunk"))?;
        let line = &rest[..end];
        let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
        let size =
            std::str::from_utf8(digits).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let size = size.ok_or_else(|| damaged("a chunk without size"))?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok(content);
        }
        if content.len().saturating_add(size) > limit {
            return Err(ContentError::TooLong { limit });
        }
        let data = rest.get(..size).ok_or_else(|| damaged("a cut chunk"))?;
        content.extend_from_slice(data);
        rest = rest[size..].strip_prefix(b"\r\n").ok_or_else(|| damaged("a chunk without end"))?;
    }
}

fn drain(coding: &'static str, decoder: impl Read, limit: usize) -> Result<Vec<u8>, ContentError> {
    let mut content = Vec::new();
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut content);
    if content.len() > limit {
        return Err(ContentError::TooLong { limit });
    }
    match read {
        Ok(_) => Ok(content),
        Err(error) => Err(ContentError::Damaged { coding, why: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const TEXT: &[u8] = b"the same words, the same words, the same words, the same words";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn br(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        brotli::CompressorWriter::new(&mut out, 4096, 5, 20).write_all(bytes).unwrap();
        out
    }

    /// In chunks of seven bytes, as clients of S3 send them.
    fn signed(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for chunk in bytes.chunks(7) {
            write!(out, "{:x};chunk-signature=ab12\r\n", chunk.len()).unwrap();
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0;chunk-signature=cd34\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n");
        out
    }

    fn decoded(body: &[u8], value: &str, limit: usize) -> Result<Vec<u8>, ContentError> {
        decode(body, std::iter::once(value.as_bytes()), limit).map(Cow::into_owned)
    }

    #[test]
    fn every_coding_and_several_in_a_row() {
        let zstd = zstd::encode_all(TEXT, 3).unwrap();
        for (body, value) in [
            (gzip(TEXT), "gzip"),
            (gzip(TEXT), " X-GZIP , identity"),
            (zlib(TEXT), "deflate"),
            (raw_deflate(TEXT), "deflate"),
            (br(TEXT), "br"),
            (zstd, "zstd"),
            (gzip(&br(TEXT)), "br, gzip"),
            (signed(TEXT), "aws-chunked"),
            (signed(&gzip(TEXT)), "aws-chunked, gzip"),
            (signed(&gzip(TEXT)), "gzip,AWS-Chunked"),
            (TEXT.to_vec(), ""),
            ([gzip(&TEXT[..9]), gzip(&TEXT[9..])].concat(), "gzip"),
        ] {
            assert_eq!(decoded(&body, value, 1000).as_deref(), Ok(TEXT), "{value}");
        }
        assert_eq!(decoded(b"", "gzip", 10), Ok(vec![]));
    }

    #[test]
    fn a_bomb_is_refused_and_damage_is_named() {
        let zeros = vec![0; 10 << 20];
        for (body, value) in [
            (gzip(&zeros), "gzip"),
            (zlib(&zeros), "deflate"),
            (br(&zeros), "br"),
            (zstd::encode_all(&*zeros, 3).unwrap(), "zstd"),
            (gzip(&gzip(&zeros)), "gzip, gzip"),
        ] {
            assert_eq!(
                decoded(&body, value, 1 << 20),
                Err(ContentError::TooLong { limit: 1 << 20 }),
                "{value}"
            );
        }
        for cut in ["5;s=1\r\nhel", "5\r\nhello", "x\r\n", "5\r\nhelloX\r\n0\r\n\r\n", ""] {
            let found = decoded(cut.as_bytes(), "aws-chunked", 1000);
            let fits = matches!(found, Err(ContentError::Damaged { .. })) || cut.is_empty();
            assert!(fits, "{cut:?} {found:?}");
        }
        for value in ["gzip", "deflate", "br", "zstd"] {
            assert!(
                matches!(decoded(b"\xff\xffhello", value, 1000), Err(ContentError::Damaged { .. })),
                "{value}"
            );
        }
        let cut = gzip(TEXT);
        assert!(matches!(
            decoded(&cut[..cut.len() / 2], "gzip", 1000),
            Err(ContentError::Damaged { .. })
        ));
        assert_eq!(decoded(b"x", "lzma", 1000), Err(ContentError::Unknown("lzma".to_owned())));
        assert_eq!(decoded(b"x", &"gzip,".repeat(9), 1000), Err(ContentError::TooMany(9)));
    }
}
