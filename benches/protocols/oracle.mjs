// A server whose answers follow from their requests and tell them, and a client that holds it to
// that: oracle.mjs serve KIND PORT [CERT KEY] | call KIND URL TARGET...; KIND: h1, h1s, h2, h2s.
//
// A target is /o/BYTES[?body=BYTES&status=CODE&pieces=N&trailers&interim&gzip]. A body of n octets
// is the first n of the target's SHA-256 in hexadecimal, over and over.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';

const hash = bytes => createHash('sha256').update(bytes).digest('hex');
export const content = (target, length) => hash(target).repeat(length / 64 + 1).slice(0, length);
const asked = target => {
  const url = new URL(target, 'http://o');
  const number = (name, none) => Number(url.searchParams.get(name) ?? none);
  return {
    length: Number(url.pathname.split('/')[2] ?? 0), body: number('body', 0), status: number('status', 200),
    pieces: number('pieces', 1), has: name => url.searchParams.has(name), path: url.pathname,
  };
};

async function answer(request, response, got, fields, page) {
  const target = request.url ?? request.path;
  const wish = asked(target);
  const trailers = wish.has('trailers') && request.httpVersion !== '1.0';
  if (page && wish.path === '/page') {
    response.writeHead(200, { 'content-type': 'text/html' });
    return response.end(page);
  }
  const port = request.socket?.localPort ?? request.stream?.session?.socket?.localPort;
  const head = { 'x-got': `${request.method} ${target} ${got.length} ${hash(got)}`, 'x-fields': fields, 'x-port': `${port}` };
  let body = Buffer.from(content(target, wish.length));
  if (wish.has('gzip')) {
    body = gzipSync(body);
    head['content-encoding'] = 'gzip';
  }
  if (trailers) head.trailer = 'x-sum';
  if (wish.has('interim')) response.writeEarlyHints({ link: `</${wish.length}>; rel=preload` });
  response.writeHead(wish.status, head);
  const size = Math.ceil(body.length / wish.pieces);
  for (let from = 0; from < body.length; from += size) {
    response.write(body.subarray(from, from + size));
    if (wish.pieces > 1) await pause(5);
  }
  if (trailers) response.addTrailers({ 'x-sum': hash(body) });
  response.end();
}

const listener = page => (request, response) => {
  const parts = [];
  const raw = request.rawHeaders;
  let fields = '';
  for (let at = 0; at < raw.length; at += 2) fields += `${raw[at].toLowerCase()}: ${raw[at + 1]}\n`;
  request.on('data', part => parts.push(part));
  request.on('end', () => answer(request, response, Buffer.concat(parts), hash(Buffer.from(fields, 'latin1')), page));
};

function serve(kind, port, cert, key) {
  const page = process.env.PAGE && readFileSync(process.env.PAGE);
  const options = cert ? { cert: readFileSync(cert), key: readFileSync(key), allowHTTP1: true } : {};
  for (const name of ['minVersion', 'maxVersion', 'ciphers']) if (process.env[name]) options[name] = process.env[name];
  const made = {
    h1: () => http.createServer(listener(page)),
    h1s: () => https.createServer(options, listener(page)),
    h2: () => http2.createServer(listener(page)),
    h2s: () => http2.createSecureServer({ ...options, settings: { enableConnectProtocol: true } }, listener(page)),
  };
  made[kind]().listen(port, '127.0.0.1');
}

const failed = what => { console.error(what); process.exitCode = 1; };
const check = (target, status, body) => {
  const wish = asked(target);
  if (status !== wish.status || (!wish.has('gzip') && body.toString('latin1') !== content(target, wish.length))) {
    failed(`${target}: ${status}, ${body.length} octets`);
  }
};

async function call2(url, targets) {
  const session = http2.connect(url, { rejectUnauthorized: false });
  const one = target => new Promise(done => {
    const { body } = asked(target);
    const stream = session.request({
      ':method': body ? 'POST' : 'GET', ':path': target, 'x-octets': Buffer.from('\u00fc\u00ff', 'latin1').toString('latin1'),
      cookie: ['a=1', 'b=2'], 'x-of': target, authorization: 'Bearer s3cret',
      [http2.sensitiveHeaders]: ['authorization'],
    }, { endStream: !body });
    let status;
    const parts = [];
    stream.on('response', fields => { status = fields[':status']; });
    stream.on('data', part => parts.push(part));
    stream.on('end', () => { check(target, status, Buffer.concat(parts)); done(); });
    stream.on('error', error => { failed(error); done(); });
    if (body) stream.end(content(target, body));
  });
  for (let at = 0; at < targets.length; at += 6) await Promise.all(targets.slice(at, at + 6).map(one));
  session.close();
}

async function call1(url, targets) {
  const tool = url.startsWith('https') ? https : http;
  const agent = new tool.Agent({ keepAlive: true, maxSockets: 2, rejectUnauthorized: false });
  await Promise.all(targets.map(target => new Promise(done => {
    const { body } = asked(target);
    const request = tool.request(url + target, { agent, method: body ? 'POST' : 'GET' }, async response => {
      const parts = [];
      for await (const part of response) parts.push(part);
      check(target, response.statusCode, Buffer.concat(parts));
      done();
    });
    request.on('error', error => { failed(error); done(); });
    request.end(body ? content(target, body) : undefined);
  })));
  agent.destroy();
}

const [, , what, kind, ...rest] = process.argv;
if (what === 'serve') serve(kind, Number(rest[0]), rest[1], rest[2]);
else await (kind.startsWith('h2') ? call2 : call1)(rest[0], rest.slice(1));
