/**
 * Masks what detectors find in a stream of bytes that a person or a program reads as it comes: output of commands,
 * terminals, bodies of text. Safe wherever the stream is cut, and through a terminal's escapes. Refuses to know where the
 * bytes come from and what time it is: whoever owns the stream says when it is quiet.
 * Limits: streamHeldBytesMax, streamKeyBytesMax. docs/reference/masking.md, Streams.
 */
import { LIMITS } from '@sallyport/core';
import type { DetectMask, Detector } from '@sallyport/model';
import { scanAll } from '../detect/registry.ts';
import { type MaskKey, REDACTED } from '../methods.ts';
import { pastOf } from './binary.ts';
import { escapesOf, passOver } from './controls.ts';
import { EchoTrack } from './echo.ts';
import { type EscapeMark, EscapeReader } from './escapes.ts';
import { type Hidden, hiddenIn, starred } from './hidden.ts';
import { Lane, NOTHING_SHOWN } from './lane.ts';
import { isKeyLike, openTail } from './open-tail.ts';
import { ACTS } from './prefilter.ts';
import { END } from './scan.ts';
import { type Scanner, scannerOf } from './scan-kernel.ts';
import { Swallow } from './swallow.ts';

export interface StreamMaskerOptions {
  /** A terminal shows it: what stands in for a value is as wide as the value, so that screens stay in shape. */
  readonly keepWidth?: boolean;
  /** Whoever pushes takes what it gets before anything is pushed into any masker: memory is then used again. */
  readonly isLent?: boolean;
}

export interface StreamMasker {
  /**
   * Takes the next bytes and gives what may go on. Synchronous; linear in what comes.
   * @param chunk lent for the call
   * @returns masked bytes; they may be `chunk` itself, so lent as it is
   */
  push(chunk: Uint8Array): Uint8Array;
  /** The stream has ended: what is left. */
  flush(): Uint8Array;
  /**
   * Nothing came for a while: gives what need not wait longer. What is a find if nothing follows is masked; what may only be
   * the beginning of one goes while it tells little (a word, six digits), and from a second on altogether, but for keys;
   * were it to go on, the rest of it is masked.
   * @param quietMs for how long nothing came
   */
  idle(quietMs?: number): Uint8Array;
  /** What the other side typed: its echo is known to whoever reads it, and goes without waiting. */
  typed(bytes: Uint8Array): void;
  /** Other detectors from here on; what waits is judged by them. On a stream that was made with none it does nothing. */
  remask(detect: readonly DetectMask[]): void;
  /** Bytes that wait for what follows; at most `LIMITS.streamHeldBytesMax` and one line of a key. */
  readonly heldBytes: number;
  /** How many stretches were masked so far. */
  readonly hits: number;
}

const NOTHING = new Uint8Array(0);
/** How far back a line without an end is read when something may stand in it. */
const LOOK_BACK_BYTES = 640;
/** The same where escapes stand between. */
const LOOK_BACK_ESCAPED_BYTES = 8_192;
const REGION_BYTES = 512;
const PATIENCE_MS = 1_000;
const LF = 10;
const CR = 13;
const ESC = 0x1b;
const GROUND: EscapeMark = { state: 'ground', parameter: 0 };
const IN_STRING: EscapeMark = { state: 'string', parameter: 0 };

/** What the end of the input means: more comes at once · nothing came for a moment, or for long · nothing comes. */
type End = 'more' | 'quiet' | 'long' | 'over';

/**
 * One per stream and direction.
 * @param detect nothing to detect = everything passes untouched
 * @param key for method `hash`; without it `hash` reads `[redacted]`
 */
export function createStreamMasker(
  detect: readonly DetectMask[],
  key?: MaskKey,
  options: StreamMaskerOptions = {},
): StreamMasker {
  return detect.length === 0 ? PASSING : new Masker(detect, key, options);
}

const PASSING: StreamMasker = {
  push: (chunk) => chunk,
  flush: () => NOTHING,
  idle: () => NOTHING,
  typed: () => undefined,
  remask: () => undefined,
  heldBytes: 0,
  hits: 0,
};

class Masker implements StreamMasker {
  hits = 0;
  #detect: readonly DetectMask[];
  #detectors: readonly Detector[];
  readonly #key: MaskKey | undefined;
  readonly #keepWidth: boolean;
  readonly #isLent: boolean;
  #scanner: Scanner;
  readonly #main = new Lane();
  readonly #string = new Lane();
  readonly #reader = new EscapeReader(this.#main, this.#string);
  /** The end of the line that has left: a find may have begun in it. */
  #shown = NOTHING_SHOWN;
  #stringShown = NOTHING_SHOWN;
  #held: Uint8Array = NOTHING;
  /** The raw bytes before what is held: what they are tells whether a short find among them is one. */
  #past: Uint8Array = NOTHING;
  #swallow: Swallow | undefined;
  readonly #echo = new EchoTrack();
  /** What goes out, in order. */
  #parts: Uint8Array[] = [];

