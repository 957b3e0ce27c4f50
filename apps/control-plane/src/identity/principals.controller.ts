/** REST of principals, their tokens and secrets, and groups. Parses, calls, returns. */
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Put, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires, SignedIn } from '../http/caller.ts';
import { Answers } from '../http/schema.ts';
import * as dto from './identity.dto.ts';
import { IdentityRepository } from './identity.repository.ts';
import { Principals } from './principals.service.ts';
import { TokenService } from './token.service.ts';

const Nothing = z.undefined();

@ApiTags('identity')
@Controller('/v1')
export class PrincipalsController {
  constructor(
    private readonly principals: Principals,
    private readonly tokens: TokenService,
    private readonly repository: IdentityRepository,
  ) {}

  @SignedIn()
  @Get('whoami')
  @ApiOperation({ summary: 'Who the token belongs to, and what it may do.' })
  @Answers(dto.WhoAmI)
  async whoami(@From() caller: Caller): Promise<z.infer<typeof dto.WhoAmI>> {
    const [principal, groups, token] = await Promise.all([
      this.principals.find(caller.projectId, caller.principal.id),
      this.repository.groupsOf(caller.projectId, caller.principal.id),
      this.repository.token(caller.projectId, caller.tokenId),
    ]);
    return {
      principal: { ...caller.principal },
      roles: principal.roles,
      groups: [...new Set(groups.map((group) => group.name))],
      permissions: [...caller.permissions],
      project: { id: caller.projectId, name: caller.projectName },
      token: { id: caller.tokenId, expiresAt: token?.expiresAt.toISOString() ?? '' },
    };
  }

  @Requires('principal:read')
  @Get('principals')
  @ApiOperation({ summary: 'List principals.' })
  @Answers(dto.PrincipalPage)
  list(@From() caller: Caller, @Query({ schema: dto.PrincipalQuery }) query: z.infer<typeof dto.PrincipalQuery>) {
    return this.principals.list(caller, query);
  }

  @Requires('principal:create')
  @Post('principals')
  @ApiOperation({ summary: 'Create a principal: person, service or ai_agent.' })
  @Answers(dto.PrincipalView, 201)
  create(@From() caller: Caller, @Body({ schema: dto.CreatePrincipal }) body: z.infer<typeof dto.CreatePrincipal>) {
    return this.principals.create(caller, body);
  }

  @Requires('principal:read')
  @Get('principals/:principal')
  @ApiOperation({ summary: 'Show a principal with its groups.' })
  @Answers(dto.PrincipalView)
  get(@From() caller: Caller, @Param('principal') reference: string) {
    return this.principals.get(caller, reference);
  }

  @Requires('principal:update')
  @Patch('principals/:principal')
  @ApiOperation({ summary: 'Change a principal; disabling one ends its sessions.' })
  @Answers(dto.PrincipalView)
  update(
    @From() caller: Caller,
    @Param('principal') reference: string,
    @Body({ schema: dto.UpdatePrincipal }) body: z.infer<typeof dto.UpdatePrincipal>,
  ) {
    return this.principals.update(caller, reference, body);
  }

  @Requires('principal:delete')
  @Delete('principals/:principal')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a principal, its tokens and its grants.' })
  @Answers(Nothing, 204)
  async remove(@From() caller: Caller, @Param('principal') reference: string): Promise<void> {
    await this.principals.remove(caller, reference);
  }

  @Requires('token:create', 'token:own')
  @Post('principals/:principal/tokens')
  @ApiOperation({ summary: 'Make an API token; it is shown once.' })
  @Answers(dto.NewTokenView, 201)
  createToken(
    @From() caller: Caller,
    @Param('principal') reference: string,
    @Body({ schema: dto.CreateToken }) body: z.infer<typeof dto.CreateToken>,
  ) {
    return this.tokens.create(caller, reference, body);
  }

  @Requires('token:create', 'token:own')
  @Get('principals/:principal/tokens')
  @ApiOperation({ summary: 'List API tokens, without the tokens.' })
  @Answers(dto.TokenPage)
  listTokens(
    @From() caller: Caller,
    @Param('principal') reference: string,
    @Query({ schema: dto.TokenQuery }) query: z.infer<typeof dto.TokenQuery>,
  ) {
    return this.tokens.list(caller, reference, query);
  }

