/**
 * Masks JSON while it streams, by path and by detector: byte for byte what came outside the masked values, wherever it is cut.
 * One value or several in a row (NDJSON, watches). Refuses to go on behind what is no JSON: how its reader would take that
 * is not known. Limits: maskedJsonTokenBytesMax, maskedJsonDepthMax. RFC 8259; docs/reference/http-masking.md.
 */
import { LIMITS } from '@sallyport/core';
import type { DetectMask, MaskMethod } from '@sallyport/model';
import type { MaskKey } from '../methods.ts';
import { type JsonKernel, type JsonKernelPlan, jsonKernelPlan, openJsonKernel } from './json-kernel.ts';
import { joinedInput, leaveInput, MaskedOutput } from './json-output.ts';
import { DEAD, type JsonPlan } from './json-plan.ts';
import { escapeJson, STRING_STOP, unescapedJson, unescapeJson } from './json-string.ts';
import { type JsonValues, jsonValuesOf, REDACTED_BASE64_JSON, REDACTED_JSON } from './json-value.ts';
import { LongString } from './long-string.ts';
import { LooseText } from './loose-text.ts';

export interface JsonMaskerOptions {
  /** Undefined = no paths. May be shared. */
  readonly plan: JsonPlan | undefined;
  readonly detect: readonly DetectMask[];
  /** For method `hash`; without it `hash` reads `[redacted]`. */
  readonly key?: MaskKey | undefined;
  /** What `sharedMasks` gave for these; absent = it is looked up for this body. */
  readonly shared?: SharedMasks | undefined;
  /**
   * Masks a string that is one of the plan's texts. @param text unescaped, lent for the call @returns what stands for it;
   * undefined: nothing more comes out
   */
  readonly text?: (which: number, text: Uint8Array) => Uint8Array | undefined;
  /** False: every token is read here, as where there is no WebAssembly. */
  readonly kernel?: boolean;
}

/** What all bodies under the same masks have in common. */
export interface SharedMasks {
  readonly values: JsonValues;
  readonly kernelPlan: JsonKernelPlan | undefined;
}

export const sharedMasks = ({ plan, detect, key }: JsonMaskerOptions): SharedMasks => ({
  values: jsonValuesOf(detect, key),
  kernelPlan: jsonKernelPlan(plan, detect, key),
});

const NOTHING = new Uint8Array(0);
const QUOTE = 34;
const BACKSLASH = 92;
const QUOTE_BYTES = Uint8Array.of(QUOTE);
const NULL = Buffer.from('null');

// What may come next.
const VALUE = 0;
const VALUE_OR_END = 1;
const KEY = 2;
const KEY_OR_END = 3;
const COLON = 4;
const COMMA_OR_END = 5;
/** Between values of a stream. */
const TOP = 6;
/** Behind a number or literal by itself: only a new line begins another, or a card could stand in groups. */
const TOP_GAP = 7;
type Expected = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

// What the bytes at the beginning of a chunk are.
type Mode = 'json' | 'skip' | 'drop' | 'long' | 'text' | 'broken';

/** Bytes of a number or literal. */
const WORD = Uint8Array.from({ length: 256 }, (_, byte) => (/[A-Za-z0-9+\-.]/.test(String.fromCharCode(byte)) ? 1 : 0));
/** NaN and infinities are no JSON, and what several encoders write. */
const LITERALS = new Set(['true', 'false', 'null', 'NaN', 'Infinity', '-Infinity']);
/** For less it is not worth while to ask the kernel. */
const KERNEL_BYTES_MIN = 32;
/** `4e15`; eight digits. */
const NUMBER_BYTES_MIN = 4;
const CUT = -1;
const INVALID = -2;

