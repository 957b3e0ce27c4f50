/**
 * What making a bundle costs: cold, and after each kind of change, by the control plane's own code on its own database, for an
 * agent that sees everything; what then travels to it; and what its own code takes to swap. Refuses to start servers.
 */
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import type pg from 'pg';
import type { Rest } from '../../scripts/stack/rest.ts';
import type { BenchLink } from './control-plane-links.ts';
import { openLinks } from './control-plane-links.ts';
import { controlPlaneParts, type Edition } from './control-plane-parts.ts';

export interface ChangeCost {
  readonly change: string;
  /** Rows read and bundle made, without its signature: median and slowest. */
  readonly p50Ms: number;
  readonly maxMs: number;
  /** Manifest, pages and chunks, median. */
  readonly bytes: number;
}

export interface CompileCosts {
  readonly chunks: number;
  readonly bundleBytes: number;
  /** The first in a fresh process, and the median of those after. */
  readonly coldFirstMs: number;
  readonly coldMs: number;
  readonly changes: readonly ChangeCost[];
  /** From the manifest's coming until the swap, at the agent's own code, round trips included. */
  readonly agentP50Ms: number;
  readonly agentMaxMs: number;
  readonly agentBytes: number;
}

const TIMES = 9;
const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

const sizes = (edition: Edition): Map<string, number> =>
  new Map([...edition.documents, ...edition.pages()].map(({ digest, body }) => [digest.toString('hex'), body.length]));

export async function measureCompile(
  databaseUrl: string,
  sql: pg.Pool,
  admin: Rest,
  projectId: string,
  dir: string,
): Promise<CompileCosts> {
  const parts = await controlPlaneParts();
  const projects = await parts.projects(databaseUrl, projectId);
  const counter = async (): Promise<{ epoch: number; revision: number }> =>
    (await sql.query('select epoch, revision from bundle_state where project_id = $1', [projectId])).rows[0] as never;
  const agent = { id: projectId, pages: true };
  try {
    const cold: number[] = [];
    let kept = projects.make();
    let last: Edition | undefined;
    for (let i = 0; i < 4; i++) {
      kept = projects.make();
      const at = await counter();
      const started = performance.now();
      last = (await kept.at(at)).editionFor('sees-all');
      parts.manifestFor(last, agent);
      cold.push(performance.now() - started);
    }
    const changes: ChangeCost[] = [];
    for (const { change, make, undo } of changesOf(admin)) {
      const times: number[] = [];
      const bytes: number[] = [];
      for (let i = 0; i < TIMES; i++) {
        await make(i);
        const at = await counter();
        const had = sizes(last!);
        const started = performance.now();
        const edition = (await kept.at(at)).editionFor('sees-all');
        const manifest = parts.manifestFor(edition, agent);
        times.push(performance.now() - started);
        const moved = [...sizes(edition)].filter(([digest]) => !had.has(digest));
        bytes.push(manifest.length + moved.reduce((sum, [, size]) => sum + size, 0));
        last = edition;
        if (undo === undefined) continue;
        await undo();
        last = (await kept.at(await counter())).editionFor('sees-all');
      }
      changes.push({ change, p50Ms: median(times), maxMs: Math.max(...times), bytes: median(bytes) });
    }
    const [link] = (await openLinks(1, mkdtempSync(path.join(dir, 'one-')), admin, () => 'bench-sees-all')) as [
      BenchLink,
    ];
    const swaps = await swapsOf(link, admin);
    await link.close();
    return {
      chunks: last!.documents.length,
      bundleBytes: last!.documents.reduce((sum, { body }) => sum + body.length, 0),
      coldFirstMs: cold[0]!,
      coldMs: median(cold.slice(1)),
      changes,
      ...swaps,
    };
  } finally {
    await projects.end();
  }
}

async function swapsOf(
  link: BenchLink,
  admin: Rest,
): Promise<Pick<CompileCosts, 'agentP50Ms' | 'agentMaxMs' | 'agentBytes'>> {
  const times: number[] = [];
  const bytes: number[] = [];
  for (let i = 0; i < TIMES; i++) {
    const name = `swap-${i}`;
    const before = link.received();
    await admin.call('POST', '/v1/groups', { name });
    await link.until(({ bundle }) => bundle.groups.some((group) => group.name === name));
    times.push(link.swapMs());
    bytes.push(link.received() - before);
  }
  return { agentP50Ms: median(times), agentMaxMs: Math.max(...times), agentBytes: median(bytes) };
}

interface MadeChange {
  readonly change: string;
  readonly make: (i: number) => Promise<unknown>;
  /** So that it can be made again; not timed. */
  readonly undo?: () => Promise<unknown>;
}

function changesOf(admin: Rest): readonly MadeChange[] {
  const rule = (i: number): string => `kind: Policy
name: changed
rules:
  - name: one
    when: sql.effects.exists(e, e == "ddl") && principal.name != "someone-${i}"
    verdict: deny
`;
  const apply = (text: string): Promise<unknown> =>
    admin.call('POST', '/v1/apply', { documents: [{ file: 'changed.yaml', text }], dryRun: false, prune: false });
  return [
    {
      change: 'a membership',
      make: (i) => admin.call(i % 2 === 0 ? 'PUT' : 'DELETE', '/v1/groups/company-5/members/company-77'),
    },
    {
      change: 'a grant',
      make: (i) =>
        admin.call('POST', '/v1/grants', {
          name: `changed-${i}`,
          group: 'company-3',
          resource: 'company-9',
          effects: ['read'],
        }),
    },
    { change: 'a rule', make: (i) => apply(rule(i)) },
    {
      change: 'a resource',
      make: (i) =>
        admin.call('PATCH', '/v1/resources/company-7', {
          description: `changed ${i}`,
          labels: { env: 'prod', n: String(i) },
        }),
    },
    {
      change: 'a revocation',
      make: () => admin.call('PATCH', '/v1/principals/company-78', { disabled: true }),
      undo: () => admin.call('PATCH', '/v1/principals/company-78', { disabled: false }),
    },
  ];
}
