/** Tables of trust rules and client keys, and ids that are good once. The only Prisma in this folder. */
import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../../db/database.ts';
import { idOrName } from '../../db/reference.ts';
import type { ClientKey, IssuerKeySet, Principal, Prisma, TrustRule } from '../../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../../http/page.ts';

@Injectable()
export class TrustRepository {
  constructor(private readonly database: Database) {}

  // rules
  rules(projectId: string, page: PageRequest): Promise<TrustRule[]> {
    const { where, ...args } = pageArgs(page);
    return this.database.client.trustRule.findMany({ ...args, where: { AND: [{ projectId }, where] } });
  }
  rule(projectId: string, reference: string, tx: Tx = this.database.client): Promise<TrustRule | null> {
    return tx.trustRule.findFirst({ where: { projectId, ...idOrName(reference) } });
  }
  rulesOf(projectId: string, issuers: readonly string[]): Promise<TrustRule[]> {
    return this.database.client.trustRule.findMany({
      where: { projectId, issuer: { in: [...issuers] } },
      orderBy: { name: 'asc' },
    });
  }
  insertRule(tx: Tx, data: Prisma.TrustRuleUncheckedCreateInput): Promise<TrustRule> {
    return tx.trustRule.create({ data });
  }
  updateRule(tx: Tx, id: string, data: Prisma.TrustRuleUncheckedUpdateInput): Promise<TrustRule> {
    return tx.trustRule.update({ where: { id }, data });
  }
  async removeRule(tx: Tx, id: string): Promise<void> {
    await tx.trustRule.delete({ where: { id } });
    await tx.identity.deleteMany({ where: { provider: `trust:${id}` } });
  }
  /** Without touching what the keys' cache goes by. */
  async touchRule(id: string, at: Date): Promise<void> {
    await this.database.client
      .$executeRaw`update trust_rules set last_used_at = ${at}::timestamptz where id = ${id}::uuid
      and (last_used_at is null or last_used_at < ${at}::timestamptz - interval '1 minute')`;
  }
  /** Ends API sessions that a rule opened. @returns access tokens of theirs that still live or hold a session open */
  async endSessions(tx: Tx, projectId: string, tokenName: string, now: Date): Promise<string[]> {
    await tx.apiToken.updateMany({
      where: { projectId, kind: 'session', name: tokenName, revokedAt: null },
      data: { revokedAt: now },
    });
    const rows = await tx.$queryRaw<{ jti: string }[]>`
      select distinct split_part(i.jti, '~', 1) as jti from issued_access i join api_tokens t on t.id = i.api_token_id
      where t.project_id = ${projectId}::uuid and t.kind = 'session' and t.name = ${tokenName} and (i.expires_at > ${now}
        or exists (select 1 from sessions s where s.project_id = i.project_id and s.token_id = split_part(i.jti, '~', 1) and s.closed_at is null))`;
    return rows.map((row) => row.jti);
  }
  /** How many subjects of a rule are this principal. */
  subjects(principalId: string, provider: string, tx: Tx): Promise<number> {
    return tx.identity.count({ where: { principalId, provider } });
  }

  // keys as agents get them
  /** Rules of projects in which a resource lets such tokens in. */
  async rulesForAgents(): Promise<(TrustRule & { keySet: IssuerKeySet | null })[]> {
    const rows = await this.database.client.$queryRaw<{ id: string }[]>`
      select project_id::text as id from resources where spec ? 'issuerTokens' group by project_id`;
    if (rows.length === 0) return [];
    return await this.database.client.trustRule.findMany({
      where: { projectId: { in: rows.map(({ id }) => id) } },
      include: { keySet: true },
      orderBy: { id: 'asc' },
    });
  }
  /** Takes it upon this replica to ask. Keys of another place than `source` are dropped at once. @returns false when another one did */
  async takeKeySet({ id, projectId }: TrustRule, source: string, now: Date, again: Date): Promise<boolean> {
    const taken = await this.database.client.$executeRaw`
      insert into issuer_key_sets as k (rule_id, project_id, source, asked_at)
      select r.id, r.project_id, ${source}, ${now}::timestamptz from trust_rules r where r.id = ${id}::uuid and r.project_id = ${projectId}::uuid
      on conflict (rule_id) do update set asked_at = excluded.asked_at, source = excluded.source,
        keys = case when k.source = excluded.source then k.keys else '[]' end,
        fetched_at = case when k.source = excluded.source then k.fetched_at end
      where k.asked_at < ${again}::timestamptz or k.source <> excluded.source`;
    return taken === 1;
  }
  /** @returns true when they are others than before */
  async keepKeys(tx: Tx, ruleId: string, source: string, keys: readonly object[], now: Date): Promise<boolean> {
    const text = JSON.stringify(keys);
    const [row] = await tx.$queryRaw<{ changed: boolean }[]>`
      with before as (select rule_id, keys from issuer_key_sets where rule_id = ${ruleId}::uuid and source = ${source} for update)
      update issuer_key_sets k set keys = ${text}::jsonb, fetched_at = ${now}::timestamptz from before
      where k.rule_id = before.rule_id returning before.keys <> ${text}::jsonb as changed`;
    return row?.changed ?? false;
  }
  /** Forgets keys that were last fetched before. @returns true when there were some */
  async forgetKeys(tx: Tx, ruleId: string, before: Date): Promise<boolean> {
    const gone = await tx.$executeRaw`update issuer_key_sets set keys = '[]', fetched_at = null
      where rule_id = ${ruleId}::uuid and fetched_at < ${before}::timestamptz`;
    return gone === 1;
  }

  // client keys
  clientKeys(projectId: string, principalId: string): Promise<ClientKey[]> {
    return this.database.client.clientKey.findMany({
      where: { projectId, principalId },
      orderBy: { createdAt: 'asc' },
    });
  }
  clientOf(projectId: string, reference: string): Promise<(Principal & { clientKeys: ClientKey[] }) | null> {
    return this.database.client.principal.findFirst({
      where: { projectId, ...idOrName(reference) },
      include: { clientKeys: true },
    });
  }
  insertClientKey(tx: Tx, data: Prisma.ClientKeyUncheckedCreateInput): Promise<ClientKey> {
    return tx.clientKey.create({ data });
  }
  async deleteClientKey(tx: Tx, projectId: string, principalId: string, id: string): Promise<number> {
    return (await tx.clientKey.deleteMany({ where: { projectId, principalId, id } })).count;
  }

  /** Takes an assertion's id, once among all replicas. @param who whose id it is; ids of two are two */
  async useOnce(projectId: string, who: string, jti: string, expiresAt: Date): Promise<boolean> {
    const hash = createHash('sha256')
      .update(JSON.stringify([who, jti]))
      .digest();
    const taken = await this.database.client.$executeRaw`
      insert into used_ids (project_id, purpose, hash, expires_at) values (${projectId}::uuid, 'assertion', ${hash}, ${expiresAt}::timestamptz)
      on conflict do nothing`;
    return taken === 1;
  }
}
