/**
 * `parseCommandLine`: one command line in, facts out. Never throws; linear in the text and bounded by LIMITS.shell*. Pure: nothing
 * is run, no file is looked at. docs/reference/ssh-rules.md says what the facts can and cannot tell.
 */
import { LIMITS } from '@sallyport/core';
import type { Effect, ShellFacts } from '@sallyport/model';
import { Collector } from './collector.ts';
import { type Frame, NO_PATHS } from './frame.ts';
import { parseShell } from './grammar.ts';
import { Unreadable } from './syntax.ts';
import { State } from './values.ts';
import { Walker } from './walk.ts';

/**
 * `bash`: the account's shell is bash. `posix`: it is some shell of the Bourne family (sh, dash, ash, bash, ksh) and nobody knows
 * which; where they read a text differently, both readings are in the facts.
 */
export type ShellDialect = 'posix' | 'bash';

export interface ShellOptions {
  readonly dialect: ShellDialect;
  /** The account's home directory; `~` stands for it where it is not known. */
  readonly home?: string;
}

const NOT_UNDERSTOOD: ShellFacts = Object.freeze({
  understood: false,
  commands: [],
  programs: [],
  pathsWritten: [],
  pathsRead: [],
  privilege: false,
  network: false,
  background: false,
  opaque: ['unreadable'],
});

/** Characters that show an approver another line than the one that runs. */
const DECEPTIVE =
  /[\u0001-\u0008\u000b-\u001f\u007f\u0085\u00a0\u00ad\u061c\u115f\u1160\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u2064\u2066-\u206f\u2800\u3000\u3164\ufeff\uffa0\ufff9-\ufffb]/;

/** In GBK, Big5 or Shift JIS these can be the second byte of a character: a host in such a locale reads another line. */
const SWALLOWED = /[^\x00-\x7f][\\`|{}[\]]/;

export function parseCommandLine(text: string, { dialect, home = '~' }: ShellOptions): ShellFacts {
  // A NUL ends the text for the host, and not for us.
  // U+FFFD stands for bytes that are no UTF-8: the host sees others.
  if (text.length > LIMITS.shellTextCharactersMax || /[\0\ufffd]/.test(text)) return NOT_UNDERSTOOD;
  const facts = new Collector();
  try {
    const inner = read(text, true, true, home, facts);
    const outer = dialect === 'posix' && inner.outer;
    // Read once more as a POSIX shell reads it: the text itself, or only the texts in it that some `sh` is given.
    if (outer || inner.inner) read(text, !outer, false, home, facts);
  } catch (error) {
    // A RangeError is a stack that ends: as unreadable as the rest.
    if (error instanceof Unreadable || error instanceof RangeError) return NOT_UNDERSTOOD;
    throw error;
  }
  if (SWALLOWED.test(text)) facts.note('locale');
  if (DECEPTIVE.test(text)) facts.note('deceptive_characters');
  return {
    understood: true,
    commands: facts.commands,
    programs: [...facts.programs],
    pathsWritten: [...facts.written],
    pathsRead: [...facts.read],
    privilege: facts.privilege,
    network: facts.network,
    background: facts.background,
    opaque: [...facts.opaque],
  };
}

function read(
  text: string,
  bash: boolean,
  innerBash: boolean,
  home: string,
  facts: Collector,
): { readonly outer: boolean; readonly inner: boolean } {
  const { script, complete, beyond, refused, differs } = parseShell(text, bash);
  // What a POSIX shell refuses it refuses line by line: what it ran before counts.
  if (beyond || (!complete && bash)) throw new Unreadable();
  if (!complete && !refused) facts.note('dialect');
  const walker = new Walker(facts, innerBash, home);
  const state = new State(facts.note);
  state.directories = [home];
  const frame: Frame = {
    state,
    via: [],
    depth: 0,
    input: { kind: 'session' },
    appended: false,
    assignments: [],
    redirects: [],
    redirected: NO_PATHS,
    unrolled: false,
    bash,
  };
  walker.script(script, frame);
  walker.finish();
  return { outer: differs, inner: walker.differs };
}

/** Running anything is `exec`; writing, or not being readable, is `write` too; changing rights is `admin`. */
export function effectsOfShell(facts: ShellFacts): readonly Effect[] {
  const effects: Effect[] = [];
  if (facts.pathsWritten.length > 0 || facts.opaque.length > 0) effects.push('write');
  effects.push('exec');
  if (facts.privilege) effects.push('admin');
  return effects;
}

/** Facts and effects of a line whose account may have any shell of the Bourne family: for tables and explanations. */
export function readCommand(text: string): { readonly facts: ShellFacts; readonly effects: readonly Effect[] } {
  const facts = parseCommandLine(text, { dialect: 'posix' });
  return { facts, effects: facts.understood ? effectsOfShell(facts) : [] };
}
