/**
 * The rows of rows/ssh-commands.ts once more, each as a command of a real client to a real sshd through the real session.
 * The host runs one harmless command whatever it is asked: a rule that fails here must not cost a machine.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Policy } from '@sallyport/model';
import { loadBundlePolicies, parsePolicyDocument, soleBundle } from '@sallyport/policy';
import { type Bench, openBench } from '@sallyport/protocol-ssh/bench';
import { ExecClient } from '@sallyport/protocol-ssh/exec-client';
import { type Gateway, sshdMissing } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SSH_COMMANDS } from './rows/ssh-commands.ts';

const POLICY: Policy = parsePolicyDocument(
  readFileSync(join(import.meta.dirname, '../../policies/ssh-baseline.yaml'), 'utf8'),
  'ssh-baseline.yaml',
);
/** A terminal's rows are asked for with one; here there is none. What fits no packet of SSH loses its connection elsewhere. */
const ROWS = Object.values(SSH_COMMANDS)
  .flat()
  .filter(({ pty, command }) => pty !== true && Buffer.byteLength(command) < 30_000);

describe.skipIf(sshdMissing)('ways round the rules for hosts, over the wire', () => {
  let bench: Bench;
  let gateway: Gateway;
  let client: ExecClient;
  beforeAll(async () => {
    bench = await openBench(['ForceCommand echo harmless']);
    const usage = { statements: 0, writes: 0, rows: 0, bytes: 0 };
    let engine: ReturnType<typeof loadBundlePolicies> | undefined;
    gateway = await bench.gateway({
      decide: (statement, _approval, session) => {
        engine ??= loadBundlePolicies(soleBundle(session, [{ ...POLICY, resources: {} }]));
        return engine.decide({ session: { ...session, projectId: '' }, statement, usage, nowMs: Date.now() });
      },
    });
    client = new ExecClient(gateway.port);
    await client.ready;
  });
  afterAll(async () => {
    client?.destroy();
    await bench?.tidy();
    await bench?.stop();
  });

  test('what a row denies or holds never reaches the host', async () => {
    const passed: string[] = [];
    const wanted = ROWS.filter(({ expect: verdict }) => verdict !== 'allow');
    expect(wanted.length).toBeGreaterThan(300);
    for (const { command, expect: verdict } of wanted) {
      const asked = client.begin(command);
      let answered = false;
      void asked.finally(() => {
        answered = true;
      });
      while (verdict === 'hold' && !answered && gateway.holds.length === 0)
        await new Promise((next) => setTimeout(next, 1));
      for (const hold of gateway.holds.splice(0)) hold.deny();
      const { ok, rows } = await asked;
      if (ok || rows.includes('harmless')) passed.push(command);
    }
    expect(passed).toEqual([]);
  }, 120_000);

  test('what a row allows does', async () => {
    const stopped: string[] = [];
    for (const { command, expect: verdict } of ROWS.filter((_row, at) => at % 5 === 0)) {
      if (verdict !== 'allow') continue;
      const asked = client.begin(command);
      let answered = false;
      void asked.finally(() => {
        answered = true;
      });
      // One that is held would be waited for without end.
      while (!answered && gateway.holds.length === 0) await new Promise((next) => setTimeout(next, 1));
      for (const hold of gateway.holds.splice(0)) hold.deny();
      const { rows } = await asked;
      if (!rows.includes('harmless')) stopped.push(command);
    }
    expect(stopped).toEqual([]);
  }, 120_000);
});
