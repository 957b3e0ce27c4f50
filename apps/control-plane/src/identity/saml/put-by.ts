/**
 * Answers of SAML providers between their POST and the browser's own GET: sealed, in the row of the sign-in they answer,
 * one per sign-in, gone when taken. Refuses an answer to a sign-in that is not under way.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { RateLimiter } from '../../http/rate-limit.ts';
import { Envelope } from '../../keys/envelope.ts';
import { SystemClock } from '../../time.ts';
import { hashOf } from '../api-tokens.ts';
import { IdentityRepository, type TakenAttempt } from '../identity.repository.ts';
import type { CameBack } from '../sign-in.service.ts';

export interface KeptAnswer {
  /** Where it was posted. */
  readonly path: string;
  readonly form: Readonly<Record<string, string>>;
}

/** What seals it to its attempt. @param hash of the attempt's state */
const contextOf = (hash: Uint8Array): string => `login-attempt/${Buffer.from(hash).toString('hex')}`;

@Injectable()
export class PutBy {
  constructor(
    private readonly repository: IdentityRepository,
    private readonly limits: RateLimiter,
    private readonly envelope: Envelope,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Counts as one attempt of the address.
   * @returns false when no sign-in of this state is under way, or it has its answer
   * @throws GatewayError `auth.throttled`
   */
  async keep(state: string, answer: KeptAnswer, address: string): Promise<boolean> {
    if (state === '') {
      await this.limits.take('sign-in', address);
      return false;
    }
    const hash = hashOf(state);
    const sealed = this.envelope.seal(Buffer.from(JSON.stringify(answer)), contextOf(hash));
    const putting = this.repository.puttingAnswerBy(hash, sealed, this.clock.now());
    return (await this.limits.takeFor<object>('sign-in', address, putting)) !== undefined;
  }

  /** What waited in an attempt that its browser has taken. */
  read({ putBy }: TakenAttempt, state: string): CameBack {
    if (putBy === null) throw new GatewayError('auth.failed', { reason: 'no answer' });
    const opened = this.envelope.open(Uint8Array.from(putBy), contextOf(hashOf(state))).reveal();
    return { ...(JSON.parse(opened.toString()) as KeptAnswer), query: '' };
  }
}
