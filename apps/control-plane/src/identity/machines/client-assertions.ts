/**
 * `private_key_jwt` (RFC 7523 section 3): a client proves itself by a short JWT that it signed with its registered key.
 * Each assertion is good once, at every replica. Every failure reads alike.
 */
import { Injectable } from '@nestjs/common';
import { ISSUED_ALGORITHMS, ISSUED_SKEW_S } from '@sallyport/model';
import { createLocalJWKSet, decodeJwt, type JWK, jwtVerify } from 'jose';
import type { Principal } from '../../generated/prisma/client.ts';
import { OAuthError } from '../../http/invalid-request.ts';
import { Log } from '../../http/problem.filter.ts';
import { Listening } from '../../listening.ts';
import { SystemClock } from '../../time.ts';
import { TrustRepository } from './trust.repository.ts';

export const CLIENT_ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const ASSERTION_BYTES_MAX = 4_096;
const LIFE_S_MAX = 300;
const TYPES: ReadonlySet<string> = new Set(['jwt', 'client-authentication+jwt']);

@Injectable()
export class ClientAssertions {
  constructor(
    private readonly repository: TrustRepository,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  /**
   * @param clientId as given beside it; undefined = the assertion's own
   * @throws OAuthError `invalid_client` whatever is wrong
   */
  async authenticate(
    projectId: string,
    assertion: string,
    clientId: string | undefined,
    requestId: string,
  ): Promise<Principal> {
    try {
      return await this.#verify(projectId, assertion, clientId);
    } catch (cause) {
      this.log.warn('a client assertion was refused', { requestId, cause });
      throw new OAuthError('invalid_client', 'auth.failed');
    }
  }

  async #verify(projectId: string, assertion: string, clientId: string | undefined): Promise<Principal> {
    if (assertion.length > ASSERTION_BYTES_MAX) throw new Error('too long');
    const { iss, sub } = decodeJwt(assertion);
    if (typeof iss !== 'string' || iss !== sub || iss.length > 100)
      throw new Error('issuer and subject have to be the client');
    if (clientId !== undefined && clientId !== iss) throw new Error('for another client');
    const client = await this.repository.clientOf(projectId, iss);
    if (client === null || client.kind === 'person' || client.disabledAt !== null) throw new Error('no such client');
    const now = this.clock.now();
    const keys = client.clientKeys
      .filter((key) => key.expiresAt === null || key.expiresAt > now)
      .map((key) => key.jwk as unknown as JWK);
    const base = this.listening.publicUrl();
    const { payload, protectedHeader } = await jwtVerify(assertion, createLocalJWKSet({ keys }), {
      algorithms: [...ISSUED_ALGORITHMS],
      issuer: iss,
      subject: iss,
      // RFC 7523 section 3: the token endpoint, or this server by its URL.
      audience: [`${base}/v1/oauth/token`, base],
      clockTolerance: ISSUED_SKEW_S,
      currentDate: now,
      requiredClaims: ['exp', 'jti'],
    });
    if (protectedHeader.typ !== undefined && !TYPES.has(protectedHeader.typ.toLowerCase()))
      throw new Error('not an assertion');
    const { jti, exp, iat } = payload;
    if (typeof jti !== 'string' || jti === '' || jti.length > 200) throw new Error('no id');
    if (exp! > now.getTime() / 1000 + LIFE_S_MAX + ISSUED_SKEW_S) throw new Error('it lives too long');
    if (iat !== undefined && iat > now.getTime() / 1000 + ISSUED_SKEW_S) throw new Error('issued in the future');
    const until = new Date((exp! + ISSUED_SKEW_S + 1) * 1000);
    if (!(await this.repository.useOnce(projectId, `client/${client.id}`, jti, until))) throw new Error('used twice');
    return client;
  }
}
