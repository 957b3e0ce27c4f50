/**
 * `npm run bench -- --only mcp`: what the agent adds to one call of a tool, one after another on a kept connection, against the
 * same server without us. The server answers at once, from this process. Refuses to judge beyond its aim.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus, loadavg, release } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { accessToken, clientToken } from '../../scripts/stack/rest.ts';
import { ANY_PORTS, type Stack, startStack } from '../../scripts/stack/stack.ts';
import { KeptLine, type LineTarget, percentile } from './kept-line.ts';
import { cpuMs, withDescendants } from './process-stat.ts';
import type { Aim } from './report.ts';

const DIRECT = 'direct';
const RESOURCES = { 'us, plain': 'bench-mcp-plain', 'us, everything on': 'bench-mcp-everything' } as const;
const WAYS = [DIRECT, ...Object.keys(RESOURCES)];

export interface McpCell {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the agent. */
  readonly cpuMs: number;
}
export interface McpReport {
  readonly machine: string;
  readonly load: number;
  readonly calls: number;
  readonly ways: Readonly<Record<string, McpCell>>;
  readonly aims: readonly Aim[];
}

const POLICY = `kind: Policy
name: bench-mcp
resources: { names: [bench-mcp-everything] }
rules:
  - { name: no-drop, when: mcp.tool == "drop_all", verdict: deny }
  - name: pay-waits
    when: mcp.tool == "pay" && mcp.arguments.exists(a, a.path == "amount" && a.number > 100)
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 5m }
masks:
  - { json: ["people[].ssn"], with: redact }
  - { detect: [email, payment_card], with: redact }
`;

const PEOPLE = {
  people: Array.from({ length: 10 }, (_, id) => ({
    id,
    name: 'Ada Almeida',
    ssn: '123-45-6789',
    note: 'paid in time',
  })),
};
const CALL = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name: 'find_people', arguments: { city: 'Lisbon', limit: 10 } },
});

