/** What surrounds one program that is about to run, and what the readers of programs may ask for. */
import type { ShellCommand } from '@sallyport/model';
import type { Collector, RedirectedPaths } from './collector.ts';
import type { Field, State } from './values.ts';

/** What a program reads as its standard input. */
export type Input =
  | { readonly kind: 'session' }
  | { readonly kind: 'text'; readonly text: string; readonly exact: boolean }
  | { readonly kind: 'file' }
  /** Programs that write into it. */
  | { readonly kind: 'pipe'; readonly programs: readonly string[] };

export interface Frame {
  readonly state: State;
  readonly via: readonly string[];
  readonly depth: number;
  readonly input: Input;
  /** Arguments that are known only when it runs are appended, as xargs does. */
  readonly appended: boolean;
  readonly assignments: ShellCommand['assignments'];
  readonly redirects: ShellCommand['redirects'];
  /** Paths of those redirections. */
  readonly redirected: RedirectedPaths;
  /** Loops around it that are read once per item. */
  readonly unrolled: boolean;
  /** The text it stands in is bash's. */
  readonly bash: boolean;
}

/** What it prints, where that is plain; undefined otherwise. */
export type Printed = { readonly text: string; readonly exact: boolean } | undefined;

export interface Runner {
  readonly facts: Collector;
  /** A program with its arguments, as a wrapper runs it. */
  run(fields: readonly Field[], frame: Frame): Printed;
  /** Text that a shell reads. `same`: in this shell; `child`: in one of its own, where `words` are $0, $1, … */
  text(code: Field, frame: Frame, how: 'same' | 'child', words?: readonly Field[]): void;
}

export const NO_PATHS: RedirectedPaths = { written: [], read: [] };

export const inside = (frame: Frame, program: string, more: Partial<Frame> = {}): Frame => ({
  ...frame,
  via: [...frame.via, program],
  depth: frame.depth + 1,
  assignments: [],
  redirects: [],
  redirected: NO_PATHS,
  ...more,
});
