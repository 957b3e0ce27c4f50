/**
 * Passwords of local accounts: argon2id (RFC 9106) by Node's own crypto, at OWASP's floor of memory and passes, kept in the
 * usual `$argon2id$` text. Few at a time, since each takes 19 MiB: a flood of guesses must not take the process's memory.
 * Refuses to say whether an account has one: a missing hash costs the same.
 */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { GatewayError, type Secret } from '@sallyport/core';

const MEMORY_KIB = 19_456;
const PASSES = 2;
const TAG_BYTES = 32;
const AT_ONCE_MAX = 2;
const WAITING_MAX = 32;
export const PASSWORD_CHARS_MIN = 12;
export const PASSWORD_CHARS_MAX = 256;

const derive = promisify(argon2);
const HASH = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=1\$([\w+/]{22})\$([\w+/]{43})$/;
const b64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replaceAll('=', '');
/** Compared with when there is nothing to compare with. */
const NOBODY = `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=1$${b64(Buffer.alloc(16))}$${b64(Buffer.alloc(TAG_BYTES))}`;

let running = 0;
const waiting: (() => void)[] = [];

/** @throws GatewayError `auth.throttled` when too many wait already */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE_MAX) {
    if (waiting.length >= WAITING_MAX) throw new GatewayError('auth.throttled', { kind: 'password' });
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else running++;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}

const tagOf = (password: Secret<string>, nonce: Uint8Array, memory: number, passes: number): Promise<Buffer> =>
  inTurn(
    async () =>
      (await derive('argon2id', {
        // The same letters typed on another keyboard may be other code points.
        message: Buffer.from(password.reveal().normalize('NFC')),
        nonce,
        parallelism: 1,
        tagLength: TAG_BYTES,
        memory,
        passes,
      })) as Buffer,
  );

/** @returns what may be kept */
export async function hashPassword(password: Secret<string>): Promise<string> {
  const nonce = randomBytes(16);
  const tag = await tagOf(password, nonce, MEMORY_KIB, PASSES);
  return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=1$${b64(nonce)}$${b64(tag)}`;
}

/** @param kept undefined: nothing fits, and it takes as long */
export async function isPassword(password: Secret<string>, kept: string | undefined): Promise<boolean> {
  const [, memory, passes, nonce, tag] = HASH.exec(kept ?? NOBODY) ?? HASH.exec(NOBODY)!;
  const given = await tagOf(password, Buffer.from(nonce!, 'base64'), Number(memory), Number(passes));
  return timingSafeEqual(given, Buffer.from(tag!, 'base64')) && kept !== undefined;
}

/** @returns why it will not do, or undefined */
export function whyWeak(password: string, name: string): string | undefined {
  if (password.length < PASSWORD_CHARS_MIN) return `at least ${PASSWORD_CHARS_MIN} characters are expected`;
  if (password.length > PASSWORD_CHARS_MAX) return `at most ${PASSWORD_CHARS_MAX} characters are expected`;
  if (new Set(password).size < 6) return 'more different characters are expected';
  if (password.toLowerCase().includes(name.toLowerCase())) return 'your name must not be part of it';
  return undefined;
}
