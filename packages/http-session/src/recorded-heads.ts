/**
 * Heads as they are put on record: without credentials, and as detectors leave them. Those of a connection's last request and answer
 * are kept as bytes: clients ask alike and services answer alike, and then nothing is written or gone through again.
 */
import { Buffer } from 'node:buffer';
import { type Header, madeOf, type RequestHead, targetWithoutTokens } from '@sallyport/http';
import type { SignedIn } from '@sallyport/protocol-kit';

/** What detectors see in a target, they see once its escapes are undone: then it is kept without them. */
function hiddenTarget(target: string, road: SignedIn): string {
  if (!target.includes('%') && !target.includes('+')) return target;
  let text: string;
  try {
    text = decodeURIComponent(target.replaceAll('+', ' '));
  } catch {
    // An escape of no UTF-8: as it came.
    return target;
  }
  const hidden = road.hide(text);
  return hidden === text ? target : hidden.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ');
}

function headText(headers: readonly Header[], secret: ReadonlySet<string>): string {
  let text = '';
  for (const [name, value] of headers) if (!secret.has(name)) text += `${name}: ${value}\n`;
  return text;
}

/** UTF-8 in memory of its own, which the next text is written into. */
class KeptHead {
  #memory = Buffer.alloc(0);
  bytes: Uint8Array = this.#memory;

  write(text: string): void {
    const size = Buffer.byteLength(text);
    // An idle connection would keep a whole piece of Buffer's pool.
    if (size > this.#memory.length) this.bytes = this.#memory = Buffer.allocUnsafeSlow(size);
    else if (size !== this.bytes.length) this.bytes = this.#memory.subarray(0, size);
    this.#memory.write(text);
  }
}

export class RecordedHeads {
  readonly #road: SignedIn;
  readonly #secret: ReadonlySet<string>;
  readonly #requestLines = (headers: readonly Header[]): string => headText(headers, this.#secret);
  readonly #request = new KeptHead();
  #asked: RequestHead | undefined;
  #detect: readonly unknown[] | undefined;
  readonly #answer = new KeptHead();
  #answered: readonly Header[] | undefined;
  #status = 0;

  /** @param secret names of fields that hold credentials */
  constructor(road: SignedIn, secret: ReadonlySet<string>) {
    this.#road = road;
    this.#secret = secret;
  }

  /** Lent until the next. */
  request(head: RequestHead): Uint8Array {
    const { detect } = this.#road.masks();
    if (detect !== this.#detect || !isAlike(head, this.#asked)) {
      const { method, target, version } = head;
      const text = `${method} ${hiddenTarget(targetWithoutTokens(target), this.#road)} HTTP/${version}\n${madeOf(head, this.#requestLines)}`;
      this.#request.write(detect.length === 0 ? text : this.#road.hide(text));
      this.#asked = head;
      this.#detect = detect;
    }
    return this.#request.bytes;
  }

  /** Lent until the next. @param headers as they are shown */
  answer(status: number, headers: readonly Header[]): Uint8Array {
    if (status !== this.#status || headers !== this.#answered) {
      this.#answer.write(`HTTP/1.1 ${status}\n${headText(headers, this.#secret)}`);
      this.#status = status;
      this.#answered = headers;
    }
    return this.#answer.bytes;
  }
}

/** Fields are compared as objects: what reads and changes them makes new ones for what is new. */
const isAlike = (head: RequestHead, known: RequestHead | undefined): boolean =>
  head === known ||
  (known !== undefined &&
    head.headers === known.headers &&
    head.target === known.target &&
    head.method === known.method &&
    head.version === known.version);
