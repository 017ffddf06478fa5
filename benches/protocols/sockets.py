"""WebSockets that say the same: sockets.py serve-websockets|serve-aiohttp|serve-tornado PORT [CERT KEY] (echo) |
websockets|aiohttp|tornado|autobahn URL [HOW]."""
import asyncio
import hashlib
import ssl
import sys

SIZES = [0, 1, 125, 126, 127, 3_000, 65_535, 65_536, 100_000]


def said():
    """What a client says: texts and octets, compressible and not, in this order."""
    for at, length in enumerate(SIZES):
        yield (hashlib.sha256(b"%d" % at).hexdigest() * (length // 64 + 1))[:length]
        seed = hashlib.sha256(b"b%d" % at)
        octets = b""
        while len(octets) < length:
            seed.update(b".")
            octets += seed.digest()
        yield octets[:length]
    for at in range(10):
        yield '{"again": "and again", "at": %d}' % at


def trust():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def serve_websockets(port, tls, how):
    from websockets.asyncio.server import serve
    from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

    async def echo(socket):
        async for message in socket:
            await socket.send(message)
    extensions = [ServerPerMessageDeflateFactory(server_no_context_takeover=True, server_max_window_bits=9)] if how else None
    async with serve(echo, "127.0.0.1", port, ssl=tls, extensions=extensions, max_size=None):
        await asyncio.Future()


async def serve_aiohttp(port, tls, how):
    from aiohttp import WSMsgType, web

    async def echo(request):
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        return socket
    app = web.Application()
    app.router.add_get("/ws", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    await asyncio.Future()


async def serve_tornado(port, tls, how):
    import tornado.web
    import tornado.websocket

    class Echo(tornado.websocket.WebSocketHandler):
        def get_compression_options(self):
            return {} if how else None

        def on_message(self, message):
            self.write_message(message, binary=isinstance(message, bytes))
    application = tornado.web.Application([("/ws", Echo)], websocket_max_message_size=1 << 30)
    application.listen(port, "127.0.0.1", ssl_options=tls)
    await asyncio.Future()


async def with_tornado(url, how):
    from tornado.httpclient import HTTPRequest
    from tornado.websocket import websocket_connect
    request = HTTPRequest(url, validate_cert=False)
    socket = await websocket_connect(request, compression_options={} if how else None, max_message_size=1 << 30)
    for message in said():
        await socket.write_message(message, binary=isinstance(message, bytes))
        assert await socket.read_message() == message
    socket.close(1000, "enough")
    await socket.read_message()


async def with_autobahn(url, how):
    from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
    from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateResponse, PerMessageDeflateResponseAccept
    done = asyncio.get_running_loop().create_future()

    class Client(WebSocketClientProtocol):
        def onOpen(self):
            self.wanted = list(said())
            self.next()

        def next(self):
            if not self.wanted:
                self.sendClose(1000, "enough")
                return
            message = self.wanted[0]
            octets = message.encode() if isinstance(message, str) else message
            self.sendMessage(octets, isinstance(message, bytes), fragmentSize=int(how) if how.isdigit() else None)

        def onMessage(self, payload, isBinary):
            message = self.wanted.pop(0)
            assert (payload if isBinary else payload.decode()) == message
            self.next()

        def onClose(self, clean, code, reason):
            left = len(getattr(self, "wanted", [1]))
            done.set_exception(RuntimeError(reason)) if left else done.set_result(None)
    factory = WebSocketClientFactory(url)
    factory.protocol = Client
    if how:
        factory.setProtocolOptions(perMessageCompressionOffers=[PerMessageDeflateOffer()], perMessageCompressionAccept=lambda response: (
            PerMessageDeflateResponseAccept(response) if isinstance(response, PerMessageDeflateResponse) else None))
    port = int(url.split(":")[2].split("/")[0])
    await asyncio.get_running_loop().create_connection(factory, "127.0.0.1", port)
    await done


async def with_websockets(url, how):
    from websockets.asyncio.client import connect
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
    made = {
        "plain": {"compression": None},
        "lone": {"extensions": [ClientPerMessageDeflateFactory(client_no_context_takeover=True, server_no_context_takeover=True)]},
        "small": {"extensions": [ClientPerMessageDeflateFactory(client_max_window_bits=9, server_max_window_bits=10)]},
        "pieces": {},
        "": {},
    }[how]
    options = {"ssl": trust()} if url.startswith("wss") else {}
    async with connect(url, max_size=None, **made, **options) as socket:
        for message in said():
            if how == "pieces" and len(message) > 2:
                third = len(message) // 3
                await socket.send([message[:third], message[third:2 * third], message[2 * third:]])
            else:
                await socket.send(message)
            assert await socket.recv() == message
        await (await socket.ping(b"are you there"))


async def with_aiohttp(url, how):
    import aiohttp
    options = {"ssl": trust()} if url.startswith("wss") else {}
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url, compress=int(how or 15), max_msg_size=0, **options) as socket:
            for message in said():
                await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
                assert (await socket.receive()).data == message


if __name__ == "__main__":
    kind, place, *rest = sys.argv[1:]
    if kind.startswith("serve"):
        tls = None
        if len(rest) >= 2:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(rest[0], rest[1])
        serve = {"serve-websockets": serve_websockets, "serve-aiohttp": serve_aiohttp, "serve-tornado": serve_tornado}[kind]
        asyncio.run(serve(int(place), tls, rest[-1] if len(rest) % 2 else ""))
    else:
        run = {"websockets": with_websockets, "aiohttp": with_aiohttp, "tornado": with_tornado, "autobahn": with_autobahn}[kind]
        asyncio.run(run(place, rest[0] if rest else ""))
