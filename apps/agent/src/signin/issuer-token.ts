/**
 * A cluster's, CI system's or other issuer's own token, verified by the issuers and claim rules of the bundle (ADR 0028):
 * one list of asymmetric algorithms, keys from the bundle alone (what the token says of keys is not looked at), then the
 * claims by the same functions as the control plane's exchange. Refuses to make principals, and to say why to a client. Pure.
 */
import { constants, createPublicKey, type JsonWebKey, type KeyObject, verify } from 'node:crypto';
import {
  type Claims,
  claimedIssuers,
  ISSUED_ALGORITHMS,
  ISSUED_TOKEN_BYTES_MAX,
  type IssuedPrincipal,
  isIssuedType,
  issuedPrincipal,
  type TrustedIssuer,
  wrongClaim,
} from '@sallyport/model';

/** A rule of the bundle with its keys read once. */
export interface KnownIssuer {
  readonly rule: TrustedIssuer;
  readonly keys: readonly {
    readonly kid: string | undefined;
    readonly alg: string | undefined;
    readonly crv: string;
    readonly key: KeyObject;
  }[];
}

/** What a token proved, kept for as long as the session: another bundle is asked whether it still counts. */
export interface IssuedProof {
  readonly ruleId: string;
  readonly principal: IssuedPrincipal;
  readonly payload: Claims;
}
export type IssuedAnswer =
  | { readonly kind: 'good'; readonly proof: IssuedProof; readonly rule: TrustedIssuer }
  | { readonly kind: 'bad'; readonly why: string };

const RSA_BITS_MIN = 2048;
const CURVES: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };
const PARTS = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;
const bad = (why: string): IssuedAnswer => ({ kind: 'bad', why });

/** Keys that cannot be read are left out: one of an issuer must not keep a whole bundle away. */
export function knownIssuers(rules: readonly TrustedIssuer[]): readonly KnownIssuer[] {
  return rules.map((rule) => ({
    rule,
    keys: rule.keys.flatMap((jwk) => {
      const key = readKey(jwk as JsonWebKey);
      return key === undefined ? [] : [{ kid: jwk.kid, alg: jwk.alg, crv: jwk.crv ?? '', key }];
    }),
  }));
}

function readKey(jwk: JsonWebKey): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    const bits = key.asymmetricKeyDetails?.modulusLength;
    return bits !== undefined && bits < RSA_BITS_MIN ? undefined : key;
  } catch {
    // Left out: whatever it would have verified is then refused.
    return undefined;
  }
}

function jsonMap(part: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    // Not JSON: the caller refuses it like everything else.
    return undefined;
  }
}

/** True when the text claims to be one of ours (`iss`): then no other issuer is asked, whoever writes that name. */
export function claimsIssuer(token: string, issuer: string): boolean {
  const claims = PARTS.exec(token)?.[2];
  return claims !== undefined && jsonMap(claims)?.['iss'] === issuer;
}

