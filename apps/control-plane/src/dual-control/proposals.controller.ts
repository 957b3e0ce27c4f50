/** REST of change proposals and of dual control. Parses, calls, returns. */
import { Body, Controller, Get, HttpCode, Param, Post, Put, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { Answers } from '../http/schema.ts';
import {
  ApproveProposal,
  ChangeProposalPage,
  ChangeProposalQuery,
  ChangeProposalView,
  DualControl,
  ProposalAnswer,
  RejectProposal,
} from './proposals.dto.ts';
import { Proposals } from './proposals.service.ts';

const Id = { schema: z.uuid() };

@ApiTags('dual control')
@Controller('/v1/change-proposals')
export class ProposalsController {
  constructor(private readonly proposals: Proposals) {}

  @Requires('change-proposal:read')
  @Get()
  @ApiOperation({ summary: 'Changes that wait for a second admin, and those that were answered.' })
  @Answers(ChangeProposalPage)
  list(@From() caller: Caller, @Query({ schema: ChangeProposalQuery }) query: ChangeProposalQuery) {
    return this.proposals.list(caller, query);
  }

  @Requires('change-proposal:read')
  @Get(':id')
  @ApiOperation({ summary: 'Show a proposed change.' })
  @Answers(ChangeProposalView)
  get(@From() caller: Caller, @Param('id', Id) id: string) {
    return this.proposals.get(caller, id);
  }

  @Requires('change-proposal:answer')
  @Post(':id/approve')
  @HttpCode(200)
  @ApiOperation({ summary: 'Agree as the second admin: the change is made at once, or not at all.' })
  @Answers(ChangeProposalView)
  approve(
    @From() caller: Caller,
    @Param('id', Id) id: string,
    @Body({ schema: ApproveProposal.prefault({}) }) body: z.infer<typeof ApproveProposal>,
  ) {
    return this.proposals.approve(caller, id, body.reason);
  }

  @Requires('change-proposal:answer')
  @Post(':id/reject')
  @HttpCode(200)
  @ApiOperation({ summary: 'Refuse a proposed change, with a reason.' })
  @Answers(ChangeProposalView)
  reject(
    @From() caller: Caller,
    @Param('id', Id) id: string,
    @Body({ schema: RejectProposal }) body: z.infer<typeof RejectProposal>,
  ) {
    return this.proposals.reject(caller, id, body.reason);
  }

  @Requires('change-proposal:read')
  @Post(':id/answer')
  @HttpCode(200)
  @ApiOperation({ summary: 'Take what one’s own change answered when it was made, a link or a secret too; once.' })
  @Answers(ProposalAnswer)
  answer(@From() caller: Caller, @Param('id', Id) id: string) {
    return this.proposals.takeAnswer(caller, id);
  }

  @Requires('change-proposal:read')
  @Post(':id/withdraw')
  @HttpCode(200)
  @ApiOperation({ summary: 'Take one’s own proposal back.' })
  @Answers(ChangeProposalView)
  withdraw(@From() caller: Caller, @Param('id', Id) id: string) {
    return this.proposals.withdraw(caller, id);
  }
}

@ApiTags('dual control')
@Controller('/v1/dual-control')
export class DualControlController {
  constructor(private readonly proposals: Proposals) {}

  @Requires('change-proposal:read')
  @Get()
  @ApiOperation({ summary: 'Where a change in this project needs two admins.' })
  @Answers(DualControl)
  get(@From() caller: Caller) {
    return this.proposals.setting(caller);
  }

  @Requires('dual-control:update')
  @Put()
  @ApiOperation({ summary: 'Set where a change needs two admins; once it is set anywhere, this does too.' })
  @Answers(DualControl)
  set(@From() caller: Caller, @Body({ schema: DualControl }) body: DualControl) {
    return this.proposals.configure(caller, body);
  }
}
