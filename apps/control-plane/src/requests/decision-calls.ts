/**
 * Asks the webhook of a policy whether a request may be granted without persons (on call, ticket open). Our question is
 * signed as webhooks are; the answer must be signed by the receiver with the same secret, be fresh, and name the request and
 * the question's nonce. Whatever else comes, or nothing in time, is no yes. Refuses to ask twice: a replica that died asking
 * has not been told yes.
 */
import { randomBytes } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { EFFECTS } from '@sallyport/model';
import { Counter } from 'prom-client';
import { z } from 'zod';
import { systemActor } from '../acts/acts.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Webhook } from '../generated/prisma/client.ts';
import { Duration } from '../http/duration.ts';
import { Metrics } from '../http/metrics.ts';
import { Log } from '../http/problem.filter.ts';
import { postGuarded } from '../identity/machines/guarded-fetch.ts';
import { Envelope } from '../keys/envelope.ts';
import { hmacUnder, isHmacUnder } from '../keys/sealed-hmac.ts';
import { hideDetected } from '../masking/detected.ts';
import { addressOf } from '../notify/credentials/webhook-address.ts';
import { SIGNATURE_HEADER, signedText, TIMESTAMP_HEADER } from '../notify/signature.ts';
import { WebhookReach } from '../notify/webhook-reach.ts';
import { SystemClock } from '../time.ts';
import { AccessOutcomes, narrowed } from './access-outcomes.ts';
import { documentOf } from './access-policies.service.ts';
import type { AccessPolicyDocument } from './access-policy.ts';
import { AccessRequestsRepository, type RequestRow } from './access-requests.repository.ts';

const POLL_MS = 500;
/** Longer than any question may take. */
const LEASE_MS = 60_000;
const ANSWER_BYTES_MAX = 64 * 1024;
const TOLERANCE_S = 60;

const Decision = z.strictObject({
  request: z.string(),
  nonce: z.string(),
  decision: z.enum(['approve', 'deny', 'pass']),
  reason: z.string().max(500).default(''),
  effects: z.array(z.enum(EFFECTS)).min(1).optional(),
  duration: Duration(Number.MAX_SAFE_INTEGER).optional(),
});
type Decision = z.infer<typeof Decision>;

