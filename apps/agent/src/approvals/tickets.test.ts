import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Approval } from '@sallyport/model';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Tickets } from './tickets.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync('/var/tmp/sallyport-tickets-');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const NOW = 1_000_000;
const approval: Approval = {
  id: 'apr-1',
  digest: 'd'.repeat(64),
  scope: 'once',
  agentId: 'agent',
  resourceId: 'db',
  principalId: 'bot',
  granted: true,
  by: [],
  answeredAt: NOW,
  expiresAt: NOW + 60_000,
};
const use = { digest: approval.digest, principalId: 'bot', resourceId: 'db', surroundings: 'a1', nowMs: NOW };
const stands = () => false;

test('a ticket is for the surroundings it was asked in, once, and both outlive a restart', () => {
  new Tickets(dir).asked('apr-1', 'a1', NOW + 60_000, NOW);
  new Tickets(dir).keep(approval, 'signed', NOW);
  const tickets = new Tickets(dir);
  expect(tickets.consume({ ...use, surroundings: 'b2' }, stands)).toBeUndefined();
  expect(tickets.consume({ ...use, surroundings: '' }, stands)).toBeUndefined();
  expect(tickets.consume(use, stands)?.approval.id).toBe('apr-1');
  expect(new Tickets(dir).consume(use, stands)).toBeUndefined();
  expect(new Tickets(dir).keep(approval, 'signed', NOW)).toBe('used');
});

test('one that was revoked passes nothing, and is no other', () => {
  const tickets = new Tickets(dir);
  tickets.asked('apr-1', 'a1', NOW + 60_000, NOW);
  tickets.keep(approval, 'signed', NOW);
  expect(tickets.consume(use, (id) => id === 'apr-1')).toBeUndefined();
  expect(tickets.consume(use, (id) => id === 'apr-2')?.approval.id).toBe('apr-1');
});

test('an answer to what this agent never asked is of no use, in any surroundings', () => {
  const tickets = new Tickets(dir);
  tickets.keep(approval, 'signed', NOW);
  for (const surroundings of ['a1', '']) expect(tickets.consume({ ...use, surroundings }, stands)).toBeUndefined();
});

test('what was asked is forgotten once no answer can be of use', () => {
  const tickets = new Tickets(dir);
  tickets.asked('apr-1', 'a1', NOW + 1_000, NOW);
  tickets.asked('apr-2', 'a1', NOW + 9_000, NOW + 2_000);
  tickets.keep(approval, 'signed', NOW + 2_000);
  expect(tickets.consume(use, stands)).toBeUndefined();
});

test('of a file without surroundings the used ones still count, and no other is of use', () => {
  const file = path.join(dir, 'tickets.json');
  const other = { ...approval, id: 'apr-2' };
  writeFileSync(
    file,
    JSON.stringify([
      { approval, signed: 'signed', used: true },
      { approval: other, signed: 'signed', used: false },
    ]),
  );
  const tickets = new Tickets(dir);
  expect(tickets.keep(approval, 'signed', NOW)).toBe('used');
  expect(tickets.consume({ ...use, surroundings: '' }, stands)).toBeUndefined();
  writeFileSync(file, readFileSync(file, 'utf8').slice(1));
  expect(() => new Tickets(dir)).toThrow();
});
