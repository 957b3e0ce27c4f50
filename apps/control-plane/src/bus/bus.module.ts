/** The bus between replicas: PostgreSQL, and Redis too when REDIS_URL is set. Global: any feature may have to tell the others. */
import { Global, Module, type OnModuleDestroy } from '@nestjs/common';
import { Config } from '../config.ts';
import { DatabaseUrl } from '../db/database.ts';
import { Log } from '../http/problem.filter.ts';
import { Bus } from './bus.ts';
import { PgBus } from './pg.bus.ts';
import { RedisBus } from './redis.bus.ts';

async function openBus(config: Config, database: DatabaseUrl, log: Log): Promise<Bus> {
  const postgres = new PgBus(database.url.reveal(), log);
  await postgres.open();
  if (config.redisUrl === undefined) return postgres;
  const redis = new RedisBus(config.redisUrl.reveal(), postgres, log);
  await redis.open();
  return redis;
}

@Global()
@Module({ providers: [{ provide: Bus, useFactory: openBus, inject: [Config, DatabaseUrl, Log] }], exports: [Bus] })
export class BusModule implements OnModuleDestroy {
  constructor(private readonly bus: Bus) {}

  async onModuleDestroy(): Promise<void> {
    await this.bus.close();
  }
}
