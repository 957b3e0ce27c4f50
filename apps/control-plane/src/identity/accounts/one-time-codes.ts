/** One-time codes by time (TOTP, RFC 6238: SHA-1, 6 digits, 30 s, as authenticator apps expect) and recovery codes. Pure. */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const STEP_MS = 30_000;
/** A step before and after: clocks of telephones are off, and people type slowly. */
const WINDOW = 1;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const RECOVERY_CODES = 10;

export const newTotpSecret = (): Buffer => randomBytes(20);

/** RFC 4648 base32 without padding. */
export function base32(bytes: Uint8Array): string {
  let bits = 0;
  let value = 0;
  let text = '';
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += LETTERS[(value >> bits) & 31]!;
    }
  }
  return bits === 0 ? text : text + LETTERS[(value << (5 - bits)) & 31]!;
}

/** For the app's QR code or link. */
export const totpUri = (secret: Uint8Array, account: string): string =>
  `otpauth://totp/Sallyport:${encodeURIComponent(account)}?secret=${base32(secret)}&issuer=Sallyport&algorithm=SHA1&digits=6&period=30`;

export function totpAt(secret: Uint8Array, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac('sha1', secret).update(counter).digest();
  const offset = mac.at(-1)! & 15;
  return String((mac.readUInt32BE(offset) & 0x7fff_ffff) % 1_000_000).padStart(6, '0');
}

export const stepOf = (nowMs: number): number => Math.floor(nowMs / STEP_MS);

/** @returns the step whose code it is, or undefined; every step of the window is computed whatever is found */
export function matchingStep(secret: Uint8Array, code: string, nowMs: number): number | undefined {
  const now = stepOf(nowMs);
  const given = Buffer.from(/^\d{6}$/.test(code) ? code : '------');
  let found: number | undefined;
  for (let step = now - WINDOW; step <= now + WINDOW; step++)
    if (timingSafeEqual(given, Buffer.from(totpAt(secret, step)))) found = step;
  return found;
}

/** 80 random bits each, in groups that can be read out. */
export const newRecoveryCodes = (): string[] =>
  Array.from({ length: RECOVERY_CODES }, () => base32(randomBytes(10)).replace(/(.{4})(?!$)/g, '$1-'));

/** What is kept of a recovery code; however it was typed. */
export const recoveryHash = (code: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(
    createHash('sha256')
      .update(`sallyport/recovery/1|${code.toUpperCase().replace(/[^A-Z2-7]/g, '')}`)
      .digest(),
  );
