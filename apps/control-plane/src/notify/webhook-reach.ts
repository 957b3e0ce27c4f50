/**
 * Where webhooks may lead. Those of project `default` go anywhere a control plane may ask; those of other projects, whose
 * admins are no admins of the installation, to the public Internet and to the private networks that the operator named.
 * Refuses this host to all but owners, wherever the webhook stands.
 */
import { Injectable } from '@nestjs/common';
import { Config } from '../config.ts';
import { Project } from '../db/project.ts';
import type { Webhook } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import type { Reach } from '../identity/machines/guarded-fetch.ts';
import { mayLoopBack } from './credentials/webhook-address.ts';

@Injectable()
export class WebhookReach {
  constructor(
    private readonly config: Config,
    private readonly project: Project,
  ) {}

  /** Of one that is used. */
  of(webhook: Pick<Webhook, 'config' | 'projectId'>): Reach {
    return { loopback: mayLoopBack(webhook), ...this.#networks(webhook.projectId) };
  }

  /** Of an address that somebody gives. What stands on this host is no matter of a project's admin. */
  given(caller: Caller): Reach {
    return { loopback: caller.permissions.has('webhook:loopback'), ...this.#networks(caller.projectId) };
  }

  #networks(projectId: string): Pick<Reach, 'networks'> {
    return projectId === this.project.id ? {} : { networks: this.config.projectNetworks };
  }
}
