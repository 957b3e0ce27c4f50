/**
 * The control plane's keys by purpose: which one signs now, which ones verify, and their rotation with overlap.
 * Other modules sign through this; none sees a private key. Reloads now and then, so that replicas agree.
 */
import { Injectable } from '@nestjs/common';
import { controlPlaneUri, GatewayError, newSealKeyPair, type SealKeyPair } from '@sallyport/core';
import type { VerificationKey } from '@sallyport/model';
import { type Actor, recordActOf, systemActor } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database, type Tx } from '../db/database.ts';
import { Project } from '../db/project.ts';
import type { SigningKey } from '../generated/prisma/client.ts';
import { SystemClock } from '../time.ts';
import { derOf, importPublic, makeCertificate } from './certificates.ts';
import { Envelope } from './envelope.ts';
import { KeysRepository } from './keys.repository.ts';
import {
  BACKDATE_MS,
  type CaPurpose,
  KEY_PLANS,
  KEY_PURPOSES,
  type KeyPurpose,
  ROTATION_DELAY_MS,
  ROTATION_LEAD_MS,
  SIGNING_PURPOSES,
  type SigningPurpose,
} from './purposes.ts';
import { type PublicJwk, Signer } from './signer.ts';

const RELOAD_MS = 20_000;

/** Key ids are read by people and stand in tokens: short ones. */
const KEY_ID_PREFIX: Readonly<Record<KeyPurpose, string>> = {
  root: 'root',
  agent_identity_ca: 'agents',
  listener_ca: 'listeners',
  signing_ca: 'signing',
  control_ca: 'control',
  bundle: 'bundle',
  trail: 'trail',
  access_token: 'at',
  approval: 'ap',
  trail_seal: 'seal',
  ssh_user_ca: 'sshu',
  ssh_host_ca: 'sshh',
  interception_ca: 'icpt',
};

export interface Signed {
  readonly keyId: string;
  /** 64 bytes, IEEE P1363. */
  readonly signature: Uint8Array;
  /** DER, leaf first, without the root; empty for purposes without certificates. */
  readonly certificates: readonly Buffer[];
}
export interface TrailSealKey {
  readonly id: string;
  readonly keys: SealKeyPair;
  /** The one new session keys are sealed to. */
  readonly current: boolean;
}

/** What agents verify, by the purpose of the key that signed it. */
const VERIFIED_USES: Readonly<Record<string, VerificationKey['use']>> = {
  access_token: 'access_token',
  approval: 'approval',
  ssh_user_ca: 'ssh_user',
};

const jwkOf = (key: SigningKey): PublicJwk => key.publicJwk as unknown as PublicJwk;

@Injectable()
export class Keys {
  #loaded: readonly SigningKey[] = [];
  #loadedAtMs = Number.NEGATIVE_INFINITY;
  constructor(
    private readonly database: Database,
    private readonly project: Project,
    private readonly repository: KeysRepository,
    private readonly signer: Signer,
    private readonly envelope: Envelope,
    private readonly clock: SystemClock,
    private readonly bundles: BundleChanges,
  ) {}

  /** Who the control plane is in its certificates; in a project's trail it goes by that project's id. */
  get controlPlaneId(): string {
    return this.project.id;
  }

  /** `iss` of what we sign as JWT. */
  get issuer(): string {
    // Short: it stands in every access token, which must stay under 1,000 bytes.
    return `sallyport:${this.project.id.slice(0, 8)}`;
  }

  /** Makes what the installation lacks; called by bootstrap under its lock. */
  async ensure(tx: Tx): Promise<void> {
    let rows = await this.repository.all(tx);
    for (const purpose of KEY_PURPOSES) {
      if (rows.some((row) => row.purpose === purpose)) continue;
      const key = await this.#make(tx, this.project.id, purpose, rows, this.clock.now());
      await recordActOf(tx, systemActor(this.project.id, 'bootstrap'), 'key.created', `key/${purpose}`, { key });
      rows = await this.repository.all(tx);
    }
    // Proves that the key-encryption key is the one this database was made with, before anything is served.
    for (const row of rows) if (row.sealed.length > 0) this.#requireOpens(row);
    this.forget();
  }

