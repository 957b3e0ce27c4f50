/** Tables of local accounts, passkeys, links, ceremonies and delays. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../../db/database.ts';
import type {
  BootstrapLink,
  LocalAccount,
  LoginCeremony,
  Passkey,
  Principal,
  Prisma,
} from '../../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../../http/page.ts';

export type AccountRow = LocalAccount & { readonly principal: Principal; readonly passkeys: readonly Passkey[] };
export type LinkRow = BootstrapLink & { readonly principal: Principal };
export type PasskeyRow = Passkey & { readonly account: LocalAccount & { readonly principal: Principal } };
const include = { principal: true, passkeys: { orderBy: { createdAt: 'asc' } } } as const;

@Injectable()
export class AccountsRepository {
  constructor(private readonly database: Database) {}
  private get db(): Tx {
    return this.database.client;
  }

  accounts(projectId: string, page: PageRequest): Promise<AccountRow[]> {
    const { where, ...args } = pageArgs(page);
    return this.db.localAccount.findMany({ ...args, where: { AND: [{ projectId }, where] }, include });
  }
  /** Whether anybody signs in so. */
  async some(projectId: string): Promise<boolean> {
    return (await this.db.localAccount.findFirst({ where: { projectId }, select: { id: true } })) !== null;
  }
  byName(projectId: string, name: string): Promise<AccountRow | null> {
    return this.db.localAccount.findFirst({ where: { projectId, principal: { name } }, include });
  }
  byPrincipal(principalId: string, tx: Tx = this.db): Promise<AccountRow | null> {
    return tx.localAccount.findUnique({ where: { principalId }, include });
  }
  insert(tx: Tx, data: Prisma.LocalAccountUncheckedCreateInput): Promise<LocalAccount> {
    return tx.localAccount.create({ data });
  }
  async update(tx: Tx, id: string, data: Prisma.LocalAccountUncheckedUpdateInput): Promise<void> {
    await tx.localAccount.update({ where: { id }, data });
  }
  async remove(tx: Tx, id: string): Promise<void> {
    await tx.localAccount.delete({ where: { id } });
  }
  /** @returns false when that step, or a later one, was taken before, or the account has got another password since it was read */
  async takeStep(tx: Tx, { id, passwordHash }: LocalAccount, step: number): Promise<boolean> {
    const where = { id, passwordHash, OR: [{ totpStep: null }, { totpStep: { lt: step } }] };
    return (await tx.localAccount.updateMany({ where, data: { totpStep: step } })).count === 1;
  }
  /** @returns false when it is none that is left */
  async takeRecoveryCode(tx: Tx, id: string, hash: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const taken =
      await tx.$executeRaw`update local_accounts set recovery_codes = array_remove(recovery_codes, ${hash}::bytea)
      where id = ${id}::uuid and ${hash}::bytea = any(recovery_codes)`;
    return taken === 1;
  }

  // passkeys
  passkey(credentialId: Uint8Array<ArrayBuffer>): Promise<PasskeyRow | null> {
    return this.db.passkey.findUnique({
      where: { credentialId },
      include: { account: { include: { principal: true } } },
    });
  }
  async insertPasskey(tx: Tx, data: Prisma.PasskeyUncheckedCreateInput): Promise<void> {
    await tx.passkey.create({ data });
  }
  async usePasskey(tx: Tx, id: string, counter: bigint, at: Date): Promise<void> {
    await tx.passkey.update({ where: { id }, data: { counter, lastUsedAt: at } });
  }
  async removePasskeys(tx: Tx, where: Prisma.PasskeyWhereInput): Promise<number> {
    return (await tx.passkey.deleteMany({ where })).count;
  }

  // links
  async insertLink(tx: Tx, data: Prisma.BootstrapLinkUncheckedCreateInput): Promise<void> {
    await tx.bootstrapLink.create({ data });
  }
  link(hash: Uint8Array<ArrayBuffer>): Promise<LinkRow | null> {
    return this.db.bootstrapLink.findUnique({ where: { hash }, include: { principal: true } });
  }
  /** @returns false when it was used, or ran out, before */
  async takeLink(tx: Tx, id: string, now: Date): Promise<boolean> {
    const where = { id, usedAt: null, expiresAt: { gt: now } };
    return (await tx.bootstrapLink.updateMany({ where, data: { usedAt: now } })).count === 1;
  }
  /** Links of a principal that are not used yet stop working. */
  async dropLinks(tx: Tx, principalId: string): Promise<void> {
    await tx.bootstrapLink.deleteMany({ where: { principalId, usedAt: null } });
  }

  // ceremonies
  async putCeremony(data: Prisma.LoginCeremonyUncheckedCreateInput): Promise<void> {
    const { hash, ...rest } = data;
    await this.db.loginCeremony.upsert({ where: { hash }, create: data, update: rest });
  }
  /** Takes it away: a challenge is answered once, whatever comes of it. */
  async takeCeremony(hash: Uint8Array<ArrayBuffer>): Promise<LoginCeremony | null> {
    const found = await this.db.loginCeremony.findUnique({ where: { hash } });
    if (found === null) return null;
    return (await this.db.loginCeremony.deleteMany({ where: { hash } })).count === 1 ? found : null;
  }
  ceremony(hash: Uint8Array<ArrayBuffer>): Promise<LoginCeremony | null> {
    return this.db.loginCeremony.findUnique({ where: { hash } });
  }
}
