#!/usr/bin/env python3
"""A store that speaks as much of Google's XML API as a client of objects asks for, on loopback: objects with generations, ranges, lists
in pages, uploads in parts, and writes on the condition that there is none yet. It keeps all in a folder, so that it may be killed and
started again. (fake-gcs-server takes no writes of this API.)

    benches/store/google.py PORT FOLDER
"""
import hashlib, http.server, itertools, os, pathlib, re, shutil, sys, threading, time
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

TOP = pathlib.Path(sys.argv[2])
OBJECTS, UPLOADS = TOP / "objects", TOP / "uploads"
PAGE = 7
LOCK = threading.Lock()
NUMBER = itertools.count()


def place(key):
    return OBJECTS / quote(key, safe="")


def etag(path):
    return '"%s"' % hashlib.md5(path.read_bytes()).hexdigest()


def generation(path):
    return str(path.stat().st_mtime_ns // 1000)


class Store(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def asked(self):
        url = urlsplit(self.path)
        key = unquote(url.path).split("/", 2)[2:]
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        return (key[0] if key else ""), query, body

    def say(self, status, body=b"", **fields):
        self.send_response(status)
        self.send_header("Content-Length", fields.pop("length", len(body)))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def of(self, path):
        stamp = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(path.stat().st_mtime))
        return {"ETag": etag(path), "x_goog_generation": generation(path), "Last_Modified": stamp}

    def do_GET(self):
        key, query, _ = self.asked()
        if not key:
            return self.say(200, listed(query), Content_Type="application/xml")
        path = place(key)
        if not path.exists():
            return self.say(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if self.headers.get("if-match") not in (None, etag(path)):
            return self.say(412)
        data, fields = path.read_bytes(), self.of(path)
        if self.command == "HEAD":
            return self.say(200, b"", length=len(data), **fields)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        if not asked:
            return self.say(200, data, **fields)
        start, end = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
        self.say(206, data[start:end + 1], Content_Range=f"bytes {start}-{end}/{len(data)}", **fields)

    do_HEAD = do_GET

    def do_PUT(self):
        key, query, body = self.asked()
        if not key:
            return self.say(200)
        if "uploadId" in query:
            part = UPLOADS / query["uploadId"] / ("%05d" % int(query["partNumber"]))
            if not part.parent.exists():
                return self.say(404)
            put(part, body)
            return self.say(200, ETag=etag(part))
        with LOCK:
            path = place(key)
            if self.headers.get("x-goog-if-generation-match") == "0" and path.exists():
                return self.say(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            put(path, body)
        self.say(200, **self.of(path))

    def do_POST(self):
        key, query, body = self.asked()
        if "uploads" in query:
            name = f"{time.time_ns()}-{next(NUMBER)}"
            (UPLOADS / name).mkdir()
            text = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
            return self.say(200, text.encode(), Content_Type="application/xml")
        parts = UPLOADS / query["uploadId"]
        if not parts.exists():
            return self.say(404, b"<Error><Code>NoSuchUpload</Code></Error>")
        chosen = [(part.findtext("PartNumber"), part.findtext("ETag")) for part in ElementTree.fromstring(body).iter("Part")]
        files = [parts / ("%05d" % int(number)) for number, _ in chosen]
        if not files or any(etag(file) != tag for file, (_, tag) in zip(files, chosen)):
            return self.say(400, b"<Error><Code>InvalidPart</Code></Error>")
        with LOCK:
            put(place(key), b"".join(file.read_bytes() for file in files))
            shutil.rmtree(parts)
        text = f"<CompleteMultipartUploadResult><ETag>{escape(etag(place(key)))}</ETag></CompleteMultipartUploadResult>"
        self.say(200, text.encode(), Content_Type="application/xml", x_goog_generation=generation(place(key)))

    def do_DELETE(self):
        key, query, _ = self.asked()
        if "uploadId" in query:
            shutil.rmtree(UPLOADS / query["uploadId"], ignore_errors=True)
            return self.say(204)
        there = place(key).exists()
        place(key).unlink(missing_ok=True)
        self.say(204 if there else 404)

    def log_message(self, *_):
        pass


def put(path, body):
    """There whole or not at all, also when this is killed."""
    part = TOP / f"part-{os.getpid()}-{next(NUMBER)}"
    part.write_bytes(body)
    os.replace(part, path)


def listed(query):
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    behind = query.get("continuation-token") or query.get("start-after") or ""
    rows = {}
    for path in OBJECTS.iterdir():
        key = unquote(path.name)
        if not key.startswith(prefix):
            continue
        head, cut, _ = key[len(prefix):].partition(delimiter) if delimiter else (key, "", "")
        rows[prefix + head + cut if cut else key] = None if cut else path
    names = sorted(name for name in rows if name > behind)
    text = ""
    for name in names[:PAGE]:
        path = rows[name]
        if path is None:
            text += f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
            continue
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(path.stat().st_mtime))
        text += (f"<Contents><Key>{escape(name)}</Key><LastModified>{stamp}</LastModified><ETag>{escape(etag(path))}</ETag>"
                 f"<Size>{path.stat().st_size}</Size></Contents>")
    more = len(names) > PAGE
    token = f"<NextContinuationToken>{escape(names[PAGE - 1])}</NextContinuationToken>" if more else ""
    return f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{text}</ListBucketResult>".encode()


for folder in (OBJECTS, UPLOADS):
    folder.mkdir(parents=True, exist_ok=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Store).serve_forever()
