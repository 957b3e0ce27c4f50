/**
 * Bodies of recorded requests and answers as they are shown: without their content coding, and masked by every detector for
 * whoever may not see them in clear. Refuses to know who asks.
 */
import { type BodyMasker, openBodyReader } from '@sallyport/http';
import { DETECTORS, type DetectMask } from '@sallyport/model';
import type { HttpFrame } from '@sallyport/trail';

const EVERY: readonly DetectMask[] = DETECTORS.map((detect) => ({ detect, with: 'partial' }));
const NOTHING = new Uint8Array(0);
const keyOf = (frame: HttpFrame): string => `${frame.number}/${frame.side}`;

/** One per replay: bodies of several requests stand between each other. */
export class ShownBodies {
  readonly #detect: readonly DetectMask[];
  readonly #readers = new Map<string, BodyMasker>();

  constructor(clear: boolean) {
    this.#detect = clear ? [] : EVERY;
  }

  begin(head: HttpFrame & { readonly kind: 'http_head' }): void {
    const valueOf = (name: string): string =>
      new RegExp(`^${name}:[ \\t]*([^\\r\\n]*)`, 'im').exec(head.text)?.[1]?.trim() ?? '';
    const shape = { contentType: valueOf('content-type'), contentEncoding: valueOf('content-encoding') };
    const [line = ''] = head.text.split('\n', 1);
    // A WebSocket's messages are lines of text, whatever the request's headers say.
    const isSwitched = line.endsWith(' 101');
    const read = isSwitched ? { contentType: 'text/plain', contentEncoding: '' } : shape;
    // Of a stretch nobody knows what stood before it: a value's other half, or how the rest is encoded.
    const isStretch = line.endsWith(' 206') && this.#detect.length > 0;
    const reader = isStretch ? undefined : openBodyReader(read, this.#detect);
    if (reader === undefined) this.#readers.delete(keyOf(head));
    else this.#readers.set(keyOf(head), reader);
  }

  show(frame: HttpFrame & { readonly kind: 'http_body' }): Uint8Array {
    const reader = this.#readers.get(keyOf(frame));
    if (reader === undefined || reader.failed !== undefined) return NOTHING;
    const shown = reader.push(frame.bytes);
    return reader.failed === undefined ? shown : NOTHING;
  }

  /** What was kept back of a body that has ended. */
  end(frame: HttpFrame): Uint8Array {
    const reader = this.#readers.get(keyOf(frame));
    this.#readers.delete(keyOf(frame));
    if (reader === undefined || reader.failed !== undefined) return NOTHING;
    const rest = reader.end();
    return reader.failed === undefined ? rest : NOTHING;
  }
}
