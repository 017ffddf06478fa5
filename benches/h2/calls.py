"""A server of gRPC with a call of every kind, and a client that makes them: calls.py serve|call PORT."""
import queue
import sys
import threading
import time

import grpc
from concurrent import futures
ident = lambda b: b
class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        name = details.method.rsplit('/', 1)[1]
        if name == 'Unary':
            def f(r, c):
                c.set_trailing_metadata((('x-trail', 'v'), ('y-bin', b'\x00\xff\n')))
                return r + b'!'
            return grpc.unary_unary_rpc_method_handler(f, ident, ident)
        if name == 'Fail':
            def f(r, c): c.abort(grpc.StatusCode.NOT_FOUND, 'no such thing')
            return grpc.unary_unary_rpc_method_handler(f, ident, ident)
        if name == 'Slow':
            def f(r, c): time.sleep(1); return r
            return grpc.unary_unary_rpc_method_handler(f, ident, ident)
        if name == 'Down':
            def f(r, c):
                for i in range(5): time.sleep(0.01); yield b'm%d' % i
            return grpc.unary_stream_rpc_method_handler(f, ident, ident)
        if name == 'Endless':
            def f(r, c):
                i = 0
                while c.is_active(): time.sleep(0.02); yield b'm%d' % i; i += 1
            return grpc.unary_stream_rpc_method_handler(f, ident, ident)
        if name == 'Up':
            return grpc.stream_unary_rpc_method_handler(lambda it, c: b''.join(it), ident, ident)
        if name == 'Chat':
            def f(it, c):
                for m in it: yield b'echo ' + m
            return grpc.stream_stream_rpc_method_handler(f, ident, ident)
if sys.argv[1] == 'serve':
    s = grpc.server(futures.ThreadPoolExecutor(32)); s.add_generic_rpc_handlers((Handler(),))
    s.add_insecure_port('127.0.0.1:' + sys.argv[2]); s.start(); s.wait_for_termination()
ch = grpc.insecure_channel('127.0.0.1:' + sys.argv[2])
u = lambda n: ch.unary_unary('/t.T/' + n, ident, ident)
for i in range(20): u('Unary')(b'a%d' % i, metadata=(('k', 'v'), ('b-bin', b'\x00\x01\xfe')), timeout=5)
try: u('Fail')(b'x')
except grpc.RpcError as e: pass
try: u('Slow')(b'x', timeout=0.2)
except grpc.RpcError as e: pass
list(ch.unary_stream('/t.T/Down', ident, ident)(b'd'))
def pieces():
    for i in range(4): time.sleep(0.03); yield b'p%d' % i
ch.stream_unary('/t.T/Up', ident, ident)(pieces())
q = queue.Queue()
chat = ch.stream_stream('/t.T/Chat', ident, ident)(iter(q.get, None))
for i in range(5):
    q.put(b'c%d' % i); next(chat); time.sleep(0.02)
q.put(None); list(chat)
e = ch.unary_stream('/t.T/Endless', ident, ident)(b'e')
for _ in range(4): next(e)
e.cancel(); time.sleep(0.1)
ts = [threading.Thread(target=lambda: [u('Unary')(b't') for _ in range(20)]) for _ in range(5)]
[t.start() for t in ts]; [t.join() for t in ts]
ch.close()
