// WebSockets by what engines of JavaScript bring along: said.mjs call URL | serve PORT (Deno, Bun).
import { createHash } from 'node:crypto';

const sizes = [0, 1, 125, 126, 127, 3000, 65535, 65536, 100000];
function* said() {
  for (const [at, length] of sizes.entries()) {
    yield createHash('sha256').update(`${at}`).digest('hex').repeat(length / 64 + 1).slice(0, length);
    const seed = createHash('sha256').update(`b${at}`);
    let octets = Buffer.alloc(0);
    while (octets.length < length) {
      seed.update('.');
      octets = Buffer.concat([octets, seed.copy().digest()]);
    }
    yield octets.subarray(0, length);
  }
  for (let at = 0; at < 10; at++) yield `{"again": "and again", "at": ${at}}`;
}

async function call(url) {
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  const WebSocket = globalThis.WebSocket ?? (await import('undici')).WebSocket;
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  const heard = [];
  let wake = () => {};
  socket.onmessage = event => { heard.push(event.data); wake(); };
  await new Promise((done, failed) => { socket.onopen = done; socket.onerror = failed; });
  for (const message of said()) {
    socket.send(message);
    while (!heard.length) await new Promise(done => { wake = done; });
    const got = heard.shift();
    const same = typeof message === 'string' ? got === message : Buffer.from(got).equals(message);
    if (!same) { console.error('another message'); process.exit(1); }
  }
  await new Promise(done => { socket.onclose = done; socket.close(1000, 'enough'); });
  process.exit(0);
}

function serve(port) {
  if (globalThis.Deno) {
    Deno.serve({ hostname: '127.0.0.1', port }, request => {
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.binaryType = 'arraybuffer';
      socket.onmessage = event => socket.send(event.data);
      return response;
    });
  } else {
    Bun.serve({
      hostname: '127.0.0.1', port,
      fetch(request, server) { return server.upgrade(request) ? undefined : new Response('no', { status: 400 }); },
      websocket: { perMessageDeflate: true, message(socket, message) { socket.send(message, true); } },
    });
  }
}

const [what, where] = process.argv.slice(2);
if (what === 'serve') serve(Number(where)); else await call(where);
