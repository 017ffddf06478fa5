"""Replays captures of HTTP/2 at a server that notes what it gets, and holds that against what the
captured clients sent, as truths tell it that were made without this program:

    truths.py PROGRAM FOLDER [NAME...]

FOLDER has MANIFEST.jsonl with a line for each capture (`file`, `truth`), and a truth with a line for
each request: `h2_stream`, `req_headers`, `req_trailers`, `req_body_sha256`, `grpc.req_messages`,
`joined` and `certain`. The server decodes with the package hpack (`pip install hpack hyperframe`).
Captures that were joined in the middle are left out. Ends with 1 where anything differs.
"""
import base64, collections, hashlib, json, pathlib, socket, struct, subprocess, sys, tempfile, threading

import hpack
from hyperframe import frame as frames

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
sha = lambda octets: hashlib.sha256(octets).hexdigest()


def octets(value):
    if value is None:
        return b''
    if isinstance(value, dict):
        return base64.b64decode(value['base64']) if 'base64' in value else value['utf8'].encode()
    return value.encode()


class Server:
    """Answers each path with what v1 said there, so that no message waits for another one."""

    def __init__(self, answers):
        self.answers, self.got, self.lock = answers, [], threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                stream = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.talk, args=(stream,), daemon=True).start()

    def talk(self, stream):
        file = stream.makefile('rb')
        if file.read(len(PREFACE)) != PREFACE:
            return stream.close()
        settings = frames.SettingsFrame(0, settings={4: 1 << 30, 6: 1 << 20})
        window = frames.WindowUpdateFrame(0, window_increment=1 << 30)
        stream.sendall(settings.serialize() + window.serialize())
        decoder, encoder, requests, block = hpack.Decoder(max_header_list_size=1 << 20), hpack.Encoder(), {}, b''
        while len(head := file.read(9)) == 9:
            frame, length = frames.Frame.parse_frame_header(memoryview(head))
            frame.parse_body(memoryview(file.read(length)))
            ends = 'END_STREAM' in frame.flags
            out = b''
            if isinstance(frame, frames.SettingsFrame) and 'ACK' not in frame.flags:
                out = frames.SettingsFrame(0, flags=['ACK']).serialize()
            elif isinstance(frame, frames.PingFrame) and 'ACK' not in frame.flags:
                out = frames.PingFrame(0, frame.opaque_data, flags=['ACK']).serialize()
            elif isinstance(frame, (frames.HeadersFrame, frames.ContinuationFrame)):
                if isinstance(frame, frames.HeadersFrame):
                    block, closes = b'', ends
                block += frame.data
                if 'END_HEADERS' in frame.flags:
                    fields = [tuple(field[:2]) for field in decoder.decode(block, raw=True)]
                    if frame.stream_id in requests:
                        requests[frame.stream_id]['trailers'] = fields
                    else:
                        request = dict(fields=fields, body=b'', trailers=[], reset=None, done=False)
                        requests[frame.stream_id] = request
                        with self.lock:
                            self.got.append(request)
                        out = self.begin(encoder, frame.stream_id, fields)
                    if closes:
                        out += self.end(encoder, requests[frame.stream_id], frame.stream_id)
            elif isinstance(frame, frames.DataFrame) and frame.stream_id in requests:
                requests[frame.stream_id]['body'] += frame.data
                if ends:
                    out = self.end(encoder, requests[frame.stream_id], frame.stream_id)
            elif isinstance(frame, frames.RstStreamFrame) and frame.stream_id in requests:
                requests[frame.stream_id]['reset'] = frame.error_code
            if out:
                try:
                    stream.sendall(out)
                except OSError:
                    return

    def answer(self, fields):
        fields = dict(fields)
        return self.answers.get((fields.get(b':method'), fields.get(b':path')), (200, b'', b'text/plain'))

    def begin(self, encoder, stream, fields):
        status, body, kind = self.answer(fields)
        block = encoder.encode([(b':status', str(status).encode()), (b'content-type', kind)])
        out = frames.HeadersFrame(stream, block, flags=['END_HEADERS']).serialize()
        if dict(fields).get(b':method') == b'HEAD':
            return out
        for at in range(0, min(len(body), 60_000), 16_384):
            out += frames.DataFrame(stream, body[at:min(at + 16_384, 60_000)]).serialize()
        return out

    def end(self, encoder, request, stream):
        if request['done']:
            return b''
        request['done'] = True
        block = encoder.encode([(b'grpc-status', b'0')])
        return frames.HeadersFrame(stream, block, flags=['END_HEADERS', 'END_STREAM']).serialize()


def messages(body):
    found, at = [], 0
    while at + 5 <= len(body):
        length = struct.unpack('>I', body[at + 1:at + 5])[0]
        found.append([body[at], length, sha(body[at + 5:at + 5 + length])])
        at += 5 + length
    return found


