/**
 * A connection after `101 Switching Protocols`: both byte streams run through the dialect's machine, under the permit of the
 * request that asked for it. Refuses to know the other protocol.
 */
import { type ErrorCode, GatewayError } from '@sallyport/core';
import type { Statement } from '@sallyport/model';
import { admit, type GatePorts, type Permit } from '@sallyport/protocol-kit';
import type { RawClient } from './client-stream.ts';
import type { UpgradeHost, UpgradeMachine } from './dialect.ts';
import type { UpstreamCall } from './upstream-call.ts';

export class Switched implements UpgradeHost {
  readonly statementNumber: number;
  /** Bytes that went to the client. */
  bytes = 0;
  readonly #call: UpstreamCall;
  readonly #gate: GatePorts;
  readonly #wake: (ms: number, fire: () => void) => void;
  #client: RawClient | undefined;
  #machine: UpgradeMachine | undefined;
  #over: (() => void) | undefined;

  constructor(
    home: { wake(ms: number, fire: () => void): void },
    call: UpstreamCall,
    gate: GatePorts,
    statementNumber: number,
  ) {
    this.#wake = (ms, fire) => home.wake(ms, fire);
    this.#call = call;
    this.#gate = gate;
    this.statementNumber = statementNumber;
  }

  start(client: RawClient | undefined, machine: UpgradeMachine, over: () => void): void {
    if (client === undefined) throw new GatewayError('http.upgrade_refused');
    this.#client = client;
    this.#machine = machine;
    this.#over = over;
    client.onBytes = (chunk) => machine.clientBytes(chunk);
    if (client.first.length > 0) machine.clientBytes(client.first);
  }

  fromUpstream(chunk: Buffer): void {
    this.#machine?.upstreamBytes(chunk);
  }

  clientDrained(): void {
    this.#machine?.clientDrained();
  }

  upstreamDrained(): void {
    this.#machine?.upstreamDrained();
  }

  closed(side: 'client' | 'upstream'): void {
    this.#machine?.closed(side);
    this.end('');
  }

  ended(code: ErrorCode): void {
    this.#machine?.ended(code);
    this.end(code);
  }

  // What the machine may do.

  toUpstream(bytes: Uint8Array): boolean {
    return this.#over === undefined || this.#call.raw(bytes);
  }

  toClient(bytes: Uint8Array, given = false): boolean {
    this.bytes += bytes.length;
    return this.#client?.write(bytes, given) ?? true;
  }

  admit(statement: Statement): Permit | Promise<Permit> {
    return admit(statement, this.#gate);
  }

  pauseClient(paused: boolean): void {
    this.#client?.pause(paused);
  }

  pauseUpstream(paused: boolean): void {
    this.#call.pause(paused);
  }

  wakeAfter(ms: number, fire: () => void): void {
    this.#wake(ms, () => {
      if (this.#over !== undefined) fire();
    });
  }

  end(_code: ErrorCode | ''): void {
    const over = this.#over;
    if (over === undefined) return;
    this.#over = undefined;
    this.#call.rawEnd();
    this.#client?.end();
    over();
  }
}
