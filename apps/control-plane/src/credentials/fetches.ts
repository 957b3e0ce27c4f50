/**
 * Credentials that the control plane asks of their source: a value that changed is sealed here, travels to the agents as a
 * stored one does, and the one before stays to fall back to. Each is asked by one replica.
 * Refuses to forget a value because its store is away.
 */
import { timingSafeEqual } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError, Secret } from '@sallyport/core';
import { recordActOf, systemActor } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database } from '../db/database.ts';
import { Project } from '../db/project.ts';
import type { Credential } from '../generated/prisma/client.ts';
import { Log } from '../http/problem.filter.ts';
import { Envelope } from '../keys/envelope.ts';
import { Regularly } from '../regularly.ts';
import { SystemClock } from '../time.ts';
import { CredentialsRepository } from './credentials.repository.ts';
import { credentialContext, replaced } from './credentials.service.ts';
import { ServerSources } from './server-sources.ts';

const LOOK_EVERY_MS = 5_000;
const FETCH_EVERY_MS = 60_000;
const AT_ONCE = 10;

@Injectable()
export class Fetches implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #regularly = new Regularly(
    () => this.#work(),
    (error: unknown) => this.log.error('credentials could not be asked for', { error }),
  );
  constructor(
    private readonly database: Database,
    private readonly repository: CredentialsRepository,
    private readonly sources: ServerSources,
    private readonly envelope: Envelope,
    private readonly bundles: BundleChanges,
    private readonly project: Project,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#regularly.start(LOOK_EVERY_MS);
    this.wake();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#regularly.stop();
  }

  /** Looks for what is due; one look at a time. */
  wake(): void {
    void this.#regularly.round();
  }

  async #work(): Promise<void> {
    const now = this.clock.now();
    const due = await this.repository.claimFetches(now, new Date(now.getTime() - FETCH_EVERY_MS), AT_ONCE);
    await Promise.all(due.map((row) => this.#fetch(row)));
  }

  async #fetch(row: Credential): Promise<void> {
    try {
      // Taken by a version before this.
      if (row.projectId !== this.project.id)
        throw new GatewayError('credential.unavailable', { reason: 'of project default alone' });
      const source = this.sources.get(row.kind);
      if (source === undefined) throw new GatewayError('credential.unavailable', { reason: 'no such source' });
      const settings: Record<string, string> = { ...(row.settings as Record<string, string>) };
      if (row.kind === 'env') settings['name'] = row.reference ?? '';
      if (row.kind === 'file') settings['path'] = row.reference ?? '';
      const fetched = await source.fetch({
        username: row.username,
        settings,
        key: undefined,
        target: undefined,
      });
      await this.#keep(row, fetched.username, new Secret(Buffer.from(fetched.secret.reveal())));
    } catch (error) {
      const reason = error instanceof GatewayError ? String(error.detail['reason'] ?? error.code) : 'internal';
      this.log.warn('a credential could not be fetched', { name: row.name, error });
      await this.database.transaction(async (tx) => {
        await this.repository.update(tx, row.id, { fetchError: reason.slice(0, 300) });
      });
    }
  }

  async #keep(claimed: Credential, username: string, value: Secret<Buffer>): Promise<void> {
    await this.database.transaction(async (tx) => {
      const row = await this.repository.lock(tx, claimed.id);
      // Changed meanwhile: asked again at the next look.
      if (row === null || row.version !== claimed.version) return;
      const context = credentialContext(row.id);
      const known = row.sealed === null ? undefined : this.envelope.open(row.sealed, context).reveal();
      const plain = value.reveal();
      const same = known !== undefined && known.length === plain.length && timingSafeEqual(known, plain);
      if (same && row.fetchedUsername === username) {
        if (row.fetchError !== null) await this.repository.update(tx, row.id, { fetchError: null });
        return;
      }
      const changed = same
        ? { version: { increment: 1 } }
        : replaced(row, this.envelope.seal(plain, context), this.clock.nowMs());
      const after = await this.repository.update(tx, row.id, {
        ...changed,
        fetchError: null,
        fetchedUsername: username,
      });
      await recordActOf(tx, systemActor(row.projectId, 'fetch'), 'credential.fetched', `credential/${row.name}`, {
        version: after.version,
      });
      await this.bundles.bump(tx, row.projectId);
    });
  }
}
