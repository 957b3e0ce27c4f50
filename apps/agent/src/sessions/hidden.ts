/** Texts for people who may not see values: every detector on, whatever the policies say. Pure. */

import { maskDetected } from '@sallyport/mask';
import { DETECTORS, type DetectMask, type Statement } from '@sallyport/model';

const ALL: readonly DetectMask[] = DETECTORS.map((detect) => ({ detect, with: 'partial' }));
/** What an approver is shown of one statement or parameter, in UTF-16 units. */
const SHOWN_MAX = 16 * 1024;
const PARAMETERS_MAX = 100;

export const hideAll = (text: string, max = SHOWN_MAX): string => {
  const cut = text.length > max ? `${text.slice(0, max)} … (${text.length - max} more)` : text;
  return maskDetected(cut, ALL).text;
};

/** Bind values as an approver sees them; undefined = SQL NULL. */
export const hiddenParameters = (statement: Statement): readonly (string | undefined)[] =>
  statement.parameters
    .slice(0, PARAMETERS_MAX)
    .map(({ text }) => (text === undefined ? undefined : hideAll(text, 1_024)));
