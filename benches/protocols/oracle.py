"""Clients of Python that hold the oracle to its word: oracle.py httpx|niquests|aiohttp|plain URL TARGET..., curl_cffi URL WHO TARGET..., and the oracle for
ASGI servers (`oracle:app`)."""
import asyncio
import hashlib
import http.client
import os
import ssl
import sys
import urllib.parse


def content(target, length):
    return (hashlib.sha256(target.encode()).hexdigest() * (length // 64 + 1))[:length].encode()


def asked(target):
    url = urllib.parse.urlsplit(target)
    query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
    return int(url.path.split("/")[2]), {name: values[0] for name, values in query.items()}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": event + ".complete"})
            if event == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            said = {name: event[name] for name in ("text", "bytes") if event.get(name) is not None}
            await send({"type": "websocket.send", **said})
        return
    got = b""
    while (part := await receive()).get("more_body"):
        got += part.get("body", b"")
    got += part.get("body", b"")
    target = scope["raw_path"].decode() + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
    target = target if target.count("?") < 2 else target.split("?", 1)[0] + "?" + scope["query_string"].decode()
    length, wish = asked(target)
    told = f"{scope['method']} {target} {len(got)} {hashlib.sha256(got).hexdigest()}"
    await send({"type": "http.response.start", "status": int(wish.get("status", 200)), "headers": [(b"x-got", told.encode())]})
    body = content(target, length)
    step = max(1, -(-length // int(wish.get("pieces", 1))))
    for start in range(0, length, step):
        await send({"type": "http.response.body", "body": body[start:start + step], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def check(target, status, body):
    length, wish = asked(target)
    if status != int(wish.get("status", 200)) or body != content(target, length):
        print(target, status, len(body), file=sys.stderr)
        sys.exit(1)


def parts(target):
    body = int(asked(target)[1].get("body", 0))
    return ("POST" if body else "GET"), (content(target, body) if body else None)


def context():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def with_httpx(url, targets):
    import httpx
    clear = url.startswith("http:")
    async with httpx.AsyncClient(http1=not clear, http2=True, verify=context()) as client:
        async def one(target):
            method, body = parts(target)
            answer = await client.request(method, url + target, content=body)
            check(target, answer.status_code, answer.content)
        for start in range(0, len(targets), 5):
            await asyncio.gather(*map(one, targets[start:start + 5]))


def with_niquests(url, targets):
    import niquests
    with niquests.Session(multiplexed=True, disable_http3=True) as session:
        ask = lambda target: session.request(parts(target)[0], url + target, data=parts(target)[1], verify=False)
        answers = [(target, ask(target)) for target in targets]
        session.gather()
        for target, answer in answers:
            check(target, answer.status_code, answer.content)


async def with_aiohttp(url, targets):
    import aiohttp
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=3, ssl=context())) as session:
        async def one(target):
            method, body = parts(target)
            async with session.request(method, url + target, data=body) as answer:
                check(target, answer.status, await answer.read())
        await asyncio.gather(*map(one, targets))


def with_curl_cffi(url, told):
    from curl_cffi import requests
    who, *targets = told
    with requests.Session(impersonate=who, verify=False) as session:
        for target in targets:
            method, body = parts(target)
            answer = session.request(method, url + target, data=body, quote=False)
            check(target, answer.status_code, answer.content)


def plain(url, targets):
    address = urllib.parse.urlsplit(url)
    options = {"context": context()} if address.scheme == "https" else {}
    made = http.client.HTTPSConnection if options else http.client.HTTPConnection
    connection = made(address.hostname, address.port, **options)
    for target in targets:
        method, body = parts(target)
        connection.request(method, target, body)
        answer = connection.getresponse()
        check(target, answer.status, answer.read())


if __name__ == "__main__":
    kind, url, *targets = sys.argv[1:]
    run = {"httpx": with_httpx, "niquests": with_niquests, "aiohttp": with_aiohttp, "plain": plain, "curl_cffi": with_curl_cffi}[kind]
    done = run(url, targets)
    if done is not None:
        asyncio.run(done)