async function startServer(): Promise<{ readonly port: number; stop(): void }> {
  const tool = { name: 'find_people', description: 'Finds people.', inputSchema: { type: 'object', properties: {} } };
  const results: Readonly<Record<string, object>> = {
    'tools/list': { tools: [tool] },
    'tools/call': { content: [{ type: 'text', text: JSON.stringify(PEOPLE) }], structuredContent: PEOPLE },
  };
  const server = http.createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => void chunks.push(chunk));
    request.once('end', () => {
      const { id, method } = JSON.parse(Buffer.concat(chunks).toString()) as { id: number; method: string };
      const body = JSON.stringify({ jsonrpc: '2.0', id, result: results[method] ?? {} });
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
        .end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export async function benchMcp(quick: boolean, say: (line: string) => void): Promise<McpReport> {
  const dir = mkdtempSync('/var/tmp/sallyport-bench-mcp-');
  // PostgreSQL runs as nobody and must pass through.
  chmodSync(dir, 0o711);
  const server = await startServer();
  let stack: Stack | undefined;
  try {
    stack = await startStack({ dir: path.join(dir, 'stack'), fresh: false, ports: ANY_PORTS, say });
    await seed(stack, server.port);
    const [rounds, calls] = quick ? [3, 1_000] : [6, 2_000];
    const times = new Map<string, number[]>(WAYS.map((way) => [way, []]));
    const cpu = new Map<string, number>();
    for (let round = 0; round <= rounds; round++) {
      for (const way of round % 2 === 0 ? WAYS : WAYS.toReversed()) {
        const line = await KeptLine.open(await target(stack, way, server.port));
        const pids = withDescendants(stack.agent().pid);
        const used = (): number => pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
        try {
          for (let i = 0; i < 100; i++) await line.ask();
          const before = used();
          const some: number[] = [];
          for (let i = 0; i < calls; i++) some.push(await line.ask());
          // The first round warms up.
          if (round === 0) continue;
          times.get(way)!.push(...some);
          if (way !== DIRECT) cpu.set(way, (cpu.get(way) ?? 0) + (used() - before));
        } finally {
          line.close();
        }
      }
      say(`round ${round} of ${rounds}`);
    }
    const ways = Object.fromEntries(
      [...times].map(([way, all]) => [
        way,
        { p50Ms: percentile(all, 0.5), p99Ms: percentile(all, 0.99), cpuMs: (cpu.get(way) ?? 0) / all.length },
      ]),
    );
    const aims = Object.keys(RESOURCES).map((way): Aim => {
      const added = ways[way]!.p50Ms - ways[DIRECT]!.p50Ms;
      return { aim: `tools/call, added p50 ≤ 1 ms: ${way}`, measured: `${added.toFixed(2)} ms`, met: added <= 1 };
    });
    const machine = `${cpus().length} × ${cpus()[0]?.model ?? ''}, Linux ${release()}, Node ${process.version}`;
    return { machine, load: loadavg()[0]!, calls: rounds * calls, ways, aims };
  } finally {
    await stack?.stop();
    server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function seed({ admin }: Stack, port: number): Promise<void> {
  await admin.call('POST', '/v1/credentials', { name: 'bench-mcp', kind: 'stored', username: '', secret: 'k' });
  for (const name of Object.values(RESOURCES)) {
    await admin.call('POST', '/v1/resources', {
      name,
      type: 'mcp',
      credential: 'bench-mcp',
      recording: name === 'bench-mcp-plain' ? 'statements' : 'results',
      mcp: { url: `http://127.0.0.1:${port}/mcp`, private: true, inject: { as: 'bearer' } },
    });
    await admin.call('POST', '/v1/grants', { name, group: 'payments-bots', resource: name, effects: ['read', 'exec'] });
  }
  await admin.call('POST', '/v1/apply', {
    documents: [{ file: 'policy.yaml', text: POLICY }],
    dryRun: false,
    prune: false,
  });
}

const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

/** Where to call by that way; waits until it answers, and has had its tools listed. */
async function target(stack: Stack, way: string, port: number): Promise<LineTarget> {
  if (way === DIRECT)
    return { base: `http://127.0.0.1:${port}`, method: 'POST', path: '/mcp', headers: HEADERS, body: CALL };
  const resource = RESOURCES[way as keyof typeof RESOURCES];
  const bot = stack.dev.principals['payments-bot'];
  const api = await clientToken(stack.dev.rest, bot?.clientId ?? '', bot?.clientSecret ?? '');
  const token = await accessToken(stack.dev.rest, api, resource);
  const through: LineTarget = {
    base: `https://127.0.0.1:${stack.dev.agent.https}`,
    method: 'POST',
    path: `/r/${resource}`,
    headers: { ...HEADERS, authorization: `Bearer ${token}` },
    body: CALL,
  };
  const list = { ...through, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }) };
  for (let i = 0; ; i++) {
    const line = await KeptLine.open(list);
    try {
      await line.ask();
      return through;
    } catch (error) {
      if (i === 100) throw error;
      await sleep(100);
    } finally {
      line.close();
    }
  }
}

export function renderMcp({ machine, load, calls, ways, aims }: McpReport): string {
  const base = ways[DIRECT]!;
  return [
    `MCP, ${calls} calls of a tool by each way, ${machine}, load ${load.toFixed(1)}`,
    '',
    "| way | p50, ms (added) | p99, ms (added) | agent's CPU for each, ms |",
    '| --- | --- | --- | --- |',
    ...Object.entries(ways).map(([way, { p50Ms, p99Ms, cpuMs: cpu }]) => {
      const added = (value: number, from: number): string =>
        way === DIRECT ? value.toFixed(2) : `${value.toFixed(2)} (+${(value - from).toFixed(2)})`;
      return `| ${way} | ${added(p50Ms, base.p50Ms)} | ${added(p99Ms, base.p99Ms)} | ${way === DIRECT ? '–' : cpu.toFixed(2)} |`;
    }),
    '',
    ...aims.map(({ aim, measured, met }) => `${met === true ? '✓' : '✗'} ${aim}: ${measured}`),
  ].join('\n');
}