  @Requires('token:delete', 'token:own')
  @Delete('tokens/:id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete an API token; sessions opened with it end.' })
  @Answers(Nothing, 204)
  async removeToken(@From() caller: Caller, @Param('id', { schema: z.uuid() }) id: string): Promise<void> {
    await this.tokens.remove(caller, id);
  }

  @Requires('token:create')
  @Post('principals/:principal/secrets')
  @ApiOperation({ summary: 'Make a client secret of a service or AI agent; it is shown once.' })
  @Answers(dto.NewSecretView, 201)
  createSecret(
    @From() caller: Caller,
    @Param('principal') reference: string,
    @Body({ schema: dto.CreateSecret.default({}) }) body: z.infer<typeof dto.CreateSecret>,
  ) {
    return this.tokens.createSecret(caller, reference, body);
  }

  @Requires('token:create')
  @Get('principals/:principal/secrets')
  @ApiOperation({ summary: 'List client secrets, without the secrets.' })
  @Answers(dto.SecretList)
  listSecrets(@From() caller: Caller, @Param('principal') reference: string) {
    return this.tokens.secrets(caller, reference);
  }

  @Requires('token:delete')
  @Delete('principals/:principal/secrets/:id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a client secret.' })
  @Answers(Nothing, 204)
  async removeSecret(
    @From() caller: Caller,
    @Param('principal') reference: string,
    @Param('id', { schema: z.uuid() }) id: string,
  ): Promise<void> {
    await this.tokens.removeSecret(caller, reference, id);
  }
}

@ApiTags('identity')
@Controller('/v1/groups')
export class GroupsController {
  constructor(private readonly principals: Principals) {}

  @Requires('group:read')
  @Get()
  @ApiOperation({ summary: 'List groups.' })
  @Answers(dto.GroupPage)
  list(@From() caller: Caller, @Query({ schema: dto.GroupQuery }) query: z.infer<typeof dto.GroupQuery>) {
    return this.principals.groups(caller, query);
  }

  @Requires('group:create')
  @Post()
  @ApiOperation({ summary: 'Create a group.' })
  @Answers(dto.GroupView, 201)
  create(@From() caller: Caller, @Body({ schema: dto.CreateGroup }) body: z.infer<typeof dto.CreateGroup>) {
    return this.principals.createGroup(caller, body);
  }

  @Requires('group:read')
  @Get(':group')
  @ApiOperation({ summary: 'Show a group with its members.' })
  @Answers(dto.GroupView)
  get(@From() caller: Caller, @Param('group') reference: string) {
    return this.principals.group(caller, reference);
  }

  @Requires('group:update')
  @Patch(':group')
  @ApiOperation({ summary: 'Change a group’s description.' })
  @Answers(dto.GroupView)
  update(
    @From() caller: Caller,
    @Param('group') reference: string,
    @Body({ schema: dto.UpdateGroup }) body: z.infer<typeof dto.UpdateGroup>,
  ) {
    return this.principals.updateGroup(caller, reference, body);
  }

  @Requires('group:delete')
  @Delete(':group')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a group; its members’ sessions end.' })
  @Answers(Nothing, 204)
  async remove(@From() caller: Caller, @Param('group') reference: string): Promise<void> {
    await this.principals.removeGroup(caller, reference);
  }

  @Requires('group:update')
  @Put(':group/members/:principal')
  @HttpCode(204)
  @ApiOperation({ summary: 'Add a member; it is fine if it is one already.' })
  @Answers(Nothing, 204)
  async addMember(
    @From() caller: Caller,
    @Param('group') group: string,
    @Param('principal') principal: string,
  ): Promise<void> {
    await this.principals.addMember(caller, group, principal);
  }

  @Requires('group:update')
  @Delete(':group/members/:principal')
  @HttpCode(204)
  @ApiOperation({ summary: 'Remove a member; its sessions end.' })
  @Answers(Nothing, 204)
  async removeMember(
    @From() caller: Caller,
    @Param('group') group: string,
    @Param('principal') principal: string,
  ): Promise<void> {
    await this.principals.removeMember(caller, group, principal);
  }
}
