/**
 * Keeps the certificates young: renews over the link at two thirds of their life, recovers by proof of key when they ran
 * out while the control plane was away. Refuses to decide when to give up: it asks again, with pauses, for ever.
 */
import { createPrivateKey } from 'node:crypto';
import type { Logger } from '@sallyport/core';
import { certificateRequest } from './csr.ts';
import { certified, recover } from './enroll.ts';
import { type Identity, storeIdentity } from './identity.ts';
import type { Link } from './link.ts';

const CHECK_EVERY_MS = 30_000;

export class Renewal {
  readonly #dataDir: string;
  readonly #link: Link;
  readonly #nowMs: () => number;
  readonly #log: Logger;
  readonly #renewed: (identity: Identity) => void;
  #identity: Identity;
  #timer: NodeJS.Timeout | undefined;
  #busy = false;

  /** @param renewed told when new certificates are stored */
  constructor(
    dataDir: string,
    identity: Identity,
    link: Link,
    nowMs: () => number,
    log: Logger,
    renewed: (identity: Identity) => void,
  ) {
    this.#dataDir = dataDir;
    this.#identity = identity;
    this.#link = link;
    this.#nowMs = nowMs;
    this.#log = log;
    this.#renewed = renewed;
  }

  start(): void {
    void this.check();
    this.#timer = setInterval(() => void this.check(), CHECK_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Renews when it is time. Never throws. */
  async check(): Promise<void> {
    const now = this.#nowMs();
    if (this.#busy || now < this.#identity.renewAtMs) return;
    this.#busy = true;
    try {
      const { file, identityKey } = this.#identity;
      const listenerKey = createPrivateKey(file.listenerKey);
      const fresh =
        now >= this.#identity.expiresAtMs
          ? await recover(this.#identity, listenerKey, now, this.#log)
          : certified(
              await this.#link.renew({
                csr: certificateRequest(identityKey, 'agent'),
                listenerCsr: certificateRequest(listenerKey, 'listener'),
              }),
              file.root,
            );
      const endpoints = fresh.endpoints.length > 0 ? fresh.endpoints : file.endpoints;
      this.#identity = storeIdentity(this.#dataDir, { ...file, ...fresh, endpoints });
      this.#log.info('certificates were renewed', { until: this.#identity.certificate.validTo });
      this.#renewed(this.#identity);
      this.#link.redial();
    } catch (error) {
      this.#log.warn('certificates could not be renewed yet', { error });
    } finally {
      this.#busy = false;
    }
  }
}
