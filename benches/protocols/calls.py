"""Calls of every kind at a server of grpcio: calls.py serve PORT | sync|aio TARGET [CERT] [gzip|deflate]. Whoever serves says in its
trailers what it got (`x-got`) and said (`x-said`): the SHA-256 of all messages one after another."""
import asyncio
import hashlib
import sys
import time
from concurrent import futures

import grpc

CODINGS = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate, "": None}
SIZES = [0, 1, 5, 100, 16_379, 16_380, 70_000]


def same(octets):
    return octets


def content(name, length):
    return (hashlib.sha256(name.encode()).digest() * (length // 32 + 1))[:length]


def told(context, got, said):
    marks = [(name, hashlib.sha256(b"".join(all)).hexdigest()) for name, all in (("x-got", got), ("x-said", said))]
    context.set_trailing_metadata(marks + [("x-raw-bin", bytes(range(256)))])


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        name = details.method.rsplit("/", 1)[1]
        return getattr(self, name)()

    def Unary(self):
        def call(request, context):
            told(context, [request], [request + b"!"])
            return request + b"!"
        return grpc.unary_unary_rpc_method_handler(call, same, same)

    def Fail(self):
        def call(request, context):
            context.abort(grpc.StatusCode.NOT_FOUND, "nothing of 100 % \u00fc")
        return grpc.unary_unary_rpc_method_handler(call, same, same)

    def Slow(self):
        def call(request, context):
            time.sleep(1)
            return request
        return grpc.unary_unary_rpc_method_handler(call, same, same)

    def Down(self):
        def call(request, context):
            said = [content(f"down {at}", length) for at, length in enumerate(SIZES)]
            for message in said:
                yield message
                time.sleep(0.005)
            told(context, [request], said)
        return grpc.unary_stream_rpc_method_handler(call, same, same)

    def Endless(self):
        def call(request, context):
            at = 0
            while context.is_active():
                yield b"m%d" % at
                time.sleep(0.02)
                at += 1
        return grpc.unary_stream_rpc_method_handler(call, same, same)

    def Up(self):
        def call(requests, context):
            got = list(requests)
            said = [hashlib.sha256(b"".join(got)).digest()]
            told(context, got, said)
            return said[0]
        return grpc.stream_unary_rpc_method_handler(call, same, same)

    def Chat(self):
        def call(requests, context):
            got = []
            for message in requests:
                got.append(message)
                yield message
            told(context, got, got)
        return grpc.stream_stream_rpc_method_handler(call, same, same)


def credentials(cert):
    return grpc.ssl_channel_credentials(open(cert, "rb").read())


def sync(target, cert, coding):
    options = [("grpc.ssl_target_name_override", "localhost")]
    channel = (grpc.secure_channel(target, credentials(cert), options, coding) if cert
               else grpc.insecure_channel(target, options, coding))
    with channel:
        unary = lambda name: channel.unary_unary("/t.T/" + name, same, same)
        for at in range(12):
            marks = (("k", str(at % 3)), ("b-bin", bytes([0, at, 254])))
            asked = content(f"u{at}", at * 700)
            assert unary("Unary")(asked, metadata=marks, timeout=10) == asked + b"!"
        for name, limit in (("Fail", 10), ("Slow", 0.2)):
            try:
                unary(name)(b"x", timeout=limit)
            except grpc.RpcError as error:
                assert error.code().name in ("NOT_FOUND", "DEADLINE_EXCEEDED")
        down = list(channel.unary_stream("/t.T/Down", same, same)(b"d"))
        assert down == [content(f"down {at}", length) for at, length in enumerate(SIZES)]
        up = [content(f"up {at}", length) for at, length in enumerate(SIZES)]
        assert channel.stream_unary("/t.T/Up", same, same)(iter(up)) == hashlib.sha256(b"".join(up)).digest()
        assert list(channel.stream_stream("/t.T/Chat", same, same)(iter(up))) == up
        endless = channel.unary_stream("/t.T/Endless", same, same)(b"e")
        assert [next(endless) for _ in range(4)] == [b"m0", b"m1", b"m2", b"m3"]
        endless.cancel()
        time.sleep(0.1)
        waiting = [unary("Unary").future(b"f%d" % at) for at in range(20)]
        assert [one.result() for one in waiting] == [b"f%d!" % at for at in range(20)]


async def aio(target, cert, coding):
    options = [("grpc.ssl_target_name_override", "localhost")]
    channel = (grpc.aio.secure_channel(target, credentials(cert), options, coding) if cert
               else grpc.aio.insecure_channel(target, options, coding))
    async with channel:
        unary = lambda name: channel.unary_unary("/t.T/" + name, same, same)
        for at in range(12):
            asked = content(f"u{at}", at * 700)
            assert await unary("Unary")(asked, metadata=(("k", str(at % 3)),), timeout=10) == asked + b"!"
        for name, limit in (("Fail", 10), ("Slow", 0.2)):
            try:
                await unary(name)(b"x", timeout=limit)
            except grpc.RpcError as error:
                assert error.code().name in ("NOT_FOUND", "DEADLINE_EXCEEDED")
        down = [message async for message in channel.unary_stream("/t.T/Down", same, same)(b"d")]
        assert down == [content(f"down {at}", length) for at, length in enumerate(SIZES)]
        up = [content(f"up {at}", length) for at, length in enumerate(SIZES)]
        assert await channel.stream_unary("/t.T/Up", same, same)(iter(up)) == hashlib.sha256(b"".join(up)).digest()
        chat = channel.stream_stream("/t.T/Chat", same, same)()
        for message in up:
            await chat.write(message)
            assert await chat.read() == message
        await chat.done_writing()
        assert await chat.read() == grpc.aio.EOF
        endless = channel.unary_stream("/t.T/Endless", same, same)(b"e")
        assert [await endless.read() for _ in range(4)] == [b"m0", b"m1", b"m2", b"m3"]
        endless.cancel()
        await asyncio.sleep(0.1)
        said = await asyncio.gather(*(unary("Unary")(b"f%d" % at) for at in range(20)))
        assert said == [b"f%d!" % at for at in range(20)]


if __name__ == "__main__":
    kind, place, *rest = sys.argv[1:]
    coding = CODINGS[next((one for one in rest if one in CODINGS), "")]
    cert = next((one for one in rest if one not in CODINGS), None)
    if kind == "serve":
        server = grpc.server(futures.ThreadPoolExecutor(32), compression=coding)
        server.add_generic_rpc_handlers((Handler(),))
        server.add_insecure_port("127.0.0.1:" + place)
        server.start()
        server.wait_for_termination()
    elif kind == "sync":
        sync(place, cert, coding)
    else:
        asyncio.run(aio(place, cert, coding))
