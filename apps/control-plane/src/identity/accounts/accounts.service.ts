/** Local accounts as administrators see them: who has which ways in, links to new ones, what is taken away. No HTTP, no Prisma. */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { z } from 'zod';
import { recordActOf } from '../../acts/acts.ts';
import { Database, type Tx } from '../../db/database.ts';
import type { Caller } from '../../http/caller.ts';
import { type Page, pageOf, pageQuery, toPage } from '../../http/page.ts';
import { permissionsOf } from '../../http/permissions.ts';
import { Instant, open, secret } from '../../http/schema.ts';
import { SystemClock } from '../../time.ts';
import { IdentityRepository } from '../identity.repository.ts';
import { Principals } from '../principals.service.ts';
import { Revocations } from '../revocations.ts';
import { AccountLinks } from './account-links.ts';
import { type AccountRow, AccountsRepository } from './accounts.repository.ts';

/** For a way in of one's own the sign-in must be this fresh. */
const FRESH_MS = 10 * 60_000;

export const AccountView = z
  .object({
    id: open(z.uuid()),
    principal: open(z.string()),
    hasPassword: open(z.boolean()).describe('With a one-time code, always.'),
    recoveryCodesLeft: open(z.number()),
    passkeys: open(
      z.array(z.object({ id: z.uuid(), name: z.string(), lastUsedAt: Instant.nullable(), createdAt: Instant })),
    ),
    breakGlass: open(z.boolean()).describe('For emergencies: every sign-in is an alarm.'),
    lastLoginAt: open(Instant.nullable()),
    createdAt: open(Instant),
  })
  .meta({ id: 'Account' });
export type AccountView = z.infer<typeof AccountView>;
export const AccountPage = pageOf(AccountView).meta({ id: 'AccountPage' });
export const AccountQuery = pageQuery(['createdAt'], 'createdAt');
export const UpdateAccount = z.strictObject({ breakGlass: open(z.boolean()) }).meta({ id: 'UpdateAccount' });
export const CreateAccountLink = z
  .strictObject({
    replaces: open(z.boolean().default(false)).describe('The ways in that are there stop working, and sessions end.'),
    breakGlass: open(z.boolean().default(false)).describe('The account it makes is for emergencies.'),
    expiresInSeconds: open(
      z
        .number()
        .int()
        .min(60)
        .max(7 * 86_400)
        .default(3_600),
    ),
  })
  .meta({ id: 'CreateAccountLink' });
export const AccountLinkView = z
  .object({ link: secret(z.string()).describe('Shown once, good once.'), expiresAt: open(Instant) })
  .meta({ id: 'AccountLink' });

const show = (row: AccountRow): AccountView => ({
  id: row.id,
  principal: row.principal.name,
  hasPassword: row.passwordHash !== null,
  recoveryCodesLeft: row.recoveryCodes.length,
  passkeys: row.passkeys.map((passkey) => ({
    id: passkey.id,
    name: passkey.name,
    lastUsedAt: passkey.lastUsedAt?.toISOString() ?? null,
    createdAt: passkey.createdAt.toISOString(),
  })),
  breakGlass: row.breakGlass,
  lastLoginAt: row.lastLoginAt?.toISOString() ?? null,
  createdAt: row.createdAt.toISOString(),
});

@Injectable()
export class Accounts {
  constructor(
    private readonly database: Database,
    private readonly repository: AccountsRepository,
    private readonly identity: IdentityRepository,
    private readonly principals: Principals,
    private readonly links: AccountLinks,
    private readonly revocations: Revocations,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, query: z.infer<typeof AccountQuery>): Promise<Page<AccountView>> {
    return toPage(await this.repository.accounts(caller.projectId, query), query, show);
  }

  async get(caller: Caller, reference: string): Promise<AccountView> {
    this.#requireOwn(caller, await this.#id(caller, reference), 'account:read');
    return show(await this.#find(caller, reference));
  }

  /** Whoever opens the link becomes the person, so its maker needs all that the person has. */
  async createLink(
    caller: Caller,
    reference: string,
    input: z.infer<typeof CreateAccountLink>,
  ): Promise<z.infer<typeof AccountLinkView>> {
    const principal = await this.principals.find(caller.projectId, reference);
    this.#requireOwn(caller, principal.id, 'account:create');
    if (!caller.permissions.has('account:create')) {
      const provenMs = caller.signIn?.authTimeMs ?? 0;
      if (this.clock.nowMs() - provenMs > FRESH_MS)
        throw new GatewayError('auth.step_up', { reason: 'a fresh sign-in' });
    }
    if (principal.kind !== 'person') throw new GatewayError('request.conflict', { reason: 'accounts are for persons' });
    for (const permission of permissionsOf(principal.roles))
      if (!caller.permissions.has(permission)) throw new GatewayError('auth.forbidden', { gives: permission });
    const { replaces, breakGlass, expiresInSeconds: seconds } = input;
    const made = await this.database.transaction((tx) =>
      this.links.create(tx, caller, principal, { replaces, breakGlass, seconds }),
    );
    return { link: made.url, expiresAt: made.expiresAt.toISOString() };
  }

  async update(caller: Caller, reference: string, input: z.infer<typeof UpdateAccount>): Promise<AccountView> {
    await this.database.transaction(async (tx) => {
      const found = await this.#find(caller, reference, tx);
      await this.repository.update(tx, found.id, { breakGlass: input.breakGlass });
      await recordActOf(tx, caller, 'account.updated', `principal/${found.principal.name}`, {
        breakGlass: input.breakGlass,
      });
    });
    return show(await this.#find(caller, reference));
  }

  /** The person stays, without a way in of ours; what was opened by it ends. */
  async remove(caller: Caller, reference: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const found = await this.#find(caller, reference, tx);
      await this.repository.dropLinks(tx, found.principalId);
      await this.repository.remove(tx, found.id);
      await this.#endSessions(tx, caller.projectId, found.principalId);
      await recordActOf(tx, caller, 'account.deleted', `principal/${found.principal.name}`);
    });
  }

  async removePasskey(caller: Caller, reference: string, id: string): Promise<void> {
    this.#requireOwn(caller, await this.#id(caller, reference), 'account:update');
    await this.database.transaction(async (tx) => {
      const found = await this.#find(caller, reference, tx);
      if ((await this.repository.removePasskeys(tx, { accountId: found.id, id })) === 0)
        throw new GatewayError('request.not_found');
      await this.#endSessions(tx, caller.projectId, found.principalId);
      await recordActOf(tx, caller, 'account.passkey_removed', `principal/${found.principal.name}`, { id });
    });
  }

  async #endSessions(tx: Tx, projectId: string, principalId: string): Promise<void> {
    await this.identity.revokeTokens(tx, { principalId, kind: 'session' }, this.clock.now());
    await this.revocations.revoke(tx, projectId, 'principal', principalId);
  }

  async #find(caller: Caller, reference: string, tx?: Tx): Promise<AccountRow> {
    const principal = await this.principals.find(caller.projectId, reference, tx);
    const row = await this.repository.byPrincipal(principal.id, tx);
    if (row === null) throw new GatewayError('request.not_found', { account: reference });
    return row;
  }

  async #id(caller: Caller, reference: string): Promise<string> {
    return (await this.principals.find(caller.projectId, reference)).id;
  }

  #requireOwn(caller: Caller, principalId: string, needs: 'account:read' | 'account:create' | 'account:update'): void {
    // What is not one's own reads as if it were not there.
    if (caller.principal.id !== principalId && !caller.permissions.has(needs))
      throw new GatewayError('request.not_found');
  }
}
