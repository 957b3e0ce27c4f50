/**
 * Paths that are masked, as one automaton: a state for the value that comes, a step for each key and element. Built as it is
 * walked. Refuses to know bytes of documents but keys, and what is done with what it names.
 */
import { GatewayError } from '@sallyport/core';
import { type JsonStep, type MaskMethod, parseJsonPath } from '@sallyport/model';
import { stricter } from '../detect/registry.ts';

/** A path and how what stands there is shown. */
export interface JsonPathMask {
  readonly path: string;
  readonly with: MaskMethod;
  /** What the strings there are; absent = texts. */
  readonly form?: JsonStringForm;
}

/** `base64`: of what is masked, and masked again so that it stays one. `document`: JSON of its own, masked by these paths. */
export type JsonStringForm = 'base64' | { readonly document: JsonPlan };

/** The state in which nothing below is named. */
export const DEAD = 0;
const STATES_MAX = 4_096;
const UNKNOWN = 0xffff;
/** Symbols of the automaton: any other key, an element, then the names. */
const OTHER = 0;
const ELEMENT = 1;

interface Pattern {
  readonly steps: readonly JsonStep[];
  /** Undefined: what stands there is a text that the caller masks. */
  readonly with: MaskMethod | undefined;
  readonly form: JsonStringForm | undefined;
}

/** The whole automaton, as the kernel walks it. */
export interface JsonPlanImage {
  readonly symbols: number;
  readonly start: number;
  /** By state: 0 nothing, 1 `[redacted]`, 2 null, 3 asks for more than the kernel has, 4 `[redacted]` in base64. */
  readonly methods: Uint8Array;
  /** By state and symbol: the next state. */
  readonly table: Uint16Array;
  readonly names: readonly { readonly bytes: Uint8Array; readonly symbol: number }[];
}
/** What the kernel has room for. */
export const IMAGE_MAX = { states: 1_024, entries: 32_768, names: 1_024, nameBytes: 511, namesBytes: 32_000 } as const;

/** One per set of masks; may be shared by all bodies it applies to. */
export class JsonPlan {
  readonly start: number;
  readonly #patterns: readonly Pattern[];
  /** Positions of a state: `pattern * 64 + step`, in order. */
  readonly #sets: (readonly number[])[] = [];
  readonly #ids = new Map<string, number>();
  readonly #next: Uint16Array[] = [];
  readonly #methods: (MaskMethod | undefined)[] = [];
  readonly #forms: (JsonStringForm | undefined)[] = [];
  readonly #texts: (number | undefined)[] = [];
  readonly #masks: number;
  readonly #names: readonly Uint8Array[];
  /** Names by their length: symbols. */
  readonly #byLength: (readonly number[] | undefined)[] = [];
  readonly #symbols: number;
  #image: JsonPlanImage | 'none' | undefined;