  /** The one key that a project has for itself: what signs its trail. Called in the transaction that makes the project. */
  async ensureProject(tx: Tx, projectId: string): Promise<void> {
    const rows = await this.repository.all(tx);
    if (!rows.some((row) => row.purpose === 'trail' && row.projectId === projectId))
      await this.#make(tx, projectId, 'trail', rows, this.clock.now());
    this.forget();
  }

  /** Signs with the purpose's current key. @param projectId whose trail; every other purpose is the installation's */
  async sign(purpose: SigningPurpose, bytes: Uint8Array, projectId = this.project.id): Promise<Signed> {
    const key = await this.#current(purpose, projectId);
    const signature = await this.signer.sign(key, bytes);
    return { keyId: key.id, signature, certificates: key.certificate === null ? [] : derOf(key.certificate) };
  }

  /** A compact JWS (ES256) over JSON claims. @param typ as `at+jwt` */
  async signJws(purpose: 'access_token' | 'approval', typ: string, claims: object): Promise<string> {
    const key = await this.#current(purpose);
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const input = `${part({ alg: 'ES256', typ, kid: key.id })}.${part(claims)}`;
    const signature = await this.signer.sign(key, Buffer.from(input));
    return `${input}.${Buffer.from(signature).toString('base64url')}`;
  }

