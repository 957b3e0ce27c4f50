/**
 * Trust rules as agents get them (ADR 0028): with the keys that were last fetched and the principals they make. Read in the
 * snapshot of a bundle. Rules that are off, whose tokens are good once, without keys, or that make nobody are left out.
 */
import { LIMITS } from '@sallyport/core';
import { type IssuerKey, placeholdersOf, type TrustedIssuer } from '@sallyport/model';
import type { JWK } from 'jose';
import type { Tx } from '../db/database.ts';
import { documentOf } from '../identity/machines/machine-sign-in.ts';
import { usableKeys } from '../identity/machines/public-keys.ts';
import { isForAgents, keysForAgents, sourceOf } from '../identity/machines/published-keys.ts';
import type { TrustRuleDocument } from '../identity/machines/trust-rule-document.ts';

export async function readTrustedIssuers(tx: Tx, projectId: string): Promise<readonly TrustedIssuer[]> {
  // Nothing is read where no resource lets such tokens in.
  const [asked] = await tx.$queryRaw<{ some: boolean }[]>`
    select exists (select 1 from resources where project_id = ${projectId}::uuid and spec ? 'issuerTokens') as some`;
  if (asked?.some !== true) return [];
  const rows = await tx.trustRule.findMany({ where: { projectId }, include: { keySet: true }, orderBy: { id: 'asc' } });
  const issuers: TrustedIssuer[] = [];
  for (const row of rows) {
    const rule = documentOf(row);
    if (!isForAgents(rule)) continue;
    const kept = row.keySet?.source === sourceOf(rule) ? (row.keySet.keys as unknown as readonly JWK[]) : [];
    const keys = rule.keys.from === 'upload' ? keysForAgents(usableKeys(rule.keys.keys)) : kept;
    const principals = await principalsOf(tx, projectId, row.id, rule);
    if (keys.length === 0 || principals.length === 0) continue;
    issuers.push({
      id: row.id,
      projectId,
      name: row.name,
      kind: rule.kind === 'spiffe' ? 'svid' : 'jwt',
      issuer: rule.issuer,
      audiences: rule.audiences,
      maxAgeS: rule.maxAgeSeconds,
      claims: Object.fromEntries(Object.entries(rule.claims).map(([path, wanted]) => [path, [wanted].flat()])),
      principal: rule.principal,
      principals,
      keys: keys as readonly IssuerKey[],
    });
  }
  return issuers;
}

async function principalsOf(
  tx: Tx,
  projectId: string,
  ruleId: string,
  rule: TrustRuleDocument,
): Promise<TrustedIssuer['principals']> {
  const who = { projectId, disabledAt: null, kind: { in: ['service', 'ai_agent'] } };
  if (placeholdersOf(rule.principal).length === 0) {
    const fixed = await tx.principal.findFirst({ where: { ...who, name: rule.principal } });
    return fixed === null ? [] : [{ subject: '', id: fixed.id, name: fixed.name, kind: machineKind(fixed.kind) }];
  }
  const rows = await tx.identity.findMany({
    where: { projectId, provider: `trust:${ruleId}`, principal: who },
    include: { principal: true },
    // Ids grow with time: the latest made.
    orderBy: { id: 'desc' },
    take: LIMITS.issuerPrincipalsMax,
  });
  return rows
    .map(({ subject, principal }) => ({
      subject,
      id: principal.id,
      name: principal.name,
      kind: machineKind(principal.kind),
    }))
    .sort((a, b) => (a.subject < b.subject ? -1 : a.subject > b.subject ? 1 : 0));
}

const machineKind = (kind: string): 'service' | 'ai_agent' => (kind === 'ai_agent' ? 'ai_agent' : 'service');
