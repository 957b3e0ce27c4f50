/** REST of acts: who changed what, from what to what. Parses, calls, returns. */
import { Controller, Get, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { ControlAct } from '../generated/prisma/client.ts';
import { type Caller, From, Requires } from '../http/caller.ts';
import { Answers } from '../http/schema.ts';
import { ActPage, ActsQuery, type ActView } from './acts.dto.ts';
import { ActsRepository } from './acts.repository.ts';

@ApiTags('trail')
@Controller('/v1/acts')
export class ActsController {
  constructor(private readonly acts: ActsRepository) {}

  @Requires('trail:read')
  @Get()
  @ApiOperation({ summary: 'Administrative acts, newest first, with what each changed.' })
  @Answers(ActPage)
  async list(@From() caller: Caller, @Query({ schema: ActsQuery }) query: ActsQuery) {
    const rows = await this.acts.list(caller.projectId, query);
    const kept = rows.slice(0, query.limit);
    return { items: kept.map(show), nextCursor: rows.length > query.limit ? String(kept.at(-1)!.id) : null };
  }
}

const show = (row: ControlAct): ActView => ({
  id: String(row.id),
  time: row.time.toISOString(),
  principal: row.principalName,
  onBehalfOf: row.onBehalfOfName,
  action: row.action,
  target: row.target,
  detail: row.detail as ActView['detail'],
  requestId: row.requestId,
  chained: row.chainedAt !== null,
});