  constructor(detect: readonly DetectMask[], key: MaskKey | undefined, options: StreamMaskerOptions) {
    this.#detect = detect;
    this.#detectors = [...new Set(detect.map((one) => one.detect))];
    this.#key = key;
    this.#keepWidth = options.keepWidth === true;
    this.#isLent = options.isLent === true;
    this.#scanner = scannerOf(this.#detectors);
  }

  get heldBytes(): number {
    return this.#held.length + (this.#swallow?.heldBytes ?? 0);
  }

  push(chunk: Uint8Array): Uint8Array {
    if (chunk.length === 0) return NOTHING;
    this.#echo.came(chunk);
    return this.#run(chunk, 'more');
  }

  flush(): Uint8Array {
    if (this.#held.length === 0 && this.#swallow === undefined) return NOTHING;
    const first = this.#run(NOTHING, 'over');
    if (this.#swallow === undefined) return first;
    const rest = this.#swallow.end();
    this.#swallow = undefined;
    return Buffer.concat([first, this.#run(rest, 'over')]);
  }

  idle(quietMs = 0): Uint8Array {
    const end = quietMs >= PATIENCE_MS ? 'long' : 'quiet';
    if (this.#swallow === undefined) return this.#held.length === 0 ? NOTHING : this.#run(NOTHING, end);
    const rest = end === 'long' ? this.#swallow.quiet() : undefined;
    if (rest === undefined) return NOTHING;
    this.#swallow = undefined;
    return this.#run(rest, end);
  }

  typed(bytes: Uint8Array): void {
    this.#echo.typed(bytes);
  }

  remask(detect: readonly DetectMask[]): void {
    this.#detect = detect;
    this.#detectors = [...new Set(detect.map((one) => one.detect))];
    this.#scanner = scannerOf(this.#detectors);
  }

  #run(chunk: Uint8Array, end: End): Uint8Array {
    let input = chunk;
    if (this.#held.length > 0) {
      input =
        chunk.length === 0 ? this.#held : joined(this.#held, chunk, this.#isLent ? this.#scanner.join : undefined);
      this.#held = NOTHING;
    }
    for (let at = 0; at < input.length; ) {
      if (this.#swallow === undefined) {
        at = this.#pass(input, at, end);
        continue;
      }
      const taken = this.#swallow.take(at === 0 ? input : input.subarray(at));
      this.#emit(taken.shown);
      at += taken.read;
      if (!taken.ended) continue;
      this.#swallow = undefined;
      if (taken.rest.length === 0) continue;
      // What was kept back of a line and is no part of the key is read for what it is.
      input = Buffer.concat([taken.rest, input.subarray(at)]);
      at = 0;
      this.#past = NOTHING;
    }
    this.#past = pastOf(this.#past, input, input.length - this.#held.length);
    const parts = this.#parts;
    if (parts.length === 0) return NOTHING;
    this.#parts = [];
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  /** Everything from `start`, or up to where something is swallowed or a string begins. @returns where it stopped, behind `start` */
  #pass(input: Uint8Array, start: number, end: End): number {
    if (this.#reader.state !== 'ground') return this.#advance(input, start, this.#escapeEnd(input, start), end);
    const { prefilter } = this.#scanner;
    const scan = this.#scanner.scan(input);
    let state = this.#walkShown();
    /** Sent up to here. */
    let sent = start;
    for (let at = start; ; ) {
      const stop = scan.run(at, state);
      if (stop === END) break;
      at = scan.at;
      const over = stop === ACTS ? passOver(input, at, this.#past) : 0;
      if (over > 0) {
        state = input[at] === CR && input[at + 1] === LF ? scan.state : prefilter.seam(scan.state);
        at += over;
        continue;
      }
      const from = this.#leaveUpTo(input, sent, at);
      const to = regionEnd(input, at);
      at = sent = this.#advance(input, from, to, end);
      if (this.#swallow !== undefined || this.#reader.state !== 'ground' || at === input.length) return at;
      state = this.#walkShown();
    }
    // The line that has not ended: what may be a beginning in it stays.
    const from = this.#leaveUpTo(input, sent, input.length);
    return from === input.length ? from : this.#region(input, from, input.length, end, false);
  }

  /** Where the automaton stands behind what has left of this line. */
  #walkShown(): number {
    const { text, isSeam } = this.#shown;
    if (text.length === 0) return 0;
    const state = this.#scanner.prefilter.walk(this.#shown);
    return isSeam ? this.#scanner.prefilter.seam(state) : state;
  }

  /** Sends what is before the line that `at` is in, or far before it. @returns where reading begins; never inside an escape */
  #leaveUpTo(input: Uint8Array, sent: number, at: number): number {
    const line = Math.max(sent, at === 0 ? 0 : input.lastIndexOf(LF, at - 1) + 1);
    let from = line;
    if (at - line > LOOK_BACK_BYTES) {
      const far = Math.max(line, at - LOOK_BACK_ESCAPED_BYTES);
      const escape = input.subarray(far, at).indexOf(ESC);
      from = escape < 0 ? at - LOOK_BACK_BYTES : far === line ? line : far + escape;
    }
    if (from === sent) return from;
    this.#emit(sent === 0 && from === input.length ? input : input.subarray(sent, from));
    this.#shown = this.#stringShown = NOTHING_SHOWN;
    return from;
  }

  /** Reads a region that may hold something, as much more of it as it takes to decide. @returns behind `from` */
  #advance(input: Uint8Array, from: number, to: number, end: End): number {
    let stop = this.#region(input, from, to, input[to - 1] === LF ? 'over' : to === input.length ? end : 'more', true);
    if (stop > from || this.#swallow !== undefined) return stop;
    const more = Math.min(input.length, from + LIMITS.streamHeldBytesMax);
    stop = this.#region(input, from, more, more === input.length ? end : 'more', true);
    return stop > from || this.#swallow !== undefined ? stop : this.#hide(input, from, more);
  }

  /** Where an escape or a string that has begun may be over. */
  #escapeEnd(input: Uint8Array, from: number): number {
    const limit = Math.min(input.length, from + REGION_BYTES);
    for (let at = from; at < limit; at++) {
      const byte = input[at]!;
      if (byte === 7 || byte === LF || byte === ESC || byte === 0x18) return Math.min(limit, at + 2);
      if (!this.#reader.inString && byte >= 0x40) return at + 1;
    }
    return limit;
  }

  /**
   * Reads bytes as a terminal would, masks what is found, and sends all but what is open at the end.
   * @param mayHold false where the automaton saw nothing: then only the end is looked at
   * @returns up to where it is done; what is open at the input's end is held, which is done too
   */
  #region(input: Uint8Array, from: number, to: number, end: End, mayHold: boolean): number {
    const before = this.#reader.mark();
    this.#main.begin(this.#shown);
    this.#string.begin(this.#stringShown);
    this.#main.keepsBefore = this.#string.keepsBefore = mayHold;
    this.#reader.read(input, from, to);
    const isEnd = to === input.length;
    const hidden = mayHold ? this.#hiddenIn(input, isEnd) : [];
    const key = hidden.find((one) => one.isKey);
    if (key !== undefined) return this.#beginSwallow(input, from, key.from, hidden);
    const open = end === 'over' ? undefined : this.#open(end, isEnd);
    let until = open?.from ?? to;
    for (const one of hidden) if (open !== undefined && one.from < until && one.to > until) until = one.from;
    if (isEnd && to - until > LIMITS.streamHeldBytesMax) {
      this.#send(input, from, until, hidden);
      return this.#hide(input, until, to);
    }
    this.#send(input, from, until, hidden);
    const isOpenString = until < to && open?.inString === true;
    this.#shown = this.#main.shownUntil(until);
    this.#stringShown = (until < to ? isOpenString : this.#reader.inString)
      ? this.#string.shownUntil(until)
      : NOTHING_SHOWN;
    if (until === to) return to;
    // Read again with what follows.
    this.#reader.restore(until === from ? before : isOpenString ? IN_STRING : GROUND);
    if (!isEnd) return until;
    // Small, so in Node's pool: memory of its own costs more than the bytes.
    this.#held = Buffer.from(input.subarray(until));
    return to;
  }

  /** By where they begin, merged where they touch the same bytes. */
  #hiddenIn(input: Uint8Array, isEnd: boolean): readonly Hidden[] {
    const all: Hidden[] = [];
    const echoed = isEnd ? this.#echo.count : 0;
    for (const lane of [this.#main, this.#string]) {
      const undoubled = lane.undoubled();
      for (const showing of [...lane.before, lane.showing(), ...(undoubled === undefined ? [] : [undoubled])]) {
        const seen = new Set<Detector>();
        this.#scanner.prefilter.walk(showing, seen);
        if (seen.size === 0) continue;
        all.push(...hiddenIn(input, showing, this.#detect, [...seen], echoed, this.#key, this.#keepWidth, this.#past));
      }
    }
    if (all.length < 2) return all;
    all.sort((a, b) => a.from - b.from);
    const merged: Hidden[] = [];
    for (const one of all) {
      const last = merged.at(-1);
      if (last === undefined || one.from >= last.to) merged.push(one);
      else if (one.from !== last.from || one.to !== last.to) {
        const to = Math.max(last.to, one.to);
        const isDrawn = last.isDrawn || one.isDrawn;
        merged[merged.length - 1] = {
          from: last.from,
          to,
          shown: isDrawn ? starred(input.subarray(last.from, to)) : Buffer.from(REDACTED),
          isKey: last.isKey || one.isKey,
          isDrawn,
        };
      }
    }
    return merged;
  }

  /** From where bytes stay. */
  #open(end: Exclude<End, 'over'>, isEnd: boolean): { readonly from: number; readonly inString: boolean } | undefined {
    let found: { readonly from: number; readonly inString: boolean } | undefined;
    for (const inString of [false, true]) {
      if (inString && !this.#reader.inString) continue;
      const { text, seams, first } = (inString ? this.#string : this.#main).showing();
      const open = openTail(text, this.#detectors, seams);
      if (open === undefined) continue;
      if (isEnd && text.length - open.start <= this.#echo.count) continue;
      if (end === 'quiet' && (!open.strong || this.#isWhole(text, seams, open.start))) continue;
      if (end === 'long' && (!isKeyLike(text, open.start) || this.#isWhole(text, seams, open.start))) continue;
      // What has left already cannot be held; the rest of it can.
      let at = open.start;
      while (at < text.length && first[at]! < 0) at++;
      if (at === text.length) continue;
      const from = first[at]!;
      if (found === undefined || from < found.from) found = { from, inString };
    }
    return found;
  }

  /** A find as it stands, if nothing follows. */
  #isWhole(text: Uint8Array, seams: Uint8Array, start: number): boolean {
    return scanAll(text, this.#detectors, seams).some((span) => span.end === text.length && span.start <= start);
  }

  /** Too long to wait for its end: it is hidden, and so is what goes on behind it. */
  #hide(input: Uint8Array, from: number, to: number): number {
    this.#emit(Buffer.from(REDACTED));
    this.#emit(escapesOf(input.subarray(from, to)));
    this.#begin('run');
    return to;
  }

  #beginSwallow(input: Uint8Array, from: number, key: number, hidden: readonly Hidden[]): number {
    this.#send(
      input,
      from,
      key,
      hidden.filter((one) => one.to <= key),
    );
    this.#emit(Buffer.from(REDACTED));
    this.#begin('key');
    return key;
  }

  #begin(kind: 'key' | 'run'): void {
    this.hits++;
    this.#shown = this.#stringShown = NOTHING_SHOWN;
    this.#reader.restore(GROUND);
    this.#swallow = new Swallow(kind);
  }

  #send(input: Uint8Array, from: number, to: number, hidden: readonly Hidden[]): void {
    let at = from;
    for (const one of hidden) {
      if (one.from >= to) break;
      if (one.from > at) this.#emit(input.subarray(at, one.from));
      this.#emit(one.shown);
      if (!one.isDrawn) this.#emit(escapesOf(input.subarray(one.from, one.to)));
      this.hits++;
      at = one.to;
    }
    if (at < to) this.#emit(at === 0 && to === input.length ? input : input.subarray(at, to));
  }

  #emit(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const parts = this.#parts;
    const last = parts.at(-1);
    // What stands side by side is one stretch, and most often all there is.
    if (last !== undefined && last.buffer === bytes.buffer && last.byteOffset + last.length === bytes.byteOffset)
      parts[parts.length - 1] = new Uint8Array(last.buffer, last.byteOffset, last.length + bytes.length);
    else parts.push(bytes);
  }
}

/** What was held and what comes, side by side: in memory of their own, or in `room`, which the next push uses again. */
function joined(held: Uint8Array, chunk: Uint8Array, room: Uint8Array | undefined): Uint8Array {
  const size = held.length + chunk.length;
  if (room === undefined || size > room.length) return Buffer.concat([held, chunk]);
  room.set(held);
  room.set(chunk, held.length);
  return room.subarray(0, size);
}

/** The end of the line that `at` is in, with its end; a long line is read in pieces. */
function regionEnd(input: Uint8Array, at: number): number {
  const limit = Math.min(input.length, at + REGION_BYTES);
  const line = input.subarray(at, limit).indexOf(LF);
  return line < 0 ? limit : at + line + 1;
}
