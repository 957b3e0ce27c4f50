/** /metrics of the agent against its page. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { openHealth } from './health.ts';
import { healthView } from './vitals.ts';

const PAGE = readFileSync(path.join(import.meta.dirname, '../../../docs/reference/metrics.md'), 'utf8');
const view = healthView({
  serving: () => true,
  spool: () => undefined,
  counts: () => ({ verdicts: { allow: 7, deny: 2, hold: 1 }, sessions: 3, signInsFailed: 4, masked: 5 }),
  bundle: () => undefined,
  linked: () => true,
  silentMs: () => 1_500,
  sessions: () => 1,
  connections: () => ({ all: 2, halfOpen: 1 }),
  holds: () => 0,
  refusedBundles: () => 0,
  clockSkewMs: () => 0,
  sshNative: () => true,
  restartNeeded: () => false,
  certificateLeftMs: () => 3_600_000,
});

test('every metric of the agent stands on its page with its value, and the page names no other', async () => {
  const server = await openHealth({ host: '127.0.0.1', port: 0 }, view);
  // Twice: what only grows is not counted again by asking.
  await fetch(`http://127.0.0.1:${server.port}/metrics`);
  const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text();
  await server.close();
  const own = [...text.matchAll(/^# TYPE (sallyport_agent_\w+)/gm)].map((match) => match[1]!);
  const said = own.filter((name) => !/^sallyport_agent_(process|nodejs)_/.test(name));
  const page = [...PAGE.matchAll(/^\| `(sallyport_agent_\w+)`/gm)].map((match) => match[1]!);
  expect(said.toSorted()).toEqual(page.toSorted());
  for (const line of [
    'statements_total{verdict="deny"} 2',
    'sign_ins_total{outcome="failed"} 4',
    'masked_cells_total 5',
    'silence_seconds 1.5',
  ])
    expect(text).toContain(`\nsallyport_agent_${line}\n`);
});
