/** REST of credentials: secrets go in, never out. Parses, calls, returns. */
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Put, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { Answers } from '../http/schema.ts';
import {
  CreateCredential,
  CredentialPage,
  CredentialQuery,
  Credentials,
  CredentialView,
  PutSecret,
  UpdateCredential,
} from './credentials.service.ts';

@ApiTags('credentials')
@Controller('/v1/credentials')
export class CredentialsController {
  constructor(private readonly credentials: Credentials) {}

  @Requires('credential:read')
  @Get()
  @ApiOperation({ summary: 'List credentials, without secrets.' })
  @Answers(CredentialPage)
  list(@From() caller: Caller, @Query({ schema: CredentialQuery }) query: z.infer<typeof CredentialQuery>) {
    return this.credentials.list(caller, query);
  }

  @Requires('credential:create')
  @Post()
  @ApiOperation({ summary: 'Create a credential.' })
  @Answers(CredentialView, 201)
  create(@From() caller: Caller, @Body({ schema: CreateCredential }) body: z.infer<typeof CreateCredential>) {
    return this.credentials.create(caller, body);
  }

  @Requires('credential:read')
  @Get(':credential')
  @ApiOperation({ summary: 'Show a credential, without its secret.' })
  @Answers(CredentialView)
  get(@From() caller: Caller, @Param('credential') reference: string) {
    return this.credentials.get(caller, reference);
  }

  @Requires('credential:update')
  @Patch(':credential')
  @ApiOperation({ summary: 'Change a credential.' })
  @Answers(CredentialView)
  update(
    @From() caller: Caller,
    @Param('credential') reference: string,
    @Body({ schema: UpdateCredential }) body: z.infer<typeof UpdateCredential>,
  ) {
    return this.credentials.update(caller, reference, body);
  }

  @Requires('credential:update')
  @Put(':credential/secret')
  @ApiOperation({ summary: 'Put a new secret; it takes effect for the next session.' })
  @Answers(CredentialView)
  putSecret(
    @From() caller: Caller,
    @Param('credential') reference: string,
    @Body({ schema: PutSecret }) body: z.infer<typeof PutSecret>,
  ) {
    return this.credentials.putSecret(caller, reference, body.secret);
  }

  @Requires('credential:delete')
  @Delete(':credential')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a credential no resource uses.' })
  @Answers(z.undefined(), 204)
  async remove(@From() caller: Caller, @Param('credential') reference: string): Promise<void> {
    await this.credentials.remove(caller, reference);
  }
}
