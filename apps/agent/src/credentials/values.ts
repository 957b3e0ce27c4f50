/**
 * The values a credential may have now, in the order in which they are tried: the current one, a prepared next one, and
 * for a stated time the one before. Stored ones are opened from boxes; others are asked of their source.
 * Refuses to keep a value in clear: what is kept between sign-ins lies in a box that this agent's key opens.
 */
import { createHash } from 'node:crypto';
import { GatewayError, LIMITS, type SealKeyPair, Secret, seal, unseal } from '@sallyport/core';
import type { Ask, CredentialSource as Source } from '@sallyport/credentials';
import { type CredentialSource, NEXT_BOX, PREVIOUS_BOX, type Resource } from '@sallyport/model';
import type { UpstreamCredential } from '@sallyport/protocol-kit';
import { httpTargetOf } from './http-credentials.ts';

export type Which = 'current' | 'next' | 'previous';
export interface Value extends UpstreamCredential {
  readonly which: Which;
  /** To be given back: the source's own name of the lease, and when it ends, UTC ms. */
  readonly lease?: { readonly id: string; readonly expiresAtMs: number };
}

export interface Box {
  readonly box: Uint8Array;
  /** UTC ms. */
  readonly notAfter: number;
}

interface Kept {
  readonly box: Buffer;
  readonly username: string;
  readonly at: number;
  readonly previous?: { readonly box: Buffer; readonly username: string; readonly until: number };
}

export interface ValuePorts {
  readonly keys: SealKeyPair;
  readonly sources: ReadonlyMap<string, Source>;
  box(id: string): Box | undefined;
  nowMs(): number;
}

const KEPT_MAX = 1_000;
const CONTEXT = 'fetched-credential';

export class Values {
  readonly #ports: ValuePorts;
  readonly #kept = new Map<string, Kept>();
  readonly #asking = new Map<string, Promise<Kept>>();

  constructor(ports: ValuePorts) {
    this.#ports = ports;
  }

