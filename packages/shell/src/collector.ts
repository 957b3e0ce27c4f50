/**
 * Gathers the facts of one command line, within its limits. Refuses (Unreadable) more commands or characters than they allow:
 * a text that makes more of itself by variables and functions ends here.
 */
import { LIMITS } from '@sallyport/core';
import type { ShellCommand } from '@sallyport/model';
import { placesOf } from './paths.ts';
import { Unreadable } from './syntax.ts';
import type { Field } from './values.ts';

/** Written to without writing a file. */
const NO_FILES = /^\/dev\/(?:null|stdout|stderr|stdin|tty|fd\/\d+|zero|full)$/;
/** Names of descriptors, but of the session's own three: the file behind them has another name. */
const DESCRIPTORS = /^\/(?:dev\/fd\/(?![012]$)|proc\/[^/]+(?:\/task\/[^/]+)?\/fd\/)/;
const SOCKETS = /^\/dev\/(?:tcp|udp)\//;

export interface RedirectedPaths {
  readonly written: readonly string[];
  readonly read: readonly string[];
}
export interface OpenCommand extends ShellCommand {
  readonly pathsWritten: string[];
  readonly pathsRead: string[];
}

export class Collector {
  readonly commands: ShellCommand[] = [];
  readonly opaque = new Set<string>();
  readonly written = new Set<string>();
  readonly read = new Set<string>();
  readonly programs = new Set<string>();
  privilege = false;
  network = false;
  background = false;
  #characters = 0;
  #steps = 0;

  readonly note = (reason: string): void => {
    this.opaque.add(reason);
  };

  readonly spend = (characters: number): void => {
    this.#characters += characters;
    if (this.#characters > LIMITS.shellExpandedCharactersMax) throw new Unreadable();
  };

  /** Once for each command that is walked, however often. */
  step(): void {
    if (++this.#steps > LIMITS.shellStepsMax) throw new Unreadable();
  }

  /** Paths of this command are added to it while its program is read. */
  emit(command: Omit<ShellCommand, 'pathsWritten' | 'pathsRead'>, redirected: RedirectedPaths): OpenCommand {
    if (this.commands.length >= LIMITS.shellCommandsMax) throw new Unreadable();
    const open: OpenCommand = { ...command, pathsWritten: [...redirected.written], pathsRead: [...redirected.read] };
    this.commands.push(open);
    if (command.program !== '') this.programs.add(command.program);
    return open;
  }

  writes(field: Field, directories: readonly string[], into?: string[]): void {
    this.#path(field, directories, this.written, into);
  }

  reads(field: Field, directories: readonly string[], into?: string[]): void {
    this.#path(field, directories, this.read, into);
  }

  #path(field: Field, directories: readonly string[], into: Set<string>, own: string[] | undefined): void {
    if (field.text === '' || field.text === '-') return;
    // A process substitution is such a name, too, and read where it stands.
    const named = field.process === undefined;
    for (const place of placesOf(field.text, directories)) this.#add(place, into, own, named);
    // With what is unknown left out: `$DIR/*` may be `/*`.
    if (!field.exact && field.guess !== '' && field.guess !== field.text)
      for (const place of placesOf(field.guess, directories)) this.#add(place, into, own, named);
  }

  #add(path: string, into: Set<string>, own: string[] | undefined, named: boolean): void {
    if (SOCKETS.test(path)) this.network = true;
    if (named && DESCRIPTORS.test(path)) this.note('descriptor');
    if (NO_FILES.test(path)) return;
    this.spend(path.length);
    into.add(path);
    own?.push(path);
  }
}
