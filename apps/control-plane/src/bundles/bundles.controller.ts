/** REST of bundles: where the revision stands, and the start of a new epoch after a restored database. */
import { Controller, Get, HttpCode, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { recordActOf } from '../acts/acts.ts';
import { publishWithin } from '../bus/pg.bus.ts';
import { Database } from '../db/database.ts';
import { type Caller, From, Requires } from '../http/caller.ts';
import { Answers, open } from '../http/schema.ts';
import { BundlesRepository } from './bundles.repository.ts';

const BundleCounter = z.object({ epoch: open(z.number()), revision: open(z.number()) }).meta({ id: 'BundleCounter' });

@ApiTags('bundles')
@Controller('/v1/bundles')
export class BundlesController {
  constructor(
    private readonly database: Database,
    private readonly repository: BundlesRepository,
  ) {}

  @Requires('bundle:read')
  @Get()
  @ApiOperation({ summary: 'Epoch and revision that agents should have in force.' })
  @Answers(BundleCounter)
  state(@From() caller: Caller): Promise<z.infer<typeof BundleCounter>> {
    return this.repository.counter(caller.projectId);
  }

  @Requires('bundle:recover')
  @Post('recover')
  @HttpCode(200)
  @ApiOperation({ summary: 'After a restored database: start a new epoch, so that agents take bundles again.' })
  @Answers(BundleCounter)
  async recover(@From() caller: Caller): Promise<z.infer<typeof BundleCounter>> {
    return await this.database.transaction(async (tx) => {
      const counter = await this.repository.startEpoch(tx, caller.projectId);
      await recordActOf(tx, caller, 'bundle.recovered', 'bundle', { epoch: counter.epoch });
      await publishWithin(tx, 'bundle', { projectId: caller.projectId });
      return counter;
    });
  }
}
