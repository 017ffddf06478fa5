"""Seeded clients for httpbin: several sessions, each on a connection of its own, that together call every endpoint, most of them several
times and many in more than one way. Usage: httpbin_clients.py HOST PORT [SEED]"""
import base64, gzip, http.client, json, random, sys, threading, time

host, port = sys.argv[1], int(sys.argv[2])
seed = int(sys.argv[3]) if len(sys.argv) > 3 else 7
WORDS = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "rowan", "willow", "žluť", "日本"]


def quoted(text):
    return "".join(chr(b) if chr(b).isalnum() and b < 128 else f"%{b:02X}" for b in text.encode())


def multipart(parts):
    """Parts of (name, file name or None, media type or None, bytes), with a boundary that is the same in each run."""
    boundary, out = "----seeded-boundary-1f4a", []
    for name, file, kind, data in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"' + (f'; filename="{file}"' if file else "")
        out.append((head + (f"\r\nContent-Type: {kind}" if kind else "") + "\r\n\r\n").encode() + data + b"\r\n")
    return b"".join(out) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def requests(dice):
    """All requests of one session: (method, target, headers, body)."""
    word = lambda: dice.choice(WORDS)
    out = []
    add = lambda method, target, headers=None, body=None: out.append((method, target, headers or {}, body))
    for path in ["/", "/legacy", "/html", "/robots.txt", "/deny", "/ip", "/uuid", "/headers", "/user-agent", "/gzip", "/deflate", "/brotli",
                 "/cookies", "/forms/post", "/encoding/utf8", "/image", "/image/png", "/image/jpeg", "/image/webp", "/image/svg", "/xml",
                 "/json", "/cache", "/spec.json", "/static/favicon.ico", "/nowhere", "/anything", "/get", "/links/3", "/links/4/1"]:
        add("GET", path)
    add("HEAD", "/get"), add("HEAD", "/html"), add("OPTIONS", "/get"), add("OPTIONS", "/post"), add("TRACE", "/get"), add("GET", "/post")
    for _ in range(4):
        add("GET", f"/get?q={quoted(word())}&page={dice.randrange(1, 5)}&q={quoted(word())}")
        add("GET", f"/anything/{quoted(word())}/{dice.randrange(100)}?x={word().encode().hex()}", {"X-Trace": word().encode().hex()})
        add("GET", "/get?empty=&flag&a=b%26c&a=+plus", {"Accept-Language": dice.choice(["de", "en", "ja"])})
        add("GET", f"/user-agent", {"User-Agent": f"client/{dice.randrange(4)}.0"})
        add("GET", f"/headers", {"X-Many": "1", "Referer": "http://shop.example/"})
    for method in ["POST", "PUT", "PATCH", "DELETE"]:
        path = "/" + method.lower()
        document = {"n": dice.randrange(1000), "word": word(), "list": [dice.random() for _ in range(3)], "deep": {"null": None}}
        add(method, path, {"Content-Type": "application/json"}, json.dumps(document).encode())
        add(method, path, {"Content-Type": "application/json"}, b'{"broken": ')
        add(method, path, {"Content-Type": "application/x-www-form-urlencoded"}, f"a=1&b={quoted(word())}&a=2&empty=".encode())
        add(method, path, {"Content-Type": "text/plain; charset=utf-8"}, word().encode() * 3)
        add(method, path, {"Content-Type": "application/octet-stream"}, bytes(dice.randrange(256) for _ in range(64)))
        body, kind = multipart([("field", None, None, word().encode()), ("file", "a.txt", "text/plain", b"some text\n"),
                                ("blob", "b.bin", "application/octet-stream", bytes(range(200, 256)))])
        add(method, path, {"Content-Type": kind}, body)
        add(method, path)
        add(method, f"/anything/{method.lower()}", {"Content-Type": "application/json"}, json.dumps([1, 2, word()]).encode())
    add("POST", "/post", {"Content-Encoding": "gzip", "Content-Type": "application/json"}, gzip.compress(b'{"a": 1}', mtime=0))
    for code in [200, 201, 202, 204, 206, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 418, 422, 428,
                 429, 431, 500, 502, 503, 504, 599]:
        add("GET", f"/status/{code}")
    add("POST", "/status/200"), add("PUT", "/status/404"), add("DELETE", "/status/500"), add("PATCH", "/status/418")
    for codes in ["200,200", "200:1,500:0", "abc", "1000", "200,abc", "-1"]:
        add("GET", f"/status/{codes}")
    for n in [1, 2, 3, 6]:
        add("GET", f"/redirect/{n}"), add("GET", f"/redirect/{n}?absolute=true")
        add("GET", f"/relative-redirect/{n}"), add("GET", f"/absolute-redirect/{n}")
    for target in ["/get", "http://example.test/there?x=1", "/get?a=b&c=d", quoted("http://example.test/ü"), "//example.test/"]:
        add("GET", f"/redirect-to?url={quoted(target)}"), add("GET", f"/redirect-to?url={quoted(target)}&status_code=307")
    add("POST", "/redirect-to", {"Content-Type": "application/x-www-form-urlencoded"}, b"url=%2Fget&status_code=303")
    add("GET", "/redirect-to"), add("GET", "/redirect/0"), add("PUT", "/redirect-to?url=/put")
    for n in [0, 1, 3, 20]:
        add("GET", f"/stream/{n}")
    for query in ["Server=x", f"X-Word={quoted(word())}", "a=1&a=2&b=3", "Content-Type=text/plain", "ETag=abc", "Set-Cookie=a%3Db%3B%20Path%3D/"]:
        add("GET", f"/response-headers?{query}"), add("POST", f"/response-headers?{query}")
    for cookie in ["a=b", "a=b; c=d", 'quoted="x y"', "a=b; a=c", "odd"]:
        add("GET", "/cookies", {"Cookie": cookie})
    add("GET", "/cookies/set/name/value"), add("GET", f"/cookies/set/{quoted(word())}/{dice.randrange(9)}"), add("GET", "/cookies/set?k1=v1&k2=v2")
    add("GET", "/cookies/delete?a=&b=", {"Cookie": "a=1; b=2"}), add("GET", "/cookies/set?freeform=x")
    basic = lambda user, word: {"Authorization": "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()}
    for path in ["basic-auth", "hidden-basic-auth"]:
        add("GET", f"/{path}/ann/secret"), add("GET", f"/{path}/ann/secret", basic("ann", "secret")), add("GET", f"/{path}/ann/secret", basic("ann", "no"))
    add("GET", "/bearer"), add("GET", "/bearer", {"Authorization": "Bearer abcdef0123456789"}), add("GET", "/bearer", {"Authorization": "Basic x"})
    for path in ["auth/ann/secret", "auth/ann/secret/MD5", "auth/ann/secret/SHA-256", "auth-int/ann/secret/SHA-512", "auth/ann/secret/MD5/never",
                 "wrong/ann/secret"]:
        add("GET", f"/digest-auth/{path}")
    add("GET", "/digest-auth/auth/ann/secret", {"Cookie": "stale_after=never", "Authorization":
        'Digest username="ann", realm="me@kennethreitz.com", nonce="x", uri="/digest-auth/auth/ann/secret", response="y", opaque="z", qop=auth, nc=00000001, cnonce="c"'})
    add("GET", "/delay/0"), add("GET", "/delay/0.1"), add("POST", "/delay/0", {"Content-Type": "application/json"}, b"[1]")
    add("GET", "/drip?duration=0.1&numbytes=10&delay=0"), add("GET", "/drip?duration=0&numbytes=5&code=201"), add("GET", "/drip?numbytes=0")
    for value in ["SFRUUEJJTiBpcyBhd2Vzb21l", "not-base64!", "w7w%3D", "aGk"]:
        add("GET", f"/base64/{value}")
    add("GET", "/cache", {"If-None-Match": "x"}), add("GET", "/cache", {"If-Modified-Since": "Sun, 22 Nov 2026 10:00:00 GMT"})
    add("GET", "/cache/60"), add("GET", "/cache/0")
    for headers in [{}, {"If-None-Match": '"tag"'}, {"If-None-Match": "*"}, {"If-None-Match": '"a", "tag"'}, {"If-Match": '"other"'}, {"If-Match": '"tag"'}]:
        add("GET", "/etag/tag", headers)
    add("GET", "/bytes/50"), add("GET", f"/bytes/40?seed={dice.randrange(3)}"), add("GET", "/bytes/0"), add("GET", "/bytes/200?seed=0")
    add("GET", "/stream-bytes/60"), add("GET", "/stream-bytes/100?seed=1&chunk_size=10"), add("GET", "/stream-bytes/0")
    for headers in [{}, {"Range": "bytes=10-19"}, {"Range": "bytes=-5"}, {"Range": "bytes=50-"}, {"Range": "bytes=900-"}, {"Range": "lines=1-2"}]:
        add("GET", "/range/64", headers)
    add("GET", "/range/64?chunk_size=8&duration=0"), add("GET", "/range/0"), add("GET", "/range/200000")
    for accept in ["image/webp", "image/svg+xml", "image/jpeg", "image/png", "image/*", "text/html"]:
        add("GET", "/image", {"Accept": accept})
    add("GET", "/brotli", {"Accept-Encoding": "br"}), add("GET", "/gzip", {"Accept-Encoding": "identity"})
    add("GET", "/get", {"Origin": "http://other.example"})
    add("OPTIONS", "/put", {"Origin": "http://other.example", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-a"})
    add("GET", "/anything?show_env=1", {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "https", "Via": "1.1 proxy"})
    add("GET", "/get?show_env=1", {"X-Real-Ip": "10.9.9.9"})
    dice.shuffle(out)
    return out


def session(number):
    dice = random.Random(seed * 1000 + number)
    time.sleep(number * 0.05)
    connection = http.client.HTTPConnection(host, port, timeout=20)
    for method, target, headers, body in requests(dice):
        headers = {"User-Agent": "clients/1", "Accept": "*/*", **headers}
        for attempt in range(2):
            try:
                connection.request(method, target, body, headers)
                connection.getresponse().read()
                break
            except (http.client.HTTPException, OSError):
                connection.close()
    connection.close()


threads = [threading.Thread(target=session, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
