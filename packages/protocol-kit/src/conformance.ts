/**
 * What every protocol must keep, as one suite: a protocol gives a harness over its real session, real sockets and a real
 * server, and runs this beside its own tests. Refuses to know any protocol.
 * Needs vitest, so index.ts leaves it out: it is the package's `./conformance`.
 */
import type { ErrorCode } from '@sallyport/core';
import type { Approval, Statement, Verdict } from '@sallyport/model';
import { afterEach, describe, expect, test } from 'vitest';

export interface ConformanceAnswer {
  /** True when the statement ran to its end. */
  readonly ok: boolean;
  /** What a person would read: errors and notices. */
  readonly text: string;
  /** Rows as they came, in the protocol's own bytes. */
  readonly rows: Buffer;
}

export interface ConformanceClient {
  /** Sends one statement and waits for the end of its answer. Rejects when the connection closes first. */
  ask(statement: string): Promise<ConformanceAnswer>;
  /** Sends without waiting; returns bytes that the peer has not taken. */
  push(statement: string): number;
  /** Resolves when the other side has closed. */
  closed(): Promise<void>;
  destroy(): void;
}

/** One gateway under test with its server. */
export interface ConformanceGateway {
  connect(): Promise<ConformanceClient>;
  /** Whether these bytes ever went to the server. */
  upstreamSaw(marker: string): boolean;
  /** How many statements run at the server with this marker. */
  running(marker: string): Promise<number>;
  /** Statements that wait for a person. */
  held(): readonly { approve(): void }[];
  readonly judged: readonly { readonly statement: Statement; readonly verdict: Verdict }[];
  /** Rows as recorded, in order. */
  recordedRows(): Buffer;
  end(code: ErrorCode): void;
  close(): Promise<void>;
}

export interface ConformanceHarness {
  /** A statement that reads, runs quickly and carries `marker` in its bytes; answers with at least one row. */
  reads(marker: string): string;
  /** One that takes longer than the test. */
  lasts(marker: string): string;
  /** One that the protocol's classifier cannot understand. */
  unknown(marker: string): string;
  start(options: {
    decide(statement: Statement, approval: Approval | undefined): Verdict;
    spoolFull(): boolean;
  }): Promise<ConformanceGateway>;
}

