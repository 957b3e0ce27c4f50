/**
 * Credentials that exist for one session: accounts made in PostgreSQL, and those Vault makes. Lent, prolonged while their
 * session lives, given back when it ends whatever ended it, and swept after a process that could not give them back.
 * Refuses to lend one to two principals, and to let a session outlive a lease that could not be prolonged.
 */

import { type ErrorCode, GatewayError, type Logger, type SealKeyPair, Secret, seal, unseal } from '@sallyport/core';
import type { CredentialSource as Source } from '@sallyport/credentials';
import type { LeaseReport, Resource, SessionInfo } from '@sallyport/model';
import type { UpstreamCredential } from '@sallyport/protocol-kit';
import {
  accountName,
  accountPrefix,
  accountsOf,
  dropAccount,
  ephemeralSettings,
  extendAccount,
  makeAccount,
  newPassword,
  type OpenAdmin,
} from './ephemeral.ts';
import type { LeaseEntry, LeaseLedger } from './lease-ledger.ts';
import type { Value, Values } from './values.ts';

export interface LendingPorts {
  readonly agentId: string;
  readonly instance: string;
  readonly ledger: LeaseLedger;
  readonly values: Values;
  readonly sources: ReadonlyMap<string, Source>;
  readonly keys: SealKeyPair;
  readonly openAdmin: OpenAdmin;
  readonly log: Logger;
  readonly nowMs: () => number;
  readonly newId: () => string;
  /** The resource as the bundle in force has it. */
  readonly resource: (id: string) => Resource | undefined;
  readonly resources: () => readonly Resource[];
  readonly endSession: (sessionId: string, code: ErrorCode) => void;
}

/** An account of our own that waits for its principal's next session. */
interface Idle {
  readonly leaseId: string;
  readonly box: Buffer;
  /** When it is dropped, UTC ms. */
  readonly until: number;
}

const CONTEXT = 'ephemeral-account';
/** Left-over accounts are looked for again this often while a server cannot be reached. */
const SWEEP_AGAIN_MS = 60_000;
const GIVE_BACK_TRIES = 3;

export class Lending {
  readonly #ports: LendingPorts;
  readonly #prefix: string;
  readonly #boxes = new Map<string, Buffer>();
  readonly #idle = new Map<string, Idle>();
  readonly #bySession = new Map<string, string>();
  readonly #revoked = new Set<string>();
  /** Work under way that a stop waits for. */
  readonly #work = new Set<Promise<void>>();
  readonly #swept = new Set<string>();
  readonly #working = new Set<string>();
  #nextSweep = 0;
  #stopping = false;

  constructor(ports: LendingPorts) {
    this.#ports = ports;
    this.#prefix = accountPrefix(ports.agentId, ports.instance);
  }

