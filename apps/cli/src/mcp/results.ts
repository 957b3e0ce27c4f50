/** Outcomes of tools as a model reads them: short, whole, and the reason of a refusal with what to do. */
import { ApiError } from '@sallyport/api-client';
import { EXIT, exitOf } from '../exit-codes.ts';
import { renderProblem } from '../output/problem.ts';
import type { Outcome } from './held-calls.ts';

/** A model's context is dear: what is longer is cut, and says so. */
export const TEXT_MAX = 100_000;

export const cut = (text: string): string =>
  text.length <= TEXT_MAX
    ? text
    : `${text.slice(0, TEXT_MAX)}\n… (${text.length - TEXT_MAX} more characters are left out: ask for less)`;

/** @param error anything that a command may throw */
export function failed(error: unknown): Outcome {
  const lines = renderProblem(error).map((line) => line.replace(/^error: /, ''));
  if (error instanceof ApiError && exitOf(error) === EXIT.denied)
    lines.push('No grant allows it: a person can be asked to give one.');
  return { text: lines.join('\n'), isError: true };
}
