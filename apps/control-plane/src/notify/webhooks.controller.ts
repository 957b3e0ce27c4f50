/** REST of webhooks. */
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { pageOf, pageQuery } from '../http/page.ts';
import { Answers } from '../http/schema.ts';
import { CreateWebhook, Deliveries, UpdateWebhook, WebhookView, WebhookWithSecret } from './webhooks.dto.ts';
import { WebhooksService } from './webhooks.service.ts';

const ListQuery = pageQuery(['name', 'createdAt'], 'name');

@ApiTags('webhooks')
@Controller('/v1/webhooks')
export class WebhooksController {
  constructor(private readonly webhooks: WebhooksService) {}

  @Requires('webhook:read')
  @Get()
  @ApiOperation({ summary: 'Webhooks.' })
  @Answers(pageOf(WebhookView))
  list(@From() caller: Caller, @Query({ schema: ListQuery }) query: z.infer<typeof ListQuery>) {
    return this.webhooks.list(caller, query);
  }

  @Requires('webhook:create')
  @Post()
  @ApiOperation({ summary: 'Add a webhook; its secret is in the answer, once.' })
  @Answers(WebhookWithSecret, 201)
  create(@From() caller: Caller, @Body({ schema: CreateWebhook }) body: CreateWebhook) {
    return this.webhooks.create(caller, body);
  }

  @Requires('webhook:read')
  @Get(':name')
  @ApiOperation({ summary: 'One webhook, by name or id.' })
  @Answers(WebhookView)
  get(@From() caller: Caller, @Param('name') name: string) {
    return this.webhooks.get(caller, name);
  }

  @Requires('webhook:update')
  @Patch(':name')
  @ApiOperation({ summary: 'Change a webhook.' })
  @Answers(WebhookView)
  update(@From() caller: Caller, @Param('name') name: string, @Body({ schema: UpdateWebhook }) body: UpdateWebhook) {
    return this.webhooks.update(caller, name, body);
  }

  @Requires('webhook:delete')
  @Delete(':name')
  @HttpCode(204)
  @ApiOperation({ summary: 'Remove a webhook.' })
  async delete(@From() caller: Caller, @Param('name') name: string): Promise<void> {
    await this.webhooks.delete(caller, name);
  }

  @Requires('webhook:update')
  @Post(':name/test')
  @HttpCode(202)
  @ApiOperation({ summary: 'Send a test message to it.' })
  async test(@From() caller: Caller, @Param('name') name: string): Promise<void> {
    await this.webhooks.test(caller, name);
  }

  @Requires('webhook:read')
  @Get(':name/deliveries')
  @ApiOperation({ summary: 'Its last deliveries, with what went wrong.' })
  @Answers(Deliveries)
  deliveries(@From() caller: Caller, @Param('name') name: string) {
    return this.webhooks.deliveries(caller, name);
  }
}
