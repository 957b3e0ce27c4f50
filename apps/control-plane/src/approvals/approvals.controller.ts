/** REST of approvals: the inbox, one request with its context, and the two answers. */
import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { pageOf, pageQuery } from '../http/page.ts';
import { Answers } from '../http/schema.ts';
import {
  ApprovalFilter,
  ApprovalView,
  ApproveBody,
  CommentBody,
  DelegateBody,
  DenyBody,
  RevokeApprovalBody,
} from './approvals.dto.ts';
import { Approvals } from './approvals.service.ts';

const ListQuery = pageQuery(['requestedAt', 'expiresAt'], '-requestedAt').extend(ApprovalFilter.shape);

@ApiTags('approvals')
@Controller('/v1/approvals')
export class ApprovalsController {
  constructor(private readonly approvals: Approvals) {}

  @Requires('approval:read')
  @Get()
  @ApiOperation({ summary: 'Approval requests: `?state=pending&answerable=true` is the inbox.' })
  @Answers(pageOf(ApprovalView))
  list(@From() caller: Caller, @Query({ schema: ListQuery }) query: z.infer<typeof ListQuery>) {
    return this.approvals.list(caller, query, query);
  }

  @Requires('approval:read')
  @Get(':id')
  @ApiOperation({ summary: 'One approval request with its context.' })
  @Answers(ApprovalView)
  get(@From() caller: Caller, @Param('id') id: string) {
    return this.approvals.get(caller, id);
  }

  @Requires('approval:answer')
  @Post(':id/approve')
  @HttpCode(200)
  @ApiOperation({ summary: 'Say yes: for exactly this statement, or for its shape where the rule allows that.' })
  @Answers(ApprovalView)
  approve(
    @From() caller: Caller,
    @Param('id') id: string,
    @Body({ schema: ApproveBody.optional() }) body: z.infer<typeof ApproveBody> | undefined,
  ) {
    return this.approvals.answer(caller, id, { scope: 'once', ...body, granted: true, reason: body?.reason ?? '' });
  }

  @Requires('approval:answer')
  @Post(':id/deny')
  @HttpCode(200)
  @ApiOperation({ summary: 'Say no, with a reason.' })
  @Answers(ApprovalView)
  deny(@From() caller: Caller, @Param('id') id: string, @Body({ schema: DenyBody }) body: z.infer<typeof DenyBody>) {
    return this.approvals.answer(caller, id, { granted: false, scope: 'once', reason: body.reason });
  }

  @Requires('approval:answer')
  @Post(':id/delegate')
  @HttpCode(200)
  @ApiOperation({ summary: 'Hand one’s own seat at this request to another person who may answer.' })
  @Answers(ApprovalView)
  delegate(
    @From() caller: Caller,
    @Param('id') id: string,
    @Body({ schema: DelegateBody }) body: z.infer<typeof DelegateBody>,
  ) {
    return this.approvals.delegate(caller, id, body.to, body.reason ?? '');
  }

  @Requires('approval:read')
  @Post(':id/comments')
  @HttpCode(200)
  @ApiOperation({ summary: 'Say something about a request; detected values are hidden.' })
  @Answers(ApprovalView)
  comment(
    @From() caller: Caller,
    @Param('id') id: string,
    @Body({ schema: CommentBody }) body: z.infer<typeof CommentBody>,
  ) {
    return this.approvals.comment(caller, id, body.text);
  }

  @Requires('approval:answer')
  @Post(':id/revoke')
  @HttpCode(200)
  @ApiOperation({ summary: 'Take an approved shape back before its time.' })
  @Answers(ApprovalView)
  revoke(
    @From() caller: Caller,
    @Param('id') id: string,
    @Body({ schema: RevokeApprovalBody }) body: z.infer<typeof RevokeApprovalBody>,
  ) {
    return this.approvals.revoke(caller, id, body.reason);
  }
}
