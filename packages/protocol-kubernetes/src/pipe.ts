/**
 * A connection that is judged as a whole and not read: a forwarded port's tunnel, or SPDY where a resource lets it in by name.
 * Bytes pass both ways with back-pressure. Refuses to look inside: docs/reference/http-rules.md says what that means.
 */
import type { ErrorCode } from '@sallyport/core';
import type { UpgradeHost, UpgradeMachine } from '@sallyport/http-session';

export class Tunnel implements UpgradeMachine {
  readonly #host: UpgradeHost;
  readonly #over: () => void;
  #isOver = false;

  /** @param over its end, once */
  constructor(host: UpgradeHost, over: () => void) {
    this.#host = host;
    this.#over = over;
  }

  clientBytes(chunk: Buffer): void {
    if (!this.#host.toUpstream(chunk)) this.#host.pauseClient(true);
  }
  upstreamBytes(chunk: Buffer): void {
    if (!this.#host.toClient(chunk)) this.#host.pauseUpstream(true);
  }
  clientDrained(): void {
    this.#host.pauseUpstream(false);
  }
  upstreamDrained(): void {
    this.#host.pauseClient(false);
  }
  closed(): void {
    this.ended('');
  }
  ended(code: ErrorCode | ''): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#over();
    this.#host.end(code);
  }
  rows(): number {
    return 0;
  }
}
