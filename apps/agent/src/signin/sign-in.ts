/**
 * From a token to a session: verified offline against the bundle in force, with the same answer for everything that is
 * wrong. Refuses to send a token on, and to say to a client what was wrong with it: the record knows.
 */
import { hash, randomBytes, type X509Certificate } from 'node:crypto';
import { GatewayError, type Logger, type Secret, uuid7Bytes, uuidText } from '@sallyport/core';
import type { AccessTokenClaims, Protocol, Resource, SessionInfo, TrailEvent } from '@sallyport/model';
import type { SignInRequest } from '@sallyport/protocol-kit';
import { jwkThumbprint } from '@sallyport/ssh-certificates';
import type { InForce } from '../bundle/bundles.ts';
import { verifyAccessToken } from './access-token.ts';
import { claimsIssuer, type IssuedProof, verifyIssuedToken } from './issuer-token.ts';
import type { RevocationIndex } from './revocations.ts';

export interface SignInPorts {
  readonly agentId: string;
  /** Undefined before the first bundle: nobody gets in. */
  inForce(): InForce | undefined;
  revocations(): RevocationIndex;
  newSessionsAllowed(resource: Resource): boolean;
  /** True while the control plane can be heard. */
  linked(): boolean;
  nowMs(): number;
  /** Records `auth.failed`. */
  record(event: TrailEvent): void;
  readonly log: Logger;
}

/** Who it is and on what, before the session is opened. */
export interface Admitted {
  readonly info: SessionInfo;
  readonly resource: Resource;
  readonly role: string | undefined;
  readonly tokenIssuedAtMs: number;
  /** UTC ms: it opens nothing after this. */
  readonly tokenExpiresAtMs: number;
  /** What another issuer's token proved; undefined where an access token of ours opened it. */
  readonly issued: IssuedProof | undefined;
  /** Why access was asked for; '' = nothing was said. */
  readonly reason: string;
}

/** The resource that `<resource>.<domain>` names; undefined for a name elsewhere, or of nothing here: then the user name counts. */
export function resourceOfServerName(serverName: string, inForce: InForce | undefined): string | undefined {
  if (inForce === undefined || inForce.domain === '') return undefined;
  const under = `.${inForce.domain}`;
  const name = serverName.toLowerCase();
  if (!name.endsWith(under)) return undefined;
  const label = name.slice(0, -under.length);
  return inForce.resourcesByName.has(label) ? label : undefined;
}

/** Grant ids travel as base64url of their 16 bytes; `*` = all. */
const grantIdText = (id: string): string => {
  if (id === '*') return id;
  const bytes = Buffer.from(id, 'base64url');
  return bytes.length === 16 ? uuidText(bytes) : '';
};

/** Where a client comes from, what it speaks, and which TLS client certificate it proved to hold. */
export interface ClientFacts {
  readonly address: string;
  /** One listener may serve several kinds of resource. */
  readonly protocols: readonly Protocol[];
  /** Base64url. */
  readonly certificateSha256: string | undefined;
  readonly certificate: X509Certificate | undefined;
}

/**
 * RFC 8705 section 3.1, RFC 7800. A database's protocol has no place for a DPoP proof, but the TLS handshake is one: who
 * shows a client certificate has signed with its key, so a certificate of the bound key, whoever made it, proves that key.
 * @returns why what the token is bound to was not proven, or undefined
 */
function unproven(
  cnf: AccessTokenClaims['cnf'],
  client: ClientFacts,
  provenKey: string | undefined,
): string | undefined {
  // A certified key is a key that the token names (ADR 0023); a token without one came with somebody else's certificate.
  if (provenKey !== undefined && cnf?.jkt !== provenKey) return 'not bound to the key that was proven';
  if (cnf === undefined) return undefined;
  const { jkt, 'x5t#S256': x5t } = cnf;
  if (jkt === undefined && x5t === undefined) return 'bound to nothing known here';
  if (jkt !== undefined && jkt !== provenKey && jkt !== thumbprintOf(client.certificate))
    return 'bound to a key that was not proven';
  return x5t === undefined || x5t === client.certificateSha256 ? undefined : 'bound to another certificate';
}