/** @param nowMs UTC ms */
export function verifyIssuedToken(token: string, issuers: readonly KnownIssuer[], nowMs: number): IssuedAnswer {
  if (token.length > ISSUED_TOKEN_BYTES_MAX) return bad('too long');
  const parts = PARTS.exec(token);
  if (parts === null) return bad('not a token');
  const [, headerPart, claimsPart, signaturePart] = parts as unknown as [string, string, string, string];
  const header = jsonMap(headerPart);
  const payload = jsonMap(claimsPart);
  if (header === undefined || payload === undefined) return bad('unreadable');
  const { alg, kid, typ, crit } = header;
  if (typeof alg !== 'string' || !ISSUED_ALGORITHMS.includes(alg)) return bad('algorithm');
  if (!isIssuedType(typ) || crit !== undefined || (kid !== undefined && typeof kid !== 'string')) return bad('header');
  const names = claimedIssuers(payload);
  const asked = issuers.filter(({ rule }) => names.includes(rule.issuer));
  if (asked.length === 0) return bad('no rule of this issuer');
  const signed = Buffer.from(`${headerPart}.${claimsPart}`);
  const signature = Buffer.from(signaturePart, 'base64url');
  const held: { readonly rule: TrustedIssuer; readonly name: string; readonly subject: string; proof?: IssuedProof }[] =
    [];
  const reasons: string[] = [];
  for (const known of asked) {
    const { rule } = known;
    // The claims come first: they cost little, and of many rules of one issuer a token's signature is checked for few.
    const why = wrongClaim(payload, rule, nowMs) ?? wrongSignature(known, alg, kid, signed, signature);
    const made = why === undefined ? issuedPrincipal(rule, payload) : undefined;
    if (made === undefined) {
      reasons.push(`${rule.name}: ${why ?? 'a claim that the principal’s name is made of is missing'}`);
      continue;
    }
    const { name, subject, principal } = made;
    held.push({
      rule,
      name,
      subject,
      ...(principal === undefined ? {} : { proof: { ruleId: rule.id, principal, payload } }),
    });
  }
  const [first] = held;
  if (first === undefined) return bad(`no rule holds: ${reasons.join('; ').slice(0, 500)}`);
  if (held.some(({ name, subject }) => name !== first.name || subject !== first.subject))
    return bad('rules make different principals of it');
  if (first.proof === undefined) return bad(`${first.rule.name}: no principal that is known here`);
  return { kind: 'good', proof: first.proof, rule: first.rule };
}

/** The one key that fits; among several that would, none is chosen (as jose's createLocalJWKSet does). */
function keyFor({ keys }: KnownIssuer, alg: string, kid: string | undefined): KeyObject | undefined {
  const type = alg.startsWith('ES') ? 'ec' : alg.startsWith('Ed') ? 'ed25519' : 'rsa';
  const fitting = keys.filter(
    (one) =>
      one.key.asymmetricKeyType === type &&
      (kid === undefined || one.kid === kid) &&
      (one.alg === undefined || one.alg === alg) &&
      (type !== 'ec' || one.crv === CURVES[alg]),
  );
  return fitting.length === 1 ? fitting[0]!.key : undefined;
}

function wrongSignature(
  known: KnownIssuer,
  alg: string,
  kid: string | undefined,
  signed: Buffer,
  signature: Buffer,
): string | undefined {
  const key = keyFor(known, alg, kid);
  if (key === undefined) return 'no applicable key';
  return verifies(alg, signed, key, signature) ? undefined : 'signature';
}

/** RFC 7518 sections 3.3 to 3.5, RFC 8037. */
function verifies(alg: string, signed: Buffer, key: KeyObject, signature: Buffer): boolean {
  const digest = `sha${alg.slice(2)}`;
  switch (alg.slice(0, 2)) {
    case 'Ed':
      return verify(null, signed, key, signature);
    case 'ES':
      return verify(digest, signed, { key, dsaEncoding: 'ieee-p1363' }, signature);
    case 'PS':
      return verify(
        digest,
        signed,
        { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
        signature,
      );
    default:
      return verify(digest, signed, key, signature);
  }
}

/**
 * Whether what opened a session still counts under another bundle: the rule is there, its claims hold, and they make the
 * same principal. Times and keys are not asked again: they are for opening.
 */
export function stillCounts(proof: IssuedProof, rules: readonly TrustedIssuer[]): boolean {
  const rule = rules.find(({ id }) => id === proof.ruleId);
  if (rule === undefined) return false;
  const { iat, exp } = proof.payload;
  const whenOpened = Number(iat ?? exp) * 1000;
  // Judged as of its own beginning, and with no limit on its life: a rule with a shorter one is for tokens to come.
  const wrong = wrongClaim(
    { ...proof.payload, nbf: undefined },
    { ...rule, maxAgeS: Number.POSITIVE_INFINITY },
    whenOpened,
  );
  return wrong === undefined && issuedPrincipal(rule, proof.payload)?.principal?.id === proof.principal.id;
}
