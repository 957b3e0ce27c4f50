/**
 * Who provisions: an API token with `scim:write` that was made for one identity provider. Refuses a token without one,
 * since nobody could say whose people it may change.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { Actor } from '../acts/acts.ts';
import type { Caller } from '../http/caller.ts';
import { type Directory, ScimRepository } from './scim.repository.ts';

export const SCIM_SUBJECTS = ['userName', 'externalId', 'email'] as const;
export type ScimSubject = (typeof SCIM_SUBJECTS)[number];

export interface Provisioner extends Directory {
  readonly subject: ScimSubject;
  readonly actor: Actor;
}

@Injectable()
export class Provisioners {
  constructor(private readonly repository: ScimRepository) {}

  /** @throws GatewayError `auth.forbidden` */
  async of(caller: Caller): Promise<Provisioner> {
    const client = await this.repository.client(caller.projectId, caller.tokenId);
    const subject = SCIM_SUBJECTS.find((one) => one === client?.subject);
    if (client === null || subject === undefined)
      throw new GatewayError('auth.forbidden', { reason: 'the token was made for no identity provider' });
    return { projectId: caller.projectId, provider: client.provider, subject, actor: caller };
  }
}
