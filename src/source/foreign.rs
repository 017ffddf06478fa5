//! Recordings of other tools, found by their content and read as `exchanges.jsonl` would be.
//!
//! Their exchanges are put in the order of time and onto lanes: connections where the file names
//! them, else as a pool of connections would have served them (the one that has been free for the
//! longest). Memory does not grow with the file: exchanges wait on disk.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;

use crate::capture::file::{BYTE_ORDER_MARK, FRAMED};
use crate::capture::known::{KnownKind, known_kind};
use crate::exchange::{Exchange, ExchangeId};
use crate::ledger::Ledger;
use crate::record::exchanges::{self, End, Header, Rest};
use crate::record::har::read::{ReadEntry, Reason};
use crate::record::{access, curl, envoy, gor, har, postman};
use crate::store::nameless_file;
use crate::store::sorter::Sorter;
use crate::time::Timestamp;

/// A format of another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// An HTTP Archive.
    Har,
    /// GoReplay's.
    Gor,
    /// An access log: requests, of which little is known.
    AccessLog,
    /// What Envoy's tap filter writes.
    Envoy,
    /// Command lines of curl: requests.
    Curl,
    /// A Postman collection: requests, some with answers.
    Postman,
}

/// Why a recording of another tool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// The file, or a temporary one, cannot be read or written.
    #[error("{name}: cannot be read")]
    Unreadable {
        /// The input.
        name: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A document that is not what it begins as.
    #[error("{name}: {what} that is damaged")]
    Damaged {
        /// The input.
        name: String,
        /// What it began as.
        what: &'static str,
        /// Where and why.
        #[source]
        cause: serde_json::Error,
    },
    /// A document that ends before its first entry does.
    #[error("{name}: {what} that was cut inside its first entry: get all of it")]
    Cut {
        /// The input.
        name: String,
        /// What it began as.
        what: &'static str,
    },
    /// Something else, of which is known what it is.
    #[error(
        "{name} is {what}, no capture and no recording{}{}",
        if .advice.is_empty() { "" } else { ": " },
        .advice
    )]
    Another {
        /// The input.
        name: String,
        /// What it is.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// Nothing that is known.
    #[error(
        "{name} is no capture and no recording (it starts with {start}): give pcap, pcapng, \
         exchanges of shadowtap parse, a HAR, a .gor file, an Envoy tap, a Postman collection, \
         curl lines or an \
         access log (nginx, Apache, HAProxy, IIS, ALB, Envoy)"
    )]
    Unknown {
        /// The input.
        name: String,
        /// Its first characters.
        start: String,
    },
}

/// How much of a text tells what it is.
const BEGINNING: usize = 4 << 10;

/// Reads a text as exchanges: as it is where it is a recording of this program, else converted.
pub fn as_exchanges(
    name: &str,
    mut reader: Box<dyn BufRead + Send>,
) -> Result<Box<dyn BufRead + Send>, ForeignError> {
    let unreadable = |cause| ForeignError::Unreadable { name: name.to_owned(), cause };
    // A recording that comes through a pipe must not wait for more than its first line.
    let at_hand = reader.fill_buf().map_err(unreadable)?;
    if is_own(at_hand) {
        return Ok(reader);
    }
    let mut beginning = Vec::new();
    (&mut reader).take(BEGINNING as u64).read_to_end(&mut beginning).map_err(unreadable)?;
    let text = beginning.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&beginning).to_vec();
    // Its bytes may look like blanks.
    let found = match envoy::is_proto(&text) {
        true => Some(Foreign::Envoy),
        false => recognise(name, text.trim_ascii_start())?,
    };
    let whole = io::Cursor::new(text).chain(reader);
    let Some(foreign) = found else { return Ok(Box::new(whole)) };
    let file = convert(name, foreign, whole)?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

/// Whether a text begins as this program writes recordings.
fn is_own(beginning: &[u8]) -> bool {
    [&b"{\"format\":"[..], b"{\"id\":", FRAMED].iter().any(|start| beginning.starts_with(start))
}

