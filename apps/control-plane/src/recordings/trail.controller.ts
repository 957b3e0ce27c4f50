/** REST of the trail. Here, since an export may carry recordings and those stand above the trail's module. */
import { Readable } from 'node:stream';
import { Controller, Get, Header, Query, StreamableFile } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { Answers } from '../http/schema.ts';
import { ChainView, EventPage, EventsQuery, ExportQuery, HeadsQuery, HeadView } from '../trail/trail.dto.ts';
import { TrailService } from '../trail/trail.service.ts';
import { Recordings } from './recordings.service.ts';

const listOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), nextCursor: z.null() });

@ApiTags('trail')
@Controller('/v1/trail')
export class TrailController {
  constructor(
    private readonly trail: TrailService,
    private readonly recordings: Recordings,
  ) {}

  @Requires('trail:read')
  @Get('events')
  @ApiOperation({ summary: 'Search the record, newest first.' })
  @Answers(EventPage)
  events(@From() caller: Caller, @Query({ schema: EventsQuery }) query: EventsQuery) {
    return this.trail.events(caller, query);
  }

  @Requires('trail:read')
  @Get('chains')
  @ApiOperation({ summary: 'Chains as far as they arrived, with what is missing and alarms.' })
  @Answers(listOf(ChainView))
  chains(@From() caller: Caller) {
    return this.trail.chains(caller);
  }

  @Requires('trail:read')
  @Get('heads')
  @ApiOperation({ summary: 'Signed heads of the tree: keep one outside.' })
  @Answers(listOf(HeadView))
  heads(@From() caller: Caller, @Query({ schema: HeadsQuery }) query: HeadsQuery) {
    return this.trail.heads(caller, query);
  }

  @Requires('trail:export')
  @Get('export')
  @Header('content-disposition', 'attachment; filename="trail.tar"')
  @ApiOperation({ summary: 'The record as an archive that verifies offline. Exporting is an event.' })
  @ApiProduces('application/octet-stream')
  async export(@From() caller: Caller, @Query({ schema: ExportQuery }) query: ExportQuery) {
    const archive = await this.trail.export(caller, query, this.recordings);
    return new StreamableFile(Readable.from(archive), { type: 'application/octet-stream' });
  }
}
