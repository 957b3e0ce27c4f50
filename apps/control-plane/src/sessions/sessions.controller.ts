/** REST of sessions. Recordings and live views are streams of JSON lines. */
import { Readable } from 'node:stream';
import { Body, Controller, Get, HttpCode, Param, Post, Query, Res, StreamableFile } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { pageOf, pageQuery } from '../http/page.ts';
import { Answers } from '../http/schema.ts';
import { CommandSearch } from './command-search.ts';
import { SessionFilms } from './session-films.ts';
import {
  CommandPage,
  CommandSearchPage,
  CommandSearchQuery,
  CommandsQuery,
  EraseBody,
  FilmQuery,
  KillBody,
  RecordingQuery,
  SessionFilter,
  SessionView,
  StatementPage,
  StatementsQuery,
} from './sessions.dto.ts';
import { SessionsService } from './sessions.service.ts';

const ListQuery = pageQuery(['openedAt'], '-openedAt').extend(SessionFilter.shape);
const NDJSON = 'application/x-ndjson';
const ASCIICAST = 'application/x-asciicast';

async function* bytesOf(lines: AsyncGenerator<string>): AsyncGenerator<Buffer> {
  for await (const line of lines) if (line !== '') yield Buffer.from(line);
}
const stream = (lines: AsyncGenerator<string>, type = NDJSON): StreamableFile =>
  new StreamableFile(Readable.from(bytesOf(lines)), { type });

@ApiTags('sessions')
@Controller('/v1/sessions')
export class SessionsController {
  constructor(
    private readonly sessions: SessionsService,
    private readonly films: SessionFilms,
    private readonly search: CommandSearch,
  ) {}

  @Requires('session:read', 'session:own')
  @Get()
  @ApiOperation({ summary: 'Sessions; without session:read, one’s own.' })
  @Answers(pageOf(SessionView))
  list(@From() caller: Caller, @Query({ schema: ListQuery }) query: z.infer<typeof ListQuery>) {
    return this.sessions.list(caller, query, query);
  }

  @Requires('session:view', 'session:own')
  @Get('commands')
  @ApiOperation({
    summary:
      'Commands of many sessions on hosts and clusters with a text in them, those that were refused too, newest sessions first; without session:view, of one’s own. Each session that is looked into is a viewing, and an event.',
  })
  @Answers(CommandSearchPage)
  searchCommands(@From() caller: Caller, @Query({ schema: CommandSearchQuery }) query: CommandSearchQuery) {
    return this.search.find(caller, query);
  }

  @Requires('session:read', 'session:own')
  @Get(':id')
  @ApiOperation({ summary: 'One session.' })
  @Answers(SessionView)
  get(@From() caller: Caller, @Param('id') id: string) {
    return this.sessions.get(caller, id);
  }

  @Requires('session:view', 'session:own')
  @Get(':id/statements')
  @ApiOperation({ summary: 'The statements of a session, from the trail. Viewing is an event.' })
  @Answers(StatementPage)
  statements(
    @From() caller: Caller,
    @Param('id') id: string,
    @Query({ schema: StatementsQuery }) query: StatementsQuery,
  ) {
    return this.sessions.statements(caller, id, query);
  }

  @Requires('session:view', 'session:own')
  @Get(':id/recording')
  @ApiOperation({
    summary:
      'The recording as lines of JSON; with `clear`, SHA-256 of what was left out too (`digest` of a cut). Viewing is an event.',
  })
  @ApiProduces(NDJSON)
  async recording(
    @From() caller: Caller,
    @Param('id') id: string,
    @Query({ schema: RecordingQuery }) query: RecordingQuery,
  ) {
    return stream(await this.sessions.recording(caller, id, query));
  }

  @Requires('session:view', 'session:own')
  @Get(':id/film')
  @ApiOperation({ summary: 'What terminals and commands showed, as asciicast v2. Viewing is an event.' })
  @ApiProduces(ASCIICAST)
  async film(@From() caller: Caller, @Param('id') id: string, @Query({ schema: FilmQuery }) query: FilmQuery) {
    return stream(await this.films.film(caller, id, query), ASCIICAST);
  }

  @Requires('session:view', 'session:own')
  @Get(':id/commands')
  @ApiOperation({
    summary:
      'Commands of a session with their times and ends, to find a place in its film, and those that were refused. Viewing is an event.',
  })
  @Answers(CommandPage)
  commands(@From() caller: Caller, @Param('id') id: string, @Query({ schema: CommandsQuery }) query: CommandsQuery) {
    return this.films.commands(caller, id, query);
  }

  @Requires('session:watch')
  @Get(':id/watch')
  @ApiOperation({ summary: 'A live session as lines of JSON, until it closes. Watching is an event.' })
  @ApiProduces(NDJSON)
  async watch(@From() caller: Caller, @Param('id') id: string, @Res({ passthrough: true }) reply: FastifyReply) {
    // The stream's own `close` would wait for its next line, which a silent session never gives.
    const left = new AbortController();
    reply.raw.once('close', () => left.abort());
    return stream(await this.sessions.watch(caller, id, left.signal));
  }

  @Requires('session:kill')
  @Post(':id/kill')
  @HttpCode(200)
  @ApiOperation({ summary: 'End a session at once, on both sides.' })
  @Answers(SessionView)
  kill(@From() caller: Caller, @Param('id') id: string, @Body({ schema: KillBody }) body: z.infer<typeof KillBody>) {
    return this.sessions.kill(caller, id, body.reason);
  }

  @Requires('session:erase')
  @Post(':id/erase')
  @HttpCode(200)
  @ApiOperation({
    summary:
      'Destroy the key of a closed session. Nobody can read its statements and recording again; the chain verifies.',
  })
  @Answers(SessionView)
  erase(@From() caller: Caller, @Param('id') id: string, @Body({ schema: EraseBody }) body: z.infer<typeof EraseBody>) {
    return this.sessions.erase(caller, id, body.reason);
  }
}
