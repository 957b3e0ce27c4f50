/**
 * Walks a tree as a shell would run it, keeping what is known of variables, functions and the directory, and hands each program
 * to programs.ts. Ways that may or may not be taken are joined: what differs is a guess from there on. Refuses to run anything.
 * Longer than 200 lines: commands stand inside commands.
 */
import { LIMITS } from '@sallyport/core';
import { calculate } from './arithmetic.ts';
import { assigned } from './assignments.ts';
import { noteEnvironment } from './builtins.ts';
import { changedIn } from './changes.ts';
import type { Collector } from './collector.ts';
import { type Expander, expandValue, expandWords, readArithmetic } from './expand.ts';
import { type Frame, type Input, inside, NO_PATHS, type Printed, type Runner } from './frame.ts';
import { parseShell } from './grammar.ts';
import { runProgram } from './programs.ts';
import { lasting, readRedirects, redirectsOutput } from './redirects.ts';
import { reasonOf } from './shells.ts';
import type { AndOr, Command, Pipeline, Script, SimpleCommand } from './syntax.ts';
import { Unreadable } from './syntax.ts';
import { type Field, joinDirectories, NO_DESCRIPTORS, type State, uncertain } from './values.ts';

const UNROLLED_MAX = 8;
/** Assignments before these stay. POSIX.1-2024 2.15. */
const SPECIAL_BUILTINS = new Set([
  ':',
  '.',
  'eval',
  'exec',
  'export',
  'readonly',
  'set',
  'shift',
  'times',
  'trap',
  'unset',
  'source',
  'break',
  'continue',
  'return',
  'exit',
]);

export class Walker implements Runner {
  readonly facts: Collector;
  /** Texts inside that some `sh` reads are read as bash's. */
  readonly #bash: boolean;
  readonly #home: string;
  /** Bodies of functions that are being read: one that calls itself is read once. */
  readonly #active = new Set<Command>();
  readonly #called = new Set<Command>();
  readonly #defined: { readonly body: Command; readonly state: State; readonly frame: Frame; readonly name: string }[] =
    [];
  #differs = false;

  constructor(facts: Collector, bash: boolean, home: string) {
    this.facts = facts;
    this.#bash = bash;
    this.#home = home;
  }

  /** A text inside was read differently by bash and a POSIX shell. */
  get differs(): boolean {
    return this.#differs;
  }

  /** Functions that nothing called are read, too: a trap, a hook or a later line may call them. */
  finish(): void {
    for (const { body, state, frame, name } of this.#defined) {
      if (this.#called.has(body)) continue;
      const unknown = uncertain(state);
      this.#command(body, inside(frame, name, { state: unknown, input: { kind: 'session' } }));
    }
  }

  script(script: Script, frame: Frame): Printed {
    let text = '';
    let exact = true;
    let known = true;
    for (const andOr of script) {
      const printed = this.#andOr(andOr, frame);
      if (printed === undefined) known = false;
      else {
        // Of two that print, one may not be reached.
        if (text !== '' && printed.text !== '') exact = false;
        text += printed.text;
        exact &&= printed.exact;
        this.facts.spend(text.length);
      }
    }
    return known ? { text, exact } : undefined;
  }

  #andOr(andOr: AndOr, outer: Frame): Printed {
    if (andOr.background) {
      this.facts.background = true;
      const state = outer.state.copy();
      this.#list(andOr, { ...outer, state });
      outer.state.join(state);
      return undefined;
    }
    return this.#list(andOr, outer);
  }

