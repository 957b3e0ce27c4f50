/** REST of our keys towards a SAML provider: rolling them over. Parses, calls, returns. */
import { Body, Controller, Param, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { GatewayError } from '@sallyport/core';
import { z } from 'zod';
import { type Caller, From, Requires } from '../../http/caller.ts';
import { Answers, Instant, open } from '../../http/schema.ts';
import { ProvidersRepository } from '../provider-settings/providers.repository.ts';
import { SamlKeys } from './saml-keys.ts';

const DAY_S = 86_400;
const RotateSamlKey = z
  .strictObject({
    signsAfterSeconds: open(
      z
        .number()
        .int()
        .min(0)
        .max(30 * DAY_S),
    )
      .default(DAY_S)
      .describe('Until then our metadata shows the new certificate and requests are signed by the old one.'),
  })
  .meta({ id: 'RotateSamlKey' });
const RotatedSamlKey = z.object({ signsFrom: open(Instant) }).meta({ id: 'RotatedSamlKey' });

@ApiTags('identity-providers')
@Controller('/v1')
export class SamlKeysController {
  constructor(
    private readonly providers: ProvidersRepository,
    private readonly keys: SamlKeys,
  ) {}

  @Requires('identity-provider:update')
  @Post('identity-providers/:name/saml-keys')
  @ApiOperation({ summary: 'Make a new key towards a SAML provider; it takes over from the old one later.' })
  @Answers(RotatedSamlKey, 201)
  async rotate(
    @From() caller: Caller,
    @Param('name') name: string,
    @Body({ schema: RotateSamlKey }) body: z.infer<typeof RotateSamlKey>,
  ): Promise<z.infer<typeof RotatedSamlKey>> {
    const provider = await this.providers.find(caller.projectId, name);
    if (provider === null || provider.kind !== 'saml')
      throw new GatewayError('request.not_found', { identityProvider: name });
    const signsFrom = await this.keys.rotate(caller, provider.id, provider.name, body.signsAfterSeconds * 1000);
    return { signsFrom: signsFrom.toISOString() };
  }
}
