// The WebSockets of sockets.py by ws: sockets.mjs serve PORT [CERT KEY] | call URL; DEFLATE: its options of compression as JSON.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { WebSocket, WebSocketServer } from 'ws';

const sizes = [0, 1, 125, 126, 127, 3000, 65535, 65536, 100000];
function* said() {
  for (const [at, length] of sizes.entries()) {
    yield createHash('sha256').update(`${at}`).digest('hex').repeat(length / 64 + 1).slice(0, length);
    const parts = [];
    for (let dots = 1; (dots - 1) * 32 < length; dots++) parts.push(createHash('sha256').update(`b${at}` + '.'.repeat(dots)).digest());
    yield Buffer.concat(parts).subarray(0, length);
  }
  for (let at = 0; at < 10; at++) yield `{"again": "and again", "at": ${at}}`;
}

const [, , what, place, cert, key] = process.argv;
const perMessageDeflate = JSON.parse(process.env.DEFLATE ?? 'true');
if (what === 'serve') {
  const server = cert ? https.createServer({ cert: readFileSync(cert), key: readFileSync(key) }) : http.createServer();
  new WebSocketServer({ server, perMessageDeflate, maxPayload: 0 }).on('connection', socket => {
    socket.on('message', (data, binary) => socket.send(binary ? data : data.toString(), { binary }));
  });
  server.listen(Number(place), '127.0.0.1');
} else {
  const socket = new WebSocket(place, { rejectUnauthorized: false, perMessageDeflate, maxPayload: 0 });
  await once(socket, 'open');
  for (const message of said()) {
    socket.send(message);
    const [data, binary] = await once(socket, 'message');
    if (binary === (typeof message === 'string') || !data.equals(Buffer.from(message))) process.exit(1);
  }
  socket.ping('are you there');
  await once(socket, 'pong');
  socket.close(1000, 'done');
  await once(socket, 'close');
}
