/**
 * The keys that agents believe: of each rule whose tokens an agent may take, fetched again while the control plane lives and
 * kept in a row, so that every replica makes the same bundle. Keys that change make a revision; an issuer that has been
 * away for a day is believed by no agent any more. Refuses to judge tokens: the exchange has keys of its own.
 */
import { createHash, createPublicKey, type JsonWebKey } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { JWK } from 'jose';
import { BundleChanges } from '../../bundles/bundle-changes.ts';
import { Database } from '../../db/database.ts';
import type { IssuerKeySet, TrustRule } from '../../generated/prisma/client.ts';
import { Log } from '../../http/problem.filter.ts';
import { Regularly } from '../../regularly.ts';
import { SystemClock } from '../../time.ts';
import { IssuerKeys, type OwnedRule } from './issuer-keys.ts';
import { documentOf } from './machine-sign-in.ts';
import { TrustRepository } from './trust.repository.ts';
import type { TrustRuleDocument } from './trust-rule-document.ts';

const LOOK_EVERY_MS = 5_000;
/** Keys are asked for again after this long; the agents learn of a rotation within it. */
const FRESH_MS = 5 * 60_000;
/** And after a failure, or for a new rule, this much later at the earliest. */
const AGAIN_MS = 30_000;
const STALE_MS = 24 * 3_600_000;

/** Where a rule's keys come from, as one text: keys of another place are not its. */
export const sourceOf = (rule: Pick<TrustRuleDocument, 'issuer' | 'keys'>): string =>
  createHash('sha256')
    .update(JSON.stringify([rule.issuer, rule.keys]))
    .digest('hex');

/** True where agents take tokens of the rule: not of one that is off, or whose tokens are good once among all of us. */
export const isForAgents = (rule: TrustRuleDocument): boolean => rule.enabled && !rule.oneTime;

/** Keys that any agent can read, in an order of their own: equal sets give equal bytes. */
export function keysForAgents(keys: readonly JWK[]): readonly JWK[] {
  const readable = keys.filter((jwk) => {
    try {
      createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
      return true;
    } catch {
      // Its shape is a key's, its numbers are none; the others still count.
      return false;
    }
  });
  return readable
    .map((jwk) => [JSON.stringify(jwk), jwk] as const)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, jwk]) => jwk);
}

@Injectable()
export class PublishedKeys implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #regularly = new Regularly(
    () => this.run(),
    (cause: unknown) => this.log.warn('the keys of issuers could not be looked after', { cause }),
  );
  constructor(
    private readonly database: Database,
    private readonly repository: TrustRepository,
    private readonly issuerKeys: IssuerKeys,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#regularly.start(LOOK_EVERY_MS);
  }

  async onModuleDestroy(): Promise<void> {
    await this.#regularly.stop();
  }

  /** Asks every issuer that is due. One replica asks each. */
  async run(): Promise<void> {
    // Rules of one issuer have the same keys: it is asked once for all of a project's that are due.
    const asked = new Map<string, Promise<readonly JWK[] | undefined>>();
    for (const row of await this.repository.rulesForAgents()) {
      const rule = documentOf(row);
      if (!isForAgents(rule) || rule.keys.from === 'upload' || !this.#isDue(rule, row.keySet)) continue;
      const again = new Date(this.clock.nowMs() - AGAIN_MS);
      const isOurs = await this.repository.takeKeySet(row, sourceOf(rule), this.clock.now(), again);
      if (!isOurs) continue;
      const source = `${row.projectId} ${sourceOf(rule)}`;
      const keys = asked.get(source) ?? this.#fetch({ projectId: row.projectId, rule });
      asked.set(source, keys);
      await this.#keep(row, rule, await keys);
    }
  }

  #isDue(rule: TrustRuleDocument, kept: IssuerKeySet | null): boolean {
    if (kept === null || kept.source !== sourceOf(rule)) return true;
    return kept.fetchedAt === null || this.clock.nowMs() - kept.fetchedAt.getTime() > FRESH_MS;
  }

  /** @returns undefined when the issuer gave none */
  async #fetch(owned: OwnedRule): Promise<readonly JWK[] | undefined> {
    try {
      return keysForAgents(await this.issuerKeys.fetch(owned));
    } catch (cause) {
      this.log.warn('the keys of an issuer could not be fetched for agents', { rule: owned.rule.name, cause });
      return undefined;
    }
  }

  async #keep(row: TrustRule, rule: TrustRuleDocument, keys: readonly JWK[] | undefined): Promise<void> {
    const now = this.clock.now();
    await this.database.transaction(async (tx) => {
      const changed =
        keys === undefined
          ? await this.repository.forgetKeys(tx, row.id, new Date(now.getTime() - STALE_MS))
          : await this.repository.keepKeys(tx, row.id, sourceOf(rule), keys, now);
      if (changed) await this.bundles.bump(tx, row.projectId);
    });
  }
}