function thumbprintOf(certificate: X509Certificate | undefined): string | undefined {
  try {
    return certificate === undefined ? undefined : jwkThumbprint(certificate.publicKey);
  } catch {
    // A key of a kind that has no thumbprint proves no bound key.
    return undefined;
  }
}

/**
 * @param opened the session this very token opened before, if it is still there: what a bundle means for it is made already
 * @throws GatewayError `auth.failed` for everything about the token, the resource or the role; `agent.stale`
 */
export function admitSignIn(
  request: SignInRequest,
  client: ClientFacts,
  ports: SignInPorts,
  opened?: (resourceId: string) => SessionInfo | undefined,
): Admitted {
  const nowMs = ports.nowMs();
  const refused = (why: string): GatewayError => {
    recordRefused({ clientAddress: client.address, resource: request.resource, why }, ports);
    return new GatewayError('auth.failed', { why });
  };
  const inForce = ports.inForce();
  if (inForce === undefined) throw new GatewayError('agent.stale', { reason: 'no bundle' });
  const { bundle, engine } = inForce;
  const resource = inForce.resourcesByName.get(request.resource);
  if (resource === undefined) throw refused('no such resource here');
  if (!client.protocols.includes(resource.kind)) throw refused('another protocol');
  const shown = claimsIssuer(request.token.reveal(), bundle.settings.issuer)
    ? ourToken(request, resource, client, inForce, nowMs)
    : issuersToken(request, resource, inForce, ports);
  if (shown.kind === 'bad') throw refused(shown.why);
  const { tokenId, tokenIssuedAtMs, tokenExpiresAtMs } = shown;
  const info: SessionInfo = {
    ...shown.who,
    id: uuidText(uuid7Bytes(nowMs, randomBytes(10))),
    projectId: resource.projectId,
    agentId: ports.agentId,
    resourceId: resource.id,
    resourceName: resource.name,
    protocol: resource.kind,
    tokenId,
    clientAddress: client.address,
    database: request.database,
    // An SSH session always has a login; the resource's first is meant when none is named.
    role: request.role ?? resource.ssh?.logins[0] ?? '',
    application: request.application.slice(0, 200),
    openedAt: nowMs,
  };
  const principalIds = [info.principal.id, ...(info.onBehalfOf === undefined ? [] : [info.onBehalfOf.id])];
  if (ports.revocations().ends({ sessionId: undefined, tokenId, principalIds, issuedAtMs: tokenIssuedAtMs }))
    throw refused('revoked');
  if (engine.effectsFor(opened?.(resource.id) ?? info, nowMs).length === 0) throw refused('no grant');
  if (resource.ssh !== undefined && !resource.ssh.logins.includes(info.role)) throw refused('no such login');
  const asked = request.role !== undefined && request.role !== resource.ssh?.logins[0] ? request.role : undefined;
  if (asked !== undefined && !engine.rolesFor(info, nowMs).includes(asked)) throw refused('role not granted');
  if (!ports.newSessionsAllowed(resource)) throw new GatewayError('agent.stale', { resource: resource.name });
  const { issued, reason } = shown;
  return { info, resource, role: asked, tokenIssuedAtMs, tokenExpiresAtMs, issued, reason: request.reason || reason };
}

/**
 * The token would sign in to the resource it says it is for, whichever that is here.
 * @throws GatewayError `auth.failed`, recorded; `agent.stale`
 */
export function requireAnySignIn(token: Secret<string>, client: ClientFacts, ports: SignInPorts): void {
  const resource = ports.inForce()?.resourcesById.get(audienceOf(token.reveal()))?.name ?? '';
  admitSignIn({ token, resource, role: undefined, database: '', application: '' }, client, ports);
}

/** Id of the resource the token says it is for, unverified. */
export const meantBy = (token: Secret<string>): string => audienceOf(token.reveal());

/** As the token says, unverified; '' when it says nothing that can be read. */
export function audienceOf(token: string): string {
  try {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as {
      readonly aud?: unknown;
    };
    return typeof claims.aud === 'string' ? claims.aud : '';
  } catch {
    // No token of ours, which is what will be said of it.
    return '';
  }
}

