/**
 * A resource's credential as its HTTP service takes it: put in place, signed, or as a token that is asked for and renewed here.
 * Tokens of one credential serve all its sessions at once; a service account's token is one session's alone.
 * Refuses to keep a token under anything but a digest of what it was asked with.
 */
import { createHash, randomBytes } from 'node:crypto';
import { GatewayError, LIMITS, type Secret } from '@sallyport/core';
import {
  fetchToken,
  type HttpForm,
  headersOf,
  isTokenForm,
  type ServiceAccountAsk,
  serviceAccountToken,
  staticCredential,
  TokenSlot,
  tokenCredential,
} from '@sallyport/credentials';
import type { HttpTarget, KubernetesTarget, McpTarget, Resource } from '@sallyport/model';
import type { UpstreamCredential } from '@sallyport/protocol-kit';

/** Digests of this process alone: a heap that is looked at shows no digest that could be guessed at elsewhere. */
const SALT = randomBytes(32);
const BEARER: HttpForm = { as: 'bearer' };

/** A token that came after a refused one and is refused this soon is not what is wrong. */
const SECOND_MS = 60_000;

interface Given {
  readonly slot: TokenSlot;
  /** That requests carried last. */
  readonly token: () => Secret<string> | undefined;
  readonly atMs: number;
  readonly isSecond: boolean;
}

type Target = HttpTarget | McpTarget | KubernetesTarget;

/** Of the three kinds that are reached over HTTP; undefined of the others. */
export const httpTargetOf = (resource: Resource): Target | undefined =>
  resource.kind === 'http' ? resource.http : resource.kind === 'mcp' ? resource.mcp : resource.kubernetes;

export class HttpCredentials {
  readonly #nowMs: () => number;
  /** The one used last stands last. */
  readonly #slots = new Map<string, TokenSlot>();
  readonly #given = new WeakMap<UpstreamCredential, Given>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /**
   * The same credential, with what requests carry of it.
   * @throws GatewayError `credential.unavailable` when it does not fit the form the resource names
   */
  of<T extends UpstreamCredential>(value: T, resource: Resource, sessionId: string): T {
    const target = httpTargetOf(resource);
    if (target === undefined) return value;
    const { inject } = target;
    if (value.secret === undefined) {
      if (inject.as !== 'none') throw unavailable(resource, 'the resource puts in a credential, and has none');
      return value;
    }
    if ('identity' in target && target.identity.mode === 'service_account')
      return this.#withToken(value, BEARER, this.#serviceAccount(target, value, resource, sessionId));
    if (inject.as === 'none')
      throw unavailable(resource, 'the resource has a credential and puts it nowhere: see `inject`');
    if (inject.as === 'mtls') return { ...value, certificate: true };
    const known = { username: value.username, secret: value.secret };
    if (!isTokenForm(inject))
      return { ...value, certificate: false, http: staticCredential(inject, known, this.#nowMs) };
    const key = digest(JSON.stringify([resource.id, inject, target.ca ?? '', value.username]), value.secret);
    const host = { nowMs: this.#nowMs, ca: target.ca };
    return this.#withToken(
      value,
      inject,
      this.#slot(key, () => fetchToken(inject, known, host)),
    );
  }

  /**
   * The service refused it.
   * @returns the same credential with a fresh token, where it was a token that may have ended before its time; undefined where
   *   it is the credential itself that is refused, or a fresh token was refused at once
   */
  again<T extends UpstreamCredential>(given: T, resource: Resource, sessionId: string): T | undefined {
    const was = this.#given.get(given);
    if (was === undefined) return undefined;
    this.#given.delete(given);
    was.slot.refused(was.token());
    if (was.isSecond && this.#nowMs() - was.atMs < SECOND_MS) return undefined;
    const made = this.of(given, resource, sessionId);
    const now = this.#given.get(made);
    if (now !== undefined) this.#given.set(made, { ...now, isSecond: true });
    return made;
  }

  #withToken<T extends UpstreamCredential>(value: T, form: HttpForm, slot: TokenSlot): T {
    let last: Secret<string> | undefined;
    const http = tokenCredential(form, slot);
    const made: T = {
      ...value,
      certificate: false,
      http: {
        ready: () => http.ready(),
        into: (request: Parameters<typeof http.into>[0]) => {
          last = slot.token;
          return http.into(request);
        },
      },
    };
    this.#given.set(made, { slot, token: () => last, atMs: this.#nowMs(), isSecond: false });
    return made;
  }

  #serviceAccount(
    target: KubernetesTarget,
    value: UpstreamCredential,
    resource: Resource,
    sessionId: string,
  ): TokenSlot {
    const { namespace = '', serviceAccount = '' } = target.identity;
    const { inject } = target;
    const known = { username: value.username, secret: value.secret! };
    if (isTokenForm(inject) || inject.as === 'none')
      throw unavailable(resource, 'tokens of service accounts are asked for with bearer, basic or mtls');
    const ask: ServiceAccountAsk = {
      url: target.url,
      namespace,
      name: serviceAccount,
      headers: inject.as === 'mtls' ? {} : headersOf(inject, known),
      ca: target.ca,
      serverName: target.serverName,
      anyServer: target.tls === 'require',
      client: inject.as === 'mtls' ? value.secret : undefined,
    };
    return this.#slot(digest(`${sessionId} ${resource.id} ${namespace}/${serviceAccount}`, known.secret), () =>
      serviceAccountToken(ask, this.#nowMs),
    );
  }

  #slot(key: string, fetch: () => Promise<Awaited<ReturnType<typeof fetchToken>>>): TokenSlot {
    const slot = this.#slots.get(key) ?? new TokenSlot(fetch, this.#nowMs);
    this.#slots.delete(key);
    this.#slots.set(key, slot);
    // Sessions hold their own; what is forgotten here is only no longer shared.
    if (this.#slots.size > LIMITS.leasesMax) this.#slots.delete(this.#slots.keys().next().value!);
    return slot;
  }
}

const digest = (what: string, secret: Secret<string>): string =>
  createHash('sha256').update(SALT).update(`${what}\0${secret.reveal()}`).digest('base64url');

const unavailable = (resource: Resource, reason: string): GatewayError =>
  new GatewayError('credential.unavailable', { resource: resource.name, kind: 'http', reason });
