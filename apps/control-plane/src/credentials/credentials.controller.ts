/** REST of credentials: secrets go in, never out. Parses, calls, returns. */
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Put, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { Answers, open } from '../http/schema.ts';
import {
  CreateCredential,
  CredentialPage,
  CredentialQuery,
  CredentialView,
  PutSecret,
  UpdateCredential,
} from './credential-document.ts';
import { Credentials } from './credentials.service.ts';
import { Errands } from './errands.service.ts';

const ErrandResult = z
  .object({
    resource: open(z.string()),
    outcome: open(z.enum(['done', 'undone', 'failed', 'open'])).describe(
      'undone: the password before is in force again; open: not answered yet.',
    ),
    code: open(z.string()).describe('Error code; empty when done.'),
    reason: open(z.string()),
  })
  .meta({ id: 'CredentialErrandResult' });
const ErrandResults = z.object({ items: open(z.array(ErrandResult)) }).meta({ id: 'CredentialErrandResults' });

@ApiTags('credentials')
@Controller('/v1/credentials')
export class CredentialsController {
  constructor(
    private readonly credentials: Credentials,
    private readonly errands: Errands,
  ) {}

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

  @Requires('credential:test')
  @Post(':credential/test')
  @HttpCode(200)
  @ApiOperation({ summary: 'Have agents sign in with it once, at each resource that uses it.' })
  @Answers(ErrandResults)
  async test(@From() caller: Caller, @Param('credential') reference: string) {
    return { items: await this.errands.test(await this.credentials.find(caller, reference)) };
  }

  @Requires('credential:rotate')
  @Post(':credential/rotate')
  @HttpCode(200)
  @ApiOperation({ summary: 'Give the account a new password now, and wait for it.' })
  @Answers(ErrandResult)
  async rotate(@From() caller: Caller, @Param('credential') reference: string) {
    return await this.errands.rotate(caller, await this.credentials.find(caller, reference));
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
