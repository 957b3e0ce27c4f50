/**
 * What a client loads by COPY, on its way into the recording: gathered to whole lines, what detectors find masked, before
 * the bytes go to the server. Refuses to keep what it cannot look into while masks apply: then only its length and digest.
 * PostgreSQL, COPY, "File Formats". Limits: LIMITS.recordedLineBytesMax, and the recorder's own.
 */
import { createHash, type Hash } from 'node:crypto';
import { LIMITS } from '@sallyport/core';
import { type MaskKey, maskDetected } from '@sallyport/mask';
import type { DetectMask } from '@sallyport/model';
import type { RecorderPort } from '@sallyport/protocol-kit';
import { HEAD_BYTES, int32 } from './codec.ts';
import type { Guard } from './mirror.ts';

/** `clear`: no mask applies. `masked`: by lines, as detectors see them. `nothing`: only length and digest. */
export type CopyInKeeps =
  | { readonly kind: 'clear' | 'nothing'; readonly isText: boolean }
  | {
      readonly kind: 'masked';
      readonly isText: true;
      readonly detect: readonly DetectMask[];
      readonly key: MaskKey | undefined;
    };

/** Which of it is a masked column is not known, and binary data cannot be looked into: then nothing is kept while masks apply. */
export function copyInKeeps({ masks, key, quotes }: Guard, isText: boolean): CopyInKeeps {
  if (quotes) return { kind: 'nothing', isText };
  if (!isText) return { kind: masks.columns.length > 0 || masks.detect.length > 0 ? 'nothing' : 'clear', isText };
  return masks.detect.length === 0 ? { kind: 'clear', isText } : { kind: 'masked', isText, detect: masks.detect, key };
}

/** Small, since the recorder takes or leaves a block whole. */
const BLOCK_BYTES = 8 * 1024;
const NEWLINE = 10;
const RETURN = 13;
const BACKSLASH = 92;
const PEM_BEGIN = '-----BEGIN ';
const PEM_LABEL_BYTES = 64;
/** Escapes that no server or driver writes for a letter or a digit; detectors know the others. */
const ODD_ESCAPE = /\\[^bfnrtN\\\r\n]/;

/** One COPY. Buffers are lent for the call. */
export class CopyIn {
  readonly #recorder: RecorderPort;
  readonly #number: number;
  readonly #keeps: CopyInKeeps;
  /** Bytes of the message that are still to come. */
  #left = 0;
  #gathered: Buffer = Buffer.allocUnsafe(2 * BLOCK_BYTES);
  #used = 0;
  /** How much of what is gathered was looked at: the beginning of a line. */
  #held = 0;
  /** Inside a line that is too long to gather. */
  #skipping = false;
  /** Nothing more of this COPY is kept. */
  #over: boolean;
  #cut: { lines: number; bytes: number; readonly hash: Hash } | undefined;

  constructor(recorder: RecorderPort, number: number, keeps: CopyInKeeps) {
    this.#recorder = recorder;
    this.#number = number;
    this.#keeps = keeps;
    this.#over = keeps.kind === 'nothing';
  }

