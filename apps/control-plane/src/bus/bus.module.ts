/** The bus between replicas: PostgreSQL, and Redis too when REDIS_URL is set. Global: any feature may have to tell the others. */
import { Global, Module, type OnModuleDestroy } from '@nestjs/common';
import { Config } from '../config.ts';
import { DatabaseUrl } from '../db/database.ts';
import { openBus } from '../db/open-bus.ts';
import { Log } from '../http/problem.filter.ts';
import { Bus } from './bus.ts';

@Global()
@Module({ providers: [{ provide: Bus, useFactory: openBus, inject: [Config, DatabaseUrl, Log] }], exports: [Bus] })
export class BusModule implements OnModuleDestroy {
  constructor(private readonly bus: Bus) {}

  async onModuleDestroy(): Promise<void> {
    await this.bus.close();
  }
}
