/** REST of leases. Parses, calls, returns. */
import { Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { type Caller, From, Requires } from '../../http/caller.ts';
import { Answers } from '../../http/schema.ts';
import { LeasePage, LeaseQuery, Leases, LeaseView } from './leases.service.ts';

@ApiTags('credentials')
@Controller('/v1/leases')
export class LeasesController {
  constructor(private readonly leases: Leases) {}

  @Requires('lease:read')
  @Get()
  @ApiOperation({ summary: 'List upstream credentials that were lent to sessions.' })
  @Answers(LeasePage)
  list(@From() caller: Caller, @Query({ schema: LeaseQuery }) query: z.infer<typeof LeaseQuery>) {
    return this.leases.list(caller, query);
  }

  @Requires('lease:read')
  @Get(':lease')
  @ApiOperation({ summary: 'One upstream credential that was lent to a session.' })
  @Answers(LeaseView)
  get(@From() caller: Caller, @Param('lease') id: string) {
    return this.leases.get(caller, id);
  }

  @Requires('lease:revoke')
  @Post(':lease/revoke')
  @HttpCode(202)
  @ApiOperation({ summary: 'End a lease: its session ends, and the server forgets the account.' })
  @Answers(LeaseView, 202)
  revoke(@From() caller: Caller, @Param('lease') id: string) {
    return this.leases.revoke(caller, id);
  }
}
