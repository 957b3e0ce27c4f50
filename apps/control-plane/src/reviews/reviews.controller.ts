/** REST of access reviews and drift. Parses, calls, returns. */
import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query, StreamableFile } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { Answers as Answer } from '../http/schema.ts';
import { Answers } from './answers.service.ts';
import { Campaigns } from './campaigns.service.ts';
import { Drift } from './drift.service.ts';
import { ReviewExports } from './exports.service.ts';
import * as dto from './reviews.dto.ts';
import { Rounds } from './rounds.service.ts';

@ApiTags('reviews')
@Controller('/v1')
export class ReviewsController {
  constructor(
    private readonly campaigns: Campaigns,
    private readonly rounds: Rounds,
    private readonly answers: Answers,
    private readonly exports: ReviewExports,
    private readonly drift: Drift,
  ) {}

  @Requires('review:read', 'review:answer')
  @Get('reviews')
  @ApiOperation({ summary: 'List access reviews; who may only answer sees those with something to answer.' })
  @Answer(dto.ReviewPage)
  list(@From() caller: Caller, @Query({ schema: dto.ReviewQuery }) query: z.infer<typeof dto.ReviewQuery>) {
    return this.answers.campaigns(caller, query);
  }

  @Requires('review:create')
  @Post('reviews')
  @ApiOperation({
    summary: 'Make an access review: what, by whom, how often, and what becomes of what nobody answers.',
  })
  @Answer(dto.ReviewView, 201)
  create(@From() caller: Caller, @Body({ schema: dto.ReviewDocument }) body: dto.ReviewDocument) {
    return this.campaigns.create(caller, body);
  }

  @Requires('review:read')
  @Get('reviews/:review')
  @ApiOperation({ summary: 'Show an access review and its last round.' })
  @Answer(dto.ReviewView)
  get(@From() caller: Caller, @Param('review') reference: string) {
    return this.campaigns.get(caller, reference);
  }

  @Requires('review:create')
  @Put('reviews/:review')
  @ApiOperation({ summary: 'Replace an access review; rounds under way keep their items.' })
  @Answer(dto.ReviewView)
  replace(
    @From() caller: Caller,
    @Param('review') reference: string,
    @Body({ schema: dto.ReviewDocument }) body: dto.ReviewDocument,
  ) {
    return this.campaigns.replace(caller, reference, body);
  }

  @Requires('review:create')
  @Delete('reviews/:review')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete an access review that nobody has answered.' })
  @Answer(z.undefined(), 204)
  async remove(@From() caller: Caller, @Param('review') reference: string): Promise<void> {
    await this.campaigns.remove(caller, reference);
  }

  @Requires('review:create')
  @Post('reviews/:review/start')
  @HttpCode(200)
  @ApiOperation({ summary: 'Start a round now: grants and their use are frozen, their deadline goes to the agents.' })
  @Answer(dto.ReviewView)
  start(@From() caller: Caller, @Param('review') reference: string) {
    return this.rounds.start(caller, reference);
  }

  @Requires('review:create')
  @Post('reviews/:review/end')
  @HttpCode(200)
  @ApiOperation({ summary: 'End an access review: its grants are bound by it no more, its evidence stays.' })
  @Answer(dto.ReviewView)
  end(@From() caller: Caller, @Param('review') reference: string) {
    return this.campaigns.end(caller, reference);
  }

  @Requires('review:read', 'review:answer')
  @Get('reviews/:review/items')
  @ApiOperation({ summary: 'Grants of a round with their use and a proposal; `?answerable=true` is the inbox.' })
  @Answer(dto.ItemPage)
  items(
    @From() caller: Caller,
    @Param('review') reference: string,
    @Query({ schema: dto.ItemQuery }) query: dto.ItemQuery,
  ) {
    return this.answers.list(caller, reference, query);
  }

  @Requires('review:answer')
  @Post('reviews/:review/answers')
  @HttpCode(200)
  @ApiOperation({ summary: 'Keep, reduce or revoke: all of the items, or none when one is not yours.' })
  @Answer(dto.Answered)
  async answer(
    @From() caller: Caller,
    @Param('review') reference: string,
    @Body({ schema: dto.AnswerBody }) body: dto.AnswerBody,
  ) {
    return { items: await this.answers.answer(caller, reference, body) };
  }

  @Requires('review:export')
  @Get('reviews/:review/export')
  @ApiOperation({
    summary: 'A round as CSV, JSON or HTML for printing, with references to the trail. Exporting is an event.',
  })
  @ApiProduces('application/octet-stream')
  async export(
    @From() caller: Caller,
    @Param('review') reference: string,
    @Query({ schema: dto.ExportQuery }) query: dto.ExportQuery,
  ) {
    const { text, type, file } = await this.exports.export(caller, reference, query);
    return new StreamableFile(Buffer.from(text), { type, disposition: `attachment; filename="${file}"` });
  }

  @Requires('review:read')
  @Get('drift')
  @ApiOperation({ summary: 'What has moved away from the last review, as it is now.' })
  @Answer(dto.DriftList)
  report(@From() caller: Caller, @Query({ schema: dto.DriftQuery }) query: dto.DriftQuery) {
    return this.drift.report(caller, query);
  }
}