  /** An account of its own for this session. @throws GatewayError `credential.unavailable` */
  async ephemeral(resource: Resource, info: SessionInfo): Promise<UpstreamCredential> {
    const { template, ttlMs } = ephemeralSettings(resource.credential);
    if (this.#stopping) throw new GatewayError('agent.stopping');
    const { nowMs, ledger, keys } = this.#ports;
    const whose = this.#whose(resource, info);
    const again = this.#takeIdle(whose);
    if (again !== undefined) {
      const entry = ledger.find(again.leaseId);
      if (entry !== undefined) return await this.#reuse(entry, again, resource, info, ttlMs);
    }
    const password = newPassword();
    const openedAt = nowMs();
    const lease: LeaseReport = {
      id: this.#ports.newId(),
      kind: 'ephemeral',
      resourceId: resource.id,
      credentialId: resource.credential.reference ?? '',
      principalId: info.principal.id,
      sessionId: info.id,
      account: accountName(this.#prefix, info.principal.name),
      openedAt,
      expiresAt: openedAt + ttlMs,
    };
    // On disk first: an account that the server has is always one we know of.
    ledger.put({ lease });
    try {
      const admin = await this.#ports.openAdmin(resource);
      try {
        await makeAccount(admin, {
          account: lease.account,
          password,
          template,
          untilMs: lease.expiresAt,
          leaseId: lease.id,
        });
      } finally {
        admin.close();
      }
    } catch (error) {
      this.#later(() => this.#giveBack(ledger.find(lease.id), 'unmade'));
      throw error;
    }
    this.#boxes.set(lease.id, seal(Buffer.from(password), keys.publicKey, CONTEXT));
    this.#bySession.set(info.id, lease.id);
    return { username: lease.account, secret: new Secret(password), certificate: false };
  }

  /** What a source made for this session alone is on the ledger from here on. */
  took(value: Value, resource: Resource, info: SessionInfo): void {
    if (value.lease === undefined) return;
    const { ledger, nowMs } = this.#ports;
    const lease: LeaseReport = {
      id: this.#ports.newId(),
      kind: 'vault',
      resourceId: resource.id,
      credentialId: resource.credential.reference ?? '',
      principalId: info.principal.id,
      sessionId: info.id,
      account: value.username,
      openedAt: nowMs(),
      expiresAt: value.lease.expiresAtMs,
    };
    this.#bySession.set(info.id, lease.id);
    ledger.put({ lease, sourceLease: value.lease.id });
  }

  /** The session is over, or never came to be. */
  returned(sessionId: string): void {
    const id = this.#bySession.get(sessionId);
    if (id === undefined) return;
    this.#bySession.delete(sessionId);
    const entry = this.#ports.ledger.find(id);
    if (entry === undefined) return;
    const resource = this.#ports.resource(entry.lease.resourceId);
    const box = this.#boxes.get(id);
    if (entry.lease.kind === 'ephemeral' && resource?.credential.kind === 'ephemeral' && box !== undefined) {
      const { reuseMs } = ephemeralSettings(resource.credential);
      if (reuseMs > 0 && !this.#revoked.has(id) && !this.#stopping) {
        this.#ports.ledger.put({ ...entry, lease: { ...entry.lease, sessionId: '' } });
        const idle = { leaseId: id, box, until: this.#ports.nowMs() + reuseMs };
        this.#idle.set(id, idle);
        return;
      }
    }
    this.#later(() => this.#giveBack(entry, this.#revoked.has(id) ? 'revoked' : 'session'));
  }

  /** Somebody revoked it: its session ends, and it is given back at once. */
  revoke(leaseId: string): void {
    const entry = this.#ports.ledger.find(leaseId);
    if (entry === undefined) return;
    this.#revoked.add(leaseId);
    if (this.#idle.delete(leaseId)) this.#later(() => this.#giveBack(entry, 'revoked'));
    else if (entry.lease.sessionId !== '') this.#ports.endSession(entry.lease.sessionId, 'session.revoked');
  }

  /** Called every second. */
  tick(): void {
    const nowMs = this.#ports.nowMs();
    for (const idle of this.#idle.values()) {
      if (idle.until > nowMs) continue;
      this.#idle.delete(idle.leaseId);
      const entry = this.#ports.ledger.find(idle.leaseId);
      this.#later(() => this.#giveBack(entry, 'session'));
    }
    for (const entry of this.#ports.ledger.live) {
      const { id, openedAt, expiresAt, sessionId } = entry.lease;
      if (sessionId === '' || this.#working.has(id)) continue;
      if (expiresAt <= nowMs) this.#ports.endSession(sessionId, 'session.revoked');
      else if (expiresAt - nowMs < Math.max(5_000, (expiresAt - openedAt) / 3)) this.#prolongSoon(entry);
    }
    if (nowMs >= this.#nextSweep) {
      this.#nextSweep = nowMs + SWEEP_AGAIN_MS;
      this.#later(() => this.sweep());
    }
  }

  /** What an earlier process of this agent left at the servers. What cannot be reached now is tried again. */
  async sweep(): Promise<void> {
    const { ledger, log, nowMs } = this.#ports;
    for (const resource of this.#ports.resources()) {
      if (resource.credential.kind !== 'ephemeral' || this.#swept.has(resource.id)) continue;
      try {
        await this.#sweepServer(resource);
        this.#swept.add(resource.id);
      } catch (error) {
        log.warn('accounts left at a server could not be swept yet', { resource: resource.name, error });
      }
    }
    for (const entry of ledger.left) {
      const resource = this.#ports.resource(entry.lease.resourceId);
      // Gone from this agent: VALID UNTIL and Vault's own clock end it.
      if (resource === undefined && entry.lease.expiresAt <= nowMs()) ledger.end(entry.lease.id, 'expired', nowMs());
      else if (resource !== undefined && entry.lease.kind === 'vault') await this.#giveBack(entry, 'swept');
    }
  }

  async #sweepServer(resource: Resource): Promise<void> {
    const { ledger, openAdmin, log, nowMs } = this.#ports;
    const { template } = ephemeralSettings(resource.credential);
    const admin = await openAdmin(resource);
    const accounts = await accountsOf(admin, this.#prefix).finally(() => admin.close());
    const ours = new Set(ledger.live.map(({ lease }) => lease.account));
    for (const account of accounts) {
      if (!ours.has(account)) await dropAccount(openAdmin, resource, account, template, log);
    }
    for (const { lease } of ledger.left) {
      if (lease.kind === 'ephemeral' && lease.resourceId === resource.id) ledger.end(lease.id, 'swept', nowMs());
    }
  }

  /** Gives everything back that can be, for as long as `withinMs`; the rest is swept at the next start. */
  async stop(withinMs: number): Promise<void> {
    this.#stopping = true;
    this.#idle.clear();
    for (const entry of this.#ports.ledger.live) this.#later(() => this.#giveBack(entry, 'session'));
    const all = Promise.allSettled(this.#work);
    await Promise.race([all, new Promise((done) => setTimeout(done, withinMs).unref())]);
  }

  #whose = (resource: Resource, info: SessionInfo): string =>
    JSON.stringify([resource.id, resource.credential, info.principal.id]);

  #takeIdle(whose: string): Idle | undefined {
    for (const idle of this.#idle.values()) {
      const entry = this.#ports.ledger.find(idle.leaseId);
      const resource = entry === undefined ? undefined : this.#ports.resource(entry.lease.resourceId);
      if (entry === undefined || resource === undefined) continue;
      if (JSON.stringify([resource.id, resource.credential, entry.lease.principalId]) !== whose) continue;
      this.#idle.delete(idle.leaseId);
      return idle;
    }
    return undefined;
  }

  async #reuse(
    entry: LeaseEntry,
    idle: Idle,
    resource: Resource,
    info: SessionInfo,
    ttlMs: number,
  ): Promise<UpstreamCredential> {
    const { ledger, keys, nowMs } = this.#ports;
    const { lease } = entry;
    const used: LeaseEntry = { ...entry, lease: { ...lease, sessionId: info.id } };
    ledger.put(used);
    this.#bySession.set(info.id, lease.id);
    if (lease.expiresAt - nowMs() < ttlMs / 2) await this.#prolong(used, resource, ttlMs);
    const secret = new Secret(unseal(idle.box, keys, CONTEXT).toString('utf8'));
    return { username: lease.account, secret, certificate: false };
  }

  #prolongSoon(entry: LeaseEntry): void {
    const resource = this.#ports.resource(entry.lease.resourceId);
    if (resource === undefined) return;
    this.#working.add(entry.lease.id);
    this.#later(() =>
      this.#prolong(entry, resource, ephemeralSettings(resource.credential).ttlMs).finally(() =>
        this.#working.delete(entry.lease.id),
      ),
    );
  }

  async #prolong(entry: LeaseEntry, resource: Resource, ttlMs: number): Promise<void> {
    const { ledger, values, sources, nowMs } = this.#ports;
    const { lease, sourceLease } = entry;
    let expiresAt = nowMs() + ttlMs;
    if (lease.kind === 'ephemeral') {
      const admin = await this.#ports.openAdmin(resource);
      await extendAccount(admin, lease.account, expiresAt).finally(() => admin.close());
    } else {
      const renew = sources.get(lease.kind)?.renew;
      if (renew === undefined || sourceLease === undefined) return;
      expiresAt = await renew(values.ask(resource.credential, resource), sourceLease);
    }
    const now = ledger.find(lease.id);
    if (now !== undefined) ledger.put({ ...now, lease: { ...now.lease, openedAt: nowMs(), expiresAt } });
  }

  async #giveBack(entry: LeaseEntry | undefined, reason: string): Promise<void> {
    if (entry === undefined) return;
    const { ledger, openAdmin, log, values, sources, nowMs } = this.#ports;
    const { lease, sourceLease } = entry;
    const resource = this.#ports.resource(lease.resourceId);
    this.#boxes.delete(lease.id);
    this.#idle.delete(lease.id);
    if (resource === undefined)
      return log.warn('a lease is left to its own end: its resource is gone', { lease: lease.id });
    for (let attempt = 1; ; attempt++) {
      try {
        if (lease.kind === 'ephemeral') {
          await dropAccount(openAdmin, resource, lease.account, ephemeralSettings(resource.credential).template, log);
        } else {
          const revoke = sources.get(lease.kind)?.revoke;
          if (sourceLease !== undefined) await revoke?.(values.ask(resource.credential, resource), sourceLease);
        }
        ledger.end(lease.id, reason, nowMs());
        this.#revoked.delete(lease.id);
        return;
      } catch (error) {
        if (attempt < GIVE_BACK_TRIES && !this.#stopping) {
          await new Promise((again) => setTimeout(again, 500 * attempt));
          continue;
        }
        log.error('a lease could not be given back: it is swept later, or ends by itself', { lease: lease.id, error });
        this.#swept.delete(resource.id);
        return;
      }
    }
  }

  #later(work: () => Promise<void>): void {
    const running = work()
      .catch((error: unknown) => this.#ports.log.warn('work on a lease went wrong', { error }))
      .finally(() => this.#work.delete(running));
    this.#work.add(running);
  }
}
