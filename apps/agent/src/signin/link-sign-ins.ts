/**
 * Sign-ins by a link to a browser: asked of the control plane for a client that has nothing else, answered by a person there.
 * Refuses to go on without a link, and to keep an ask whose client is gone.
 */
import { randomUUID } from 'node:crypto';
import type { AgentMessage, ControlMessage } from '@sallyport/contract';
import { GatewayError, LIMITS, Secret } from '@sallyport/core';
import type { LinkSignIn } from '@sallyport/protocol-kit';

type Offer = NonNullable<Extract<ControlMessage, { body?: 'signInOffer' }>['signInOffer']>;
type Done = NonNullable<Extract<ControlMessage, { body?: 'signInDone' }>['signInDone']>;

interface Asked {
  readonly link: PromiseWithResolvers<{ readonly url: string; readonly userCode: string }>;
  readonly token: PromiseWithResolvers<Secret<string>>;
}

export class LinkSignIns {
  readonly #send: (message: AgentMessage) => boolean;
  readonly #asked = new Map<string, Asked>();

  constructor(send: (message: AgentMessage) => boolean) {
    this.#send = send;
  }

  ask(resourceId: string, clientAddress: string): LinkSignIn {
    const asked: Asked = { link: Promise.withResolvers(), token: Promise.withResolvers() };
    // Whoever waits for one of them is told by itself.
    asked.link.promise.catch(() => undefined);
    asked.token.promise.catch(() => undefined);
    const id = randomUUID();
    const sent =
      this.#asked.size < LIMITS.halfOpenSessionsMax &&
      this.#send({ body: 'signInAsk', signInAsk: { id, resourceId, clientAddress } });
    if (sent) this.#asked.set(id, asked);
    else fail(asked);
    return {
      link: asked.link.promise,
      token: asked.token.promise,
      cancel: () => {
        if (this.#asked.delete(id)) this.#send({ body: 'signInWithdrawn', signInWithdrawn: { id } });
        fail(asked);
      },
    };
  }

  offered({ id, url, userCode }: Offer): void {
    this.#asked.get(id ?? '')?.link.resolve({ url: url ?? '', userCode: userCode ?? '' });
  }

  done({ id, accessToken }: Done): void {
    const asked = this.#asked.get(id ?? '');
    this.#asked.delete(id ?? '');
    if (asked === undefined) return;
    if (accessToken === undefined || accessToken === null || accessToken === '') fail(asked);
    else asked.token.resolve(new Secret(accessToken));
  }

  /** Nobody can answer any more. */
  linkClosed(): void {
    for (const asked of this.#asked.values()) fail(asked);
    this.#asked.clear();
  }
}

function fail({ link, token }: Asked): void {
  const error = new GatewayError('auth.failed', { why: 'no sign-in by browser' });
  link.reject(error);
  token.reject(error);
}