@Injectable()
export class DecisionCalls implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  readonly #asking = new Set<Promise<void>>();
  readonly #outcomes: Counter<'decision'>;
  constructor(
    private readonly database: Database,
    private readonly repository: AccessRequestsRepository,
    private readonly outcomes: AccessOutcomes,
    private readonly envelope: Envelope,
    private readonly clock: SystemClock,
    private readonly reach: WebhookReach,
    private readonly log: Log,
    metrics: Metrics,
  ) {
    this.#outcomes = new Counter({
      name: 'sallyport_access_decisions_total',
      help: 'Answers of webhooks that decide on access requests; `none` is a failure or silence.',
      labelNames: ['decision'],
      registers: [metrics.registry],
    });
  }

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => this.wake(), POLL_MS);
    this.#timer.unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#looking;
    await Promise.all(this.#asking);
  }

  /** Asks what is to be asked, unless it is looking already. */
  wake(): void {
    if (this.#timer === undefined || this.#looking !== undefined) return;
    this.#looking = this.#look()
      .catch((cause: unknown) => this.log.warn('access requests could not be read', { cause }))
      .finally(() => {
        this.#looking = undefined;
      });
  }

  async #look(): Promise<void> {
    const now = this.clock.now();
    for (const { id, projectId, lost } of await this.repository.takeUndecided(
      now,
      new Date(now.getTime() + LEASE_MS),
    )) {
      const asking = this.#decide(projectId, id, lost)
        .catch((cause: unknown) => this.log.warn('an access request could not be decided', { request: id, cause }))
        .finally(() => this.#asking.delete(asking));
      this.#asking.add(asking);
    }
  }

  async #decide(projectId: string, id: string, lost: boolean): Promise<void> {
    const row = await this.repository.find(projectId, id);
    const policyRow = row === null ? null : await this.repository.policy(projectId, row.policyId);
    if (row === null) return;
    const policy = policyRow === null ? undefined : documentOf(policyRow);
    const said = lost || policy === undefined ? undefined : await this.#ask(row, policy);
    this.#outcomes.inc({ decision: said?.decision ?? 'none' });
    await this.database.transaction(async (tx) => {
      const locked = await this.repository.lock(tx, projectId, id);
      if (locked === null || locked.state !== 'pending' || locked.decision !== 'asked') return;
      await this.#apply(tx, locked, policy, said);
    });
  }

  async #apply(
    tx: Tx,
    row: RequestRow,
    policy: AccessPolicyDocument | undefined,
    said: Decision | undefined,
  ): Promise<void> {
    const actor = systemActor(row.projectId, 'decision');
    const names = `webhook ${policy?.decision?.webhook ?? ''}`;
    const reason = hideDetected(said?.reason ?? '');
    if (said?.decision === 'deny')
      return await this.outcomes.end(tx, actor, row, 'denied', { names, reason: reason || 'it said no' });
    // A person may have said less meanwhile; a yes of the webhook is one more voice.
    if (said?.decision === 'approve' && row.expiresAt.getTime() > this.clock.nowMs()) {
      try {
        const { together } = narrowed(row, { effects: said.effects, durationMs: said.duration });
        return await this.outcomes.approve(tx, actor, row, policy, together, { names, reason });
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        // More than was asked for, or no longer allowed: nothing was written yet.
        this.log.warn('a webhook approved what cannot be given', { request: row.id, code: error.code });
      }
    }
    if (policy?.approve === undefined)
      return await this.outcomes.end(tx, actor, row, 'denied', {
        names,
        reason: 'the webhook that decides did not say yes',
      });
    await this.repository.update(tx, row.id, { decision: 'passed' });
    await this.outcomes.ask(tx, row, policy);
  }

  /** @returns undefined for whatever is no proper answer in time */
  async #ask(row: RequestRow, policy: AccessPolicyDocument): Promise<Decision | undefined> {
    const { decision } = policy;
    const webhook = decision === undefined ? null : await this.repository.webhook(row.projectId, decision.webhook);
    if (decision === undefined || webhook === null) return undefined;
    const nonce = randomBytes(16).toString('base64url');
    try {
      return await this.#exchange(webhook, row, nonce, policy, decision.timeout);
    } catch (cause) {
      this.log.warn('a webhook gave no decision', { request: row.id, webhook: webhook.name, cause });
      return undefined;
    }
  }

  async #exchange(
    webhook: Webhook,
    row: RequestRow,
    nonce: string,
    policy: AccessPolicyDocument,
    timeoutMs: number,
  ): Promise<Decision> {
    const context = `webhook/${webhook.id}`;
    const body = JSON.stringify({
      id: row.id,
      event: 'access.decision',
      createdAt: this.clock.now().toISOString(),
      nonce,
      data: this.outcomes.describe(row, policy),
    });
    const timestamp = Math.floor(this.clock.nowMs() / 1000);
    const { status, headers, text } = await postGuarded(addressOf(this.envelope, webhook), body, {
      ...this.reach.of(webhook),
      timeoutMs,
      answerBytesMax: ANSWER_BYTES_MAX,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'sallyport',
        'sallyport-event': 'access.decision',
        'sallyport-delivery': row.id,
        [TIMESTAMP_HEADER]: String(timestamp),
        [SIGNATURE_HEADER]: `v1=${hmacUnder(this.envelope, webhook.sealed, context, signedText(timestamp, body))}`,
      },
    });
    if (status !== 200) throw new GatewayError('protocol.malformed', { status });
    const at = Number(headers[TIMESTAMP_HEADER]);
    const signature = /^v1=([0-9a-f]{64})$/.exec(headers[SIGNATURE_HEADER] ?? '')?.[1];
    const isFresh = Number.isSafeInteger(at) && Math.abs(this.clock.nowMs() / 1000 - at) <= TOLERANCE_S;
    if (
      !isFresh ||
      signature === undefined ||
      !isHmacUnder(this.envelope, webhook.sealed, context, signedText(at, text), signature)
    )
      throw new GatewayError('auth.failed', { what: 'decision' });
    const said = Decision.parse(JSON.parse(text));
    if (said.request !== row.id || said.nonce !== nonce)
      throw new GatewayError('protocol.malformed', { what: 'decision' });
    return said;
  }
}
