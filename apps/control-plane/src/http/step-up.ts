/**
 * Step-up: what a person's sign-in must have proven before they may do a thing, and where to sign in again when it has not
 * (RFC 9470). Refuses tokens that no sign-in made: nobody can tell how old their proof is.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { StepUp } from '@sallyport/model';
import { Listening } from '../listening.ts';
import { SystemClock } from '../time.ts';
import type { Caller } from './caller.ts';

/** What the problem says beside its code. */
export interface StepUpDemand {
  readonly url: string;
  readonly maxAgeSeconds?: number;
  readonly amr?: readonly string[];
  readonly acr?: readonly string[];
}

export class StepUpRequired extends GatewayError {
  readonly stepUp: StepUpDemand;
  constructor(stepUp: StepUpDemand) {
    super('auth.step_up');
    this.stepUp = stepUp;
  }
  /** RFC 9470 section 3. */
  get challenge(): string {
    const { maxAgeSeconds, acr } = this.stepUp;
    const parts = [
      'error="insufficient_user_authentication"',
      ...(acr === undefined ? [] : [`acr_values="${acr.join(' ').replace(/[^\x21\x23-\x5b\x5d-\x7e ]/g, '')}"`]),
      ...(maxAgeSeconds === undefined ? [] : [`max_age="${maxAgeSeconds}"`]),
    ];
    return `Bearer ${parts.join(', ')}`;
  }
}

/** True when the sign-in behind a call proved what is asked. @param nowMs UTC milliseconds */
export function isProven({ signIn }: Pick<Caller, 'signIn'>, asked: StepUp, nowMs: number): boolean {
  if (signIn === undefined) return false;
  const { maxAgeMs, amr, acr } = asked;
  const isFresh = maxAgeMs === undefined || (signIn.authTimeMs !== undefined && signIn.authTimeMs >= nowMs - maxAgeMs);
  const byMethod = amr === undefined || amr.some((method) => signIn.amr.includes(method));
  const atLevel = acr === undefined || (signIn.acr !== undefined && acr.includes(signIn.acr));
  return isFresh && byMethod && atLevel;
}

@Injectable()
export class StepUps {
  constructor(
    private readonly listening: Listening,
    private readonly clock: SystemClock,
  ) {}

  /** @param asked undefined = nothing; @throws StepUpRequired */
  require(caller: Caller, asked: StepUp | undefined): void {
    if (asked === undefined || isProven(caller, asked, this.clock.nowMs())) return;
    const maxAgeSeconds = asked.maxAgeMs === undefined ? undefined : Math.floor(asked.maxAgeMs / 1000);
    const query = new URLSearchParams({
      project: caller.projectName,
      ...(caller.signIn === undefined ? {} : { provider: caller.signIn.provider }),
      // Methods cannot be asked for by name (there is no parameter for them): a fresh proof is.
      max_age: String(maxAgeSeconds ?? 0),
      ...(asked.acr === undefined ? {} : { acr_values: asked.acr.join(' ') }),
    });
    throw new StepUpRequired({
      url: `${this.listening.publicUrl()}/v1/login?${query.toString()}`,
      ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
      ...(asked.amr === undefined ? {} : { amr: asked.amr }),
      ...(asked.acr === undefined ? {} : { acr: asked.acr }),
    });
  }
}
