/**
 * SSH while the control plane is away, and many sessions that do nothing, on a stack of their own. Machines without sshd leave
 * these out by name.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { sshdMissing, talk } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ANY_PORTS, type Stack, startStack } from '../../scripts/stack/stack.ts';
import { type Host, openBed, residentBytes, type SshBed, until } from './ssh-bed.ts';

const IDLE = 200;
// Two hundred programs that start take most of a minute and a half on a machine with other work: hence the time of a test.

describe.skipIf(sshdMissing)('an agent on its own', () => {
  let dir: string;
  let stack: Stack;
  let bed: SshBed;
  let host: Host;
  beforeAll(async () => {
    dir = mkdtempSync('/var/tmp/slyoff-');
    stack = await startStack({ dir, fresh: false, ports: ANY_PORTS, say: () => undefined });
    bed = await openBed(stack.dev);
    host = await bed.host('offline-1', { resource: { offline: { sessions: '1h', newSessions: '1h' } } });
  }, 120_000);
  afterAll(async () => {
    await bed?.stop();
    await stack?.stop();
    if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
  });

  test('200 sessions that do nothing cost little, and all of them answer', async () => {
    const { pid } = stack.dev.agent;
    const before = residentBytes(pid);
    const talks = [];
    try {
      for (let i = 0; i < IDLE; i += 20) {
        const some = Array.from({ length: 20 }, () =>
          talk('ssh', ['-F', host.config, host.name, 'echo up; cat'], bed.env),
        );
        talks.push(...some);
        await Promise.all(some.map((one) => one.heard('up')));
      }
      const each = (residentBytes(pid) - before) / IDLE;
      // Printed, since the bench has the goal; the bound here is for what would be a leak.
      process.stderr.write(`agent: ${Math.round(each / 1024)} KiB for each of ${IDLE} SSH sessions\n`);
      expect(each).toBeLessThan(600 * 1024);
      for (const one of talks) one.say('still\n');
      await Promise.all(talks.map((one) => one.heard('still')));
    } finally {
      for (const one of talks) one.kill();
      await Promise.all(talks.map(({ ended }) => ended));
    }
    await until(async () => {
      const { items } = await bed.admin.call<{ items: unknown[] }>('GET', '/v1/sessions?live=true&limit=10');
      return items.length === 0 ? true : undefined;
    });
  }, 300_000);

  test('a certificate that is still good opens a session without the control plane, and the host takes it', async () => {
    await stack.controlPlane().stop('SIGKILL');
    const ran = await bed.ssh(host, ['echo offline']);
    expect(ran.stdout.toString(), ran.stderr).toBe('offline\n');
    await stack.restartControlPlane();
    // What happened meanwhile comes onto the record.
    await until(async () => {
      const { items } = await bed.admin.call<{ items: { live: boolean; id: string }[] }>(
        'GET',
        `/v1/sessions?resource=${host.name}&sort=-openedAt&limit=1`,
      );
      const told = JSON.stringify(await bed.admin.call('GET', `/v1/sessions/${items[0]?.id}/statements`));
      return told.includes('echo offline') ? true : undefined;
    });
  }, 300_000);
});