export function recordRefused(
  { clientAddress, resource, why }: { readonly clientAddress: string; readonly resource: string; readonly why: string },
  ports: SignInPorts,
): void {
  try {
    ports.record({ kind: 'auth.failed', clientAddress, resource: resource.slice(0, 100), why });
  } catch (error) {
    // Nobody got in, so nothing unrecorded happened at a resource.
    ports.log.warn('a refused sign-in could not be recorded', { error });
  }
}

/** What a token says, whoever issued it. */
type Shown =
  | {
      readonly kind: 'good';
      readonly who: Pick<SessionInfo, 'principal' | 'onBehalfOf' | 'grantIds' | 'auth' | 'issuer'>;
      readonly tokenId: string;
      readonly tokenIssuedAtMs: number;
      readonly tokenExpiresAtMs: number;
      readonly issued: IssuedProof | undefined;
      readonly reason: string;
    }
  | { readonly kind: 'bad'; readonly why: string };

function ourToken(
  request: SignInRequest,
  resource: Resource,
  client: ClientFacts,
  inForce: InForce,
  nowMs: number,
): Shown {
  const { bundle } = inForce;
  const trust = {
    issuer: bundle.settings.issuer,
    projectId: bundle.projectId,
    key: (kid: string) => {
      const key = inForce.keys.get(`access_token/${kid}`);
      const about = bundle.keys.find((candidate) => candidate.kid === kid && candidate.use === 'access_token');
      return key === undefined || about === undefined ? undefined : { key, about };
    },
  };
  const answer = verifyAccessToken(request.token.reveal(), trust, resource.id, nowMs);
  if (answer.kind === 'bad') return answer;
  const { claims } = answer;
  const missing = unproven(claims.cnf, client, request.provenKey);
  if (missing !== undefined) return { kind: 'bad', why: missing };
  const { obo, idp } = claims;
  return {
    kind: 'good',
    who: {
      principal: { id: claims.sub, name: claims.nam, kind: claims.knd },
      onBehalfOf: obo === undefined ? undefined : { id: obo.sub, name: obo.nam, kind: obo.knd },
      grantIds: claims.gr.map(grantIdText),
      ...(idp === undefined
        ? {}
        : {
            auth: {
              amr: claims.amr ?? [],
              acr: claims.acr ?? '',
              authTimeMs: claims.ath === undefined ? undefined : claims.ath * 1000,
              provider: idp,
            },
          }),
    },
    tokenId: claims.jti,
    tokenIssuedAtMs: claims.iat * 1000,
    tokenExpiresAtMs: claims.exp * 1000,
    issued: undefined,
    reason: claims.rsn ?? '',
  };
}

function issuersToken(request: SignInRequest, resource: Resource, inForce: InForce, ports: SignInPorts): Shown {
  const { issuerTokens } = resource;
  // Read only where the resource wants it: elsewhere it is one more text that is no token of ours.
  if (issuerTokens === undefined) return { kind: 'bad', why: 'no access token' };
  if (issuerTokens === 'offline' && ports.linked())
    return { kind: 'bad', why: 'an issuer’s own token counts here only while the control plane is away' };
  const token = request.token.reveal();
  const answer = verifyIssuedToken(token, inForce.issuers, ports.nowMs());
  if (answer.kind === 'bad') return answer;
  const { proof, rule } = answer;
  const { principal, payload } = proof;
  return {
    kind: 'good',
    who: {
      principal: { id: principal.id, name: principal.name, kind: principal.kind },
      onBehalfOf: undefined,
      grantIds: ['*'],
      issuer: { rule: rule.name, issuer: rule.issuer.slice(0, 500), subject: String(payload['sub']).slice(0, 300) },
    },
    tokenId: `issued:${hash('sha256', token, 'base64url')}`,
    // A token that does not say when it was issued is older than every revocation of its principal.
    tokenIssuedAtMs: Number(payload['iat'] ?? 0) * 1000,
    tokenExpiresAtMs: Number(payload['exp'] ?? 0) * 1000,
    issued: proof,
    reason: '',
  };
}
