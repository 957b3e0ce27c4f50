/**
 * What a line means something by in a shell that earlier lines ran in: where it stands, and a chain over the lines that could
 * have changed variables, limits or the like. A ticket for a line passes it in a shell that says the same (ADR 0026).
 * Refuses to run a shell in its head: a line that could have changed anything counts, whatever came of it.
 */
import { hash } from 'node:crypto';
import type { ShellFacts } from '@sallyport/model';

/** Words that set what the next lines find. Where the shell stands is known, or `cd` counts, too. */
const MOVING =
  /(?<![\w-])(?:read|readarray|mapfile|declare|typeset|local|export|unset|let|getopts|umask|ulimit|pushd|popd|shift|wait|for|select)(?![\w-])/;
/**
 * Expansions of more than a name, arithmetic, tests and descriptors under a name (`{fd}<file` stays open) set things, too.
 * `=` counts wherever it is not that of an option.
 */
const SETTING = /=|\$\{\w*[^\w}]|\(\(|\$\[|\[\[|\[\s*(?:\+\+|--)|\+\+|--[\]):}]|\}[<>]|printf.*-v/s;
const OPTION = /(?<=^|\s)--?[\w-]+=/g;
/** What any line before it decides: the last directory, jobs, statuses, last words. */
const EARLIER =
  /OLDPWD|~[-+\d]|(?<![\w-])(?:cd\s+(?:--\s+)?-|popd|pushd|dirs|fg|bg|wait|jobs|disown|history|fc|kill)(?![\w-])|\$\{?[?!_]|SECONDS|RANDOM|LINENO|PIPESTATUS|BASH_/;

export class ShellState {
  #moved: string;
  #ran: string;

  /** @param begun what it was started with; of a shell that does more than it is told, something that never comes again */
  constructor(begun: string) {
    this.#moved = begun;
    this.#ran = begun;
  }

  /** @param directory where the shell stands; '' = not known */
  meaning(text: string, directory: string): string {
    return JSON.stringify([directory, this.#moved, EARLIER.test(bare(text)) ? this.#ran : '']);
  }

  /** @param status it ended with, '' where nobody was told */
  ran(text: string, facts: ShellFacts, status: string, directoryKnown: boolean): void {
    this.#ran = link(this.#ran, text, status);
    if (moves(text, facts) || (!directoryKnown && facts.programs.includes('cd')))
      this.#moved = link(this.#moved, text, status);
  }

  /** Something was interrupted, or nobody read it. @param random a text that never comes again */
  lost(random: string): void {
    this.#ran = link(this.#ran, '', random);
    this.#moved = link(this.#moved, '', random);
  }
}

const link = (chain: string, text: string, status: string): string =>
  hash('sha256', JSON.stringify([chain, text, status]), 'hex');

const bare = (text: string): string => text.replaceAll(/["'\\]/g, '');

function moves(text: string, facts: ShellFacts): boolean {
  if (!facts.understood || facts.opaque.length > 0 || facts.commands.some(({ resolved }) => !resolved)) return true;
  const words = bare(text);
  return MOVING.test(words) || SETTING.test(words.replaceAll(OPTION, ' '));
}
