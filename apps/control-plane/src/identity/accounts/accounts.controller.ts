/** REST of local accounts. Parses, calls, returns. */
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../../http/caller.ts';
import { Answers } from '../../http/schema.ts';
import * as dto from './accounts.service.ts';
import { Accounts } from './accounts.service.ts';

@ApiTags('identity')
@Controller('/v1/accounts')
export class AccountsController {
  constructor(private readonly accounts: Accounts) {}

  @Requires('account:read')
  @Get()
  @ApiOperation({ summary: 'List local accounts: persons who sign in without a provider.' })
  @Answers(dto.AccountPage)
  list(@From() caller: Caller, @Query({ schema: dto.AccountQuery }) query: z.infer<typeof dto.AccountQuery>) {
    return this.accounts.list(caller, query);
  }

  @Requires('account:read', 'account:own')
  @Get(':principal')
  @ApiOperation({ summary: 'Show a local account and its ways in.' })
  @Answers(dto.AccountView)
  get(@From() caller: Caller, @Param('principal') reference: string) {
    return this.accounts.get(caller, reference);
  }

  @Requires('account:create', 'account:own')
  @Post(':principal/links')
  @ApiOperation({ summary: 'Make a link by which a person sets up a way in; it is shown once and good once.' })
  @Answers(dto.AccountLinkView, 201)
  createLink(
    @From() caller: Caller,
    @Param('principal') reference: string,
    @Body({ schema: dto.CreateAccountLink.prefault({}) }) body: z.infer<typeof dto.CreateAccountLink>,
  ) {
    return this.accounts.createLink(caller, reference, body);
  }

  @Requires('account:update')
  @Patch(':principal')
  @ApiOperation({ summary: 'Mark an account as one for emergencies, or not.' })
  @Answers(dto.AccountView)
  update(
    @From() caller: Caller,
    @Param('principal') reference: string,
    @Body({ schema: dto.UpdateAccount }) body: z.infer<typeof dto.UpdateAccount>,
  ) {
    return this.accounts.update(caller, reference, body);
  }

  @Requires('account:delete')
  @Delete(':principal')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a local account; the person stays, their sessions end.' })
  @Answers(z.undefined(), 204)
  async remove(@From() caller: Caller, @Param('principal') reference: string): Promise<void> {
    await this.accounts.remove(caller, reference);
  }

  @Requires('account:update', 'account:own')
  @Delete(':principal/passkeys/:id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Remove a passkey; sessions end.' })
  @Answers(z.undefined(), 204)
  async removePasskey(
    @From() caller: Caller,
    @Param('principal') reference: string,
    @Param('id', { schema: z.uuid() }) id: string,
  ): Promise<void> {
    await this.accounts.removePasskey(caller, reference, id);
  }
}
