"""The calls of calls.py by grpclib: calls_grpclib.py serve PORT [CERT KEY] | call PORT [CERT]."""
import asyncio, hashlib, ssl, sys
import grpclib.const
from grpclib.client import Channel
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError
from grpclib.server import Server
from calls import SIZES, content


class Octets(CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


def told(got, said):
    marks = [(name, hashlib.sha256(b"".join(all)).hexdigest()) for name, all in (("x-got", got), ("x-said", said))]
    return dict(marks + [("x-raw-bin", bytes(range(256)))])


class Service:
    def __mapping__(self):
        kinds = {"Unary": Cardinality.UNARY_UNARY, "Fail": Cardinality.UNARY_UNARY, "Slow": Cardinality.UNARY_UNARY, "Down": Cardinality.UNARY_STREAM,
                 "Endless": Cardinality.UNARY_STREAM, "Up": Cardinality.STREAM_UNARY, "Chat": Cardinality.STREAM_STREAM}
        return {"/t.T/" + name: Handler(getattr(self, name), kind, bytes, bytes) for name, kind in kinds.items()}

    async def Unary(self, stream):
        request = await stream.recv_message()
        await stream.send_message(request + b"!")
        await stream.send_trailing_metadata(metadata=told([request], [request + b"!"]))

    async def Fail(self, stream):
        await stream.recv_message()
        raise GRPCError(Status.NOT_FOUND, "nothing of 100 % \u00fc")

    async def Slow(self, stream):
        request = await stream.recv_message()
        await asyncio.sleep(1)
        await stream.send_message(request)

    async def Down(self, stream):
        request = await stream.recv_message()
        said = [content(f"down {at}", length) for at, length in enumerate(SIZES)]
        for message in said:
            await stream.send_message(message)
        await stream.send_trailing_metadata(metadata=told([request], said))

    async def Endless(self, stream):
        await stream.recv_message()
        at = 0
        while True:
            await stream.send_message(b"m%d" % at)
            await asyncio.sleep(0.02)
            at += 1

    async def Up(self, stream):
        got = [message async for message in stream]
        said = [hashlib.sha256(b"".join(got)).digest()]
        await stream.send_message(said[0])
        await stream.send_trailing_metadata(metadata=told(got, said))

    async def Chat(self, stream):
        got = []
        async for message in stream:
            got.append(message)
            await stream.send_message(message)
        await stream.send_trailing_metadata(metadata=told(got, got))


async def serve(port, cert, key):
    tls = None
    if cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(cert, key)
        tls.set_alpn_protocols(["h2"])
    server = Server([Service()], codec=Octets())
    await server.start("127.0.0.1", port, ssl=tls)
    await server.wait_closed()


async def call(port, cert):
    tls = None
    if cert:
        tls = ssl.create_default_context(cafile=cert)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        tls.set_alpn_protocols(["h2"])
    async with Channel("127.0.0.1", port, ssl=tls, codec=Octets()) as channel:
        from grpclib.client import StreamStreamMethod, StreamUnaryMethod, UnaryStreamMethod, UnaryUnaryMethod
        unary = lambda name: UnaryUnaryMethod(channel, "/t.T/" + name, bytes, bytes)
        for at in range(12):
            asked = content(f"u{at}", at * 700)
            assert await unary("Unary")(asked, metadata={"k": str(at % 3), "b-bin": bytes([0, at, 254])}, timeout=10) == asked + b"!"
        for name, limit in (("Fail", 10), ("Slow", 0.2)):
            try:
                await unary(name)(b"x", timeout=limit)
            except (GRPCError, asyncio.TimeoutError):
                pass
        down = await UnaryStreamMethod(channel, "/t.T/Down", bytes, bytes)(b"d")
        assert down == [content(f"down {at}", length) for at, length in enumerate(SIZES)]
        up = [content(f"up {at}", length) for at, length in enumerate(SIZES)]
        assert await StreamUnaryMethod(channel, "/t.T/Up", bytes, bytes)(up) == hashlib.sha256(b"".join(up)).digest()
        async with StreamStreamMethod(channel, "/t.T/Chat", bytes, bytes).open() as stream:
            for message in up:
                await stream.send_message(message)
                assert await stream.recv_message() == message
            await stream.end()
            assert await stream.recv_message() is None
        async with UnaryStreamMethod(channel, "/t.T/Endless", bytes, bytes).open() as stream:
            await stream.send_message(b"e", end=True)
            for at in range(4):
                assert await stream.recv_message() == b"m%d" % at
            await stream.cancel()
        await asyncio.sleep(0.1)
        said = await asyncio.gather(*(unary("Unary")(b"f%d" % at) for at in range(20)))
        assert said == [b"f%d!" % at for at in range(20)]


kind, port, *rest = sys.argv[1:]
asyncio.run(serve(int(port), *(rest or (None, None))) if kind == "serve" else call(int(port), rest[0] if rest else None))
