// The oracle by the servers that Deno and Bun bring along: serving.mjs PORT [CERT KEY].
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const hash = bytes => createHash('sha256').update(bytes).digest('hex');
const content = (target, length) => hash(target).repeat(length / 64 + 1).slice(0, length);
const [port, cert, key] = process.argv.slice(2);
const sealed = cert ? { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') } : undefined;

async function answer(request) {
  const target = request.url.replace(/^https?:\/\/[^/]*/, '');
  const { pathname, searchParams } = new URL(request.url);
  const number = (name, none) => Number(searchParams.get(name) ?? none);
  const got = Buffer.from(await request.arrayBuffer());
  const body = Buffer.from(content(target, Number(pathname.split('/')[2])));
  const size = Math.max(1, Math.ceil(body.length / number('pieces', 1)));
  const pieces = new ReadableStream({
    async start(out) {
      for (let from = 0; from < body.length; from += size) {
        out.enqueue(body.subarray(from, from + size));
        await pause(5);
      }
      out.close();
    },
  });
  const headers = { 'x-got': `${request.method} ${target} ${got.length} ${hash(got)}` };
  return new Response(number('pieces', 1) > 1 ? pieces : body, { status: number('status', 200), headers });
}

if (globalThis.Deno) Deno.serve({ hostname: '127.0.0.1', port: Number(port), ...sealed }, answer);
else Bun.serve({ hostname: '127.0.0.1', port: Number(port), tls: sealed, fetch: answer, maxRequestBodySize: 1 << 30 });