/// Which format a text is of; none for the program's own.
fn recognise(name: &str, text: &[u8]) -> Result<Option<Foreign>, ForeignError> {
    if let Some(object) = text.strip_prefix(b"{") {
        let has = |word: &[u8]| memchr::memmem::find(text, word).is_some();
        let another = |what: String, advice| {
            Err(ForeignError::Another { name: name.to_owned(), what, advice })
        };
        // A recording of this program may have lines before its first one that are none.
        let may_be_own = || has(b"\"completeness\"") || has(b"shadowtap/") || has(b"\"id\"");
        return match object.trim_ascii_start() {
            rest if is_har(rest) => Ok(Some(Foreign::Har)),
            _ if has(b"\"entries\"") && har_log(text).is_some() => Ok(Some(Foreign::Har)),
            _ if has(b"_postman_id")
                || (has(b"schema.getpostman.com") && !has(b"/collection/v1")) =>
            {
                Ok(Some(Foreign::Postman))
            }
            _ if envoy::is_one(text) => Ok(Some(Foreign::Envoy)),
            _ if access::is_one(text) => Ok(Some(Foreign::AccessLog)),
            members => match known_kind(text) {
                Some(KnownKind { name: what, advice }) if !has(b"shadowtap/") => {
                    another(what.to_owned(), advice)
                }
                _ if may_be_own() => Ok(None),
                _ => another(object_of(members), OBJECT_ADVICE),
            },
        };
    }
    match text {
        _ if gor::is_one(text) => Ok(Some(Foreign::Gor)),
        _ if curl::is_one(text) => Ok(Some(Foreign::Curl)),
        _ if access::is_one(text) => Ok(Some(Foreign::AccessLog)),
        [] => Err(ForeignError::Another {
            name: name.to_owned(),
            what: "blank".to_owned(),
            advice: "name a capture or a recording",
        }),
        _ => match known_kind(text) {
            Some(KnownKind { name: what, advice }) => {
                Err(ForeignError::Another { name: name.to_owned(), what: what.to_owned(), advice })
            }
            None => {
                let start = format!("{:?}", String::from_utf8_lossy(&text[..text.len().min(12)]));
                Err(ForeignError::Unknown { name: name.to_owned(), start })
            }
        },
    }
}

const OBJECT_ADVICE: &str = "give exchanges of shadowtap parse, a HAR, an Envoy tap, a Postman \
                             collection or an access log of JSON";

/// An object of JSON that is nothing known, by the first of its members.
fn object_of(members: &[u8]) -> String {
    let name = members.strip_prefix(b"\"").and_then(|rest| rest.split(|&byte| byte == b'"').next());
    match name {
        Some(name) => {
            let name: String = String::from_utf8_lossy(name).chars().take(24).collect();
            format!("JSON that begins with {name:?}")
        }
        None => "JSON without members, or damaged".to_owned(),
    }
}

/// Whether an object begins with the log of a HAR. A `log` that is a text is Docker's.
fn is_har(members: &[u8]) -> bool {
    har_log(members) == Some(0)
}

/// Where a `log` stands that is an object.
fn har_log(text: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(text, b"\"log\"").find(|at| {
        let behind = text[at + 5..].trim_ascii_start();
        let value = behind.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| value.starts_with(b"{"))
    })
}

/// Exchanges on disk with what puts them in order: time, end, place, length, key.
struct GatheredRecords {
    spool: BufWriter<File>,
    end: u64,
    order: Sorter<40>,
    /// Names of lanes' keys are told apart by numbers.
    keys: HashMap<String, u64>,
    text: Vec<u8>,
    ledger: Ledger,
}

impl GatheredRecords {
    fn take(&mut self, read: Result<ReadEntry, Reason>) -> io::Result<()> {
        let ReadEntry { exchange, key } = match read {
            Ok(read) => read,
            Err(reason) => {
                self.ledger.reject(reason, 1);
                return Ok(());
            }
        };
        self.ledger.take(1);
        let next = self.keys.len() as u64;
        let key = *self.keys.entry(key).or_insert(next);
        let (at, end) = instants(&exchange);
        self.text.clear();
        exchanges::write_rest(&mut self.text, &exchange);
        self.spool.write_all(&self.text)?;
        let mut record = [0; 40];
        let fields = [ordered(at), ordered(end), self.end, self.text.len() as u64, key];
        for (place, field) in record.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        self.end += self.text.len() as u64;
        self.order.push(record)
    }
}

/// When an exchange began and ended.
fn instants(exchange: &Exchange) -> (i64, i64) {
    let at = exchange.request.as_ref().map_or(0, |request| request.at.nanos());
    let took = exchange.response.as_ref().and_then(|response| response.last_byte_ns).unwrap_or(0);
    (at, at.saturating_add(took))
}

/// Signed numbers in the order of their bytes.
const fn ordered(number: i64) -> u64 {
    number.cast_unsigned() ^ (1 << 63)
}

const fn unordered(number: u64) -> i64 {
    (number ^ (1 << 63)).cast_signed()
}