def told(fields):
    latin = lambda text: text.encode('latin-1', 'surrogateescape')
    return tuple((latin(name), latin(value)) for name, value in fields)


def recorded(program, capture, keys):
    """What v1 answered, by method and path, and which requests were read."""
    lines = subprocess.run([program, 'parse', capture, '-o', '-', '-q', *keys], capture_output=True).stdout
    answers = {}
    for line in map(json.loads, lines.splitlines()):
        question, answer = line.get('request'), line.get('response')
        if question and answer and answer.get('status'):
            key = octets(question.get('method')), octets(question.get('target'))
            fields = {octets(name).lower(): octets(value) for name, value in answer['headers'] if name}
            one = answer['status'], octets(answer.get('body')), fields.get(b'content-type', b'text/plain')
            answers[key] = max(answers.get(key, one), one, key=lambda known: len(known[1]))
    return answers


def compared(program, folder, entry):
    capture = folder / entry['file']
    truths = [json.loads(line) for line in (folder / entry['truth']).read_text().splitlines()]
    rows = [row for row in truths if row.get('h2_stream') is not None]
    if not rows or any(row.get('joined') or not row.get('certain') or row.get('req_headers') is None for row in rows):
        return None
    keys = ['--keylog', str(capture) + '.keylog.txt'] if pathlib.Path(str(capture) + '.keylog.txt').exists() else []
    server = Server(recorded(program, capture, keys))
    with tempfile.TemporaryDirectory() as run:
        command = [program, 'replay', capture, '--target', f'http://127.0.0.1:{server.port}', '--unsafe-methods', '--no-marker', '--bind',
                   'off', '--speed', 'max', '--timeout', '5s', '-o', run + '/run', '-q', *keys]
        done = subprocess.run(command, capture_output=True, text=True)
        outcomes = pathlib.Path(run + '/run/outcomes.jsonl')
        lines = [json.loads(line) for line in outcomes.read_text().splitlines()] if outcomes.exists() else []
    server.listener.close()
    skipped = collections.Counter(
        line['failure']['detail'] for line in lines if (line.get('failure') or {}).get('kind') == 'skipped')
    bodies = {}
    for request in server.got:
        key = tuple(request['fields']), tuple(request['trailers'])
        bodies.setdefault(key, []).append(request)
    held = wrong = 0
    for row in rows:
        if row.get('pushed_by') is not None:
            continue
        if not any(name == ':method' for name, _ in row['req_headers']):
            # Asked for in HTTP/1 with an upgrade to h2c: a stream of HTTP/2 like any other now.
            asked = (row['method'].encode(), row['uri'].encode())
            ours = [key for key in bodies if (dict(key[0]).get(b':method'), dict(key[0]).get(b':path')) == asked]
            if ours and bodies[ours[0]]:
                bodies[ours[0]].pop()
                held += 1
                continue
        key = told(row['req_headers']), told(row.get('req_trailers') or [])
        of = bodies.get(key, [])
        grpc = (row.get('grpc') or {}).get('req_messages')
        def is_same(request):
            if grpc and row.get('req_complete') and not (row.get('grpc') or {}).get('web') and messages(request['body']) != grpc:
                return False
            return not row.get('req_complete') or row.get('req_body_sha256') in (None, sha(request['body']))
        found = next((request for request in of if is_same(request)), None)
        if found is None:
            wrong += 1
            if '-v' in sys.argv:
                print(entry['file'], 'wanted', key, [r['fields'] for r in server.got][:3], file=sys.stderr)
        else:
            of.remove(found)
            held += 1
    surplus = sum(map(len, bodies.values()))
    return held, wrong, surplus, skipped, done


def main():
    program, folder, names = sys.argv[1], pathlib.Path(sys.argv[2]), [n for n in sys.argv[3:] if n != '-v']
    sums = collections.Counter()
    for entry in map(json.loads, (folder / 'MANIFEST.jsonl').read_text().splitlines()):
        if names and entry['file'] not in names:
            continue
        found = compared(program, folder, entry)
        if found is None:
            continue
        held, wrong, surplus, skipped, done = found
        # What is skipped with a reason is not sent: pushed streams, CONNECT.
        lacking = max(wrong - sum(skipped.values()), 0)
        sums.update(captures=1, held=held, lacking=lacking, surplus=surplus, skipped=wrong - lacking)
        if wrong or surplus:
            reasons = '; '.join(f'{count} {why}' for why, count in skipped.items())
            print(f"{entry['file']}: {held} equal, {lacking} not, {surplus} surplus; skipped: {reasons} {done.stderr.strip()[-200:]}")
    print(f"{sums['captures']} captures: {sums['held']} requests as their clients sent them, {sums['lacking']} not, "
          f"{sums['surplus']} that nobody sent, {sums['skipped']} skipped with a reason")
    sys.exit(1 if sums['lacking'] or sums['surplus'] else 0)


main()
