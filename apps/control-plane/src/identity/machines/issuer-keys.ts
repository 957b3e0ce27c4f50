/**
 * The public keys of each trust rule's issuer: uploaded ones as they are; fetched ones kept for minutes, asked anew when a
 * key is not among them (but not more often than every half minute, whoever asks), and kept on while the issuer is away.
 * One fetch at a time for each rule. Refuses to believe what a token says about keys, and to ask for a project other than
 * `default` where its admins, who are none of the installation, may not lead.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { createLocalJWKSet, errors, type JWK, type JWTVerifyGetKey } from 'jose';
import { Config } from '../../config.ts';
import { Project } from '../../db/project.ts';
import { Log } from '../../http/problem.filter.ts';
import { SystemClock } from '../../time.ts';
import { fetchJson, type Reach } from './guarded-fetch.ts';
import { usableKeys } from './public-keys.ts';
import type { TrustRuleDocument } from './trust-rule-document.ts';

const FRESH_MS = 10 * 60_000;
const ASK_EVERY_MS = 30_000;
/** An issuer that is away for a day says nothing about its keys any more. */
const STALE_MS = 24 * 3_600_000;
const RULES_MAX = 2_000;

/** A rule and whose it is. */
export interface OwnedRule {
  readonly projectId: string;
  readonly rule: TrustRuleDocument;
}

interface Kept {
  keys: readonly JWK[];
  fetchedMs: number;
  askedMs: number;
  asking: Promise<void> | undefined;
}

@Injectable()
export class IssuerKeys {
  /** By rule id and its last change. */
  readonly #kept = new Map<string, Kept>();
  constructor(
    private readonly config: Config,
    private readonly project: Project,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  /** Where the issuers of a project's rules may stand. */
  reachOf(projectId: string): Reach {
    if (projectId === this.project.id) return { loopback: this.config.issuerLoopback };
    return { loopback: false, networks: this.config.projectNetworks };
  }

  /** @param version changes with the rule: another address, other keys */
  resolver(version: string, owned: OwnedRule): JWTVerifyGetKey {
    const { rule } = owned;
    return async (header, token) => {
      if (rule.keys.from === 'upload')
        return await createLocalJWKSet({ keys: usableKeys(rule.keys.keys) })(header, token);
      const kept = this.#entry(version);
      if (this.#age(kept.fetchedMs) > FRESH_MS) await this.#ask(kept, owned);
      try {
        return await createLocalJWKSet({ keys: [...this.#current(kept)] })(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      }
      // A key that has just been rotated in, or one that somebody made up.
      await this.#ask(kept, owned);
      return await createLocalJWKSet({ keys: [...this.#current(kept)] })(header, token);
    };
  }

  #current(kept: Kept): readonly JWK[] {
    if (this.#age(kept.fetchedMs) > STALE_MS)
      throw new GatewayError('issuer.unavailable', { reason: 'its keys are not known' });
    return kept.keys;
  }

  #age(sinceMs: number): number {
    return this.clock.monotonicMs() - sinceMs;
  }

  #entry(version: string): Kept {
    const known = this.#kept.get(version);
    if (known !== undefined) return known;
    if (this.#kept.size >= RULES_MAX) this.#kept.delete(this.#kept.keys().next().value!);
    const never = Number.NEGATIVE_INFINITY;
    const made: Kept = { keys: [], fetchedMs: never, askedMs: never, asking: undefined };
    this.#kept.set(version, made);
    return made;
  }

  async #ask(kept: Kept, owned: OwnedRule): Promise<void> {
    if (kept.asking === undefined && this.#age(kept.askedMs) < ASK_EVERY_MS) return;
    kept.askedMs = kept.asking === undefined ? this.clock.monotonicMs() : kept.askedMs;
    kept.asking ??= this.fetch(owned)
      .then(
        (keys) => {
          kept.keys = keys;
          kept.fetchedMs = this.clock.monotonicMs();
        },
        (cause: unknown) =>
          this.log.warn('the keys of an issuer could not be fetched', { rule: owned.rule.name, cause }),
      )
      .finally(() => {
        kept.asking = undefined;
      });
    await kept.asking;
  }

  /** Asks the issuer, whatever is kept. @throws when it is away or says nothing that can be used */
  async fetch({ projectId, rule }: OwnedRule): Promise<readonly JWK[]> {
    if (rule.keys.from === 'upload') return usableKeys(rule.keys.keys);
    const options = { ca: rule.keys.ca, ...this.reachOf(projectId) };
    if (rule.keys.from === 'url') return usableKeys(await fetchJson(rule.keys.url, options));
    const base = rule.issuer.replace(/\/+$/, '');
    const document = (await fetchJson(`${base}/.well-known/openid-configuration`, options)) as Readonly<
      Record<string, unknown>
    > | null;
    // OpenID Connect Discovery 1.0 section 4.3: a document about somebody else proves nothing.
    if (document?.['issuer'] !== rule.issuer)
      throw new GatewayError('issuer.unavailable', { reason: 'the discovery document names another issuer' });
    const address = document['jwks_uri'];
    if (typeof address !== 'string')
      throw new GatewayError('issuer.unavailable', { reason: 'the discovery document names no keys' });
    return usableKeys(await fetchJson(address, options));
  }
}
