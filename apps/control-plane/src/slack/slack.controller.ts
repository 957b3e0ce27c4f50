/** What Slack calls, and the links that people make. Parses, calls, returns. */
import { Body, Controller, Delete, Get, Header, HttpCode, Param, ParseUUIDPipe, Post, Req } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Caller, From, Public, Requires } from '../http/caller.ts';
import { Answers, Instant, open, secret, sensitive } from '../http/schema.ts';
import { rawBodyOf } from './raw-body.ts';
import { SlackAnswers } from './slack-answers.service.ts';
import { SlackLinks } from './slack-links.service.ts';

const CreateSlackLink = z
  .strictObject({ code: secret(z.string().regex(/^[A-Za-z0-9_-]{20}$/, 'the code that Slack showed you is expected')) })
  .meta({ id: 'CreateSlackLink' });
const SlackLinkView = z
  .object({
    id: open(z.string()),
    team: open(z.string()),
    user: open(z.string()).describe('Slack’s id of the user.'),
    name: sensitive(z.string()),
    createdAt: open(Instant),
  })
  .meta({ id: 'SlackLink' });

@ApiTags('slack')
@Controller('/v1/slack')
export class SlackController {
  constructor(
    private readonly answers: SlackAnswers,
    private readonly links: SlackLinks,
  ) {}

  /** Public: Slack signs each call with the app's own secret. */
  @Public()
  @Post('interactions')
  @HttpCode(200)
  @Header('content-type', 'text/plain')
  @ApiOperation({ summary: 'Called by Slack when somebody presses a button of a Slack app.' })
  async interactions(@Req() request: FastifyRequest): Promise<string> {
    const header = (name: string): string => {
      const value = request.headers[name];
      return typeof value === 'string' ? value : '';
    };
    await this.answers.take({
      timestamp: header('x-slack-request-timestamp'),
      signature: header('x-slack-signature'),
      raw: rawBodyOf(request),
      address: request.ip,
      requestId: request.id,
    });
    return '';
  }

  @Requires('slack:link')
  @Get('links')
  @ApiOperation({ summary: 'Slack users that answer as the caller.' })
  @Answers(z.object({ items: open(z.array(SlackLinkView)) }).meta({ id: 'SlackLinks' }))
  list(@From() caller: Caller) {
    return this.links.list(caller);
  }

  @Requires('slack:link')
  @Post('links')
  @ApiOperation({ summary: 'Tie a Slack user to the caller, with the code that Slack showed that user.' })
  @Answers(SlackLinkView, 201)
  create(@From() caller: Caller, @Body({ schema: CreateSlackLink }) body: z.infer<typeof CreateSlackLink>) {
    return this.links.create(caller, body.code);
  }

  @Requires('slack:link')
  @Delete('links/:id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Untie one.' })
  @Answers(z.undefined(), 204)
  async remove(@From() caller: Caller, @Param('id', ParseUUIDPipe) id: string): Promise<void> {
    await this.links.remove(caller, id);
  }
}