/** One per body. */
export class JsonMasker {
  readonly #plan: JsonPlan | undefined;
  readonly #values: JsonValues;
  readonly #start: number;
  readonly #detects: boolean;
  readonly #kernel: JsonKernel | undefined;
  readonly #kernelPlan: JsonKernelPlan | undefined;
  readonly #showText: JsonMaskerOptions['text'];
  #mode: Mode = 'json';
  #expect: Expected = TOP;
  #depth = 0;
  /** By depth: 1 an object, 0 an array. */
  readonly #objects: number[] = [0];
  /** By depth: of an object its own state, of an array the one of its elements. */
  readonly #states: number[] = [DEAD];
  /** State of the value that comes. */
  #next: number;
  /** Depth of the container that is hidden as a whole; 0 = none. */
  #hidden = 0;
  #held: Uint8Array = NOTHING;
  /** Up to here of what is held the end of a string was looked for. */
  #scanned = 0;
  #escapes = false;
  #isKey = false;
  #began = false;
  #isCutEscape = false;
  /** What is clear from here has not gone out. */
  #from = 0;
  #long: LongString | undefined;
  #text: LooseText | undefined;
  readonly #out = new MaskedOutput();
  #hits = 0;

  constructor(options: JsonMaskerOptions) {
    const shared = options.shared ?? sharedMasks(options);
    this.#plan = options.plan;
    this.#values = shared.values;
    this.#detects = options.detect.length > 0;
    this.#start = options.plan?.start ?? DEAD;
    this.#next = this.#start;
    this.#showText = options.text;
    if (options.kernel === false) return;
    this.#kernelPlan = shared.kernelPlan;
    if (this.#kernelPlan !== undefined) this.#kernel = openJsonKernel();
  }

  /** What came is no JSON and cannot be vouched for: nothing more comes out. */
  get broken(): boolean {
    return this.#mode === 'broken' || this.#text?.broken === true;
  }
  /** At most `LIMITS.maskedJsonTokenBytesMax` and what the stream masker holds. */
  get heldBytes(): number {
    return this.#held.length + (this.#long?.heldBytes ?? 0) + (this.#text?.heldBytes ?? 0);
  }
  /** How many values were replaced so far. */
  get hits(): number {
    return this.#hits + (this.#long?.hits ?? 0) + (this.#text?.hits ?? 0);
  }

  /** What `push` returned last is its receiver's, and not lent. */
  get isGiven(): boolean {
    return this.#out.isGiven;
  }

  /** @param chunk lent for the call @returns masked bytes; they may be `chunk` itself, so lent as it is */
  push(chunk: Uint8Array): Uint8Array {
    if (chunk.length === 0) return NOTHING;
    if (this.#held.length === 0) {
      this.#run(chunk);
      return this.#out.take();
    }
    const input = joinedInput(this.#held, chunk);
    this.#held = NOTHING;
    try {
      this.#run(input);
      return this.#out.takeCopy();
    } finally {
      leaveInput(input);
    }
  }

  /** The body is over, whole or not. */
  end(): Uint8Array {
    const held = this.#held;
    this.#held = NOTHING;
    if (this.#mode === 'json' && held.length > 0) this.#cutShort(held);
    if (this.#mode === 'long') this.#endLong(NOTHING);
    if (this.#text !== undefined) this.#emit(this.#text.end());
    return this.#out.take();
  }

  idle(quietMs = 0): Uint8Array {
    return this.#text?.idle(quietMs) ?? NOTHING;
  }

  #run(input: Uint8Array): void {
    this.#from = 0;
    this.#out.expect(input.length);
    if (this.#kernelPlan !== undefined) this.#kernel?.begin(this.#kernelPlan);
    for (let at = 0; at < input.length; )
      at = this.#mode === 'json' ? this.#tokens(input, at) : this.#inMode(input, at);
    if (this.#mode === 'json' || this.#mode === 'skip') this.#flush(input, input.length);
  }

  /** Reads tokens up to the end, a change of mode, or one that is cut. @returns where it stopped */
  #tokens(input: Uint8Array, start: number): number {
    const end = input.length;
    let at = start;
    while (at < end && this.#mode === 'json') {
      if (this.#kernel !== undefined && this.#isForKernel(input, at)) {
        at = this.#runAhead(this.#kernel, input, at);
        if (at === end) break;
      }
      const byte = input[at]!;
      if (byte === 32 || byte === 10 || byte === 13 || byte === 9 || (byte === 30 && this.#depth === 0)) {
        if (byte === 10 && this.#expect === TOP_GAP) this.#expect = TOP;
        at++;
        continue;
      }
      switch (byte) {
        case QUOTE:
          at = this.#string(input, at);
          continue;
        case 44: // ,
          if (this.#expect !== COMMA_OR_END) return this.#break(input, at);
          this.#comma();
          break;
        case 58: // :
          if (this.#expect !== COLON) return this.#break(input, at);
          this.#expect = VALUE;
          break;
        case 123: // {
        case 91: // [
          if (!this.#takesValue() || this.#depth === LIMITS.maskedJsonDepthMax) return this.#break(input, at);
          this.#open(input, at, byte === 123);
          break;
        case 125: // }
        case 93: // ]
          if (!this.#close(byte === 125)) return this.#break(input, at);
          if (this.#hidden > this.#depth) {
            this.#hidden = 0;
            this.#from = at + 1;
          }
          break;
        default:
          at = this.#word(input, at);
          continue;
      }
      at++;
    }
    return at;
  }

  /** Not a string whose beginning was read before: nothing is read twice. */
  #isForKernel(input: Uint8Array, at: number): boolean {
    if (input.length - at < KERNEL_BYTES_MIN || (at === 0 && this.#scanned > 0)) return false;
    return this.#began || isBeginning(input[at]!);
  }
  /** As far as the kernel vouches for it. @returns where a token stands that is read here */
  #runAhead(kernel: JsonKernel, input: Uint8Array, start: number): number {
    let at = start;
    kernel.enter(this.#depth, this.#expect, this.#next, this.#hidden, this.#objects, this.#states);
    for (;;) {
      const stop = kernel.run(input, at);
      const { masked, pending, read, hidden } = kernel;
      if (masked > 0) {
        // What is clear and stands before what it was given.
        this.#flush(input, at);
        this.#out.addOf(kernel);
        this.#hits += masked;
        this.#from = at + pending;
      } else if (this.#hidden > 0 && hidden === 0) this.#from = at + pending;
      this.#hidden = hidden;
      if (read > 0) this.#began = true;
      at += read;
      if (stop === 'left' || at === input.length) break;
    }
    this.#depth = kernel.depth;
    this.#expect = kernel.expect as Expected;
    this.#next = kernel.next;
    kernel.leave(this.#objects, this.#states);
    return at;
  }

  #takesValue(): boolean {
    const expect = this.#expect;
    if (expect !== VALUE && expect !== VALUE_OR_END && expect !== TOP) return false;
    if (expect === TOP) this.#next = this.#start;
    this.#began = true;
    return true;
  }
  #afterValue(): void {
    this.#expect = this.#depth === 0 ? TOP_GAP : COMMA_OR_END;
  }
  #comma(): void {
    if (this.#objects[this.#depth] === 1) this.#expect = KEY;
    else {
      this.#expect = VALUE;
      this.#next = this.#states[this.#depth]!;
    }
  }
  #open(input: Uint8Array, at: number, isObject: boolean): void {
    const method = this.#hidden === 0 ? this.#plan?.method(this.#next) : undefined;
    this.#depth++;
    if (method !== undefined) {
      // A digest or a part of a container has no meaning.
      this.#replace(input, at, at, method === 'null' ? NULL : REDACTED_JSON);
      this.#hidden = this.#depth;
    }
    this.#objects[this.#depth] = isObject ? 1 : 0;
    if (isObject) {
      this.#states[this.#depth] = this.#next;
      this.#expect = KEY_OR_END;
    } else {
      this.#next = this.#states[this.#depth] = this.#hidden > 0 ? DEAD : (this.#plan?.element(this.#next) ?? DEAD);
      this.#expect = VALUE_OR_END;
    }
  }
  #close(isObject: boolean): boolean {
    const expect = this.#expect;
    const isRight = expect === COMMA_OR_END || expect === (isObject ? KEY_OR_END : VALUE_OR_END);
    if (!isRight || (this.#objects[this.#depth] === 1) !== isObject || this.#depth === 0) return false;
    this.#depth--;
    this.#expect = this.#depth === 0 ? TOP : COMMA_OR_END;
    return true;
  }

  #string(input: Uint8Array, at: number): number {
    const isKey = this.#expect === KEY || this.#expect === KEY_OR_END;
    if (!isKey && !this.#takesValue()) return this.#break(input, at);
    const isShown = this.#hidden === 0;
    const method = isKey || !isShown ? undefined : this.#plan?.method(this.#next);
    const steers = isKey && isShown && this.#states[this.#depth] !== DEAD;
    const which = isKey || !isShown || this.#showText === undefined ? undefined : this.#plan?.text(this.#next);
    if (!isShown || (!this.#detects && method === undefined && !steers && which === undefined)) {
      // Nothing in it matters: where its end is here, it is passed over at once.
      let to = at + 1;
      while (STRING_STOP[input[to]!] === 0) to++;
      if (input[to] === QUOTE) {
        this.#passed(isKey);
        return to + 1;
      }
      this.#mode = 'skip';
      this.#isKey = isKey;
      return at + 1;
    }
    const to = this.#endOfString(input, at);
    if (to === INVALID) return this.#break(input, at);
    if (to === CUT) return this.#cutString(input, at, isKey, method !== undefined);
    if (method !== undefined) {
      const shown = this.#redacted(method) ?? this.#named(input.subarray(at + 1, to - 1), method);
      if (shown === undefined) return this.#break(input, at);
      this.#replace(input, at, to, shown);
    } else if (which !== undefined) {
      if (!this.#shownText(input, at, to, which)) return this.#break(input, at);
    } else if (this.#detects && (this.#escapes || this.#values.mayHold(input, at + 1, to - 1))) {
      const shown = this.#values.string(input.subarray(at + 1, to - 1), isKey, this.#escapes);
      if (shown === 'invalid') return this.#break(input, at);
      if (shown !== undefined) this.#replace(input, at, to, shown);
    }
    if (!isKey || !steers) this.#passed(isKey);
    else if (this.#step(input, at + 1, to - 1)) this.#expect = COLON;
    else return this.#break(input, at);
    return to;
  }

  /** Where nothing of the string is needed to say what stands for it, and no escape in it can be wrong. */
  #redacted(method: MaskMethod): Uint8Array | undefined {
    if (method !== 'redact' || this.#escapes) return undefined;
    const form = this.#plan?.form(this.#next);
    if (form === undefined) return REDACTED_JSON;
    return form === 'base64' ? REDACTED_BASE64_JSON : undefined;
  }

  /** A string that the caller masks; one that it leaves as it is stays byte for byte. */
  #shownText(input: Uint8Array, at: number, to: number, which: number): boolean {
    const text = unescapedJson(input.subarray(at + 1, to - 1));
    const shown = text === undefined ? undefined : this.#showText?.(which, text);
    if (text === undefined || shown === undefined) return false;
    if (!Buffer.from(shown).equals(text))
      this.#replace(input, at, to, Buffer.concat([QUOTE_BYTES, escapeJson(shown), QUOTE_BYTES]));
    return true;
  }

  /** A string that its path names. */
  #named(raw: Uint8Array, method: MaskMethod): Uint8Array | undefined {
    const form = this.#plan?.form(this.#next);
    if (form === undefined || form === 'base64') return this.#values.named(raw, true, method, form === 'base64');
    const text = unescapedJson(raw);
    if (text === undefined) return undefined;
    // The kernel has this body's window.
    const inner = new JsonMasker({
      plan: form.document,
      detect: this.#values.detect,
      key: this.#values.key,
      kernel: false,
    });
    const shown = Buffer.concat([inner.push(text), inner.end()]);
    return inner.broken ? REDACTED_JSON : Buffer.concat([QUOTE_BYTES, escapeJson(shown), QUOTE_BYTES]);
  }

  /** A string that steers nothing is over. */
  #passed(isKey: boolean): void {
    if (isKey) {
      this.#next = DEAD;
      this.#expect = COLON;
    } else this.#afterValue();
  }

  /** @returns behind the closing quote, CUT, or INVALID; `#escapes` says whether there are any */
  #endOfString(input: Uint8Array, at: number): number {
    let to = at + 1;
    if (at === 0 && this.#scanned > 0) to = this.#scanned;
    else this.#escapes = false;
    this.#scanned = 0;
    for (;;) {
      while (STRING_STOP[input[to]!] === 0) to++;
      if (to >= input.length) break;
      const byte = input[to];
      if (byte === QUOTE) return to + 1;
      if (byte !== BACKSLASH) return INVALID;
      this.#escapes = true;
      if (to + 1 >= input.length) break;
      to += 2;
    }
    this.#scanned = Math.min(to, input.length) - at;
    return CUT;
  }

  #step(input: Uint8Array, from: number, to: number): boolean {
    const plan = this.#plan;
    if (plan === undefined) return true;
    const state = this.#states[this.#depth]!;
    if (!this.#escapes) {
      this.#next = plan.key(state, input, from, to);
      return true;
    }
    const key = unescapedJson(input.subarray(from, to));
    if (key === undefined) return false;
    this.#next = plan.key(state, key, 0, key.length);
    return true;
  }

  /** A string whose end has not come: it waits, or is too long to. */
  #cutString(input: Uint8Array, at: number, isKey: boolean, isNamed: boolean): number {
    if (input.length - at <= LIMITS.maskedJsonTokenBytesMax) return this.#hold(input, at);
    this.#scanned = 0;
    if (isKey) return this.#break(input, at);
    if (isNamed) {
      const isBase64 = this.#plan?.form(this.#next) === 'base64';
      this.#replace(input, at, input.length, isBase64 ? REDACTED_BASE64_JSON : REDACTED_JSON);
      this.#mode = 'drop';
    } else {
      this.#flush(input, at + 1);
      this.#long = new LongString(this.#values.detect, this.#values.key);
      this.#mode = 'long';
    }
    // What came of it is read again.
    this.#isKey = false;
    this.#from = at + 1;
    return at + 1;
  }

  /** A number or a literal; at the very beginning, whatever is no JSON. */
  #word(input: Uint8Array, at: number): number {
    if (!this.#began && this.#plan?.method(this.#start) === undefined) {
      const mark = markBytes(input, at);
      if (mark > 0) return at + mark > input.length ? this.#hold(input, at) : at + mark;
      this.#text = new LooseText(this.#values.detect, this.#values.key, this.#plan !== undefined);
      this.#mode = 'text';
      return at;
    }
    if (!this.#takesValue()) return this.#break(input, at);
    let to = at;
    while (to < input.length && WORD[input[to]!] === 1) to++;
    if (to === at) return this.#break(input, at);
    if (to === input.length)
      return to - at > LIMITS.maskedJsonTokenBytesMax ? this.#break(input, at) : this.#hold(input, at);
    return this.#endOfWord(input, at, to) ? to : this.#break(input, at);
  }
  #endOfWord(input: Uint8Array, at: number, to: number): boolean {
    const first = input[at]!;
    const isNumber = (first >= 48 && first <= 57) || (first === 45 && input[at + 1] !== 73);
    if (isNumber ? !isNumeric(input, at, to) : !isLiteral(input, at, to)) return false;
    const method = this.#hidden === 0 ? this.#plan?.method(this.#next) : undefined;
    // Nothing that is looked for is shorter.
    if (this.#hidden === 0 && (method !== undefined || (isNumber && this.#detects && to - at >= NUMBER_BYTES_MIN))) {
      const raw = input.subarray(at, to);
      // A null says nothing.
      const shown =
        method !== undefined && first !== 110
          ? this.#values.named(raw, false, method)
          : isNumber
            ? this.#values.number(raw)
            : undefined;
      if (shown !== undefined) this.#replace(input, at, to, shown);
    }
    this.#afterValue();
    return true;
  }

  #inMode(input: Uint8Array, at: number): number {
    switch (this.#mode) {
      case 'skip':
      case 'drop':
      case 'long':
        return this.#rest(input, at);
      case 'text':
        // The white space before it.
        this.#flush(input, at);
        this.#emit(this.#text?.push(input.subarray(at)) ?? NOTHING);
        return (this.#from = input.length);
      case 'json':
      case 'broken':
        return (this.#from = input.length);
      default:
        return this.#mode satisfies never;
    }
  }

  /** What goes on of a string that does not wait for its end. */
  #rest(input: Uint8Array, at: number): number {
    let to = at;
    if (this.#isCutEscape) to++;
    this.#isCutEscape = false;
    let isEnd = false;
    for (;;) {
      while (STRING_STOP[input[to]!] === 0) to++;
      if (to >= input.length) break;
      const byte = input[to];
      if (byte === QUOTE) {
        isEnd = true;
        break;
      }
      if (byte !== BACKSLASH) return this.#break(input, at);
      this.#escapes = true;
      if (to + 1 >= input.length) this.#isCutEscape = true;
      to += 2;
    }
    to = Math.min(to, input.length);
    if (this.#mode === 'long') {
      const raw = input.subarray(at, to);
      const shown = isEnd ? undefined : this.#long?.push(raw);
      if (isEnd ? !this.#endLong(raw) : shown === undefined) return this.#break(input, at);
      this.#emit(shown ?? NOTHING);
      this.#from = to;
    } else if (this.#mode === 'drop') this.#from = isEnd ? to + 1 : to;
    if (!isEnd) return to;
    this.#mode = 'json';
    this.#passed(this.#isKey);
    return to + 1;
  }
  #endLong(raw: Uint8Array): boolean {
    const long = this.#long;
    const first = long?.push(raw);
    const last = first === undefined ? undefined : long?.end();
    if (first === undefined || last === undefined) return false;
    this.#emit(first);
    this.#emit(last);
    this.#hits += long?.hits ?? 0;
    this.#long = undefined;
    return true;
  }

  /** The body ends inside a token. */
  #cutShort(held: Uint8Array): void {
    this.#from = 0;
    if (held[0] !== QUOTE) {
      if (held[0] === 0xef) this.#flush(held, held.length);
      else if (!this.#takesValue() || !this.#endOfWord(held, 0, held.length)) this.#mode = 'broken';
      else this.#flush(held, held.length);
      return;
    }
    // As much of the string as came is read as if it ended here, and stays open.
    const whole = Buffer.concat([wholeEscapes(held), QUOTE_BYTES]);
    this.#scanned = 0;
    this.#from = 0;
    if (this.#string(whole, 0) > 0 && this.#mode === 'json') this.#flush(whole, whole.length);
    if (this.#mode === 'json') this.#out.dropLast(QUOTE);
  }

  #hold(input: Uint8Array, at: number): number {
    this.#flush(input, at);
    this.#held = Uint8Array.from(input.subarray(at));
    return (this.#from = input.length);
  }
  #break(input: Uint8Array, at: number): number {
    this.#flush(input, at);
    this.#mode = 'broken';
    return (this.#from = input.length);
  }
  #replace(input: Uint8Array, at: number, to: number, shown: Uint8Array): void {
    this.#flush(input, at);
    this.#emit(shown);
    this.#from = to;
    this.#hits++;
  }
  /** What is clear and has not gone out, up to `to`. */
  #flush(input: Uint8Array, to: number): void {
    if (this.#hidden === 0 && to > this.#from)
      this.#emit(this.#from === 0 && to === input.length ? input : input.subarray(this.#from, to));
    this.#from = to;
  }
  #emit(bytes: Uint8Array): void {
    this.#out.add(bytes);
  }
}

/** { [ or a quote: white space may stand before what is no JSON. */
const isBeginning = (byte: number): boolean => byte === 123 || byte === 91 || byte === QUOTE;

/** U+FEFF at the beginning, which many readers pass over. */
const markBytes = (input: Uint8Array, at: number): number =>
  input[at] === 0xef && (input[at + 1] ?? 0xbb) === 0xbb && (input[at + 2] ?? 0xbf) === 0xbf ? 3 : 0;

// Digits, + - . e E
function isNumeric(input: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const byte = input[at]!;
    if ((byte < 48 || byte > 57) && byte !== 43 && byte !== 45 && byte !== 46 && byte !== 69 && byte !== 101)
      return false;
  }
  return true;
}

function isLiteral(input: Uint8Array, from: number, to: number): boolean {
  let text = '';
  for (let at = from; at < to && at < from + 16; at++) text += String.fromCharCode(input[at]!);
  return to - from < 16 && LITERALS.has(text);
}

/** Without an escape that is cut at the end. */
function wholeEscapes(held: Uint8Array): Uint8Array {
  const unescaped = unescapeJson(held.subarray(1));
  return unescaped === undefined ? held : held.subarray(0, 1 + unescaped.read);
}
