/** Public keys and the root certificate for whoever verifies, and rotation for admins. */
import { Body, Controller, Get, Header, HttpCode, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { GatewayError } from '@sallyport/core';
import { z } from 'zod';
import { Config } from '../config.ts';
import { type Caller, From, Public, Requires } from '../http/caller.ts';
import { Answers, open } from '../http/schema.ts';
import { CertificateAuthority } from './ca.ts';
import { Keys } from './keys.ts';
import { MasterKey } from './master-key.ts';
import { SIGNING_PURPOSES } from './purposes.ts';

const Jwks = z.object({ keys: z.array(z.record(z.string(), z.unknown())) }).meta({ id: 'KeySet' });
const RotateKey = z.strictObject({ purpose: open(z.enum(SIGNING_PURPOSES)) }).meta({ id: 'RotateKey' });
const RotateMasterKey = z
  .strictObject({
    to: open(z.string().max(63).optional()).describe(
      'Where the new key lies: `file`, `environment`, or the name of a KMS; the preferred one when absent.',
    ),
  })
  .meta({ id: 'RotateMasterKey' });
const RotatedMasterKey = z
  .object({
    keyId: open(z.string()).describe('Of the key that seals now.'),
    from: open(z.string()).describe('Where it lies: `file`, `environment`, or the name of a KMS.'),
    rewrapped: open(z.number()).describe('Boxes whose data key was wrapped anew.'),
    unused: open(z.array(z.string())).describe('Keys that may be taken away from every replica.'),
  })
  .meta({ id: 'RotatedMasterKey' });
const RotatedKey = z.object({ id: open(z.string()) }).meta({ id: 'RotatedKey' });

@ApiTags('keys')
@Controller('/v1')
export class KeysController {
  constructor(
    private readonly keys: Keys,
    private readonly masterKey: MasterKey,
    private readonly authority: CertificateAuthority,
    private readonly config: Config,
  ) {}

  /** Public: verification keys are for everybody. */
  @Public()
  @Get('keys')
  @ApiOperation({ summary: 'Public keys that verify access tokens and approvals (JWK set).' })
  @Answers(Jwks)
  async list(): Promise<z.infer<typeof Jwks>> {
    const keys = await this.keys.verificationKeys();
    return { keys: keys.filter(({ use }) => use !== 'ssh_user').map((key) => ({ ...key.jwk })) };
  }

  /** Public: clients need the root before they can trust anything. */
  @Public()
  @Get('ca')
  @Header('content-type', 'application/x-pem-file')
  @ApiOperation({ summary: 'Root certificate (PEM).' })
  ca(): Promise<string> {
    return this.keys.root();
  }

  /** Public, as the root. Trusted by programs that `sallyport run` starts, and by nothing else of ours. */
  @Public()
  @Get('ca/interception')
  @Header('content-type', 'application/x-pem-file')
  @ApiOperation({ summary: 'Issuer of the certificates that agents’ forward proxies show to programs (PEM).' })
  interceptionCa(): Promise<string> {
    if (!this.config.interception) throw new GatewayError('interception.off');
    return this.authority.interceptionRoot();
  }

  @Requires('key:rotate')
  @Post('keys/rotate')
  @HttpCode(200)
  @ApiOperation({ summary: 'Start a new signing key; the old one keeps verifying through its overlap.' })
  @Answers(RotatedKey)
  async rotate(
    @From() caller: Caller,
    @Body({ schema: RotateKey }) body: z.infer<typeof RotateKey>,
  ): Promise<{ id: string }> {
    return { id: await this.keys.rotate(body.purpose, caller) };
  }

  @Requires('key:rotate')
  @Post('keys/master/rotate')
  @HttpCode(200)
  @ApiOperation({ summary: 'Seal everything under another master key, while everything runs.' })
  @Answers(RotatedMasterKey)
  rotateMasterKey(
    @From() caller: Caller,
    @Body({ schema: RotateMasterKey.optional() }) body: z.infer<typeof RotateMasterKey> | undefined,
  ) {
    return this.masterKey.rotate(caller, body?.to);
  }
}
