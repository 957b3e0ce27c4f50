/**
 * Keys that announce themselves: access keys with a vendor's prefix, and PEM private keys.
 * Refuses to guess at random-looking text. A key of a vendor that is not listed is not seen; add its line to SECRET_FORMS.
 */
import { isAlphanumeric, isDigit, isToken, isUpper, isWord } from '../bytes.ts';
import { isGluedBefore, type Scan } from '../span.ts';

type ByteTest = (byte: number | undefined) => boolean;
export interface SecretForm {
  readonly prefix: string;
  /** What follows the prefix, and how many of it at least. */
  readonly of: ByteTest;
  readonly min: number;
}
const isUpperOrDigit: ByteTest = (byte) => isUpper(byte) || isDigit(byte);
const isDotted: ByteTest = (byte) => isToken(byte) || byte === 46;

const form = (prefixes: string, of: ByteTest, min: number): readonly SecretForm[] =>
  prefixes.split(' ').map((prefix) => ({ prefix, of, min }));

/** What announces itself, and what follows it. */
export const SECRET_FORMS: readonly SecretForm[] = [
  // AWS IAM identifiers
  ...form('AKIA ASIA ABIA ACCA', isUpperOrDigit, 16),
  // GitHub, GitLab
  ...form('ghp_ gho_ ghu_ ghs_ ghr_', isAlphanumeric, 36),
  ...form('github_pat_', isWord, 22),
  ...form('glpat- gldt- glrt- glptt-', isToken, 20),
  // Slack
  ...form('xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-', isToken, 10),
  // Stripe
  ...form('sk_live_ sk_test_ rk_live_ rk_test_ whsec_', isAlphanumeric, 16),
  // Google
  ...form('AIza', isToken, 35),
  ...form('GOCSPX-', isToken, 20),
  // OpenAI, Anthropic, Hugging Face
  ...form('sk-', isToken, 20),
  ...form('hf_', isAlphanumeric, 30),
  // npm, PyPI, SendGrid, Twilio, Vault, DigitalOcean, age, Shopify
  ...form('npm_', isAlphanumeric, 36),
  ...form('pypi-', isToken, 50),
  ...form('SG.', isDotted, 40),
  ...form('hvs. hvb.', isToken, 24),
  ...form('dop_v1_ doo_v1_', isAlphanumeric, 40),
  ...form('AGE-SECRET-KEY-1', isUpperOrDigit, 50),
  ...form('shpat_ shpss_ shpca_', isAlphanumeric, 32),
];
/** How each listed key begins; the kernel leaves a cell with one of them to this detector. */
export const SECRET_PREFIXES: readonly string[] = SECRET_FORMS.map((one) => one.prefix);
const BY_FIRST = new Map<number, readonly SecretForm[]>();
for (const one of SECRET_FORMS) {
  const first = one.prefix.charCodeAt(0);
  BY_FIRST.set(first, [...(BY_FIRST.get(first) ?? []), one]);
}

function startsWith(text: Uint8Array, at: number, prefix: string): boolean {
  if (at + prefix.length > text.length) return false;
  for (let i = 0; i < prefix.length; i++) if (text[at + i] !== prefix.charCodeAt(i)) return false;
  return true;
}

function keyEnd(text: Uint8Array, at: number): number {
  for (const { prefix, of, min } of BY_FIRST.get(text[at]!) ?? []) {
    if (!startsWith(text, at, prefix)) continue;
    let end = at + prefix.length;
    while (of(text[end])) end++;
    if (end - at - prefix.length >= min) return end;
  }
  return -1;
}

const BEGIN = '-----BEGIN ';
const PRIVATE = 'PRIVATE KEY';

/** From `-----BEGIN … PRIVATE KEY` to the end of its END line; without one, to the end of the text. */
function pemEnd(text: Uint8Array, at: number, view: Buffer): number {
  if (!startsWith(text, at, BEGIN)) return -1;
  const label = view.toString('latin1', at + BEGIN.length, Math.min(at + BEGIN.length + 64, text.length));
  const dashes = label.indexOf('-----');
  if (!(dashes < 0 ? label : label.slice(0, dashes)).includes(PRIVATE)) return -1;
  const end = view.indexOf('-----END ', at);
  if (end < 0) return text.length;
  const close = view.indexOf('-----', end + 9);
  return close < 0 ? text.length : close + 5;
}

export const scanSecretKeys: Scan = (text, hit, seams) => {
  const view = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  for (let at = 0; at < text.length; at++) {
    const byte = text[at]!;
    let end = -1;
    if (byte === 45) end = pemEnd(text, at, view);
    else if (BY_FIRST.has(byte) && !isGluedBefore(text, at, seams)) end = keyEnd(text, at);
    if (end < 0) continue;
    hit(at, end);
    at = end - 1;
  }
};
