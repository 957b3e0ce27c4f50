/** REST of access requests. Parses, calls, returns. */
import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { pageOf, pageQuery } from '../http/page.ts';
import { Answers } from '../http/schema.ts';
import {
  AccessOptions,
  AccessRequestFilter,
  AccessRequestView,
  ApproveAccess,
  CreateAccessRequest,
  DenyAccess,
  ExtendAccessRequest,
  RevokeAccess,
  WithdrawAccess,
} from './access-requests.dto.ts';
import { AccessRequests } from './access-requests.service.ts';

const ListQuery = pageQuery(['requestedAt', 'expiresAt'], '-requestedAt').extend(AccessRequestFilter.shape);

@ApiTags('access-requests')
@Controller('/v1/access-requests')
export class AccessRequestsController {
  constructor(private readonly requests: AccessRequests) {}

  @Requires('access-request:read')
  @Get()
  @ApiOperation({ summary: 'Access requests: `?state=pending&answerable=true` is the inbox.' })
  @Answers(pageOf(AccessRequestView))
  list(@From() caller: Caller, @Query({ schema: ListQuery }) query: z.infer<typeof ListQuery>) {
    return this.requests.list(caller, query, query);
  }

  @Requires('access-request:create')
  @Get('options')
  @ApiOperation({ summary: 'What the caller may ask for.' })
  @Answers(AccessOptions)
  options(@From() caller: Caller) {
    return this.requests.options(caller);
  }

  @Requires('access-request:create')
  @Post()
  @ApiOperation({ summary: 'Ask for a grant: for a time, with a reason.' })
  @Answers(AccessRequestView, 201)
  create(@From() caller: Caller, @Body({ schema: CreateAccessRequest }) body: CreateAccessRequest) {
    return this.requests.create(caller, body);
  }

  @Requires('access-request:read')
  @Get(':id')
  @ApiOperation({ summary: 'One access request with its answers.' })
  @Answers(AccessRequestView)
  get(@From() caller: Caller, @Param('id') id: string) {
    return this.requests.get(caller, id);
  }

  @Requires('access-request:answer')
  @Post(':id/approve')
  @HttpCode(200)
  @ApiOperation({ summary: 'Say yes, to all of it or to less.' })
  @Answers(AccessRequestView)
  approve(
    @From() caller: Caller,
    @Param('id') id: string,
    @Body({ schema: ApproveAccess.optional() }) body: z.infer<typeof ApproveAccess> | undefined,
  ) {
    return this.requests.answer(caller, id, true, body ?? {});
  }

  @Requires('access-request:answer')
  @Post(':id/deny')
  @HttpCode(200)
  @ApiOperation({ summary: 'Say no, with a reason.' })
  @Answers(AccessRequestView)
  deny(
    @From() caller: Caller,
    @Param('id') id: string,
    @Body({ schema: DenyAccess }) body: z.infer<typeof DenyAccess>,
  ) {
    return this.requests.answer(caller, id, false, body);
  }

  @Requires('access-request:answer')
  @Post(':id/revoke')
  @HttpCode(200)
  @ApiOperation({ summary: 'As who approved it, or might: end the grant that came of it before its time.' })
  @Answers(AccessRequestView)
  revoke(
    @From() caller: Caller,
    @Param('id') id: string,
    @Body({ schema: RevokeAccess }) body: z.infer<typeof RevokeAccess>,
  ) {
    return this.requests.revoke(caller, id, body.reason);
  }

  @Requires('access-request:create')
  @Post(':id/withdraw')
  @HttpCode(200)
  @ApiOperation({ summary: 'Take it back; a grant that came of it ends at once.' })
  @Answers(AccessRequestView)
  withdraw(
    @From() caller: Caller,
    @Param('id') id: string,
    @Body({ schema: WithdrawAccess.optional() }) body: z.infer<typeof WithdrawAccess> | undefined,
  ) {
    return this.requests.withdraw(caller, id, body?.reason ?? '');
  }

  @Requires('access-request:create')
  @Post(':id/extend')
  @ApiOperation({ summary: 'Ask to prolong its grant.' })
  @Answers(AccessRequestView, 201)
  extend(
    @From() caller: Caller,
    @Param('id') id: string,
    @Body({ schema: ExtendAccessRequest }) body: ExtendAccessRequest,
  ) {
    return this.requests.extend(caller, id, body);
  }
}
