/**
 * Growing delays after failed sign-ins, by account and network, and (later, shorter) by account alone; never for good, so
 * that nobody can lock somebody else out. An attempt counts before it is looked at, so that many at once are no way round.
 * Names that nobody has are delayed alike. Refuses to know passwords.
 */
import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { Database } from '../../db/database.ts';
import { networkOf } from '../../http/network.ts';
import { SystemClock } from '../../time.ts';

interface Plan {
  /** Failures without a delay. */
  readonly free: number;
  readonly capS: number;
}
const HERE: Plan = { free: 5, capS: 300 };
const EVERYWHERE: Plan = { free: 25, capS: 30 };

@Injectable()
export class LoginDelays {
  constructor(
    private readonly database: Database,
    private readonly clock: SystemClock,
  ) {}

  /** Counts one attempt. @throws GatewayError `auth.throttled` while a delay runs */
  async attempt(projectId: string, name: string, address: string): Promise<void> {
    const [here, everywhere] = keysOf(name, address);
    await this.#count(projectId, here, HERE);
    await this.#count(projectId, everywhere, EVERYWHERE);
  }

  /** A good sign-in forgets the failures. */
  async forget(projectId: string, name: string, address: string): Promise<void> {
    await this.database.client.loginDelay.deleteMany({ where: { projectId, key: { in: [...keysOf(name, address)] } } });
  }

  async #count(projectId: string, key: string, { free, capS }: Plan): Promise<void> {
    const now = this.clock.now();
    // Without a delay the next attempt was due a minute ago: clocks of two that come at once differ a little.
    const counted = await this.database.client.$executeRaw`
      insert into login_delays as d (project_id, key, failures, last_at, next_at)
      values (${projectId}::uuid, ${key}, 1, ${now}::timestamptz, ${now}::timestamptz - interval '1 minute')
      on conflict (project_id, key) do update set
        failures = case when d.last_at < excluded.last_at - interval '1 day' then 1 else d.failures + 1 end,
        last_at = excluded.last_at,
        next_at = excluded.last_at + case when d.failures + 1 < ${free}::int or d.last_at < excluded.last_at - interval '1 day' then interval '-1 minute'
          else least(${capS}::float8, power(2, least(d.failures + 1 - ${free}::int, 20))) * interval '1 second' end
      where d.next_at <= excluded.last_at`;
    if (counted === 0) throw new GatewayError('auth.throttled', { kind: 'account' });
  }
}

/** Hashed, so that what people type for a name (a password, at times) is not kept. */
function keysOf(name: string, address: string): readonly [string, string] {
  const hash = createHash('sha256').update(name).digest('base64url');
  return [`${hash} ${networkOf(address)}`, hash];
}
