/** REST of SSH certificates: a key becomes a certificate for minutes, and whom to believe about agents' host keys. */
import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { type Caller, From, Public, Requires } from '../http/caller.ts';
import { Answers } from '../http/schema.ts';
import { CertifiedKey, CertifyKey, SshAuthorities } from './ssh.dto.ts';
import { SshCertificates } from './ssh-certificates.service.ts';

@ApiTags('ssh')
@Controller('/v1/ssh')
export class SshController {
  constructor(private readonly certificates: SshCertificates) {}

  @Requires('access:exchange')
  @Post('certificates')
  @HttpCode(200)
  @ApiOperation({ summary: 'Certify a public key for the life of an access token that is bound to it.' })
  @Answers(CertifiedKey)
  async certify(@From() caller: Caller, @Body({ schema: CertifyKey }) body: z.infer<typeof CertifyKey>) {
    const { certificate, expiresAt } = await this.certificates.certifyUser(caller, body.accessToken, body.publicKey);
    return { certificate, expiresAt: expiresAt.toISOString() };
  }

  /** Public: clients need it before they can trust an agent. */
  @Public()
  @Get('authorities')
  @ApiOperation({ summary: 'Who certifies the host keys of agents.' })
  @Answers(SshAuthorities)
  async authorities() {
    const hosts = [...(await this.certificates.hostAuthorities())];
    return { hosts, knownHosts: hosts.map((line) => `@cert-authority * ${line}\n`).join('') };
  }
}
