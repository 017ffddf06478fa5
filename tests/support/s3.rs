//! A store as S3 and Google's speak it, small: objects, ranges, conditions, lists, uploads in parts.
//! It can be away, and come back.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

type Parts = BTreeMap<u32, Vec<u8>>;

#[derive(Default)]
struct State {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    uploads: Mutex<BTreeMap<String, Parts>>,
    away: AtomicBool,
    /// What somebody else puts there as soon as an object was read: that one, and the new one.
    after: Mutex<Option<[(String, Vec<u8>); 2]>>,
}

/// The store; its objects are of one bucket.
pub(crate) struct Store {
    state: Arc<State>,
    address: SocketAddr,
}

impl Store {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a bound address");
        let state = Arc::<State>::default();
        let of_thread = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&of_thread);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { state, address }
    }

    /// What the program must find in its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("STORAGE_EMULATOR_HOST", self.address.to_string()),
        ]
    }

    /// Answers nothing any more, or again.
    pub(crate) fn away(&self, away: bool) {
        self.state.away.store(away, Ordering::SeqCst);
    }

    /// Puts an object there as soon as another one was read.
    pub(crate) fn after(&self, read: &str, key: &str, bytes: &[u8]) {
        let pair = [(read.to_owned(), Vec::new()), (key.to_owned(), bytes.to_vec())];
        *self.state.after.lock().expect("the store works") = Some(pair);
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.state.objects.lock().expect("the store works").keys().cloned().collect()
    }

    pub(crate) fn get(&self, key: &str) -> Vec<u8> {
        let objects = self.state.objects.lock().expect("the store works");
        objects.get(key).unwrap_or_else(|| panic!("{key} is not in {:?}", objects.keys())).clone()
    }

    pub(crate) fn remove(&self, key: &str) {
        self.state.objects.lock().expect("the store works").remove(key);
    }

    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        let mut objects = self.state.objects.lock().expect("the store works");
        objects.insert(key.to_owned(), bytes.to_vec());
    }
}

struct Request {
    method: String,
    key: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn serve(stream: TcpStream, state: &State) {
    let mut writer = stream.try_clone().expect("a second handle");
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        if state.away.load(Ordering::SeqCst) {
            return;
        }
        let (status, headers, body) = answer(state, &request);
        let length = headers.iter().find(|(name, _)| *name == "content-length");
        let mut head = format!("HTTP/1.1 {status}\r\n");
        for (name, value) in &headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if length.is_none() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        // Google's tells which writing of the object it is.
        head.push_str("x-goog-generation: 7\r\n");
        head.push_str("last-modified: Sat, 28 Nov 2026 10:00:00 GMT\r\n\r\n");
        let whole = [head.as_bytes(), if request.method == "HEAD" { b"" } else { &body }].concat();
        if writer.write_all(&whole).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap_or(0));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), decoded(value))
    });
    let key = decoded(path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key));
    Some(Request { method, key, query: query.collect(), headers, body })
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let code = |byte: Option<u8>| byte.and_then(|byte| (byte as char).to_digit(16));
        match byte {
            b'%' => {
                let (high, low) = (code(bytes.next()), code(bytes.next()));
                out.push((high.unwrap_or(0) * 16 + low.unwrap_or(0)) as u8);
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).expect("keys are UTF-8")
}

type Reply = (&'static str, Vec<(&'static str, String)>, Vec<u8>);

