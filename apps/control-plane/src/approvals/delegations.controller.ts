/** REST of seats that approvers hand over for a time. */
import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { pageOf, pageQuery } from '../http/page.ts';
import { Answers } from '../http/schema.ts';
import { CreateDelegation, DelegationView } from './delegations.dto.ts';
import { Seats } from './seats.service.ts';

const ListQuery = pageQuery(['endsAt', 'createdAt'], '-createdAt');

@ApiTags('approvals')
@Controller('/v1/approver-delegations')
export class DelegationsController {
  constructor(private readonly seats: Seats) {}

  @Requires('approval:read')
  @Get()
  @ApiOperation({ summary: 'Seats that approvers have handed over for a time.' })
  @Answers(pageOf(DelegationView))
  list(@From() caller: Caller, @Query({ schema: ListQuery }) query: z.infer<typeof ListQuery>) {
    return this.seats.list(caller, query);
  }

  @Requires('approval:answer')
  @Post()
  @ApiOperation({ summary: 'Hand over one’s own seat for a time.' })
  @Answers(DelegationView, 201)
  create(@From() caller: Caller, @Body({ schema: CreateDelegation }) body: z.infer<typeof CreateDelegation>) {
    return this.seats.create(caller, body);
  }

  @Requires('approval:answer')
  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({ summary: 'End it now; either side may.' })
  @Answers(z.undefined(), 204)
  end(@From() caller: Caller, @Param('id', { schema: z.uuid() }) id: string) {
    return this.seats.end(caller, id);
  }
}
