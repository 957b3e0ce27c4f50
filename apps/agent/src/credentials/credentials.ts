/**
 * Upstream credentials of this agent's sessions: boxes sealed to its key, sources it asks itself, accounts made for one
 * session. Gives one value to a sign-in and, when the server refuses it, the next that may be tried.
 * Refuses to log a secret, and to pass one to a child's environment.
 */
import { randomBytes } from 'node:crypto';
import { type AgentMessage, type ControlMessage, wire } from '@sallyport/contract';
import {
  type ErrorCode,
  GatewayError,
  type Logger,
  type SealKeyPair,
  Secret,
  unseal,
  uuid7Bytes,
  uuidText,
} from '@sallyport/core';
import { openSources, type CredentialSource as Source } from '@sallyport/credentials';
import { createMaskKey, type MaskKey } from '@sallyport/mask';
import {
  type CredentialReport,
  type CredentialSource,
  MASK_KEY_BOX,
  parseCredentialErrand,
  type Resource,
  type SessionInfo,
} from '@sallyport/model';
import type { UpstreamCredential } from '@sallyport/protocol-kit';
import type { BundleStore } from '../bundle/store.ts';
import { accountName, dropAccount, ephemeralSettings, makeAccount, newPassword } from './ephemeral.ts';
import { isRefused, openErrand } from './errand-connection.ts';
import { runErrand } from './errands.ts';
import { HttpCredentials } from './http-credentials.ts';
import { LeaseLedger } from './lease-ledger.ts';
import { Lending } from './lending.ts';
import { agentSourceHost } from './source-host.ts';
import { certifiedBy, credentialOf, newSessionKey } from './ssh-session-key.ts';
import { type Box, type Value, Values } from './values.ts';

type CredentialsMessage = NonNullable<Extract<ControlMessage, { body?: 'credentials' }>['credentials']>;

export interface CredentialOptions {
  readonly agentId: string;
  readonly instance: string;
  readonly dataDir: string;
  readonly sdkDir: string;
  readonly store: BundleStore;
  readonly keys: SealKeyPair;
  readonly log: Logger;
  readonly nowMs: () => number;
  readonly send: (message: AgentMessage) => boolean;
  readonly resource: (id: string) => Resource | undefined;
  readonly resources: () => readonly Resource[];
  readonly endSession: (sessionId: string, code: ErrorCode) => void;
}

/** Test accounts live this long when nothing drops them. */
const TRIAL_MS = 60_000;
/** What a source is asked to certify a session's key for. */
const SESSION_CERTIFICATE_MS = 5 * 60_000;

/** What a session was given, and what may be tried after it. */
interface Trying {
  readonly given: UpstreamCredential;
  readonly others: readonly Value[];
  /** The boxes it was opened from, and until when they count; undefined for what is asked for anew each time. */
  readonly from?: { readonly resource: Resource; readonly boxes: ReadonlyMap<string, Box>; readonly notAfter: number };
}

export class Credentials {
  readonly #options: CredentialOptions;
  readonly #values: Values;
  readonly #http: HttpCredentials;
  readonly #lending: Lending;
  readonly #ledger: LeaseLedger;
  readonly #sources: ReadonlyMap<string, Source>;
  #boxes: ReadonlyMap<string, Box> = new Map();
  #maskKey: MaskKey | undefined;
  /** What may still be tried for a session that is signing in. */
  readonly #trying = new Map<string, Trying>();

  readonly #refused = new WeakSet<UpstreamCredential>();

