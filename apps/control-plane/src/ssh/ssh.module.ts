/** SSH: certificates of users and of agents' host keys, and sign-ins asked for by agents. Exported to the links. */
import { Module } from '@nestjs/common';
import { KeysModule } from '../keys/keys.module.ts';
import { AgentSignIns } from './agent-sign-ins.ts';
import { SshController } from './ssh.controller.ts';
import { SshCertificates } from './ssh-certificates.service.ts';

@Module({
  imports: [KeysModule],
  controllers: [SshController],
  providers: [SshCertificates, AgentSignIns],
  exports: [SshCertificates, AgentSignIns],
})
export class SshModule {}
