/**
 * How soon a running command over SSH ends when its right does: from the moment an administrator's call begins, or a date
 * passes, to the end of a real ssh. A machine that is busy adds what it likes to one round, and a timer in the way would be in
 * each: so the best of a few rounds has to be within a second and a half. Machines without sshd leave these out by name.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { sshdMissing, sshEnv, sshOptions, type Talk, talk } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Host, openBed, type SshBed, until } from './ssh-bed.ts';

const dev = inject('dev');
const WITHIN_MS = 1_500;
const ROUNDS_MAX = 5;
const NAME = `cut-${process.pid}`;

describe.skipIf(sshdMissing)('what runs over SSH ends within a second and a half', () => {
  let bed: SshBed;
  let host: Host;
  beforeAll(async () => {
    bed = await openBed(dev);
    host = await bed.host(`${NAME}-host`, { effects: [] });
    await bed.admin.call('POST', '/v1/principals', { name: NAME, kind: 'service', displayName: 'Cut' });
  }, 60_000);
  afterAll(async () => {
    await bed?.admin.call('DELETE', `/v1/grants/${NAME}`).catch(() => undefined);
    await bed?.admin.call('DELETE', `/v1/principals/${NAME}`).catch(() => undefined);
    await bed?.stop();
  });

  /** A command that runs for long, by a right that begins now; its token by an API token of its own. */
  async function running(notAfter?: Date): Promise<{ readonly talking: Talk; readonly apiToken: string }> {
    const { admin } = bed;
    await admin.call('DELETE', `/v1/grants/${NAME}`).catch(() => undefined);
    await admin.call('PATCH', `/v1/principals/${NAME}`, { disabled: false });
    await admin.call('POST', '/v1/grants', {
      name: NAME,
      principal: NAME,
      resource: host.name,
      effects: ['exec'],
      ...(notAfter === undefined ? {} : { notAfter: notAfter.toISOString() }),
    });
    const made = await admin.call<{ id: string; token: string }>('POST', `/v1/principals/${NAME}/tokens`, {
      name: `cut-${Date.now()}`,
    });
    // The agent hears of a new grant in a moment.
    const talking = await until(async () => {
      const env = sshEnv(bed.dir, await bed.token(host.name, {}, made.token));
      const one = talk('ssh', [...sshOptions(dev.agent.ssh), `${host.name}@127.0.0.1`, 'echo up; sleep 300'], env);
      const up = await Promise.race([one.heard('up').then(() => true), one.ended.then(() => false)]);
      return up ? one : undefined;
    });
    return { talking, apiToken: made.id };
  }

  /** @param cut ends the right @returns ms from the moment of it to the client's end */
  async function measured(cut: (apiToken: string) => Promise<unknown>): Promise<number> {
    const { talking, apiToken } = await running();
    const began = Date.now();
    const ended = talking.ended.then(() => Date.now());
    await cut(apiToken);
    return (await ended) - began;
  }

  async function bestOf(round: () => Promise<number>): Promise<void> {
    const all: number[] = [];
    while (all.length < ROUNDS_MAX && !all.some((ms) => ms <= WITHIN_MS)) all.push(await round());
    expect(Math.min(...all), `rounds: ${all.join(', ')} ms`).toBeLessThanOrEqual(WITHIN_MS);
  }

  const live = async (): Promise<string> => {
    const { items } = await bed.admin.call<{ items: { id: string }[] }>(
      'GET',
      `/v1/sessions?live=true&principal=${NAME}`,
    );
    return items[0]!.id;
  };

  const cuts: Readonly<Record<string, (apiToken: string) => Promise<unknown>>> = {
    'when its grant is revoked': () => bed.admin.call('POST', `/v1/grants/${NAME}/revoke`, { reason: 'test' }),
    'when its grant is deleted': () => bed.admin.call('DELETE', `/v1/grants/${NAME}`),
    'when its principal is disabled': () => bed.admin.call('PATCH', `/v1/principals/${NAME}`, { disabled: true }),
    'when the API token behind it is taken away': (id) => bed.admin.call('DELETE', `/v1/tokens/${id}`),
  };
  for (const [when, cut] of Object.entries(cuts))
    test(when, { timeout: 180_000 }, async () => {
      await bestOf(() => measured(cut));
    });

  test('when an administrator ends the session', { timeout: 180_000 }, async () => {
    await bestOf(async () => {
      const { talking } = await running();
      const id = await until(live);
      const began = Date.now();
      const ended = talking.ended.then(() => Date.now());
      await bed.admin.call('POST', `/v1/sessions/${id}/kill`, { reason: 'test' });
      return (await ended) - began;
    });
  });

  test('when its grant runs out', { timeout: 180_000 }, async () => {
    let ahead = 6_000;
    await bestOf(async () => {
      const end = new Date(Date.now() + ahead);
      // On a busy machine a right of seconds is over before it is used.
      ahead += 10_000;
      const begun = await Promise.race([
        running(end).catch(() => undefined),
        sleep(end.getTime() - Date.now(), undefined),
      ]);
      if (begun === undefined) return Number.POSITIVE_INFINITY;
      await begun.talking.ended;
      const late = Date.now() - end.getTime();
      expect(late, 'not before its time').toBeGreaterThan(-1_000);
      return late;
    });
  });
});