  /** A CopyData message, or the next piece of one; the first piece has the whole header. */
  message(piece: Buffer): void {
    let from = 0;
    if (this.#left === 0) {
      this.#left = int32(piece, 1) + 1;
      from = HEAD_BYTES;
    }
    this.#left -= piece.length;
    while (from < piece.length) {
      const count = Math.min(piece.length - from, this.#held + BLOCK_BYTES - this.#used);
      this.#makeRoom(this.#used + count);
      piece.copy(this.#gathered, this.#used, from, from + count);
      this.#used += count;
      from += count;
      if (this.#used === this.#held + BLOCK_BYTES) this.flush();
    }
  }

  /** Records what is whole; called before the bytes leave. */
  flush(): void {
    if (this.#used === this.#held) return;
    if (this.#over || this.#keeps.kind !== 'masked') {
      const block = this.#gathered.subarray(0, this.#used);
      if (this.#over) this.#leaveOut(block);
      else this.#offer(block, block);
      this.#used = this.#held = 0;
      return;
    }
    if (this.#skipping && !this.#endSkipping()) return;
    const end = this.#wholeLines();
    if (end > 0) {
      this.#masked(this.#gathered.subarray(0, end));
      this.#drop(end);
    }
    if (this.#used > LIMITS.recordedLineBytesMax) {
      // Lines in it mean that a private key began and does not end: what follows could still be of it.
      if (lineEnd(this.#gathered.subarray(0, this.#used)) > 0) this.#over = true;
      else this.#skipping = true;
      this.#leaveOut(this.#gathered.subarray(0, this.#used));
      this.#used = 0;
    }
    this.#held = this.#used;
  }

  /** @param complete CopyDone came: a last line may lack its end. Otherwise it may be half a value, and is not kept. */
  end(complete: boolean): void {
    this.flush();
    const rest = this.#gathered.subarray(0, this.#used);
    if (rest.length > 0 && complete) this.#masked(rest);
    else if (rest.length > 0) this.#leaveOut(rest);
    this.#used = this.#held = 0;
    this.#endCut();
  }

  /** Where the last whole line ends; before a private key whose end has not come. */
  #wholeLines(): number {
    const end = this.#held + lineEnd(this.#gathered.subarray(this.#held, this.#used));
    if (end === this.#held) return 0;
    const lines = this.#gathered.subarray(0, end);
    const key = openKey(lines);
    return key < 0 ? end : lineEnd(lines.subarray(0, key));
  }

  /** True once the line that was too long has ended. */
  #endSkipping(): boolean {
    const all = this.#gathered.subarray(0, this.#used);
    const end = all.indexOf(NEWLINE) + 1;
    this.#leaveOut(end === 0 ? all : all.subarray(0, end));
    if (end === 0) this.#used = 0;
    else {
      this.#skipping = false;
      this.#endCut();
      this.#drop(end);
    }
    this.#held = 0;
    return end > 0;
  }

  #masked(lines: Buffer): void {
    if (this.#keeps.kind === 'masked') this.#offer(hideLines(lines, this.#keeps.detect, this.#keeps.key), lines);
  }

  /** @param sent what `kept` was made of */
  #offer(kept: Buffer, sent: Buffer): void {
    if (!this.#over && this.#recorder.input(this.#number, kept, this.#lines(kept))) return;
    this.#over = true;
    this.#leaveOut(sent);
  }

  #leaveOut(bytes: Buffer): void {
    this.#cut ??= { lines: 0, bytes: 0, hash: createHash('sha256') };
    this.#cut.lines += this.#lines(bytes);
    this.#cut.bytes += bytes.length;
    this.#cut.hash.update(bytes);
  }

  #lines(bytes: Buffer): number {
    return this.#keeps.isText ? countLines(bytes) : 0;
  }

  #endCut(): void {
    const cut = this.#cut;
    this.#cut = undefined;
    if (cut !== undefined) this.#recorder.inputCut(this.#number, cut.lines, cut.bytes, cut.hash.digest('hex'));
  }

  #drop(count: number): void {
    this.#gathered.copyWithin(0, count, this.#used);
    this.#used -= count;
  }

  #makeRoom(bytes: number): void {
    if (bytes <= this.#gathered.length) return;
    const larger = Buffer.allocUnsafe(2 * bytes);
    this.#gathered.copy(larger, 0, 0, this.#used);
    this.#gathered = larger;
  }
}

/** Lines may end in \n, \r\n or \r. 0 when none does. */
const lineEnd = (bytes: Buffer): number => {
  const end = bytes.lastIndexOf(NEWLINE) + 1;
  return end > 0 ? end : bytes.lastIndexOf(RETURN) + 1;
};

function countLines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count++;
  return count;
}

/** Where a private key begins whose end is not there: the one thing detectors see across lines. -1 when there is none. */
function openKey(bytes: Buffer): number {
  let at = bytes.indexOf(PEM_BEGIN, Math.max(0, bytes.lastIndexOf('-----END ')));
  for (; at >= 0; at = bytes.indexOf(PEM_BEGIN, at + 1))
    if (bytes.toString('latin1', at, at + PEM_BEGIN.length + PEM_LABEL_BYTES).includes('PRIVATE KEY')) return at;
  return -1;
}

function hideLines(lines: Buffer, detect: readonly DetectMask[], key: MaskKey | undefined): Buffer {
  const sent = lines.toString('utf8');
  const text = lines.includes(BACKSLASH) && ODD_ESCAPE.test(sent) ? hideEscaped(sent, detect) : sent;
  const masked = maskDetected(text, detect, key);
  return masked.hits === 0 && text === sent ? lines : Buffer.from(masked.text);
}

/** `4111\x31111…` is the same number to the server. Lines that say more without their escapes are not kept. */
const hideEscaped = (text: string, detect: readonly DetectMask[]): string =>
  text
    .split(/(?<=\n)/)
    .map((line) => {
      if (!ODD_ESCAPE.test(line)) return line;
      const hits = maskDetected(withoutEscapes(line), detect).hits;
      return hits > maskDetected(line, detect).hits ? '[redacted]\n' : line;
    })
    .join('');

const withoutEscapes = (line: string): string =>
  line.replaceAll(/\\(?:x([0-9a-f]{1,2})|([0-7]{1,3})|([bfnrtvN])|([^]))/gi, (_, hex, octal, control, other) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
    return control === undefined ? String(other) : ' ';
  });