fn convert(name: &str, foreign: Foreign, input: impl BufRead) -> Result<File, ForeignError> {
    let unreadable = |cause| ForeignError::Unreadable { name: name.to_owned(), cause };
    let folder = std::env::temp_dir();
    let mut gathered = GatheredRecords {
        spool: BufWriter::with_capacity(1 << 20, nameless_file(&folder).map_err(unreadable)?),
        end: 0,
        order: Sorter::new(&folder),
        keys: HashMap::new(),
        text: Vec::new(),
        ledger: Ledger::default(),
    };
    let damaged = |what, cause| ForeignError::Damaged { name: name.to_owned(), what, cause };
    match foreign {
        Foreign::Gor => gor::read(input, |read| gathered.take(read)).map_err(unreadable)?,
        Foreign::Har => {
            let mut has_credentials = false;
            let read = har::read::read(input, |read| {
                has_credentials |=
                    read.as_ref().is_ok_and(|read| shows_credentials(&read.exchange));
                gathered.take(read)
            });
            match read {
                // What stands before the cut is as good as it was.
                Err(cause) if cause.is_eof() && gathered.ledger.used > 0 => {
                    gathered.take(Err("har-cut-before-its-end")).map_err(unreadable)?;
                }
                Err(cause) if cause.is_eof() => {
                    return Err(ForeignError::Cut { name: name.to_owned(), what: "a HAR" });
                }
                read => read.map_err(|cause| damaged("a HAR", cause))?.map_err(unreadable)?,
            }
            if !has_credentials {
                gathered.ledger.note("entries-of-a-har-without-any-cookie", gathered.ledger.used);
            }
        }
        Foreign::AccessLog => {
            access::read(input, |read| gathered.take(read)).map_err(unreadable)?
        }
        Foreign::Envoy => envoy::read(input, |read| gathered.take(read))
            .map_err(|cause| damaged("an Envoy tap", cause))?
            .map_err(unreadable)?,
        Foreign::Curl => curl::read(input, |read| gathered.take(read)).map_err(unreadable)?,
        Foreign::Postman => postman::read(input, |read| gathered.take(read))
            .map_err(|cause| damaged("a Postman collection", cause))?
            .map_err(unreadable)?,
    }
    let lacks = match foreign {
        Foreign::AccessLog => Some("requests-of-access-logs-without-bodies-and-most-headers"),
        Foreign::Curl => Some("requests-of-curl-lines-without-times-and-answers"),
        Foreign::Postman => Some("requests-of-postman-without-times"),
        Foreign::Envoy => Some("exchanges-of-envoy-timed-by-their-heads-if-at-all"),
        Foreign::Gor | Foreign::Har => None,
    };
    if let Some(lacks) = lacks {
        gathered.ledger.note(lacks, gathered.ledger.used);
    }
    in_order(name, gathered).map_err(unreadable)
}

/// Whether cookies or authorisations stand in an exchange: browsers leave them out of what they
/// export, unless they are told to keep sensitive data.
fn shows_credentials(exchange: &Exchange) -> bool {
    let asks = ["cookie", "authorization"];
    let asked = exchange.request.as_ref().map(|request| &request.message.headers);
    let answered = exchange.response.as_ref().map(|response| &response.message.headers);
    asked.is_some_and(|fields| asks.iter().any(|name| fields.get(name).is_some()))
        || answered.is_some_and(|fields| fields.get("set-cookie").is_some())
}

/// Writes the exchanges in the order of time, each on its lane.
fn in_order(name: &str, gathered: GatheredRecords) -> io::Result<File> {
    let GatheredRecords { spool, order, ledger, .. } = gathered;
    let spool = spool.into_inner().map_err(io::IntoInnerError::into_error)?;
    let mut out = BufWriter::with_capacity(1 << 20, nameless_file(&std::env::temp_dir())?);
    let mut text = Vec::new();
    exchanges::write_line(&mut text, &Header::new(Timestamp::now(), vec![name.to_owned()]));
    let mut lanes = Lanes::default();
    let mut body = Vec::new();
    for record in order.finish()?.iter()? {
        let record = record?;
        let field = |index: usize| {
            u64::from_be_bytes(record[8 * index..8 * index + 8].try_into().expect("eight bytes"))
        };
        let id = lanes.next(field(4), unordered(field(0)), unordered(field(1)));
        body.resize(usize::try_from(field(3)).unwrap_or_default(), 0);
        spool.read_exact_at(&mut body, field(2))?;
        exchanges::write_name(&mut text, id, &[]);
        text.extend_from_slice(&body);
        out.write_all(&text)?;
        text.clear();
    }
    exchanges::write_line(&mut text, &End::new(ledger.used, ledger, Rest::default()));
    out.write_all(&text)?;
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

/// Lanes by key: a pool of connections that grows where all of it is busy. Streams of HTTP/2 that
/// shared a connection have lanes of their own: HTTP/1 could only send them one after another.
#[derive(Default)]
struct Lanes {
    /// By key: when a lane is free again, and which it is.
    pools: HashMap<u64, BinaryHeap<Reverse<(i64, u64)>>>,
    /// Requests on each lane so far.
    ordinals: Vec<u32>,
}

impl Lanes {
    fn next(&mut self, key: u64, at: i64, end: i64) -> ExchangeId {
        let pool = self.pools.entry(key).or_default();
        let free = pool.peek().is_some_and(|Reverse((free, _))| *free <= at);
        let lane = match if free { pool.pop() } else { None } {
            Some(Reverse((_, lane))) => lane,
            None => {
                self.ordinals.push(0);
                self.ordinals.len() as u64 - 1
            }
        };
        pool.push(Reverse((end, lane)));
        let ordinal = &mut self.ordinals[lane as usize];
        let id = ExchangeId { connection: lane, ordinal: *ordinal };
        *ordinal += 1;
        id
    }
}

#[cfg(test)]
mod tests;