fn answer(state: &State, request: &Request) -> Reply {
    let mut objects = state.objects.lock().expect("the store works");
    let mut uploads = state.uploads.lock().expect("the store works");
    let upload = request.query.get("uploadId").cloned();
    match (request.method.as_str(), upload) {
        ("GET", None) if request.query.contains_key("list-type") => {
            let empty = String::new();
            let prefix = request.query.get("prefix").unwrap_or(&empty);
            ("200 OK", vec![("content-type", "application/xml".into())], list(&objects, prefix))
        }
        ("GET" | "HEAD", None) => match objects.get(&request.key) {
            None => ("404 Not Found", vec![], b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
            Some(bytes) => {
                let reply = found(bytes, &request.headers);
                let mut after = state.after.lock().expect("the store works");
                let is_read = |[read, _]: &mut [(String, _); 2]| read.0 == request.key;
                if request.method == "GET"
                    && let Some([_, (key, bytes)]) = after.take_if(is_read)
                {
                    objects.insert(key, bytes);
                }
                reply
            }
        },
        ("PUT", None) => {
            let is_there = objects.contains_key(&request.key);
            let asks = |name: &str, value: &str| {
                request.headers.get(name).is_some_and(|given| given == value)
            };
            let wants_none = asks("if-none-match", "*") || asks("x-goog-if-generation-match", "0");
            if is_there && wants_none {
                return ("412 Precondition Failed", vec![], vec![]);
            }
            objects.insert(request.key.clone(), request.body.clone());
            ("200 OK", vec![("etag", tag(&request.body))], vec![])
        }
        ("DELETE", None) => {
            objects.remove(&request.key);
            ("204 No Content", vec![], vec![])
        }
        ("POST", None) if request.query.contains_key("delete") => {
            let asked = String::from_utf8_lossy(&request.body);
            let mut text = String::from("<DeleteResult>");
            for key in asked.split("<Key>").skip(1).filter_map(|rest| rest.split('<').next()) {
                objects.remove(key);
                text.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
            }
            ("200 OK", vec![], (text + "</DeleteResult>").into_bytes())
        }
        ("POST", None) => {
            let id = format!("upload-{}", uploads.len());
            uploads.insert(id.clone(), Parts::new());
            let text = format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId>\
                 </InitiateMultipartUploadResult>"
            );
            ("200 OK", vec![], text.into_bytes())
        }
        ("PUT", Some(id)) => {
            let number = request.query["partNumber"].parse().expect("parts are numbered");
            let parts = uploads.get_mut(&id).expect("the upload was begun");
            parts.insert(number, request.body.clone());
            ("200 OK", vec![("etag", tag(&request.body))], vec![])
        }
        ("POST", Some(id)) => {
            let parts = uploads.remove(&id).expect("the upload was begun");
            let whole: Vec<u8> = parts.into_values().flatten().collect();
            let text = format!(
                "<CompleteMultipartUploadResult><ETag>{}</ETag></CompleteMultipartUploadResult>",
                tag(&whole)
            );
            objects.insert(request.key.clone(), whole);
            ("200 OK", vec![], text.into_bytes())
        }
        (_, Some(id)) => {
            uploads.remove(&id);
            ("204 No Content", vec![], vec![])
        }
        (method, None) => panic!("{method} is not asked of stores"),
    }
}

fn found(bytes: &[u8], headers: &BTreeMap<String, String>) -> Reply {
    let etag = ("etag", tag(bytes));
    if headers.get("if-match").is_some_and(|wanted| *wanted != etag.1) {
        return ("412 Precondition Failed", vec![], vec![]);
    }
    let Some(range) = headers.get("range").and_then(|range| range.strip_prefix("bytes=")) else {
        return ("200 OK", vec![etag, ("content-length", bytes.len().to_string())], bytes.to_vec());
    };
    let (start, end) = range.split_once('-').expect("a range has two ends");
    let start: usize = start.parse().expect("a range begins with a number");
    let end = end.parse::<usize>().map_or(bytes.len(), |end| bytes.len().min(end + 1));
    let range = format!("bytes {start}-{}/{}", end - 1, bytes.len());
    ("206 Partial Content", vec![etag, ("content-range", range)], bytes[start..end].to_vec())
}

fn tag(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0_u64, |sum, &byte| sum.wrapping_mul(31) ^ u64::from(byte));
    format!("\"{sum:x}-{}\"", bytes.len())
}

/// The objects right below `prefix`, and the prefixes there.
fn list(objects: &BTreeMap<String, Vec<u8>>, prefix: &str) -> Vec<u8> {
    let mut text = String::from("<ListBucketResult><IsTruncated>false</IsTruncated>");
    let mut below = std::collections::BTreeSet::new();
    for (key, bytes) in objects {
        let Some(rest) = key.strip_prefix(prefix) else { continue };
        match rest.split_once('/') {
            Some((folder, _)) => {
                below.insert(format!("{prefix}{folder}/"));
            }
            None => text.push_str(&format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-28T10:00:00.000Z</LastModified>\
                 <ETag>{}</ETag><Size>{}</Size></Contents>",
                tag(bytes).replace('"', "&quot;"),
                bytes.len()
            )),
        }
    }
    for folder in below {
        text.push_str(&format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"));
    }
    (text + "</ListBucketResult>").into_bytes()
}