  /**
   * @param fresh the value kept was refused: ask the source again
   * @throws GatewayError `credential.unavailable`
   */
  async of(source: CredentialSource, resource: Resource, fresh = false): Promise<readonly Value[]> {
    const { kind, username, certificate = false } = source;
    if (kind === 'none') return [{ which: 'current', username, secret: undefined, certificate: false }];
    if (kind === 'stored') return this.#stored(source, resource);
    const from = this.#ports.sources.get(kind);
    if (from === undefined) throw unavailable(resource, kind, 'no such source in this agent');
    if (from.perSession(source.settings ?? {})) {
      const fetched = await from.fetch(this.ask(source, resource));
      return [{ which: 'current', certificate, ...fetched }];
    }
    const kept = await this.#keptOf(from, source, resource, fresh);
    const values: Value[] = [{ which: 'current', username: kept.username, secret: this.#open(kept.box), certificate }];
    const { previous } = kept;
    if (previous !== undefined && previous.until > this.#ports.nowMs())
      values.push({ which: 'previous', username: previous.username, secret: this.#open(previous.box), certificate });
    return values;
  }

  /** What a source is asked with: also for renewing and giving back a lease. */
  ask(source: CredentialSource, resource: Resource): Ask {
    const settings =
      source.kind === 'env'
        ? { name: source.reference ?? '', ...source.settings }
        : source.kind === 'file'
          ? { path: source.reference ?? '', ...source.settings }
          : (source.settings ?? {});
    const { host, port = 5432 } = resource.ssh ?? resource.postgres ?? addressOf(resource);
    const box = source.kind === 'env' || source.kind === 'file' ? undefined : this.#boxed(source.reference ?? '');
    return {
      username: source.username,
      settings,
      key: box,
      target: host === undefined ? undefined : { host, port },
    };
  }

  /** Gives back what was made for one ask alone. @throws GatewayError `credential.unavailable` */
  async release(source: CredentialSource, resource: Resource, value: Value): Promise<void> {
    if (value.lease === undefined) return;
    await this.#ports.sources.get(source.kind)?.revoke?.(this.ask(source, resource), value.lease.id);
  }

  #stored({ username, reference = '', certificate = false }: CredentialSource, resource: Resource): readonly Value[] {
    const current = this.#boxed(reference);
    if (current === undefined) throw unavailable(resource, 'stored', 'not here');
    const values: Value[] = [{ which: 'current', username, secret: current, certificate }];
    const next = this.#boxed(reference + NEXT_BOX);
    if (next !== undefined) values.push({ which: 'next', username, secret: next, certificate });
    const previous = this.#boxed(reference + PREVIOUS_BOX);
    if (previous !== undefined) values.push({ which: 'previous', username, secret: previous, certificate });
    return values;
  }

  /** The sealed secret of a resource's own credential. @throws GatewayError `credential.unavailable` */
  sealed(resource: Resource): Secret<string> {
    const { kind, reference = '' } = resource.credential;
    const secret = this.#boxed(reference);
    if (secret === undefined) throw unavailable(resource, kind, 'not here');
    return secret;
  }

  #boxed(id: string): Secret<string> | undefined {
    const found = this.#ports.box(id);
    if (found === undefined || found.notAfter <= this.#ports.nowMs()) return undefined;
    return new Secret(unseal(found.box, this.#ports.keys, `credential/${id}`).toString('utf8'));
  }

  #open(box: Buffer): Secret<string> {
    return new Secret(unseal(box, this.#ports.keys, CONTEXT).toString('utf8'));
  }

  async #keptOf(from: Source, source: CredentialSource, resource: Resource, fresh: boolean): Promise<Kept> {
    const key = createHash('sha256').update(JSON.stringify(source)).digest('base64url');
    const known = this.#kept.get(key);
    const nowMs = this.#ports.nowMs();
    // What lies on this host is read each time: a change is seen by the next session.
    const keepMs = source.kind === 'env' || source.kind === 'file' ? 0 : LIMITS.credentialFreshMs;
    if (!fresh && known !== undefined && nowMs - known.at < keepMs) return known;
    const asking = this.#asking.get(key) ?? this.#fetch(from, source, resource, known, key);
    this.#asking.set(key, asking);
    try {
      return await asking;
    } catch (error) {
      // A store that is away takes nothing away from who could sign in a moment ago; what it says no to is gone.
      if (!fresh && keepMs > 0 && known !== undefined && nowMs - known.at < LIMITS.credentialStaleMsMax) return known;
      throw error;
    } finally {
      this.#asking.delete(key);
    }
  }

  async #fetch(
    from: Source,
    source: CredentialSource,
    resource: Resource,
    known: Kept | undefined,
    key: string,
  ): Promise<Kept> {
    const { username, secret } = await from.fetch(this.ask(source, resource));
    const nowMs = this.#ports.nowMs();
    const same =
      known !== undefined && known.username === username && this.#open(known.box).reveal() === secret.reveal();
    const box = same ? known.box : seal(Buffer.from(secret.reveal()), this.#ports.keys.publicKey, CONTEXT);
    const previous = same ? known.previous : this.#previous(known, nowMs + (source.fallbackMs ?? 0));
    const kept: Kept = { box, username, at: nowMs, ...(previous === undefined ? {} : { previous }) };
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    this.#kept.set(key, kept);
    return kept;
  }

  #previous(known: Kept | undefined, until: number): Kept['previous'] {
    return known === undefined ? undefined : { box: known.box, username: known.username, until };
  }
}

function addressOf(resource: Resource): { readonly host?: string; readonly port?: number } {
  const target = httpTargetOf(resource);
  if (target === undefined) return {};
  const { hostname, port, protocol } = new URL(target.url);
  return { host: hostname, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
}

const unavailable = (resource: Resource, kind: string, reason: string): GatewayError =>
  new GatewayError('credential.unavailable', { resource: resource.name, kind, reason });