  #list({ first, rest }: AndOr, frame: Frame): Printed {
    const { state } = frame;
    const start = state.directories;
    let printed = this.#pipeline(first, frame);
    for (const { operator, pipeline } of rest) {
      const skipped = state.copy();
      if (operator === '||') state.directories = joinDirectories(start, state.directories);
      const more = this.#pipeline(pipeline, frame);
      printed =
        printed === undefined || more === undefined ? undefined : { text: printed.text + more.text, exact: false };
      state.join(skipped);
    }
    // A `cd` may have failed.
    state.directories = joinDirectories(start, state.directories);
    return printed;
  }

  #pipeline({ commands }: Pipeline, frame: Frame): Printed {
    if (commands.length === 0) return undefined;
    if (commands.length === 1) return this.#command(commands[0]!, frame);
    let { input } = frame;
    let printed: Printed;
    const programs: string[] = [];
    for (const command of commands) {
      const state = frame.state.copy();
      const before = this.facts.commands.length;
      printed = this.#command(command, { ...frame, state, input });
      for (const { program } of this.facts.commands.slice(before)) programs.push(program);
      input = printed === undefined ? { kind: 'pipe', programs: [...programs] } : { kind: 'text', ...printed };
      // The last one runs in this very shell in some of them.
      frame.state.join(state);
    }
    return printed;
  }

  #command(command: Command, frame: Frame): Printed {
    this.facts.step();
    if (command.kind === 'simple') return this.#simple(command, frame);
    if (command.kind === 'function') {
      frame.state.functions.set(command.name, [command.body]);
      this.#defined.push({ body: command.body, state: frame.state, frame, name: command.name });
      return { text: '', exact: true };
    }
    if (command.kind === 'coprocess') {
      this.facts.background = true;
      this.#command(command.body, { ...frame, state: frame.state.copy() });
      return undefined;
    }
    const { state } = frame;
    const before = state.descriptors;
    const { input, descriptors } = readRedirects(command.redirects, frame, this.facts, this.#expander(frame));
    state.descriptors = descriptors;
    const printed = this.#compound(command, { ...frame, input: shared(input) });
    if (command.redirects.length > 0) state.descriptors = before;
    return redirectsOutput(command.redirects) ? undefined : printed;
  }

  #compound(command: Exclude<Command, { kind: 'simple' | 'function' | 'coprocess' }>, frame: Frame): Printed {
    const { state } = frame;
    switch (command.kind) {
      case 'group':
        return this.script(command.body, frame);
      case 'subshell':
        return this.script(command.body, { ...frame, state: state.copy() });
      case 'if': {
        const ways: State[] = [];
        for (const { test, body } of command.clauses) {
          this.script(test, frame);
          const taken = state.copy();
          this.script(body, { ...frame, state: taken });
          ways.push(taken);
        }
        if (command.otherwise !== undefined) this.script(command.otherwise, frame);
        for (const way of ways) state.join(way);
        return undefined;
      }
      case 'loop':
        this.#forget([command.test, command.body], state);
        this.script(command.test, frame);
        this.#maybe(command.body, frame);
        return undefined;
      case 'count':
        readArithmetic(command.parts, this.#expander(frame));
        this.#forget([command.body], state);
        this.#maybe(command.body, frame);
        return undefined;
      case 'for':
        this.#for(command, frame);
        return undefined;
      case 'case': {
        const expander = this.#expander(frame);
        expandValue(command.word, expander);
        const ways: State[] = [];
        for (const { patterns, body } of command.arms) {
          for (const pattern of patterns) expandValue(pattern, expander);
          const taken = state.copy();
          this.script(body, { ...frame, state: taken });
          ways.push(taken);
        }
        for (const way of ways) state.join(way);
        return undefined;
      }
      case 'test': {
        const fields = command.words.map((word) => expandValue(word, this.#expander(frame)));
        fields.forEach(({ guess }, at) => {
          if (/^-(?:eq|ne|lt|le|gt|ge)$/.test(guess))
            for (const side of [fields[at - 1], fields[at + 1]]) if (side !== undefined) this.#numeric(side, frame);
          if (guess === '-v' && fields[at + 1] !== undefined) this.#numeric(fields[at + 1]!, frame);
        });
        return { text: '', exact: true };
      }
      case 'calculate':
        readArithmetic(command.parts, this.#expander(frame));
        return { text: '', exact: true };
      default:
        return command satisfies never;
    }
  }

  #numeric({ guess, exact }: Field, { state }: Frame): void {
    if (/[[$`]/.test(guess) || !exact) this.facts.note('arithmetic_code');
    else calculate(guess, { state, note: this.facts.note });
  }

  #maybe(body: Script, frame: Frame): void {
    const skipped = frame.state.copy();
    this.script(body, frame);
    frame.state.join(skipped);
  }

  /** What a loop changes is not known in it. */
  #forget(bodies: readonly Script[], state: State): void {
    const functions = [...state.functions.values()].flat();
    const changed = changedIn([...bodies, ...functions]);
    const names = changed === 'all' ? [...state.variables.keys()] : changed;
    for (const name of names) state.set(name, { ...(state.variables.get(name) ?? { text: '' }), exact: false });
    if (changed === 'all') state.positionalExact = false;
    const moves = changed === 'all' || changed.has('cd');
    if (moves) state.directories = [];
    if (changed === 'all' || changed.has('exec')) state.descriptors = NO_DESCRIPTORS;
    if (changed === 'all' || changed.has('shift')) state.positionalExact = false;
  }

  #for(command: Extract<Command, { kind: 'for' }>, frame: Frame): void {
    const { state } = frame;
    const fields = command.words === undefined ? state.positional : expandWords(command.words, this.#expander(frame));
    this.#forget([command.body], state);
    const sure =
      fields.every((field) => field.exact && !field.glob) && (command.words !== undefined || state.positionalExact);
    if (sure && !frame.unrolled && fields.length > 0 && fields.length <= UNROLLED_MAX) {
      for (const field of fields) {
        state.set(command.name, { text: field.text, exact: true });
        this.#maybe(command.body, { ...frame, unrolled: true });
      }
    } else {
      const text = fields.find((field) => field.guess !== '')?.guess ?? '';
      state.set(command.name, { text, exact: false });
      this.#maybe(command.body, frame);
    }
    const last = state.variables.get(command.name);
    if (last !== undefined) state.set(command.name, { ...last, exact: false });
  }

  #expander(frame: Frame): Expander {
    return {
      state: frame.state,
      bash: frame.bash,
      home: this.#home,
      note: this.facts.note,
      spend: this.facts.spend,
      substitute: (body) => {
        const inner = { ...frame, depth: frame.depth + 1, state: frame.state.copy() };
        const from = this.facts.commands.length;
        const printed = this.script(body, inner);
        if (printed !== undefined)
          return { kind: 'text', text: printed.text.replace(/\n+$/, ''), exact: printed.exact };
        return { kind: 'pipe', programs: this.facts.commands.slice(from).map(({ program }) => program) };
      },
    };
  }

  #simple(command: SimpleCommand, frame: Frame): Printed {
    const { state } = frame;
    const expander = this.#expander(frame);
    const fields = command.words.length === 0 ? [] : expandWords(command.words, expander);
    const before = state.descriptors;
    const { descriptors, ...redirected } = readRedirects(command.redirects, frame, this.facts, expander);
    state.descriptors = descriptors;
    const printed = this.#started(command, fields, { ...frame, ...redirected }, expander);
    if (command.redirects.length > 0) state.descriptors = isExec(fields) ? lasting(descriptors) : before;
    return printed;
  }

  /** @param expander of what stands around: its input is not the redirected one */
  #started(command: SimpleCommand, fields: readonly Field[], frame: Frame, expander: Expander): Printed {
    const { state } = frame;
    if (command.assignments.length === 0) {
      if (fields.length === 0) return { text: '', exact: true };
      const printed = this.run(fields, { ...frame, assignments: [] });
      return redirectsOutput(command.redirects) ? undefined : printed;
    }
    const values = command.assignments.map((assignment) => assigned(assignment, expander));
    const shown = command.assignments.map(({ name }, at) => ({ name, value: values[at]!.text }));
    if (fields.every((field) => field.vanishes)) {
      command.assignments.forEach(({ name }, at) => {
        noteEnvironment(name, values[at]!.text, this.facts.note);
        // Where a redirection fails, some shells do not assign.
        const sure = command.redirects.length === 0;
        state.set(name, sure ? values[at]! : { ...values[at]!, exact: false });
      });
      if (fields.length === 0) return { text: '', exact: true };
    }
    const child = state.copy();
    command.assignments.forEach(({ name }, at) => {
      noteEnvironment(name, values[at]!.text, this.facts.note);
      child.set(name, { ...values[at]!, exported: true });
    });
    const printed = this.run(fields, { ...frame, state: child, assignments: shown });
    const program = fields[0]!.guess;
    if (SPECIAL_BUILTINS.has(program) || state.functions.has(program)) state.join(child);
    return redirectsOutput(command.redirects) ? undefined : printed;
  }

  run(fields: readonly Field[], frame: Frame): Printed {
    this.facts.step();
    if (frame.depth > LIMITS.shellNestingMax) throw new Unreadable();
    const { state } = frame;
    const bodies = state.functions.get(fields[0]!.guess) ?? [];
    const printed = runProgram(fields, frame, this);
    if (bodies.length === 0) return printed;
    const name = fields[0]!.guess;
    const before = state.copy();
    for (const body of bodies) {
      this.#called.add(body);
      if (this.#active.has(body)) {
        this.facts.note('recursion');
        continue;
      }
      this.#active.add(body);
      const { positional, positionalExact } = state;
      state.positional = fields.slice(1);
      state.positionalExact = !frame.appended && state.positional.every((field) => field.exact && !field.glob);
      this.#command(body, inside(frame, name, { input: shared(frame.input) }));
      state.positional = positional;
      state.positionalExact = positionalExact;
      this.#active.delete(body);
    }
    // It may have returned early, and its local names are gone.
    state.join(before);
    return undefined;
  }

  text(code: Field, frame: Frame, how: 'same' | 'child', words: readonly Field[] = []): void {
    const { note } = this.facts;
    if (!code.exact || code.glob) note('unknown_code');
    // `eval "$(curl …)"` is `curl … | sh`.
    if (!code.exact) {
      const inside = substituted(code.text);
      if (inside.length > 0 && reasonOf(inside) !== 'pipe_to_shell') note(reasonOf(inside));
    }
    if (code.guess === '') return;
    this.facts.spend(code.guess.length);
    if (frame.depth > LIMITS.shellNestingMax) throw new Unreadable();
    const bash = how === 'same' ? frame.bash : frame.via.at(-1) === 'bash' || this.#bash;
    const { script, complete, beyond, refused, differs } = parseShell(code.guess, bash, frame.depth);
    if (how === 'child' && frame.via.at(-1) !== 'bash') this.#differs ||= differs;
    // A guess that is no shell text says nothing; a text that is run and cannot be read makes the whole line unreadable.
    if (beyond || (!complete && code.exact && bash)) throw new Unreadable();
    // A POSIX shell refuses what only bash's grammar has, line by line: what stood before it has run.
    if (!complete && !code.exact) note('unknown_code');
    else if (!complete && !refused) note('dialect');
    // What reads a text's own input takes it from what comes after.
    const input = shared(frame.input);
    if (how === 'same') {
      // It may have set anything.
      if (!code.exact) frame.state.unsure = true;
      this.script(script, { ...frame, input });
      return;
    }
    const state = uncertain(frame.state);
    for (const [name, value] of frame.state.variables) if (value.exported === true) state.variables.set(name, value);
    const [zero, ...positional] = words;
    state.positional = positional;
    state.positionalExact = words.every((field) => field.exact && !field.glob) && !frame.appended;
    if (zero !== undefined) state.set('0', { text: zero.guess, exact: state.positionalExact });
    this.script(script, {
      ...frame,
      state,
      input,
      bash,
      assignments: [],
      redirects: [],
      redirected: NO_PATHS,
      appended: false,
    });
  }
}

/** Words of substitutions whose output is not known, which stand in the text as they were written. */
const substituted = (text: string): readonly string[] =>
  /\$\(|`/.test(text) ? text.slice(text.search(/\$\(|`/), 2_000).split(/[^\w.+-]+/) : [];

/** Input that several programs read: each finds what the ones before it left. */
const shared = (input: Input): Input => (input.kind === 'text' ? { ...input, exact: false } : input);

const isExec = (fields: readonly Field[]): boolean => fields.length === 1 && fields[0]!.guess === 'exec';
