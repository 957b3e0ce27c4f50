/**
 * Answers of SAML providers between their POST and the browser's own GET: sealed, in the row of the sign-in they answer,
 * one per sign-in, gone when taken. Refuses an answer to a sign-in that is not under way.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { Database } from '../../db/database.ts';
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

@Injectable()
export class PutBy {
  constructor(
    private readonly repository: IdentityRepository,
    private readonly database: Database,
    private readonly envelope: Envelope,
    private readonly clock: SystemClock,
  ) {}

  /** @returns false when no sign-in of this state is under way, or it has its answer */
  async keep(state: string, answer: KeptAnswer): Promise<boolean> {
    if (state === '') return false;
    const attempt = await this.repository.attemptBySecret(hashOf(state));
    const now = this.clock.now();
    if (attempt === null || attempt.kind !== 'browser' || attempt.consumedAt !== null || attempt.expiresAt <= now)
      return false;
    const sealed = this.envelope.seal(Buffer.from(JSON.stringify(answer)), `login-attempt/${attempt.id}`);
    const where = { consumedAt: null, answer: null };
    return await this.repository.changeAttempt(this.database.client, attempt.id, where, { answer: sealed });
  }

  /** What waited in an attempt that its browser has taken. */
  read({ attemptId, putBy }: TakenAttempt): CameBack {
    if (putBy === null) throw new GatewayError('auth.failed', { reason: 'no answer' });
    const opened = this.envelope.open(Uint8Array.from(putBy), `login-attempt/${attemptId}`).reveal();
    return { ...(JSON.parse(opened.toString()) as KeptAnswer), query: '' };
  }
}
