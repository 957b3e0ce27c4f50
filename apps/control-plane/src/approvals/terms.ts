/**
 * How far a yes goes: once, or for a shape with its time and rows. Several yeses together go as far as the narrowest. Pure.
 * Refuses more than the rule allows, and a shape the agent has not offered.
 */
import { GatewayError, objectOf, oneOf, parseInteger } from '@sallyport/core';
import type { ApprovalRequest } from '@sallyport/model';
import { InvalidRequest } from '../http/invalid-request.ts';

/** What one approver said. */
const parseTerms = objectOf({
  minutes: parseInteger,
  rowsMax: parseInteger,
  /** The session that asked, or every session of its principal. */
  sessions: oneOf('this', 'all'),
});
export type ShapeTerms = ReturnType<typeof parseTerms>;

export interface GivenTerms {
  readonly scope: 'once' | 'shape';
  readonly minutes?: number | undefined;
  readonly rowsMax?: number | undefined;
  readonly sessions?: 'this' | 'all' | undefined;
}

/**
 * The terms of one yes; undefined = once. What is left out is as narrow as can be for sessions, as wide as the rule for the rest.
 * @throws GatewayError `approval.shape`; InvalidRequest for more than the rule allows
 */
export function readTerms(request: ApprovalRequest, given: GivenTerms): ShapeTerms | undefined {
  if (given.scope === 'once') return undefined;
  const allowed = request.approval.shape;
  if (allowed === undefined || request.shape === undefined)
    throw new GatewayError('approval.shape', { approval: request.id });
  const minutesMax = Math.max(1, Math.floor(allowed.forMsMax / 60_000));
  const { minutes = minutesMax, rowsMax = allowed.rowsMax, sessions = 'this' } = given;
  if (minutes > minutesMax)
    throw new InvalidRequest([{ field: 'minutes', message: `the rule allows at most ${minutesMax}` }]);
  if (rowsMax > allowed.rowsMax)
    throw new InvalidRequest([{ field: 'rowsMax', message: `the rule allows at most ${allowed.rowsMax}` }]);
  return { minutes, rowsMax, sessions };
}

/** @param votes the terms of each yes, null = once @returns undefined = once */
export function narrowest(votes: readonly unknown[]): ShapeTerms | undefined {
  if (votes.length === 0 || votes.some((terms) => terms === null || terms === undefined)) return undefined;
  const all = votes.map((terms) => parseTerms(terms, 'terms'));
  return {
    minutes: Math.min(...all.map(({ minutes }) => minutes)),
    rowsMax: Math.min(...all.map(({ rowsMax }) => rowsMax)),
    sessions: all.every(({ sessions }) => sessions === 'all') ? 'all' : 'this',
  };
}