const MESSAGE = 'Conformance says no.';
const DENY: Verdict = { kind: 'deny', rule: 'conformance/deny', code: 'policy.denied', message: MESSAGE };
const ALLOW: Verdict = { kind: 'allow', rule: 'conformance/allow', masks: { columns: [], detect: [] } };
const HOLD: Verdict = {
  kind: 'hold',
  rule: 'conformance/hold',
  approval: { groups: ['approvers'], count: 1, expiresMs: 60_000 },
};
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Registers the suite. Call once at the top of a test file. */
export function describeConformance(name: string, harness: ConformanceHarness): void {
  describe(`${name} keeps what every protocol keeps`, () => {
    const cleanUps: (() => unknown)[] = [];
    afterEach(async () => {
      for (const undo of cleanUps.splice(0).reverse()) await undo();
    });
    let number = 0;
    const marker = (): string => `conformance${process.pid}x${++number}`;
    const start = async (
      decide: (statement: Statement, approval: Approval | undefined) => Verdict,
      spoolFull = () => false,
    ) => {
      const gateway = await harness.start({ decide, spoolFull });
      cleanUps.push(() => gateway.close());
      const client = await gateway.connect();
      cleanUps.push(() => client.destroy());
      return { gateway, client };
    };

    test('a denied statement never arrives, and the denial is readable', async () => {
      const mark = marker();
      const { gateway, client } = await start((statement) => (statement.text.includes(mark) ? DENY : ALLOW));
      const answer = await client.ask(harness.reads(mark));
      expect(answer.ok).toBe(false);
      expect(answer.text).toContain(MESSAGE);
      expect(answer.text).toContain('conformance/deny');
      expect(gateway.upstreamSaw(mark)).toBe(false);
      const next = marker();
      expect((await client.ask(harness.reads(next))).ok).toBe(true);
      expect(gateway.upstreamSaw(next)).toBe(true);
    });

    test('what is not understood never arrives', async () => {
      const mark = marker();
      const { gateway, client } = await start(() => ALLOW);
      expect((await client.ask(harness.unknown(mark))).ok).toBe(false);
      expect(gateway.upstreamSaw(mark)).toBe(false);
    });

    test('a held statement arrives once it is approved, and once', async () => {
      const mark = marker();
      const { gateway, client } = await start((statement, approval) =>
        approval === undefined && statement.text.includes(mark) ? HOLD : ALLOW,
      );
      const answer = client.ask(harness.reads(mark));
      while (gateway.held().length === 0) await sleep(5);
      await sleep(50);
      expect(gateway.upstreamSaw(mark)).toBe(false);
      gateway.held()[0]!.approve();
      expect((await answer).ok).toBe(true);
      expect(
        gateway.judged.filter(({ verdict, statement }) => verdict.kind === 'allow' && statement.text.includes(mark)),
      ).toHaveLength(1);
    });

    test('a policy that breaks, or a record that fails, forwards nothing', async () => {
      const mark = marker();
      let full = false;
      let broken = false;
      const { gateway, client } = await start(
        () => {
          if (broken) throw new Error('broken');
          return ALLOW;
        },
        () => full,
      );
      broken = true;
      expect((await client.ask(harness.reads(mark))).ok).toBe(false);
      broken = false;
      full = true;
      expect((await client.ask(harness.reads(mark)).catch(() => ({ ok: false }))).ok).toBe(false);
      expect(gateway.upstreamSaw(mark)).toBe(false);
    });

    test('every statement that arrives was judged', async () => {
      const marks = Array.from({ length: 20 }, marker);
      const { gateway, client } = await start(() => ALLOW);
      for (const mark of marks) await client.ask(harness.reads(mark));
      for (const mark of marks) {
        expect(gateway.upstreamSaw(mark)).toBe(true);
        expect(gateway.judged.some(({ statement }) => statement.text.includes(mark))).toBe(true);
      }
    });

    test('a kill ends both sides within a second', async () => {
      const mark = marker();
      const { gateway, client } = await start(() => ALLOW);
      client.push(harness.lasts(mark));
      while ((await gateway.running(mark)) === 0) await sleep(20);
      const began = Date.now();
      gateway.end('session.killed');
      await client.closed();
      while ((await gateway.running(mark)) > 0) {
        expect(Date.now() - began).toBeLessThan(2_000);
        await sleep(20);
      }
      expect(Date.now() - began).toBeLessThan(1_500);
    });

    test('what waits behind a held statement is bounded', async () => {
      const mark = marker();
      const { gateway, client } = await start((statement, approval) =>
        approval === undefined && statement.text.includes(mark) ? HOLD : ALLOW,
      );
      client.push(harness.reads(mark));
      while (gateway.held().length === 0) await sleep(5);
      const filler = harness.reads(`${marker()}${'x'.repeat(10_000)}`);
      let untaken = 0;
      for (let i = 0; i < 2_000; i++) untaken = client.push(filler);
      await sleep(200);
      untaken = client.push(filler);
      expect(untaken).toBeGreaterThan(10_000_000);
    });

    test('the recording holds the rows as the client got them', async () => {
      const { gateway, client } = await start(() => ALLOW);
      const seen: Buffer[] = [];
      for (let i = 0; i < 5; i++) seen.push((await client.ask(harness.reads(marker()))).rows);
      expect(Buffer.concat(seen).length).toBeGreaterThan(0);
      expect(gateway.recordedRows().equals(Buffer.concat(seen))).toBe(true);
    });
  });
}
