/** REST of identity providers. */
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { type Caller, From, Requires } from '../../http/caller.ts';
import { Answers } from '../../http/schema.ts';
import {
  CreateProvider,
  PreviewAnswer,
  PreviewRequest,
  ProviderPage,
  ProviderQuery,
  ProviderTest,
  ProviderView,
  UpdateProvider,
} from './providers.dto.ts';
import { ProviderSettingsService } from './providers.service.ts';

@ApiTags('identity providers')
@Controller('/v1/identity-providers')
export class ProvidersController {
  constructor(private readonly providers: ProviderSettingsService) {}

  @Requires('identity-provider:read')
  @Get()
  @ApiOperation({ summary: 'Identity providers: those of the database, and those of the environment (read-only).' })
  @Answers(ProviderPage)
  list(@From() caller: Caller, @Query({ schema: ProviderQuery }) query: z.infer<typeof ProviderQuery>) {
    return this.providers.list(caller, query);
  }

  @Requires('identity-provider:create')
  @Post()
  @ApiOperation({ summary: 'Add an identity provider; its secrets are sealed and never shown.' })
  @Answers(ProviderView, 201)
  create(@From() caller: Caller, @Body({ schema: CreateProvider }) body: CreateProvider) {
    return this.providers.create(caller, body);
  }

  @Requires('identity-provider:read')
  @Get(':name')
  @ApiOperation({ summary: 'One identity provider, by name or id.' })
  @Answers(ProviderView)
  get(@From() caller: Caller, @Param('name') name: string) {
    return this.providers.get(caller, name);
  }

  @Requires('identity-provider:update')
  @Patch(':name')
  @ApiOperation({ summary: 'Change an identity provider. Disabling one ends what it had signed in.' })
  @Answers(ProviderView)
  update(@From() caller: Caller, @Param('name') name: string, @Body({ schema: UpdateProvider }) body: UpdateProvider) {
    return this.providers.update(caller, name, body);
  }

  @Requires('identity-provider:delete')
  @Delete(':name')
  @HttpCode(204)
  @ApiOperation({ summary: 'Remove an identity provider with the accounts and memberships it gave.' })
  async delete(@From() caller: Caller, @Param('name') name: string): Promise<void> {
    await this.providers.remove(caller, name);
  }

  @Requires('identity-provider:test')
  @Post(':name/test')
  @HttpCode(200)
  @ApiOperation({ summary: 'Try it out: its metadata, keys, clock and what it offers.' })
  @Answers(ProviderTest)
  test(@From() caller: Caller, @Param('name') name: string) {
    return this.providers.test(caller, name);
  }

  @Requires('identity-provider:test')
  @Post(':name/preview')
  @HttpCode(200)
  @ApiOperation({ summary: 'What would this token, or these claims, give? Nothing is changed and nobody signed in.' })
  @Answers(PreviewAnswer)
  preview(@From() caller: Caller, @Param('name') name: string, @Body({ schema: PreviewRequest }) body: PreviewRequest) {
    return this.providers.preview(caller, name, body);
  }
}
