//! Every bound of the program, with its unit in the name and its reason.
//!
//! Hitting a bound is an outcome that is counted and named, never a panic and never a silent loss.
//! Stages take the bounds they need as values, so that tests can use small ones; the constants here
//! are the defaults.

/// Longest head (start line and header fields) of a message, in bytes. Servers in the wild stop at
/// 8 KiB to 64 KiB (Apache's `LimitRequestFieldSize` is 8 KiB a field, 100 fields); a head beyond
/// this is damage or an attack.
pub const HEAD_BYTES: usize = 1 << 20;

/// Most header fields in a message.
pub const HEADER_FIELDS: usize = 2_000;

/// Bindings that a comparison keeps, 48 bytes each; beyond it values are compared as they are
/// written.
pub const BINDINGS: usize = 8 << 20;

/// Bindings that a mock keeps, as texts: some hundred bytes each.
pub const MOCK_BINDINGS: usize = 1 << 20;
/// Calls that may wait for their line in the mock's ledger; beyond, a call waits for the line.
pub const MOCK_LINES: usize = 4_096;
/// The same in bytes of their bodies.
pub const MOCK_LINES_BYTES: usize = 32 << 20;

/// Places of recorded calls whose values a mock samples, and different values of each: some hundred
/// bytes a value at most, a few hundred MB where every place is another one.
pub const MOCK_SAMPLED_PLACES: usize = 1 << 16;
/// See [`MOCK_SAMPLED_PLACES`].
pub const MOCK_SAMPLES: usize = 32;

/// Values of v2's that are told one by one for standing for several of v1's.
pub const SHARED_IDS: usize = 10_000;

/// Values that v2 did not issue and that are told apart; what follows from further ones is counted
/// without naming them.
pub const UNBOUND_ROOTS: usize = 1 << 20;

/// Answers in a row, each of which could not issue a value for want of another, that are followed
/// to the first.
pub const ROOT_STEPS: usize = 4_096;

/// Largest body that is kept of one message, in bytes; what is beyond is counted and hashed, not
/// stored.
pub const BODY_BYTES: usize = 32 << 20;

/// Largest body that is taken apart value by value, in bytes, before and after its codings are
/// undone; a larger one is told by length and hash.
pub const WALKED_BODY_BYTES: usize = 1 << 20;

/// Most values of one message that are told one by one.
pub const WALKED_VALUES: usize = 5_000;

/// Most documents inside each other (JSON in a string, a part in a part) that are taken apart. Real
/// ones are two or three deep.
pub const WALKED_LAYERS: u8 = 4;

/// Bytes around the chunks of a request's body (sizes, extensions, line ends) that are kept, so
/// that it is cut the same way when it is sent again: half a million chunks. Beyond it the body
/// goes as one chunk.
pub const CHUNK_FRAMING_BYTES: usize = 4 << 20;

/// Longest line of a JSONL file, in bytes, for who writes it and who reads it: the bodies of a
/// request and its answer in base64, two thirds of it; the rest is for heads, trailers, interim
/// answers and the framing of chunks, each byte of which may be escaped by six.
pub const LINE_BYTES: usize = 4 * BODY_BYTES + 16 * 6 * HEAD_BYTES;

/// Largest body that is written as text whatever it holds, in bytes; a larger one that would be
/// longer escaped than in base64 is written in base64.
pub const ESCAPED_BODY_BYTES: usize = 1 << 20;

/// Largest document that is read as a whole because people write it by hand (a Postman collection),
/// in bytes.
pub const DOCUMENT_BYTES: u64 = 64 << 20;

/// Interim answers (1xx) that are kept of one exchange; what is beyond is counted. A server that is
/// busy sends 102 every twenty seconds (RFC 2518 §10.1), early hints come once or twice.
pub const INTERIM_RESPONSES: usize = 64;

/// Bytes of the heads of interim answers that are kept of one exchange.
pub const INTERIM_BYTES: usize = HEAD_BYTES;

/// Holes that are told one by one of a message; what is missing beyond is added to the last.
pub const MESSAGE_HOLES: usize = 1_000;

/// Bytes of a direction of a connection that may wait for the other direction (a response that was
/// captured before its request, what follows a CONNECT or an Upgrade until it is answered); beyond
/// it they are read as they are.
pub const HELD_BYTES: usize = 1 << 20;

/// Requests of a connection that may wait for their answers. Pipelines in the wild are some hundred
/// deep; one-sided captures never answer.
pub const OUTSTANDING_REQUESTS: usize = 4_096;

/// Bytes of the messages of a connection that may wait to be paired.
pub const OUTSTANDING_BYTES: usize = 64 << 20;

/// Skipped writes that the diff remembers, to tell what follows from them: their paths and names
/// take about 100 bytes each.
pub const SKIPPED_WRITES: usize = 200_000;

/// Most exchanges that are held at once to be joined with their outcomes; larger runs are read in
/// several passes. About 64 bytes each.
pub const JOIN_ENTRIES: usize = 4_000_000;

