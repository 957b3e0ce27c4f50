/** Opens the bus between replicas: on PostgreSQL, and through Redis too when it is given. Stands here for the connection strings. */
import type { Bus } from '../bus/bus.ts';
import { PgBus } from '../bus/pg.bus.ts';
import { RedisBus } from '../bus/redis.bus.ts';
import type { Config } from '../config.ts';
import type { Log } from '../http/problem.filter.ts';
import type { DatabaseUrl } from './database.ts';

/** @throws when either cannot be reached at start */
export async function openBus(config: Config, database: DatabaseUrl, log: Log): Promise<Bus> {
  const postgres = new PgBus(database.url.reveal(), log);
  await postgres.open();
  if (config.redisUrl === undefined) return postgres;
  const redis = new RedisBus(config.redisUrl.reveal(), postgres, log);
  await redis.open();
  return redis;
}