  constructor(options: CredentialOptions) {
    this.#options = options;
    const { keys, nowMs, log, store } = options;
    this.#sources = openSources(agentSourceHost(nowMs, options.sdkDir));
    this.#values = new Values({ keys, sources: this.#sources, nowMs, box: (id) => this.#boxes.get(id) });
    this.#http = new HttpCredentials(nowMs);
    this.#ledger = new LeaseLedger(options.dataDir, options.send);
    this.#lending = new Lending({
      agentId: options.agentId,
      instance: options.instance,
      ledger: this.#ledger,
      values: this.#values,
      sources: this.#sources,
      keys,
      log,
      nowMs,
      newId: () => uuidText(uuid7Bytes(nowMs(), randomBytes(10))),
      openAdmin: (resource, database) => this.#openAdmin(resource, database),
      resource: options.resource,
      resources: options.resources,
      endSession: options.endSession,
    });
    const stored = store.credentials();
    if (stored !== undefined) this.#take(wire.Credentials.decode(stored));
  }

  /** The control plane sent the whole set that this agent needs now. */
  replace(message: CredentialsMessage): void {
    this.#take(message);
    this.#options.store.putCredentials(wire.Credentials.encode(message).finish());
  }

  #take(message: CredentialsMessage): void {
    this.#boxes = new Map(
      (message.credentials ?? []).map(({ id, box, notAfter }) => [
        id ?? '',
        { box: box ?? new Uint8Array(), notAfter: Number(notAfter || Number.MAX_SAFE_INTEGER) },
      ]),
    );
    this.#maskKey = this.#openMaskKey() ?? this.#maskKey;
  }

  /** The project's, by which equal values hash alike at all its agents; undefined where none was sent. */
  maskKey(): MaskKey | undefined {
    return this.#maskKey;
  }

  /** For one sign-in at the server. @throws GatewayError `credential.unavailable` */
  async forSession(resource: Resource, info: SessionInfo): Promise<UpstreamCredential> {
    if (resource.credential.kind === 'ephemeral') return await this.#lending.ephemeral(resource, info);
    const held = this.#heldBy(info.id, resource);
    if (held !== undefined) return held;
    const sessionKey = await this.#sessionKey(resource, info);
    if (sessionKey !== undefined) return sessionKey;
    const [first, ...others] = await this.#values.of(resource.credential, resource);
    if (first === undefined) throw new GatewayError('credential.unavailable', { resource: resource.name });
    this.#lending.took(first, resource, info);
    const value = this.#http.of(first, resource, info.id);
    const { kind, reference = '' } = resource.credential;
    const box = kind === 'stored' ? this.#boxes.get(reference) : undefined;
    const from = box === undefined ? {} : { from: { resource, boxes: this.#boxes, notAfter: box.notAfter } };
    this.#trying.set(info.id, { given: value, others, ...from });
    return value;
  }

  /** A session whose connections come and go holds what it was given: a box that has not changed is not opened again. */
  #heldBy(sessionId: string, resource: Resource): UpstreamCredential | undefined {
    const { given, from } = this.#trying.get(sessionId) ?? {};
    if (from?.boxes !== this.#boxes || from.resource !== resource) return undefined;
    return from.notAfter > this.#options.nowMs() ? given : undefined;
  }

  /** One that does not open leaves the key there is: masking never waits for it. */
  #openMaskKey(): MaskKey | undefined {
    const found = this.#boxes.get(MASK_KEY_BOX);
    if (found === undefined) return undefined;
    try {
      return createMaskKey(unseal(found.box, this.#options.keys, `credential/${MASK_KEY_BOX}`));
    } catch (cause) {
      this.#options.log.error('the key of masks by hash does not open', { cause });
      return undefined;
    }
  }

  /** A key of this session alone, certified here or by a source that signs; undefined where the credential is another kind. */
  async #sessionKey(resource: Resource, info: SessionInfo): Promise<UpstreamCredential | undefined> {
    const { kind, settings = {} } = resource.credential;
    const nowMs = this.#options.nowMs();
    if (kind === 'ssh_ca') return certifiedBy(this.#values.sealed(resource), info, settings, nowMs);
    const source = this.#sources.get(kind);
    if (resource.kind !== 'ssh' || source?.sshCertificate === undefined || settings['engine'] !== 'ssh')
      return undefined;
    const key = newSessionKey();
    const wanted = { publicKey: key.publicLine, principals: [info.role], ttlMs: SESSION_CERTIFICATE_MS };
    const { line } = await source.sshCertificate(this.#values.ask(resource.credential, resource), wanted);
    return credentialOf(info.role, key, line.split(' ')[1] ?? '');
  }

  /** The server refused it. @returns another value to try; it is said aloud either way */
  async refused(
    resource: Resource,
    info: SessionInfo,
    given: UpstreamCredential,
  ): Promise<UpstreamCredential | undefined> {
    const trying = this.#trying.get(info.id);
    // Many requests and connections may carry one credential: its refusal is one, and they go on with what was found then.
    if (this.#refused.has(given)) return trying?.given === given ? undefined : trying?.given;
    this.#refused.add(given);
    this.#trying.delete(info.id);
    const which = trying?.given === given ? (trying.given as Value).which : 'current';
    // A token may be gone before its time: the credential it was made with has not been refused by that.
    const anew = this.#http.again(given, resource, info.id);
    if (anew !== undefined) {
      this.#trying.set(info.id, { given: anew, others: trying?.others ?? [] });
      return anew;
    }
    const others = await this.#othersOf(resource, given, trying?.others ?? []);
    const [next, ...rest] = others;
    const other = next === undefined ? undefined : this.#http.of(next, resource, info.id);
    if (other !== undefined) this.#trying.set(info.id, { given: other, others: rest });
    const { log } = this.#options;
    log.warn('the server refused a credential', { resource: resource.name, value: which, next: other?.which ?? '' });
    this.#report({ kind: 'refused', resourceId: resource.id, value: which, fallsBack: other !== undefined });
    return other;
  }

  /** What was kept may be old: the source is asked again before what was there before it is tried. */
  async #othersOf(resource: Resource, given: UpstreamCredential, others: readonly Value[]): Promise<readonly Value[]> {
    const { kind, settings = {} } = resource.credential;
    const source = this.#sources.get(kind);
    const first = (given as Value).which === 'current';
    if (!first || source === undefined || source.perSession(settings) || kind === 'env' || kind === 'file')
      return others;
    const asked = await this.#values.of(resource.credential, resource, true).catch(() => undefined);
    if (asked === undefined) return others;
    const same = asked[0]?.secret?.reveal() === given.secret?.reveal() && asked[0]?.username === given.username;
    return same ? asked.slice(1) : asked.filter((value) => value.secret?.reveal() !== given.secret?.reveal());
  }

  /** The session is over, or its sign-in has failed. */
  returned(sessionId: string): void {
    this.#trying.delete(sessionId);
    this.#lending.returned(sessionId);
  }

  revokeLease(id: string): void {
    this.#lending.revoke(id);
  }

  /** Does what the control plane asks and says how it went. */
  errand(bytes: Uint8Array): void {
    const errand = parseCredentialErrand(JSON.parse(Buffer.from(bytes).toString('utf8')), '');
    const { log, resource } = this.#options;
    void runErrand(errand, {
      values: this.#values,
      http: this.#http,
      log,
      resource,
      tryEphemeral: (target) => this.#tryEphemeral(target),
    }).then((report) => this.#report(report));
  }

  get leases(): number {
    return this.#ledger.live.length;
  }

  reportAll(): void {
    this.#ledger.reportAll();
  }
  tick(): void {
    this.#lending.tick();
  }
  async stop(withinMs: number): Promise<void> {
    await this.#lending.stop(withinMs);
  }

  /** As who may make accounts; each of its values is tried, as for a session. */
  async #openAdmin(resource: Resource, database?: string): Promise<Awaited<ReturnType<typeof openErrand>>> {
    const admin: CredentialSource | undefined = resource.credential.admin;
    if (admin === undefined)
      throw new GatewayError('credential.unavailable', { reason: 'nobody who may make accounts' });
    const values = await this.#values.of(admin, resource);
    for (const [at, value] of values.entries()) {
      try {
        return await openErrand(resource, value, database);
      } catch (error) {
        if (!isRefused(error) || at === values.length - 1) throw error;
      }
    }
    throw new GatewayError('credential.unavailable', { reason: 'no value' });
  }

  async #tryEphemeral(resource: Resource): Promise<void> {
    const { template } = ephemeralSettings(resource.credential);
    const { agentId, instance, log, nowMs } = this.#options;
    const account = accountName(`sp_trial_`, `${agentId.slice(-6)}_${instance}`);
    const password = newPassword();
    const admin = await this.#openAdmin(resource);
    try {
      await makeAccount(admin, { account, password, template, untilMs: nowMs() + TRIAL_MS, leaseId: 'trial' });
    } finally {
      admin.close();
    }
    try {
      (await openErrand(resource, { username: account, secret: new Secret(password), certificate: false })).close();
    } finally {
      await dropAccount((at, database) => this.#openAdmin(at, database), resource, account, template, log);
    }
  }

  #report(report: CredentialReport): void {
    this.#options.send({ body: 'credential', credential: { report: Buffer.from(JSON.stringify(report)) } });
  }
}
