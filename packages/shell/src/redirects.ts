/**
 * Redirections: files that are read and written, texts that become input, and what each descriptor stands for behind them.
 * POSIX.1-2024 2.7, bash manual "Redirections". Refuses to open anything.
 */
import type { Collector } from './collector.ts';
import { type Expander, expandValue } from './expand.ts';
import { type Frame, NO_PATHS } from './frame.ts';
import type { Redirect } from './syntax.ts';
import type { State } from './values.ts';

/**
 * @param frame where the command stands
 * @returns what it reads, what is shown of its redirections, which paths they open, and the descriptors it finds open
 */
export function readRedirects(
  redirects: readonly Redirect[],
  frame: Frame,
  facts: Collector,
  expander: Expander,
): Pick<Frame, 'input' | 'redirects' | 'redirected'> & Pick<State, 'descriptors'> {
  const { state } = frame;
  if (redirects.length === 0)
    return { input: frame.input, redirects: [], redirected: NO_PATHS, descriptors: state.descriptors };
  let { input } = frame;
  const descriptors = new Map(state.descriptors);
  const shown: { op: string; path: string }[] = [];
  const redirected = { written: [] as string[], read: [] as string[] };
  for (const { operator, descriptor, target, body } of redirects) {
    const standard = descriptor === '' || descriptor === '0';
    // The shell chooses the number of `{name}<`, and it stays open.
    if (descriptor.startsWith('{')) state.set(descriptor.slice(1, -1), { text: '', exact: false });
    const number = descriptor === '' ? (operator.startsWith('<') ? '0' : '1') : descriptor.replace(/^0+(?=.)/, '');
    if (operator.startsWith('<<')) descriptors.set(number, NO_PATHS);
    if (operator === '<<') {
      const value = body === undefined ? undefined : expandValue(body, expander);
      if (standard && value !== undefined) input = { kind: 'text', text: value.guess, exact: value.exact };
      else facts.note('descriptor');
      shown.push({ op: '<<', path: '' });
      continue;
    }
    const field = expandValue(target, expander);
    if (operator === '<<<') {
      if (standard) input = { kind: 'text', text: field.guess, exact: field.exact };
      shown.push({ op: '<<<', path: '' });
      continue;
    }
    shown.push({ op: operator, path: field.text });
    const duplicates = (operator === '>&' || operator === '<&') && /^(?:\d+-?|-)$/.test(field.guess);
    if ((!field.exact || field.glob) && operator.endsWith('&')) facts.note('descriptor');
    if (duplicates) {
      const from = field.guess.replace(/^0+(?=\d)|-$/g, '');
      const behind = descriptors.get(from);
      if (behind === undefined && !/^[012]?$/.test(from)) facts.note('descriptor');
      descriptors.set(number, behind ?? NO_PATHS);
      redirected.written.push(...(behind?.written ?? []));
      redirected.read.push(...(behind?.read ?? []));
      if (operator === '<&' && standard) input = { kind: 'file' };
      continue;
    }
    const { directories } = state;
    const behind = { written: [] as string[], read: [] as string[] };
    if (operator !== '<' && operator !== '<&') facts.writes(field, directories, behind.written);
    if (operator === '<' || operator === '<>' || operator === '<&') {
      facts.reads(field, directories, behind.read);
      if (standard) input = field.process ?? { kind: 'file' };
    }
    descriptors.set(number, behind);
    if (operator.includes('&') && operator !== '<&') descriptors.set('2', behind);
    redirected.written.push(...behind.written);
    redirected.read.push(...behind.read);
  }
  return { input, redirects: shown, redirected, descriptors };
}

/** From 10 on a number may be what `{name}<` opened in an earlier line, where this `exec` fails and the shell goes on. */
export const lasting = (descriptors: State['descriptors']): State['descriptors'] =>
  new Map([...descriptors].filter(([number]) => number.length === 1));

/** What it prints goes elsewhere, or more comes with it. */
export const redirectsOutput = (redirects: readonly Redirect[]): boolean =>
  redirects.some(
    ({ operator, descriptor }) =>
      !operator.startsWith('<') && !(descriptor === '2' && operator.startsWith('>') && operator !== '>&'),
  );
