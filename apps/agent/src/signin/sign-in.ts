/**
 * From a token to a session: verified offline against the bundle in force, with the same answer for everything that is
 * wrong. Refuses to send a token on, and to say to a client what was wrong with it: the record knows.
 */
import { randomBytes } from 'node:crypto';
import { GatewayError, type Logger, uuid7Bytes, uuidText } from '@sallyport/core';
import type { AccessTokenClaims, PrincipalRef, Protocol, Resource, SessionInfo, TrailEvent } from '@sallyport/model';
import type { SignInRequest } from '@sallyport/protocol-kit';
import type { InForce } from '../bundle/bundles.ts';
import { verifyAccessToken } from './access-token.ts';
import type { RevocationIndex } from './revocations.ts';

export interface SignInPorts {
  readonly agentId: string;
  /** Undefined before the first bundle: nobody gets in. */
  inForce(): InForce | undefined;
  revocations(): RevocationIndex;
  newSessionsAllowed(resource: Resource): boolean;
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
  /** Why access was asked for; '' = nothing was said. */
  readonly reason: string;
}

/** The resource that `<resource>.<domain>` names; undefined for a name elsewhere, or of nothing here: then the user name counts. */
export function resourceOfServerName(serverName: string, inForce: InForce | undefined): string | undefined {
  if (inForce === undefined || inForce.bundle.settings.domain === '') return undefined;
  const under = `.${inForce.bundle.settings.domain.toLowerCase()}`;
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
  readonly protocol: Protocol;
  /** Base64url. */
  readonly certificateSha256: string | undefined;
}

/** @returns why what the token is bound to was not proven (RFC 8705 section 3.1), or undefined */
function unproven(
  cnf: AccessTokenClaims['cnf'],
  client: ClientFacts,
  provenKey: string | undefined,
): string | undefined {
  if (cnf === undefined) return undefined;
  // A database's protocol has no place for a proof of a key; a binding that cannot be checked is not met.
  if (cnf.jkt !== undefined && cnf.jkt !== provenKey) return 'bound to a key that was not proven';
  if (cnf.jkt !== undefined && cnf['x5t#S256'] === undefined) return undefined;
  if (cnf['x5t#S256'] === undefined) return 'bound to nothing known here';
  return cnf['x5t#S256'] === client.certificateSha256 ? undefined : 'bound to another certificate';
}

/**
 * @throws GatewayError `auth.failed` for everything about the token, the resource or the role; `agent.stale`
 */
export function admitSignIn(request: SignInRequest, client: ClientFacts, ports: SignInPorts): Admitted {
  const nowMs = ports.nowMs();
  const refused = (why: string): GatewayError => {
    try {
      ports.record({
        kind: 'auth.failed',
        clientAddress: client.address,
        resource: request.resource.slice(0, 100),
        why,
      });
    } catch (error) {
      // Nobody got in, so nothing unrecorded happened at a resource.
      ports.log.warn('a refused sign-in could not be recorded', { error });
    }
    return new GatewayError('auth.failed', { why });
  };
  const inForce = ports.inForce();
  if (inForce === undefined) throw new GatewayError('agent.stale', { reason: 'no bundle' });
  const { bundle, engine } = inForce;
  const resource = inForce.resourcesByName.get(request.resource);
  if (resource === undefined) throw refused('no such resource here');
  if (resource.kind !== client.protocol) throw refused('another protocol');
  const answer = verifyAccessToken(
    request.token.reveal(),
    {
      issuer: bundle.settings.issuer,
      projectId: bundle.projectId,
      key: (kid) => {
        const key = inForce.keys.get(`access_token/${kid}`);
        const about = bundle.keys.find((candidate) => candidate.kid === kid && candidate.use === 'access_token');
        return key === undefined || about === undefined ? undefined : { key, about };
      },
    },
    resource.id,
    nowMs,
  );
  if (answer.kind === 'bad') throw refused(answer.why);
  const { claims } = answer;
  const missing = unproven(claims.cnf, client, request.provenKey);
  if (missing !== undefined) throw refused(missing);
  const tokenIssuedAtMs = claims.iat * 1000;
  const info = sessionInfo(claims, request, resource, client.address, ports.agentId, nowMs);
  const principalIds = [claims.sub, ...(claims.obo === undefined ? [] : [claims.obo.sub])];
  if (
    ports.revocations().ends({ sessionId: undefined, tokenId: claims.jti, principalIds, issuedAtMs: tokenIssuedAtMs })
  )
    throw refused('revoked');
  if (engine.effectsFor(info, nowMs).length === 0) throw refused('no grant');
  if (resource.ssh !== undefined && !resource.ssh.logins.includes(info.role)) throw refused('no such login');
  const asked = request.role !== undefined && request.role !== resource.ssh?.logins[0] ? request.role : undefined;
  if (asked !== undefined && !engine.rolesFor(info, nowMs).includes(asked)) throw refused('role not granted');
  if (!ports.newSessionsAllowed(resource)) throw new GatewayError('agent.stale', { resource: resource.name });
  return { info, resource, role: asked, tokenIssuedAtMs, reason: request.reason || (claims.rsn ?? '') };
}

function sessionInfo(
  claims: AccessTokenClaims,
  request: SignInRequest,
  resource: Resource,
  clientAddress: string,
  agentId: string,
  nowMs: number,
): SessionInfo {
  const onBehalfOf: PrincipalRef | undefined =
    claims.obo === undefined ? undefined : { id: claims.obo.sub, name: claims.obo.nam, kind: claims.obo.knd };
  return {
    id: uuidText(uuid7Bytes(nowMs, randomBytes(10))),
    projectId: resource.projectId,
    agentId,
    resourceId: resource.id,
    resourceName: resource.name,
    protocol: resource.kind,
    principal: { id: claims.sub, name: claims.nam, kind: claims.knd },
    onBehalfOf,
    tokenId: claims.jti,
    grantIds: claims.gr.map(grantIdText),
    clientAddress,
    database: request.database,
    // An SSH session always has a login; the resource's first is meant when none is named.
    role: request.role ?? resource.ssh?.logins[0] ?? '',
    application: request.application.slice(0, 200),
    openedAt: nowMs,
    ...(claims.idp === undefined
      ? {}
      : {
          auth: {
            amr: claims.amr ?? [],
            acr: claims.acr ?? '',
            authTimeMs: claims.ath === undefined ? undefined : claims.ath * 1000,
            provider: claims.idp,
          },
        }),
  };
}
