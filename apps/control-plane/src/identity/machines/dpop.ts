/**
 * Proof of possession of a key (DPoP, RFC 9449): a header that a client signs anew for each request. Here it is checked,
 * and told whose key it was. Each proof is good once, at every replica. Refuses to know tokens.
 */
import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { ISSUED_ALGORITHMS } from '@sallyport/model';
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose';
import { Project } from '../../db/project.ts';
import { type DpopRequest, KeyProofs } from '../../http/caller.ts';
import { Listening } from '../../listening.ts';
import { SystemClock } from '../../time.ts';
import { isPrivate, usableKey } from './public-keys.ts';
import { TrustRepository } from './trust.repository.ts';

const PROOF_BYTES_MAX = 4_096;
/** A proof is for now: this much before and after, s. */
const WINDOW_S = 60;

/** RFC 9449 section 4.3: without query and fragment. */
const withoutQuery = (path: string): string => path.replace(/[?#].*$/s, '');

@Injectable()
export class Dpop extends KeyProofs {
  constructor(
    private readonly repository: TrustRepository,
    private readonly project: Project,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
  ) {
    super();
  }

  /** @throws GatewayError `auth.required` whatever is wrong */
  override async prove(request: DpopRequest, token: string | undefined): Promise<string> {
    try {
      return await this.#verify(request, token);
    } catch (cause) {
      throw new GatewayError('auth.required', { reason: 'proof of possession' }, { cause });
    }
  }

  async #verify({ proof, method, path }: DpopRequest, token: string | undefined): Promise<string> {
    if (proof.length > PROOF_BYTES_MAX) throw new Error('too long');
    // Here alone a key comes with what it signs: the proof says nothing but that its sender holds it.
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: [...ISSUED_ALGORITHMS],
    });
    const jwk = protectedHeader.jwk ?? {};
    if (isPrivate(jwk)) throw new Error('the proof holds a private key');
    const key = usableKey(jwk as Readonly<Record<string, unknown>>);
    if (key === undefined) throw new Error('not a key that signs');
    const url = `${this.listening.publicUrl()}${withoutQuery(path)}`;
    if (payload['htm'] !== method || payload['htu'] !== url) throw new Error('for another request');
    const now = this.clock.nowMs() / 1000;
    if (typeof payload.iat !== 'number' || Math.abs(now - payload.iat) > WINDOW_S) throw new Error('not of now');
    const wanted = token === undefined ? undefined : createHash('sha256').update(token).digest('base64url');
    if (token !== undefined && payload['ath'] !== wanted) throw new Error('for another token');
    const { jti } = payload;
    if (typeof jti !== 'string' || jti === '' || jti.length > 200) throw new Error('no id');
    const thumbprint = await calculateJwkThumbprint(key);
    const until = new Date((payload.iat + 2 * WINDOW_S) * 1000);
    if (!(await this.repository.useOnce(this.project.id, `dpop/${thumbprint}`, jti, until)))
      throw new Error('used twice');
    return thumbprint;
  }
}