/// Most exchanges whose records' places a diff keeps for the report, about 100 bytes each; where
/// more would be kept, a report searches the files.
pub const PLACED_EXCHANGES: usize = 200_000;

/// Most routes that are measured each by itself; what is beyond is measured together, as one route
/// of its own name.
pub const MEASURED_ROUTES: usize = 2_000;

/// Most steps of a timeline; a longer run gets steps of two seconds, four, and so on. Six hours by
/// the second.
pub const TIMELINE_STEPS: usize = 21_600;

/// Most steps of a route's own timeline; there may be [`MEASURED_ROUTES`] of them.
pub const ROUTE_STEPS: usize = 64;

/// Longest name in a place, in bytes: every value below it repeats it. A longer one is told by its
/// start and its hash.
pub const PLACE_NAME_BYTES: usize = 512;

/// Longest target that differences show, in characters: every difference of an exchange repeats it.
pub const SHOWN_TARGET: usize = 2_000;

/// Bytes of a request that one comparison looks through for values that v2 changed; beyond, a value
/// counts as one that the request named.
pub const ASKED_BYTES: usize = 64 << 20;

/// Added members of an object with the value of a removed one that are asked whether they are the
/// same under another name.
pub const RENAMING_CANDIDATES: usize = 32;

/// Attributes of one tag of HTML. Pages have some dozens; the tokenizer calls itself for each.
pub const TAG_ATTRIBUTES: usize = 400;

/// Longest packet that is read, in bytes. libpcap refuses more than 256 KiB (128 MiB for D-Bus); a
/// frame that offload made can pass 64 KiB. A record header that claims more is damage.
pub const PACKET_BYTES: u32 = 1 << 20;

/// How much of a capture is read at once, in bytes: large enough that a block costs nothing, small
/// enough that what was read is still in the processor's cache when it is decoded and reassembled.
pub const BLOCK_BYTES: usize = 1 << 20;

/// Smallest block where many inputs are merged, in bytes.
pub const SMALLEST_BLOCK_BYTES: usize = 64 << 10;

/// Read ahead of all inputs together, in bytes; shared among them.
pub const READ_AHEAD_BYTES: usize = 16 << 20;

/// How far the packets of a file may stand out of the order of their times, in nanoseconds. Queues
/// and interfaces that are written by turns are up to a second apart; what is further back is a
/// clock that was set.
pub const DISORDER_NS: i64 = 5_000_000_000;

/// Bytes of packets of a file that wait at most to be put in order, with what each costs beside.
pub const DISORDER_BYTES: usize = 32 << 20;

/// Inputs that are opened at once; of more, each is opened when its first packet is due.
pub const OPEN_INPUTS: usize = 64;

/// Buffer before decompression and for reading lines, in bytes.
pub const READ_BYTES: usize = 256 << 10;

/// Interfaces of a pcapng section that are kept.
pub const INTERFACES: usize = 65_536;

/// Secrets that are kept of a pcapng file's Decryption Secrets Blocks, in bytes.
pub const SECRETS_BYTES: usize = 16 << 20;

/// Headers inside each other in one packet (tags, labels, tunnels, extension headers). GENEVE over
/// VXLAN over QinQ needs 14.
pub const LAYERS: u32 = 40;

/// IP packets that wait for fragments.
pub const FRAGMENTED_PACKETS: usize = 4_096;

/// Bytes of IP fragments that wait.
pub const FRAGMENT_BYTES: usize = 16 << 20;

/// How long a fragment waits for the others, in nanoseconds of capture time (RFC 791 suggests 15 s,
/// RFC 8200 60 s).
pub const FRAGMENT_AGE_NS: i64 = 60_000_000_000;

/// Connections that are followed at a time; one more evicts one that was quiet for long.
pub const CONNECTIONS: usize = 65_536;

/// Connections, and payloads of them, that are remembered to be found again under other addresses;
/// twice as many at most. About 100 bytes each.
pub const SIGHTINGS: usize = 32_768;

/// Bytes held in one direction of a connection while bytes before them may still come. Receivers'
/// windows seldom pass 6 MiB.
pub const STREAM_HELD_BYTES: usize = 8 << 20;

/// Bytes held by all connections together: out of order, of messages under way, of messages that
/// wait for their answers.
pub const ALL_HELD_BYTES: usize = 128 << 20;

/// Connections that hold less than this are spared at first when all together hold too much, in
/// bytes.
pub const SHED_BYTES: usize = 16 << 10;

/// Bytes held behind a hole whose bytes the peer has acknowledged, before the hole is a gap: how
/// far a capture's order may differ from the wire's.
pub const REORDER_BYTES: usize = 1 << 20;

/// How long such a hole is waited for, in nanoseconds of capture time. Merged captures with skewed
/// clocks are this far off.
pub const REORDER_NS: i64 = 60_000_000_000;

/// How long a connection may be quiet, in nanoseconds of capture time. Keep-alive connections of
/// pools are quiet for minutes.
pub const IDLE_NS: i64 = 3_600_000_000_000;

/// How long a closed or reset connection is remembered, in nanoseconds of capture time, for packets
/// that come late.
pub const LINGER_NS: i64 = 5_000_000_000;

