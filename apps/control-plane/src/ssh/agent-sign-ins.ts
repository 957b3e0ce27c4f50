/**
 * Sign-ins that an agent asks for on behalf of a client with no token: a device sign-in (RFC 8628) whose link the client is
 * shown, and, once a person confirmed it, an access token for the one resource. State of an ask is its link's: an agent that
 * loses the link asks anew. Refuses to say why an ask failed.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { ControlMessage, SignInAsk } from '@sallyport/contract';
import { OAuthError } from '../http/invalid-request.ts';
import { Log } from '../http/problem.filter.ts';
import { DEVICE_INTERVAL_S, DeviceFlow } from '../identity/device-flow.ts';
import { Exchange } from '../identity/exchange.service.ts';
import { IdentityRepository } from '../identity/identity.repository.ts';

/** Of one agent at a time: more are refused at once. */
const OPEN_MAX = 100;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const ADDRESS = /^[0-9a-fA-F.:[\]]{2,60}$/;
const FAILED = 'auth.failed';

export interface AskingAgent {
  readonly id: string;
  readonly projectId: string;
}
type Send = (message: ControlMessage) => boolean;

@Injectable()
export class AgentSignIns implements OnModuleDestroy {
  readonly #open = new Map<string, Map<string, AbortController>>();
  constructor(
    private readonly devices: DeviceFlow,
    private readonly exchange: Exchange,
    private readonly identities: IdentityRepository,
    private readonly log: Log,
  ) {}

  /** Answers by `send`: an offer, then what became of it. Returns once the offer is made. */
  async ask(agent: AskingAgent, ask: SignInAsk, send: Send): Promise<void> {
    const { id = '', resourceId = '', clientAddress = '' } = ask as { [K in keyof SignInAsk]?: string };
    const asks = this.#open.get(agent.id) ?? new Map<string, AbortController>();
    const refuse = (): void => void send({ signInDone: { id, code: FAILED } });
    if (!UUID.test(id) || !UUID.test(resourceId) || asks.has(id) || asks.size >= OPEN_MAX) return refuse();
    // Its place is taken before the first wait: many at once are counted, and a client that leaves meanwhile is heard.
    const ending = new AbortController();
    this.#open.set(agent.id, asks.set(id, ending));
    const device = await this.#offer(agent, resourceId, clientAddress).catch((cause: unknown) => {
      this.#drop(agent.id, id);
      refuse();
      throw cause;
    });
    if (ending.signal.aborted) {
      this.#drop(agent.id, id);
      return refuse();
    }
    send({
      signInOffer: {
        id,
        url: device.verification_uri_complete,
        userCode: device.user_code,
        expiresInS: device.expires_in,
      },
    });
    void this.#wait(device.device_code, resourceId, `ssh-sign-in/${id}`, ending.signal)
      .then((accessToken) => {
        if (!ending.signal.aborted)
          send({ signInDone: accessToken === undefined ? { id, code: FAILED } : { id, accessToken } });
      })
      .catch((cause: unknown) => {
        this.log.error('a sign-in that an agent asked for could not be finished', { agent: agent.id, cause });
        refuse();
      })
      .finally(() => this.#drop(agent.id, id));
  }

  /** Of a resource that is not there a link is offered alike, so that names cannot be tried; its confirmation gives nothing. */
  async #offer(agent: AskingAgent, resourceId: string, clientAddress: string) {
    const resource = await this.identities.resource(agent.projectId, resourceId);
    const from = ADDRESS.test(clientAddress) ? clientAddress : 'an unknown address';
    const what = resource === null ? 'ssh' : `ssh ${resource.name}`;
    // The page shows it to whoever is to confirm: what is signed in to, and from where.
    return await this.devices.startIn(agent.projectId, `${what} from ${from}`);
  }

  #drop(agentId: string, id: string): void {
    const asks = this.#open.get(agentId);
    asks?.delete(id);
    if (asks?.size === 0) this.#open.delete(agentId);
  }

  /** The client is gone. */
  withdraw(agentId: string, id: string): void {
    this.#open.get(agentId)?.get(id)?.abort();
  }

  /** The agent's link is gone, and with it everybody who waits. */
  withdrawAll(agentId: string): void {
    for (const ending of this.#open.get(agentId)?.values() ?? []) ending.abort();
  }

  onModuleDestroy(): void {
    for (const agentId of this.#open.keys()) this.withdrawAll(agentId);
  }

  /** @returns an access token; undefined when nobody confirmed, or no grant gives the resource */
  async #wait(
    deviceCode: string,
    resource: string,
    requestId: string,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    while (!signal.aborted) {
      await wait(DEVICE_INTERVAL_S * 1000, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) break;
      try {
        const { token } = await this.devices.poll(deviceCode, requestId);
        const subject = { kind: 'api', token } as const;
        return (await this.exchange.exchange({ ...NOTHING_MORE, subject, resource, requestId })).accessToken;
      } catch (error) {
        if (!(error instanceof OAuthError)) throw error;
        if (error.error !== 'authorization_pending' && error.error !== 'slow_down') return undefined;
      }
    }
    return undefined;
  }
}

const NOTHING_MORE = {
  actor: undefined,
  clientId: undefined,
  project: undefined,
  provenKey: undefined,
  confirm: undefined,
  role: undefined,
} as const;
