/**
 * Bus messages as texts of bounded size: PostgreSQL refuses a notification of 8000 bytes or more, so a longer message
 * travels in numbered parts. Refuses to keep parts whose rest does not come.
 */
import { randomBytes } from 'node:crypto';

/** Below the server's limit with room for the envelope and for characters that JSON escapes. */
const PART_CHARACTERS_MAX = 3_500;
const WAITING_MAX = 200;

interface Envelope {
  readonly t: string;
  readonly m?: unknown;
  /** Part of a longer message: its id, position, count, text. */
  readonly p?: readonly [string, number, number, string];
}

/** One or several texts that together carry the message. */
export function splitMessage(topic: string, message: unknown): readonly string[] {
  const whole = JSON.stringify({ t: topic, m: message } satisfies Envelope);
  if (Buffer.byteLength(whole) < 7_500) return [whole];
  const body = JSON.stringify(message);
  const count = Math.ceil(body.length / PART_CHARACTERS_MAX);
  const id = randomBytes(6).toString('base64url');
  return Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      t: topic,
      p: [id, i, count, body.slice(i * PART_CHARACTERS_MAX, (i + 1) * PART_CHARACTERS_MAX)],
    } satisfies Envelope),
  );
}

/** Puts parts together again. Call with every text received. */
export class MessageJoiner {
  readonly #waiting = new Map<string, string[]>();
  /** @returns the message once it is whole; undefined while parts are missing */
  take(text: string): { readonly topic: string; readonly message: unknown } | undefined {
    const envelope = JSON.parse(text) as Envelope;
    if (envelope.p === undefined) return { topic: envelope.t, message: envelope.m };
    const [id, at, count, part] = envelope.p;
    const parts = this.#waiting.get(id) ?? [];
    parts[at] = part;
    this.#waiting.set(id, parts);
    if (parts.filter((entry) => entry !== undefined).length < count) {
      const [oldest] = this.#waiting.keys();
      if (this.#waiting.size > WAITING_MAX && oldest !== undefined) this.#waiting.delete(oldest);
      return undefined;
    }
    this.#waiting.delete(id);
    return { topic: envelope.t, message: JSON.parse(parts.join('')) };
  }
}
