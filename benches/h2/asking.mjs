// What a client of HTTP/2 may do, at any server: asking.mjs URL STEP... Says how many requests it made of each step.
//
// Below /o/ there is the oracle of ../protocols, which answers any method; below /f/ there may be files.
import http2 from 'node:http2';
import { setTimeout as pause } from 'node:timers/promises';

const [, , url, ...steps] = process.argv;
let made = 0;

/** A connection, and another one where a server has ended it. */
class Line {
  get session() {
    if (!this.made || this.made.closed || this.made.destroyed) {
      this.made = http2.connect(url, { rejectUnauthorized: false });
      this.made.on('error', error => console.error(error.message));
      this.made.on('stream', pushed => pushed.resume());
    }
    return this.made;
  }

  async end() {
    if (this.made && !this.made.closed && !this.made.destroyed) await new Promise(done => this.session.close(done));
  }
}

/** One request; `reset`: at 'once', at the first 'data', or in the middle of the 'upload'. */
function ask({ session }, target, { method = 'GET', fields = {}, pieces, trailers, reset } = {}) {
  made += 1;
  return new Promise(done => {
    const told = { ':method': method, ':path': target, 'x-of': target, ...fields };
    const stream = session.request(told, { endStream: !pieces && !trailers, waitForTrailers: !!trailers });
    const answer = { status: 0, octets: 0, fields: {} };
    const leave = () => stream.close(http2.constants.NGHTTP2_CANCEL);
    stream.on('response', got => { answer.status = got[':status']; answer.fields = got; });
    stream.on('data', part => { answer.octets += part.length; if (reset === 'data') leave(); });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    stream.on('error', () => {});
    stream.setTimeout(8_000, () => { console.error('no answer:', target); process.exit(1); });
    stream.on('close', () => done(answer));
    if (reset === 'once') setImmediate(leave);
    if (pieces || trailers) {
      (async () => {
        for (const piece of pieces ?? []) {
          stream.write(piece);
          await pause(3);
        }
        if (reset === 'upload') { await pause(20); leave(); } else stream.end();
      })();
    }
  });
}

const pieces = (count, size) => Array.from({ length: count }, (_, at) => Buffer.alloc(size, `${at}`));
const STEPS = {
  async concurrent(line) {
    const sizes = Array.from({ length: 30 }, (_, at) => at * at * 80);
    await Promise.all(sizes.map((size, at) => ask(line, `/o/${size}?at=${at}${at % 5 ? '' : '&pieces=4'}`)));
  },
  async methods(line) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const body = ['POST', 'PUT', 'PATCH'].includes(method) ? [Buffer.from(`{"said":"${method}"}`)] : undefined;
      await ask(line, `/o/200?method=${method}`, { method, pieces: body, fields: { 'content-type': 'application/json' } });
    }
    await ask(line, '/o/0?empty', { method: 'POST', fields: { 'content-length': '0' } });
  },
  async uploads(line) {
    await Promise.all([
      ask(line, '/o/10?up=1', { method: 'POST', pieces: pieces(5, 60_000) }),
      ask(line, '/o/10?up=2', { method: 'PUT', pieces: pieces(40, 25_000), fields: { 'content-length': `${40 * 25_000}` } }),
      ask(line, '/o/3000?beside'),
    ]);
  },
  async large(line) {
    await Promise.all(['/o/2500000?one', '/o/1200000?two', '/o/5?beside'].map(target => ask(line, target)));
  },
  async trailers(line) {
    await ask(line, '/o/40?trailers');
    await ask(line, '/o/40?up=3', { method: 'POST', pieces: pieces(2, 100), trailers: { 'x-sum': 'a', 'x-more': 'b' } });
    await ask(line, '/o/40?trailers&up=4', { method: 'POST', trailers: { 'x-only': 'c' }, fields: { te: 'trailers' } });
  },
  async interim(line) {
    await ask(line, '/o/300?interim');
    await ask(line, '/o/300?up=5', { method: 'POST', pieces: pieces(1, 500) });
  },
  async statuses(line) {
    for (const status of [200, 204, 205, 206, 304, 301, 400, 404, 500, 503]) {
      const length = [204, 205, 304].includes(status) ? 0 : 60;
      await ask(line, `/o/${length}?status=${status}`);
    }
  },
  async files(line) {
    const first = await ask(line, '/f/2000');
    const since = { 'if-none-match': first.fields.etag ?? '"none"', 'if-modified-since': first.fields['last-modified'] ?? '' };
    await ask(line, '/f/2000', { fields: since });
    await ask(line, '/f/2000', { fields: { range: 'bytes=5-104' } });
    await ask(line, '/f/2000', { fields: { range: 'bytes=9000-' } });
    await ask(line, '/f/70000', { method: 'HEAD' });
    await ask(line, '/f/70000', { fields: { 'accept-encoding': 'gzip' } });
    await ask(line, '/f/none');
    await ask(line, '/f/10', { method: 'DELETE' });
  },
  async resets(line) {
    await Promise.all([
      ask(line, '/o/400000?pieces=60&left', { reset: 'data' }),
      ask(line, '/o/100?pieces=20&left', { reset: 'once' }),
      ask(line, '/o/100?up=6', { method: 'POST', pieces: pieces(3, 2_000), reset: 'upload' }),
      ask(line, '/o/100?beside'),
    ]);
    await ask(line, '/o/100?behind');
  },
  async frames(line) {
    const { session } = line;
    await ask(line, '/o/1?first');
    await new Promise(done => session.ping(done));
    session.settings({ initialWindowSize: 200_000 });
    const one = ask(line, '/o/150000?frames');
    session.setLocalWindowSize(1 << 20);
    await one;
    const wide = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`x-wide-${at}`, `${at}`.repeat(at)]));
    await ask(line, '/o/10?wide', { fields: { ...wide, cookie: ['a=1', 'b=2'], 'x-octets': '\u00fc\u00ff' } });
    await ask(line, '/o/10?' + 'q'.repeat(2_000));
  },
};

for (const step of steps.length ? steps : Object.keys(STEPS)) {
  const line = new Line();
  await STEPS[step](line);
  await line.end();
}
console.log(made);
