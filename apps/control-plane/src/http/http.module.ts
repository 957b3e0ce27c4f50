/** What every REST feature stands on: guard, problems, limits, health, metrics. Global by HOUSE section 8. */
import { Global, Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { Listening } from '../listening.ts';
import { AuthGuard } from './guard.ts';
import { HealthController } from './health.controller.ts';
import { Metrics } from './metrics.ts';
import { ProblemFilter } from './problem.filter.ts';
import { RateLimiter } from './rate-limit.ts';
import { StepUps } from './step-up.ts';

@Global()
@Module({
  controllers: [HealthController],
  providers: [
    Metrics,
    RateLimiter,
    Listening,
    StepUps,
    { provide: APP_GUARD, useClass: AuthGuard },
    { provide: APP_FILTER, useClass: ProblemFilter },
  ],
  exports: [Metrics, RateLimiter, Listening, StepUps],
})
export class HttpModule {}
