/** Who this agent is: what it kept, or what a join token gets it. Refuses to keep an enrolment that was not whole. */
import { GatewayError, type Logger } from '@sallyport/core';
import type { AgentConfig } from '../config.ts';
import { readJoinToken } from '../credentials/join-token.ts';
import { VERSION } from '../version.ts';
import { enroll } from './enroll.ts';
import { type Identity, loadIdentity, newAgentKeys, storeIdentity } from './identity.ts';

/** @throws GatewayError `config.invalid`, `enroll.failed` */
export const ownIdentity = async (config: AgentConfig, log: Logger): Promise<Identity> =>
  located(config, loadIdentity(config.dataDir) ?? (await enrolled(config, log)));

async function enrolled(config: AgentConfig, log: Logger): Promise<Identity> {
  if (config.joinToken === undefined) {
    throw new GatewayError('config.invalid', {
      setting: 'SALLYPORT_JOIN_TOKEN',
      reason: 'an agent that has not enrolled needs one',
    });
  }
  return storeIdentity(config.dataDir, await enroll(readJoinToken(config.joinToken), newAgentKeys(), VERSION, log));
}

/** The control plane has moved when the settings say so; what is kept is from the enrolment or the last renewal. */
function located(config: AgentConfig, identity: Identity): Identity {
  const { linkEndpoints, enrollEndpoints } = config;
  if (linkEndpoints.length === 0 && enrollEndpoints.length === 0) return identity;
  return storeIdentity(config.dataDir, {
    ...identity.file,
    ...(linkEndpoints.length === 0 ? {} : { endpoints: linkEndpoints }),
    ...(enrollEndpoints.length === 0 ? {} : { enrollEndpoints }),
  });
}
