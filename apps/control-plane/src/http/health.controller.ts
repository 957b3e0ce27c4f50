/** /health (the process runs), /ready (it can serve: the database answers), /metrics (Prometheus text). All without a token. */
import { Controller, Get, Header, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Database } from '../db/database.ts';
import { Public } from './caller.ts';
import { Metrics } from './metrics.ts';

@ApiExcludeController()
@Controller()
export class HealthController {
  readonly #database: Database;
  readonly #metrics: Metrics;
  constructor(database: Database, metrics: Metrics) {
    this.#database = database;
    this.#metrics = metrics;
  }

  /** Public: a load balancer has no token, and it tells nothing. */
  @Public()
  @Get('/health')
  health(): { status: string } {
    return { status: 'ok' };
  }

  /** Public: as /health. */
  @Public()
  @Get('/ready')
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<{ status: string }> {
    const ok = await this.#database.client.$queryRaw`select 1`.then(
      () => true,
      () => false,
    );
    if (!ok) void reply.status(503);
    return { status: ok ? 'ready' : 'database unavailable' };
  }

  /** Public: counters alone, no names. */
  @Public()
  @Get('/metrics')
  @Header('content-type', 'text/plain; version=0.0.4')
  metrics(): Promise<string> {
    return this.#metrics.registry.metrics();
  }
}
