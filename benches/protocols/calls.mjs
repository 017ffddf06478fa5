// The calls of calls.py at a server of grpc-js, and by its client: calls.mjs serve PORT [CERT KEY] | call TARGET [CERT]
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import grpc from '@grpc/grpc-js';

const sizes = [0, 1, 5, 100, 16379, 16380, 70000];
const hash = messages => createHash('sha256').update(Buffer.concat(messages));
const content = (name, length) => {
  const seed = createHash('sha256').update(name).digest();
  return Buffer.concat(Array(Math.ceil(length / 32) + 1).fill(seed)).subarray(0, length);
};
const same = octets => octets;
const kind = (name, requestStream, responseStream) => ({
  path: `/t.T/${name}`, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
});
const service = {
  Unary: kind('Unary', false, false), Fail: kind('Fail', false, false), Slow: kind('Slow', false, false),
  Down: kind('Down', false, true), Endless: kind('Endless', false, true),
  Up: kind('Up', true, false), Chat: kind('Chat', true, true),
};
const told = (got, said) => {
  const marks = new grpc.Metadata();
  marks.set('x-got', hash(got).digest('hex'));
  marks.set('x-said', hash(said).digest('hex'));
  marks.set('x-raw-bin', Buffer.from(Array.from({ length: 256 }, (_, at) => at)));
  return marks;
};
const calls = {
  Unary({ request }, done) { const said = Buffer.concat([request, Buffer.from('!')]); done(null, said, told([request], [said])); },
  Fail(_, done) { done({ code: grpc.status.NOT_FOUND, details: 'nothing of 100 % \u00fc' }); },
  Slow({ request }, done) { setTimeout(() => done(null, request), 1000); },
  async Down(call) {
    const said = sizes.map((length, at) => content(`down ${at}`, length));
    for (const message of said) { call.write(message); await pause(5); }
    call.end(told([call.request], said));
  },
  async Endless(call) { for (let at = 0; !call.cancelled; at++) { call.write(Buffer.from(`m${at}`)); await pause(20); } },
  Up(call, done) {
    const got = [];
    call.on('data', message => got.push(message));
    call.on('end', () => { const said = hash(got).digest(); done(null, said, told(got, [said])); });
  },
  Chat(call) {
    const got = [];
    call.on('data', message => { got.push(message); call.write(message); });
    call.on('end', () => call.end(told(got, got)));
  },
};

const [, , what, place, cert, key] = process.argv;
if (what === 'serve') {
  const server = new grpc.Server();
  server.addService(service, calls);
  const pair = cert && [{ cert_chain: readFileSync(cert), private_key: readFileSync(key) }];
  server.bindAsync(`127.0.0.1:${place}`, pair ? grpc.ServerCredentials.createSsl(null, pair) : grpc.ServerCredentials.createInsecure(), error => {
    if (error) throw error;
  });
} else {
  const Client = grpc.makeGenericClientConstructor(service, 'T');
  const trust = cert ? grpc.credentials.createSsl(readFileSync(cert)) : grpc.credentials.createInsecure();
  const client = new Client(place, trust, {
    'grpc.ssl_target_name_override': 'localhost', 'grpc.default_compression_algorithm': process.env.GZIP ? 2 : 0,
  });
  const holds = (right, name) => { if (!right) { console.error(name); process.exit(1); } };
  const unary = (name, asked, limit = 10000) => new Promise(done => {
    client[name](asked, new grpc.Metadata(), { deadline: Date.now() + limit }, (error, answer) => done(error ?? answer));
  });
  for (let at = 0; at < 12; at++) {
    const asked = content(`u${at}`, at * 700);
    holds((await unary('Unary', asked)).equals?.(Buffer.concat([asked, Buffer.from('!')])), 'Unary');
  }
  holds((await unary('Fail', Buffer.from('x'))).code === grpc.status.NOT_FOUND, 'Fail');
  holds((await unary('Slow', Buffer.from('x'), 200)).code === grpc.status.DEADLINE_EXCEEDED, 'Slow');
  const read = async (call, most) => {
    const all = [];
    try { for await (const message of call) { all.push(message); if (all.length === most) { call.cancel(); break; } } } catch { /* cancelled */ }
    return all;
  };
  const down = await read(client.Down(Buffer.from('d')));
  holds(sizes.every((length, at) => down[at].equals(content(`down ${at}`, length))), 'Down');
  const said = sizes.map((length, at) => content(`up ${at}`, length));
  await new Promise(done => {
    const up = client.Up((error, answer) => { holds(answer?.equals(hash(said).digest()), 'Up'); done(); });
    for (const message of said) up.write(message);
    up.end();
  });
  const chat = client.Chat();
  for (const message of said) chat.write(message);
  chat.end();
  holds((await read(chat)).every((message, at) => message.equals(said[at])), 'Chat');
  holds((await read(client.Endless(Buffer.from('e')), 4)).length === 4, 'Endless');
  await pause(100);
  await Promise.all(Array.from({ length: 20 }, (_, at) => unary('Unary', Buffer.from(`f${at}`))));
  client.close();
}
