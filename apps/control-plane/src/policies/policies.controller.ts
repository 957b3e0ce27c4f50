/** REST of policies. Parses, calls, returns. */
import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { Answers } from '../http/schema.ts';
import { Explain, ExplainAnswer, ExplainRequest } from './explain.service.ts';
import {
  CheckAnswer,
  Policies,
  PolicyPage,
  PolicyQuery,
  PolicySource,
  PolicyView,
  RevisionList,
} from './policies.service.ts';

@ApiTags('policies')
@Controller('/v1/policies')
export class PoliciesController {
  constructor(
    private readonly policies: Policies,
    private readonly explanations: Explain,
  ) {}

  @Requires('policy:read')
  @Get()
  @ApiOperation({ summary: 'List policies.' })
  @Answers(PolicyPage)
  list(@From() caller: Caller, @Query({ schema: PolicyQuery }) query: z.infer<typeof PolicyQuery>) {
    return this.policies.list(caller, query);
  }

  @Requires('policy:create')
  @Post()
  @ApiOperation({ summary: 'Create a policy from YAML; 422 names every wrong line.' })
  @Answers(PolicyView, 201)
  create(@From() caller: Caller, @Body({ schema: PolicySource }) body: z.infer<typeof PolicySource>) {
    return this.policies.create(caller, body.source);
  }

  @Requires('policy:read', 'policy:explain')
  @Post('check')
  @HttpCode(200)
  @ApiOperation({ summary: 'Check a policy without saving it.' })
  @Answers(CheckAnswer)
  check(@From() caller: Caller, @Body({ schema: PolicySource }) body: z.infer<typeof PolicySource>) {
    return this.policies.check(caller, body.source);
  }

  @Requires('policy:read', 'policy:explain')
  @Post('explain')
  @HttpCode(200)
  @ApiOperation({ summary: 'Say how a statement would be judged, rule by rule.' })
  @Answers(ExplainAnswer)
  explain(@From() caller: Caller, @Body({ schema: ExplainRequest }) body: z.infer<typeof ExplainRequest>) {
    return this.explanations.explain(caller, body);
  }

  @Requires('policy:read')
  @Get(':policy')
  @ApiOperation({ summary: 'Show a policy.' })
  @Answers(PolicyView)
  get(@From() caller: Caller, @Param('policy') reference: string) {
    return this.policies.get(caller, reference);
  }

  @Requires('policy:read')
  @Get(':policy/revisions')
  @ApiOperation({ summary: 'Every revision of a policy, newest first.' })
  @Answers(RevisionList)
  revisions(@From() caller: Caller, @Param('policy') reference: string) {
    return this.policies.revisions(caller, reference);
  }

  @Requires('policy:update')
  @Put(':policy')
  @ApiOperation({ summary: 'Replace a policy; in force at connected agents at once, live sessions included.' })
  @Answers(PolicyView)
  replace(
    @From() caller: Caller,
    @Param('policy') reference: string,
    @Body({ schema: PolicySource }) body: z.infer<typeof PolicySource>,
  ) {
    return this.policies.replace(caller, reference, body.source);
  }

  @Requires('policy:delete')
  @Delete(':policy')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a policy.' })
  @Answers(z.undefined(), 204)
  async remove(@From() caller: Caller, @Param('policy') reference: string): Promise<void> {
    await this.policies.remove(caller, reference);
  }
}
