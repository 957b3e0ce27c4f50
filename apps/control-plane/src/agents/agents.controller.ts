/** REST of agents. */
import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { pageOf, pageQuery } from '../http/page.ts';
import { Answers } from '../http/schema.ts';
import { AgentView, CreateJoinToken, JoinTokenView } from './agents.dto.ts';
import { AgentsService } from './agents.service.ts';

const ListQuery = pageQuery(['name', 'createdAt'], 'name').extend({
  revoked: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional()
    .describe('Show revoked agents too.'),
});

@ApiTags('agents')
@Controller('/v1/agents')
export class AgentsController {
  constructor(private readonly agents: AgentsService) {}

  @Requires('agent:read')
  @Get()
  @ApiOperation({ summary: 'Agents, with what is in force at each.' })
  @Answers(pageOf(AgentView))
  list(@From() caller: Caller, @Query({ schema: ListQuery }) query: z.infer<typeof ListQuery>) {
    return this.agents.list(caller, query, query);
  }

  @Requires('agent:create')
  @Post('join-tokens')
  @ApiOperation({ summary: 'A token that lets one agent join, once.' })
  @Answers(JoinTokenView, 201)
  createJoinToken(@From() caller: Caller, @Body({ schema: CreateJoinToken }) body: CreateJoinToken) {
    return this.agents.createJoinToken(caller, body);
  }

  @Requires('agent:read')
  @Get(':name')
  @ApiOperation({ summary: 'One agent, by name or id.' })
  @Answers(AgentView)
  get(@From() caller: Caller, @Param('name') name: string) {
    return this.agents.get(caller, name);
  }

  @Requires('agent:delete')
  @Post(':name/revoke')
  @HttpCode(200)
  @ApiOperation({ summary: 'Cut an agent off at once and for good.' })
  @Answers(AgentView)
  revoke(@From() caller: Caller, @Param('name') name: string) {
    return this.agents.revoke(caller, name);
  }
}