  /**
   * @param texts paths of strings that the caller masks, where no mask names them
   * @throws GatewayError `policy.invalid` for what is no path
   */
  constructor(masks: readonly JsonPathMask[], texts: readonly string[] = []) {
    const stepsOf = (path: string): readonly JsonStep[] => {
      const steps = parseJsonPath(path);
      if (steps === undefined) throw new GatewayError('policy.invalid', { reason: 'json path' });
      return steps;
    };
    this.#masks = masks.length;
    this.#patterns = [
      ...masks.map(({ path, with: method, form }) => ({ steps: stepsOf(path), with: method, form })),
      ...texts.map((path) => ({ steps: stepsOf(path), with: undefined, form: undefined })),
    ];
    const names = new Set<string>();
    for (const { steps } of this.#patterns) for (const step of steps) if (step.kind === 'key') names.add(step.name);
    this.#names = [...names].map((name) => Buffer.from(name));
    this.#symbols = this.#names.length + 2;
    for (const [i, name] of this.#names.entries())
      this.#byLength[name.length] = [...(this.#byLength[name.length] ?? []), i + 2];
    this.#idOf([]);
    this.start = this.#idOf(this.#closed(this.#patterns.map((_, i) => i * 64)));
  }

  /** How the value in this state is shown; undefined where it is not named itself. */
  method(state: number): MaskMethod | undefined {
    return this.#methods[state];
  }
  form(state: number): JsonStringForm | undefined {
    return this.#forms[state];
  }
  /** Which of the texts stands in this state. */
  text(state: number): number | undefined {
    return this.#texts[state];
  }
  element(state: number): number {
    return state === DEAD ? DEAD : this.#step(state, ELEMENT);
  }
  /** @param key bytes in which the name stands, unescaped @throws GatewayError `policy.invalid` when the paths are too many together */
  key(state: number, key: Uint8Array, from: number, to: number): number {
    return state === DEAD ? DEAD : this.#step(state, this.#symbolOf(key, from, to));
  }

  /** Undefined where the paths are too many together, a name too long, or the caller masks texts. */
  get image(): JsonPlanImage | undefined {
    this.#image ??= this.#imageOf() ?? 'none';
    return this.#image === 'none' ? undefined : this.#image;
  }

  #imageOf(): JsonPlanImage | undefined {
    const names = this.#names;
    const { states, entries, nameBytes, namesBytes } = IMAGE_MAX;
    const bytes = names.reduce((sum, name) => sum + name.length, 0);
    if (this.#patterns.length > this.#masks) return undefined;
    if (names.length > IMAGE_MAX.names || bytes > namesBytes) return undefined;
    if (names.some((name) => name.length > nameBytes)) return undefined;
    // Every step makes the states that it leads to.
    for (let state = 0; state < this.#sets.length; state++) {
      if (this.#sets.length > states || this.#sets.length * this.#symbols > entries) return undefined;
      for (let symbol = 0; symbol < this.#symbols; symbol++) this.#step(state, symbol);
    }
    if (this.#sets.length > states || this.#sets.length * this.#symbols > entries) return undefined;
    const table = new Uint16Array(this.#sets.length * this.#symbols);
    this.#next.forEach((row, state) => table.set(row, state * this.#symbols));
    const methods = Uint8Array.from(this.#methods, (method, state) => imageMethod(method, this.#forms[state]));
    const named = names.map((name, i) => ({ bytes: name, symbol: i + 2 }));
    return { symbols: this.#symbols, start: this.start, methods, table, names: named };
  }

  #symbolOf(key: Uint8Array, from: number, to: number): number {
    const candidates = this.#byLength[to - from];
    if (candidates === undefined) return OTHER;
    for (const symbol of candidates) {
      const name = this.#names[symbol - 2]!;
      let i = 0;
      while (i < name.length && name[i] === key[from + i]) i++;
      if (i === name.length) return symbol;
    }
    return OTHER;
  }

  #step(state: number, symbol: number): number {
    const row = this.#next[state]!;
    const known = row[symbol]!;
    if (known !== UNKNOWN) return known;
    const to: number[] = [];
    for (const position of this.#sets[state]!) {
      const step = this.#stepAt(position);
      if (step === undefined) continue;
      if (step.kind === 'deep') to.push(position);
      else if (step.kind === 'element' ? symbol === ELEMENT : symbol !== ELEMENT && this.#isKey(step, symbol))
        to.push(position + 1);
    }
    return (row[symbol] = this.#idOf(this.#closed(to)));
  }
  #isKey(step: JsonStep, symbol: number): boolean {
    if (step.kind !== 'key') return step.kind === 'any_key';
    return symbol !== OTHER && Buffer.from(step.name).equals(this.#names[symbol - 2]!);
  }
  #stepAt(position: number): JsonStep | undefined {
    return this.#patterns[position >> 6]!.steps[position & 63];
  }

  /** With what may be skipped, in order. */
  #closed(positions: readonly number[]): readonly number[] {
    const all = new Set(positions);
    for (const position of all) if (this.#stepAt(position)?.kind === 'deep') all.add(position + 1);
    return [...all].sort((a, b) => a - b);
  }
  #idOf(set: readonly number[]): number {
    const key = set.join(' ');
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#sets.length;
    if (id === STATES_MAX) throw new GatewayError('policy.invalid', { reason: 'json paths' });
    let method: MaskMethod | undefined;
    let form: JsonStringForm | undefined;
    let text: number | undefined;
    for (const position of set)
      if (this.#stepAt(position) === undefined) {
        const pattern = this.#patterns[position >> 6]!;
        if (pattern.with === undefined) text ??= (position >> 6) - this.#masks;
        else method = method === undefined ? pattern.with : stricter(method, pattern.with);
        form ??= pattern.form;
      }
    this.#ids.set(key, id);
    this.#sets.push(set);
    this.#methods.push(method);
    this.#forms.push(form);
    this.#texts.push(method === undefined ? text : undefined);
    this.#next.push(new Uint16Array(this.#symbols).fill(UNKNOWN));
    return id;
  }
}

function imageMethod(method: MaskMethod | undefined, form: JsonStringForm | undefined): number {
  if (method === undefined) return 0;
  if (form !== undefined && form !== 'base64') return 3;
  if (method === 'null') return 2;
  return method !== 'redact' ? 3 : form === undefined ? 1 : 4;
}