/// Largest content of one body once its content codings are undone, in bytes; beyond it the coded
/// bytes are compared.
pub const CONTENT_BYTES: usize = 64 << 20;

/// Tokens of a redacted recording's requests that are known again in v2's answers; about 16 bytes
/// each.
pub const KNOWN_TOKENS: usize = 4 << 20;

/// Settings of one client of HTTP/2 that are kept: there are seven, and some that mean nothing.
pub const CLIENT_SETTINGS: usize = 64;

/// Octets of an HPACK table that are kept of one direction of a connection. Senders use 4 KiB, some
/// 64 KiB; one that uses more is understood as if it had been joined in the middle.
pub const HPACK_TABLE_BYTES: usize = 64 << 10;

/// Decoded size, in bytes, up to which a header block may be any number of times as long as its
/// code: a large cookie that is named by its index takes one byte.
pub const HEADER_BOMB_BYTES: usize = 64 << 10;

/// How many times as long as its code a larger header block may become.
pub const HEADER_BOMB_RATIO: usize = 64;

/// Longest body or chunk that a live answer may declare, in bytes: a petabyte does not come within
/// any timeout, so who declares more errs or lies.
pub const DECLARED_BYTES: u64 = 1 << 50;

/// Most interim answers (1xx) to one request of the replay. Servers send one or two; more is a
/// flood that never ends in an answer.
pub const INTERIM_ANSWERS: u32 = 1_000;

/// Servers of a capture that a replay refuses as targets; a capture with more is not of one
/// service.
pub const CAPTURED_SERVERS: usize = 65_536;

/// Host names of a capture's requests that are told apart, with how many requests each had.
/// Scanners make up as many as they like; those with the most requests are kept.
pub const CAPTURED_HOSTS: usize = 65_536;

/// Most of them that are resolved before a replay, in the order of traffic.
pub const RESOLVED_HOSTS: usize = 4_096;

/// Requests of a replay that may fail before HTTP (no connection, no TLS session) while none has
/// got as far; then it ends.
pub const HOPELESS_REQUESTS: u64 = 100;

/// Longest handshake message of TLS that is read, in bytes; certificates are passed over. Hellos
/// with keys that resist quantum computers are some kilobytes long.
pub const HANDSHAKE_BYTES: usize = 64 << 10;

/// Connections whose TLS secrets are kept; beyond it the oldest are let go of. About 300 bytes
/// each.
pub const KEYLOG_CONNECTIONS: usize = 1 << 20;

/// Bytes of a key log that are read at once; the rest follows with the next packets.
pub const KEYLOG_BYTES: u64 = 256 << 20;

/// Bytes of a TLS connection that wait for its key.
pub const TLS_HELD_BYTES: usize = 256 << 10;

/// Guesses at keys and record numbers for one TLS connection that was joined in the middle or lost
/// records: a quarter of a microsecond each, and as much for each [`TLS_GUESS_BYTES`] that must be
/// decrypted for it.
pub const TLS_GUESSES: u64 = 1 << 22;

/// Bytes of a record that count as one guess more: a long one takes much longer to open.
/// The build of the unit tests deciphers a hundred times as slowly.
pub const TLS_GUESS_BYTES: usize = if cfg!(test) { 8 } else { 512 };

/// Such guesses for all connections of a shard.
pub const TLS_GUESSES_SHARED: u64 = 1 << 24;

/// Record numbers that are tried under one key, where a record does not tell its number: of a
/// connection that was joined in the middle.
pub const TLS_NUMBERS: u64 = 1 << 20;

/// CONTINUATION frames of one header block: sixteen times what a head of [`HEAD_BYTES`] needs. A
/// flood of empty ones says nothing (CVE-2024-27316 and its like).
pub const CONTINUATIONS: usize = 1_024;

/// Pieces of a body whose times are kept; of a longer stream two become one, and so on.
pub const PIECES: usize = 1_024;

/// Streams that are over and wait for a reset that may still come, at most; and how long, in
/// nanoseconds of capture time.
pub const CLOSING_STREAMS: usize = 8;
/// See [`CLOSING_STREAMS`].
pub const CLOSING_NS: i64 = 100_000_000;

/// Streams that were given out and are known again, so that what comes late of them is not taken
/// for another one.
pub const CLOSED_STREAMS: usize = 1_024;

/// Messages of a WebSocket that are kept with the exchange that opened it; and their bytes.
pub const SOCKET_MESSAGES: usize = 65_536;
/// See [`SOCKET_MESSAGES`].
pub const SOCKET_BYTES: usize = 32 << 20;

/// Frames of HTTP/2 that v2 may send while none of them brings an answer on, nor lets content go: a
/// server that pings each second has nearly three hours.
pub const IDLE_FRAMES: u32 = 10_000;
/// Bytes of answers to v2's own frames that may wait for it to read them.
pub const UNREAD_BYTES: usize = 1 << 20;

/// Connections are numbered below this: far more than a capture can hold, and small enough that no
/// copy of a lane gets a number that another one has.
pub const CONNECTION_NUMBERS: u64 = 1 << 40;
