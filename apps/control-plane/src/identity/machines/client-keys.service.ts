/** Public keys by which services and AI agents sign their client assertions: registered, listed, removed. No HTTP, no Prisma. */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { calculateJwkThumbprint } from 'jose';
import { z } from 'zod';
import { recordActOf } from '../../acts/acts.ts';
import { Database } from '../../db/database.ts';
import type { ClientKey } from '../../generated/prisma/client.ts';
import type { Caller } from '../../http/caller.ts';
import { InvalidRequest } from '../../http/invalid-request.ts';
import { permissionsOf } from '../../http/permissions.ts';
import { Instant, open } from '../../http/schema.ts';
import { SystemClock } from '../../time.ts';
import { Principals } from '../principals.service.ts';
import { isPrivate, usableKey } from './public-keys.ts';
import { TrustRepository } from './trust.repository.ts';

const KEYS_MAX = 10;
const YEARS_10_S = 3_660 * 86_400;

export const CreateClientKey = z
  .strictObject({
    jwk: open(z.looseObject({ kty: z.string().max(20) })).describe(
      'The public key as JWK: RSA from 2048 bits, P-256 to P-521, or Ed25519.',
    ),
    expiresInSeconds: open(z.number().int().min(60).max(YEARS_10_S).optional()),
  })
  .meta({ id: 'CreateClientKey' });
export const ClientKeyView = z
  .object({
    id: open(z.uuid()),
    kid: open(z.string()).describe('For the assertion’s header; the key’s own, else its thumbprint (RFC 7638).'),
    clientId: open(z.string()),
    expiresAt: open(Instant.nullable()),
    createdAt: open(Instant),
  })
  .meta({ id: 'ClientKey' });
export const ClientKeyList = z
  .object({ items: open(z.array(ClientKeyView)), nextCursor: open(z.null()) })
  .meta({ id: 'ClientKeyList' });

const show = (row: ClientKey, clientId: string): z.infer<typeof ClientKeyView> => ({
  id: row.id,
  kid: row.kid,
  clientId,
  expiresAt: row.expiresAt?.toISOString() ?? null,
  createdAt: row.createdAt.toISOString(),
});

@Injectable()
export class ClientKeys {
  constructor(
    private readonly database: Database,
    private readonly repository: TrustRepository,
    private readonly principals: Principals,
    private readonly clock: SystemClock,
  ) {}

  async create(
    caller: Caller,
    reference: string,
    input: z.infer<typeof CreateClientKey>,
  ): Promise<z.infer<typeof ClientKeyView>> {
    const principal = await this.principals.find(caller.projectId, reference);
    if (principal.kind === 'person') throw new GatewayError('request.conflict', { reason: 'persons sign in' });
    for (const permission of permissionsOf(principal.roles))
      if (!caller.permissions.has(permission)) throw new GatewayError('auth.forbidden', { gives: permission });
    const complain = (message: string): never => {
      throw new InvalidRequest([{ field: 'jwk', message }]);
    };
    if (isPrivate(input.jwk)) complain('this is a private key: give the public one, and replace this');
    const jwk =
      usableKey(input.jwk) ??
      complain('a public key that signs is expected: RSA from 2048 bits, P-256 to P-521, or Ed25519');
    if ((await this.repository.clientKeys(caller.projectId, principal.id)).length >= KEYS_MAX)
      throw new GatewayError('request.conflict', { reason: 'there are ten keys already' });
    const kid = jwk.kid ?? (await calculateJwkThumbprint(jwk).catch(() => complain('the key cannot be read')));
    return await this.database.transaction(async (tx) => {
      const row = await this.repository.insertClientKey(tx, {
        id: this.clock.id(),
        projectId: caller.projectId,
        principalId: principal.id,
        kid: kid.slice(0, 200),
        jwk: JSON.parse(JSON.stringify({ ...jwk, kid: kid.slice(0, 200) })) as Record<string, string>,
        expiresAt:
          input.expiresInSeconds === undefined ? null : new Date(this.clock.nowMs() + input.expiresInSeconds * 1000),
      });
      await recordActOf(tx, caller, 'client-key.created', `principal/${principal.name}`, { id: row.id, kid: row.kid });
      return show(row, principal.name);
    });
  }

  async list(caller: Caller, reference: string): Promise<z.infer<typeof ClientKeyList>> {
    const principal = await this.principals.find(caller.projectId, reference);
    const rows = await this.repository.clientKeys(caller.projectId, principal.id);
    return { items: rows.map((row) => show(row, principal.name)), nextCursor: null };
  }

  async remove(caller: Caller, reference: string, id: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const principal = await this.principals.find(caller.projectId, reference, tx);
      if ((await this.repository.deleteClientKey(tx, caller.projectId, principal.id, id)) === 0)
        throw new GatewayError('request.not_found');
      await recordActOf(tx, caller, 'client-key.deleted', `principal/${principal.name}`, { id });
    });
  }
}
