/** How long a connection's peers are waited for, in milliseconds. Refuses to know who looks at the clock. */
import { LIMITS } from '@sallyport/core';

export interface Deadlines {
  /** A request's head, from its first byte on. */
  readonly headMs: number;
  /** The whole of a body that is judged, from its head on: one that trickles is as late as one that stands. */
  readonly bodyMs: number;
  /** The head of the service's answer. */
  readonly answerMs: number;
  /** Between two pieces of a body or an answer. */
  readonly stallMs: number;
}

/** Whose peers are waited for so long. */
export interface Patience {
  readonly deadlines: Deadlines;
}

export const DEADLINES: Deadlines = {
  headMs: LIMITS.httpHeadMsMax,
  bodyMs: LIMITS.httpBodyJudgedMsMax,
  answerMs: LIMITS.httpUpstreamAnswerMsMax,
  stallMs: LIMITS.httpStallMsMax,
};
