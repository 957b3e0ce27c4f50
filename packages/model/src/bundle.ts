/**
 * What an agent gets: compiled policy as a signed manifest of content-addressed chunks, and, apart, its sealed credentials.
 * A chunk's body is UTF-8 JSON of one of the types below, read by a strict parser: an unknown field is a nack, never dropped.
 * Refuses to know how it travels or is stored (packages/contract, apps/agent/src/bundle).
 */
import { listOf, objectOf, oneOf, optional, type Parser, parseInteger, parseString } from '@sallyport/core';
import { type Grant, parseGrant } from './grant.ts';
import { parseTrustedIssuer, type TrustedIssuer } from './issuer.ts';
import { type Policy, parsePolicy } from './policy.ts';
import { parseResource, type Resource } from './resource.ts';

/** What this code base can enforce; a manifest that requires anything else is refused with `bundle.capability`. */
export const CAPABILITIES = [
  'postgres.1',
  'policy.cel.1',
  'mask.columns.1',
  'mask.detect.1',
  'approval.once.1',
  'trail.1',
  'session.limits.1',
  'policy.auth.1',
  'approval.step-up.1',
  'review.1',
  'approval.rules.1',
  'approval.shape.1',
  'approval.seats.1',
  'budget.1',
  'credential.sources.1',
  'ssh.1',
  'identity.issuers.1',
  'approval.commit.1',
  'bundle.pages.1',
  'group.parts.1',
  'http.1',
  'kubernetes.1',
  'mcp.1',
  'policy.http.1',
  'policy.overwrites.1',
  'mask.http.1',
  'mask.streams.1',
  'mcp.media.1',
  'mcp.accepted.1',
  'mcp.streams.1',
  'http.documents.1',
] as const;

/** One group with its members, so that losing a membership is in force at the next statement. */
export const parseBundleGroup = objectOf({
  name: parseString,
  projectId: parseString,
  members: listOf(parseString),
  /** The members of a large group come in so many chunks of their own, and none here. */
  parts: optional(parseInteger),
});
export type BundleGroup = ReturnType<typeof parseBundleGroup>;

/** Some of the members of a group that has parts. */
export const parseGroupMembers = objectOf({ group: parseString, part: parseString, members: listOf(parseString) });
export type GroupMembers = ReturnType<typeof parseGroupMembers>;

/**
 * A public key that signs access tokens, approvals, or users' SSH certificates (JWK, EC P-256 or Ed25519), valid between the
 * two instants (UTC ms). `ssh_user` travels only to agents with SSH resources: an older one would refuse the word.
 */
export const parseVerificationKey = objectOf({
  kid: parseString,
  use: oneOf('access_token', 'approval', 'ssh_user'),
  issuer: parseString,
  jwk: objectOf({
    kty: parseString,
    crv: parseString,
    x: parseString,
    y: optional(parseString),
    kid: optional(parseString),
    alg: optional(parseString),
    use: optional(parseString),
  }),
  notBefore: parseInteger,
  notAfter: parseInteger,
});
export type VerificationKey = ReturnType<typeof parseVerificationKey>;

/** Tokens of `principal` issued before `before` (UTC ms) open nothing and their sessions end; or one session or token is ended. */
export const parseRevocation = objectOf({
  kind: oneOf('principal', 'token', 'session', 'approval'),
  /** Principal id, token `jti`, session id, or approval id. */
  id: parseString,
  before: parseInteger,
});
export type Revocation = ReturnType<typeof parseRevocation>;

export const parseBundleSettings = objectOf({
  /** Base64url of the control plane's X25519 public key that session keys of the trail are sealed to. */
  trailSealKey: parseString,
  trailSealKeyId: parseString,
  /** The `iss` of our access tokens. */
  issuer: parseString,
  /** Domain under which SNI names a resource; '' = none. */
  domain: parseString,
  heartbeatMs: parseInteger,
});
export type BundleSettings = ReturnType<typeof parseBundleSettings>;

/** `name` of a chunk is `<kind>/<id>`; one document each, so that only what changed travels. */
export type BundleChunk =
  | { readonly kind: 'resource'; readonly body: Resource }
  | { readonly kind: 'policy'; readonly body: Policy }
  | { readonly kind: 'grant'; readonly body: Grant }
  | { readonly kind: 'group'; readonly body: BundleGroup }
  | { readonly kind: 'members'; readonly body: GroupMembers }
  | { readonly kind: 'key'; readonly body: VerificationKey }
  /** An issuer whose own tokens agents take (ADR 0028). */
  | { readonly kind: 'issuer'; readonly body: TrustedIssuer }
  | { readonly kind: 'revocations'; readonly body: readonly Revocation[] }
  | { readonly kind: 'settings'; readonly body: BundleSettings };
export type BundleChunkKind = BundleChunk['kind'];

/** One parser per chunk kind; a kind that is not here is `bundle.malformed`. */
export const CHUNK_PARSERS: { readonly [K in BundleChunkKind]: Parser<Extract<BundleChunk, { kind: K }>['body']> } = {
  resource: parseResource,
  policy: parsePolicy,
  grant: parseGrant,
  group: parseBundleGroup,
  members: parseGroupMembers,
  key: parseVerificationKey,
  issuer: parseTrustedIssuer,
  revocations: listOf(parseRevocation),
  settings: parseBundleSettings,
};

/** The whole of a bundle after every chunk is verified and read. */
export interface Bundle {
  readonly epoch: number;
  readonly revision: number;
  readonly projectId: string;
  readonly createdAt: number;
  readonly resources: readonly Resource[];
  readonly policies: readonly Policy[];
  readonly grants: readonly Grant[];
  readonly groups: readonly BundleGroup[];
  readonly keys: readonly VerificationKey[];
  /** Absent = none. */
  readonly issuers?: readonly TrustedIssuer[];
  readonly revocations: readonly Revocation[];
  readonly settings: BundleSettings;
}

/** A stored credential after it was unsealed by the agent; `secret` is wrapped at once by the caller. */
export interface SealedCredential {
  /** Credential id, as in `CredentialSource.reference`. */
  readonly id: string;
  /** Made by core `seal` with context `credential/<id>`. */
  readonly box: Uint8Array;
}
