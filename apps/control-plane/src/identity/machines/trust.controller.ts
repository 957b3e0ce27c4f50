/** REST of trust rules and client keys. Parses, calls, returns. */
import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../../http/caller.ts';
import { Answers } from '../../http/schema.ts';
import { ClientKeyList, ClientKeys, ClientKeyView, CreateClientKey } from './client-keys.service.ts';
import { TrustPreview, TrustRulePage, TrustRuleQuery, TrustRules, TrustRuleView, TryToken } from './trust.service.ts';
import { TrustRuleDocument } from './trust-rule-document.ts';

@ApiTags('identity')
@Controller('/v1/trust-rules')
export class TrustController {
  constructor(private readonly rules: TrustRules) {}

  @Requires('trust-rule:read')
  @Get()
  @ApiOperation({ summary: 'List trust rules: whose tokens are believed about machines.' })
  @Answers(TrustRulePage)
  list(@From() caller: Caller, @Query({ schema: TrustRuleQuery }) query: z.infer<typeof TrustRuleQuery>) {
    return this.rules.list(caller, query);
  }

  @Requires('trust-rule:create')
  @Post()
  @ApiOperation({ summary: 'Create a trust rule.' })
  @Answers(TrustRuleView, 201)
  create(@From() caller: Caller, @Body({ schema: TrustRuleDocument }) body: TrustRuleDocument) {
    return this.rules.create(caller, body);
  }

  @Requires('trust-rule:test')
  @Post('preview')
  @HttpCode(200)
  @ApiOperation({ summary: 'What would this token give? Each rule’s answer; nothing is signed in, nothing is kept.' })
  @Answers(TrustPreview)
  preview(@From() caller: Caller, @Body({ schema: TryToken }) body: z.infer<typeof TryToken>) {
    return this.rules.preview(caller, body.token);
  }

  @Requires('trust-rule:read')
  @Get(':rule')
  @ApiOperation({ summary: 'Show a trust rule.' })
  @Answers(TrustRuleView)
  get(@From() caller: Caller, @Param('rule') reference: string) {
    return this.rules.get(caller, reference);
  }

  @Requires('trust-rule:update')
  @Put(':rule')
  @ApiOperation({ summary: 'Replace a trust rule.' })
  @Answers(TrustRuleView)
  replace(
    @From() caller: Caller,
    @Param('rule') reference: string,
    @Body({ schema: TrustRuleDocument }) body: TrustRuleDocument,
  ) {
    return this.rules.replace(caller, reference, body);
  }

  @Requires('trust-rule:delete')
  @Delete(':rule')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a trust rule; sessions that rest on it end.' })
  @Answers(z.undefined(), 204)
  async remove(@From() caller: Caller, @Param('rule') reference: string): Promise<void> {
    await this.rules.remove(caller, reference);
  }
}

@ApiTags('identity')
@Controller('/v1/principals')
export class ClientKeysController {
  constructor(private readonly keys: ClientKeys) {}

  @Requires('token:create')
  @Post(':principal/keys')
  @ApiOperation({ summary: 'Register a public key of a service or AI agent, for private_key_jwt (RFC 7523).' })
  @Answers(ClientKeyView, 201)
  create(
    @From() caller: Caller,
    @Param('principal') reference: string,
    @Body({ schema: CreateClientKey }) body: z.infer<typeof CreateClientKey>,
  ) {
    return this.keys.create(caller, reference, body);
  }

  @Requires('token:create')
  @Get(':principal/keys')
  @ApiOperation({ summary: 'List the public keys of a service or AI agent.' })
  @Answers(ClientKeyList)
  list(@From() caller: Caller, @Param('principal') reference: string) {
    return this.keys.list(caller, reference);
  }

  @Requires('token:delete')
  @Delete(':principal/keys/:id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Remove a public key; what it signs is refused from here on.' })
  @Answers(z.undefined(), 204)
  async remove(
    @From() caller: Caller,
    @Param('principal') reference: string,
    @Param('id', { schema: z.uuid() }) id: string,
  ): Promise<void> {
    await this.keys.remove(caller, reference, id);
  }
}
