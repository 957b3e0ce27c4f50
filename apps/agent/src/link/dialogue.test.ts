/** What the link brings to an agent that ends: its chain is closed by then, and that is no trail in doubt. */
import { expect, test } from 'vitest';
import type { InForce } from '../bundle/bundles.ts';
import type { AgentGiven, AgentParts, AgentState } from '../parts.ts';
import { Dialogue } from './dialogue.ts';

const inForce = { bundle: { epoch: 1, revision: 7 }, digest: 'aa' } as InForce;

test.each([
  ['goes onto the record', { stopping: false, isOpen: true }, 1],
  ['goes onto it while the last sessions of a stopping agent end', { stopping: true, isOpen: true }, 1],
  ['is left to the next start once the chain is closed', { stopping: true, isOpen: false }, 0],
  ['is told to a trail that cannot take it, which says so', { stopping: false, isOpen: false }, 1],
])('a bundle %s', (_, { stopping, isOpen }, times) => {
  const told: unknown[] = [];
  const serving = { spool: { isOpen }, trail: { recordOutcome: (event: unknown) => told.push(event) } };
  const state = { stopping, serving } as unknown as AgentState;
  new Dialogue({} as AgentGiven, state, {} as AgentParts).recordApplied(inForce);
  expect(told).toHaveLength(times);
});