  /** PEM chain of the current key, leaf first, without the root. */
  async certificateChain(purpose: 'bundle' | 'trail', projectId = this.project.id): Promise<string> {
    return (await this.#current(purpose, projectId)).certificate ?? '';
  }

  /** Public keys that agents verify access tokens, approvals and users' SSH certificates by, those to come included. */
  async verificationKeys(): Promise<readonly VerificationKey[]> {
    const now = this.clock.nowMs();
    const rows = (await this.#all()).filter(
      (row) => Object.hasOwn(VERIFIED_USES, row.purpose) && row.notAfter.getTime() > now,
    );
    return rows.map((row) => ({
      kid: row.id,
      use: VERIFIED_USES[row.purpose]!,
      issuer: this.issuer,
      jwk: { ...jwkOf(row), kid: row.id, alg: 'ES256', use: 'sig' },
      notBefore: row.notBefore.getTime(),
      notAfter: row.notAfter.getTime(),
    }));
  }

  /** X25519 pairs that open session keys of the trail. */
  async trailSealKeys(): Promise<readonly TrailSealKey[]> {
    const rows = (await this.#all()).filter((row) => row.purpose === 'trail_seal' && row.retiredAt === null);
    return rows.map((row, index) => ({
      id: row.id,
      keys: {
        publicKey: Buffer.from(jwkOf(row).x, 'base64url'),
        privateKey: this.envelope.open(row.sealed, this.#context(row)).reveal(),
      },
      current: index === rows.length - 1,
    }));
  }

  /** PEM of the root certificate. */
  async root(): Promise<string> {
    return (await this.#current('root')).certificate!;
  }

  /** Every certificate that signed something in a project's trail, with the issuers up to the root; PEM each, no duplicates. */
  async history(projectId = this.project.id): Promise<readonly string[]> {
    const chains = (await this.#all()).flatMap((row) =>
      row.certificate === null ||
      row.purpose === 'interception_ca' ||
      (row.purpose === 'trail' && row.projectId !== projectId)
        ? []
        : splitPem(row.certificate),
    );
    const agents = await this.repository.issued(projectId, 'agent_identity');
    return [...new Set([...agents.map((row) => row.certificate), ...chains].map((pem) => `${pem.trim()}\n`))];
  }

  /** The current key of a CA, for ca.ts alone. */
  async authority(purpose: CaPurpose): Promise<{
    subject: string;
    chain: string;
    publicJwk: PublicJwk;
    sign(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
  }> {
    const key = await this.#current(purpose);
    return {
      subject: `CN=${KEY_PLANS[purpose].title}, O=Sallyport`,
      chain: key.certificate ?? '',
      publicJwk: jwkOf(key),
      sign: (bytes) => this.signer.sign(key, bytes),
    };
  }

  /** The public keys of an SSH CA whose certificates are good, the one that signs now last. For ssh/ alone. */
  async sshAuthority(purpose: 'ssh_user_ca' | 'ssh_host_ca'): Promise<{
    readonly all: readonly PublicJwk[];
    readonly current: PublicJwk;
    sign(bytes: Uint8Array): Promise<Uint8Array>;
  }> {
    const current = await this.#current(purpose);
    const now = this.clock.nowMs();
    const others = (await this.#all()).filter(
      (row) =>
        row.purpose === purpose && row.id !== current.id && row.retiredAt === null && row.notAfter.getTime() > now,
    );
    return {
      all: [...others, current].map(jwkOf),
      current: jwkOf(current),
      sign: (bytes) => this.signer.sign(current, bytes),
    };
  }

  /** Reads the keys anew at their next use: another replica may have made some. Called when the bundle changed. */
  forget(): void {
    this.#loadedAtMs = Number.NEGATIVE_INFINITY;
  }

  /**
   * Starts a new key soon; the old one signs until then and verifies through its overlap. `trail` is every project's.
   * @returns id of the default project's
   */
  async rotate(purpose: SigningPurpose, actor: Actor): Promise<string> {
    const id = await this.database.transaction(async (tx) => {
      const from = new Date(this.clock.nowMs() + ROTATION_DELAY_MS);
      const rows = await this.repository.all(tx);
      let made = '';
      for (const projectId of holdersOf(rows, purpose)) {
        const current = currentOf(rows, purpose, projectId, this.clock.nowMs());
        const key = await this.#make(tx, projectId, purpose, rows, from);
        if (current !== undefined)
          await this.repository.stopSigning(
            tx,
            current.id,
            from,
            new Date(from.getTime() + KEY_PLANS[purpose].overlapMs),
          );
        if (projectId === this.project.id) made = key;
        await recordActOf(tx, { ...actor, projectId }, 'key.rotated', `key/${purpose}`, { key });
      }
      await this.bundles.bumpAll(tx);
      // Not before: a change under dual control is committed later than this returns.
      this.database.afterCommit(tx, () => this.forget());
      return made;
    });
    return id;
  }

  /** Makes successors of keys about to stop signing. Called at start and now and then by every replica, one at a time. */
  async rotateDue(): Promise<void> {
    const now = this.clock.nowMs();
    await this.database.transaction(async (tx) => {
      await tx.$executeRaw`select pg_advisory_xact_lock(7070, 1)`;
      const rows = await this.repository.all(tx);
      const due = SIGNING_PURPOSES.flatMap((purpose) =>
        holdersOf(rows, purpose).map((projectId) => ({ purpose, projectId })),
      );
      let rotated = false;
      for (const { purpose, projectId } of due) {
        const last = rows
          .filter((row) => row.purpose === purpose && row.projectId === projectId && row.retiredAt === null)
          .at(-1);
        if (last === undefined || last.signsUntil.getTime() - now > ROTATION_LEAD_MS) continue;
        const from = new Date(Math.max(now, last.signsUntil.getTime() - ROTATION_DELAY_MS));
        const made = await this.#make(tx, projectId, purpose, rows, from);
        await recordActOf(tx, systemActor(projectId, 'rotation'), 'key.rotated', `key/${purpose}`, { key: made });
        rotated = true;
      }
      if (rotated) await this.bundles.bumpAll(tx);
    });
    this.forget();
  }

  #requireOpens(row: SigningKey): void {
    try {
      this.envelope.open(row.sealed, this.#context(row));
    } catch (cause) {
      const remedy = 'it does not open the secrets of this database: give the one it was made with';
      throw new GatewayError('config.invalid', { name: 'SALLYPORT_KEK', key: row.id, remedy }, { cause });
    }
  }

  #context(row: { readonly id: string }): string {
    return `signing-key/${row.id}`;
  }

  async #all(): Promise<readonly SigningKey[]> {
    if (this.clock.monotonicMs() - this.#loadedAtMs > RELOAD_MS) {
      this.#loaded = await this.repository.all();
      this.#loadedAtMs = this.clock.monotonicMs();
    }
    return this.#loaded;
  }

  async #current(purpose: KeyPurpose, projectId = this.project.id): Promise<SigningKey> {
    const holder = purpose === 'trail' ? projectId : this.project.id;
    let key = currentOf(await this.#all(), purpose, holder, this.clock.nowMs());
    if (key === undefined) {
      // The project may be younger than what this replica has read.
      this.forget();
      key = currentOf(await this.#all(), purpose, holder, this.clock.nowMs());
    }
    if (key === undefined) throw new GatewayError('internal', { reason: 'no key', purpose });
    return key;
  }

  async #make(
    tx: Tx,
    projectId: string,
    purpose: KeyPurpose,
    rows: readonly SigningKey[],
    from: Date,
  ): Promise<string> {
    const plan = KEY_PLANS[purpose];
    const id = `${KEY_ID_PREFIX[purpose]}-${this.clock.id().slice(-8)}`;
    const signsUntil = new Date(from.getTime() + plan.signsMs);
    const notAfter = new Date(signsUntil.getTime() + plan.overlapMs);
    const base = { id, projectId, purpose, algorithm: plan.algorithm, notBefore: from, signsUntil, notAfter };
    if (plan.algorithm === 'X25519') {
      const pair = newSealKeyPair();
      const publicJwk = { kty: 'OKP', crv: 'X25519', x: pair.publicKey.toString('base64url') };
      await this.repository.insert(tx, {
        ...base,
        publicJwk,
        sealed: this.envelope.seal(pair.privateKey, this.#context(base)),
      });
      return id;
    }
    const { publicJwk, sealed } = await this.signer.create(id);
    let certificate: string | null = null;
    if (plan.issuer !== undefined) {
      const publicKey = await importPublic(publicJwk);
      const issuerRow =
        plan.issuer === 'self'
          ? { id, sealed, certificate: null }
          : currentOf(rows, plan.issuer, this.project.id, this.clock.nowMs())!;
      const issuerPurpose = plan.issuer === 'self' ? purpose : plan.issuer;
      const leaf = await makeCertificate({
        subject: `CN=${plan.title}, O=Sallyport`,
        publicKey,
        notBefore: new Date(from.getTime() - BACKDATE_MS),
        notAfter,
        usages: plan.usages,
        ...(plan.isCa
          ? { pathLength: plan.issuer === 'self' ? 1 : 0 }
          : { names: { uri: [controlPlaneUri(projectId)] } }),
        issuer: {
          subject: `CN=${KEY_PLANS[issuerPurpose].title}, O=Sallyport`,
          publicKey: plan.issuer === 'self' ? publicKey : await importPublic(jwkOf(issuerRow as SigningKey)),
          sign: (bytes) => this.signer.sign(issuerRow, bytes),
        },
      });
      // Chains are stored without the root, except the root's own.
      const above = plan.issuer === 'self' || plan.issuer === 'root' ? '' : (issuerRow.certificate ?? '');
      certificate = `${leaf.trim()}\n${above}`;
    }
    await this.repository.insert(tx, { ...base, publicJwk: { ...publicJwk }, sealed, certificate });
    return id;
  }
}

/** The newest key of a purpose that has begun and not stopped to sign. */
function currentOf(
  rows: readonly SigningKey[],
  purpose: KeyPurpose,
  projectId: string,
  nowMs: number,
): SigningKey | undefined {
  return rows
    .filter(
      (row) =>
        row.purpose === purpose &&
        row.projectId === projectId &&
        row.retiredAt === null &&
        row.notBefore.getTime() <= nowMs &&
        row.signsUntil.getTime() > nowMs,
    )
    .at(-1);
}

/** Projects that have keys of this purpose: the default one, and for `trail` each. */
const holdersOf = (rows: readonly SigningKey[], purpose: KeyPurpose): readonly string[] => [
  ...new Set(rows.filter((row) => row.purpose === purpose).map((row) => row.projectId)),
];

/** Single certificates of a PEM chain. */
export const splitPem = (chain: string): string[] =>
  chain.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
