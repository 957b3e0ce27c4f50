/**
 * An agent's side of enrolment and link for tests: a real gRPC client with real keys, and nothing of an agent's judgement.
 * Refuses to hide what the control plane sends: every message is kept, in order.
 */
import 'reflect-metadata';
import { createPrivateKey, type KeyObject, webcrypto } from 'node:crypto';
import { Client, type ClientDuplexStream, credentials, type ServiceError } from '@grpc/grpc-js';
import * as x509 from '@peculiar/x509';
import {
  type AgentMessage,
  type BundleManifest,
  type ControlMessage,
  type EnrollRequest,
  type EnrollResponse,
  enrollmentService,
  linkService,
  type SignedManifest,
  wire,
} from '@sallyport/contract';
import { newSealKeyPair, type SealKeyPair } from '@sallyport/core';
import { CAPABILITIES } from '@sallyport/model';

const SERVER_NAME = { 'grpc.ssl_target_name_override': 'control-plane.sallyport.internal' };
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface AgentKey {
  readonly csr: Buffer;
  readonly pem: string;
  readonly key: KeyObject;
}

export async function newAgentKey(): Promise<AgentKey> {
  const pair = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    { name: 'CN=ignored', keys: pair as never, signingAlgorithm: ALGORITHM },
    webcrypto as never,
  );
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey));
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return { csr: Buffer.from(request.rawData), pem: key.export({ type: 'pkcs8', format: 'pem' }) as string, key };
}

interface Method<Q, S> {
  readonly path: string;
  readonly requestSerialize: (request: Q) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => S;
}

function unary<Q, S>(client: Client, method: Method<Q, S>, request: Q): Promise<S> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      { deadline: Date.now() + 60_000 },
      (error: ServiceError | null, answer?: S) =>
        error === null && answer !== undefined ? resolve(answer) : reject(error ?? new Error('no answer')),
    );
  });
}

export interface EnrolledAgent {
  readonly identity: EnrollResponse;
  readonly keys: AgentKey;
  readonly listener: AgentKey;
  readonly seal: SealKeyPair;
}

/** @param root PEM; @param more fields to replace */
export async function enrollAgent(
  endpoint: string,
  root: string,
  joinToken: string,
  more: Partial<EnrollRequest> = {},
): Promise<EnrolledAgent> {
  const keys = await newAgentKey();
  const listener = await newAgentKey();
  const seal = newSealKeyPair();
  const client = new Client(endpoint, credentials.createSsl(Buffer.from(root)), SERVER_NAME);
  const request = {
    joinToken,
    csr: keys.csr,
    listenerCsr: listener.csr,
    sealKey: seal.publicKey,
    version: 'test',
    capabilities: [...CAPABILITIES],
    ...more,
  };
  try {
    return { identity: await unary(client, enrollmentService.enroll, request), keys, listener, seal };
  } finally {
    client.close();
  }
}

/** One unary call on the link or the enrolment endpoint, as an agent makes it. */
export async function callAs<Q, S>(
  endpoint: string,
  root: string,
  agent: EnrolledAgent | undefined,
  method: Method<Q, S>,
  request: Q,
): Promise<S> {
  const channel =
    agent === undefined
      ? credentials.createSsl(Buffer.from(root))
      : credentials.createSsl(
          Buffer.from(root),
          Buffer.from(agent.keys.pem),
          Buffer.from(agent.identity.identityChain ?? ''),
        );
  const client = new Client(endpoint, channel, SERVER_NAME);
  try {
    return await unary(client, method, request);
  } finally {
    client.close();
  }
}

export interface ReadBundle {
  readonly signed: SignedManifest;
  readonly manifest: BundleManifest;
  /** Parsed bodies by chunk name. */
  readonly bodies: ReadonlyMap<string, Record<string, unknown>>;
}

/**
 * How long changes take to an agent, one after another, ms. A push takes milliseconds; the replicas' look of its own, that
 * finds what a lost push did not say, comes every five seconds, so of several changes it can bring at most one sooner.
 */
export async function changeTimes(
  link: TestLink,
  change: (name: string) => Promise<unknown>,
  times = 4,
): Promise<readonly number[]> {
  const taken: number[] = [];
  for (let i = 0; i < times; i++) {
    const name = `soon-${Date.now()}-${i}`;
    const started = performance.now();
    await change(name);
    await link.bundleWith(`group/${name}`);
    taken.push(performance.now() - started);
  }
  return taken.toSorted((a, b) => a - b);
}

export class TestLink {
  readonly received: ControlMessage[] = [];
  readonly chunks = new Map<string, Buffer>();
  ended: ServiceError | 'ended' | undefined;
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<AgentMessage, ControlMessage>;
  readonly #changed = new Set<() => void>();

  constructor(endpoint: string, root: string, agent: EnrolledAgent) {
    const channel = credentials.createSsl(
      Buffer.from(root),
      Buffer.from(agent.keys.pem),
      Buffer.from(agent.identity.identityChain ?? ''),
    );
    this.#client = new Client(endpoint, channel, {
      ...SERVER_NAME,
      'grpc.max_receive_message_length': 4 * 1024 * 1024,
    });
    const { path, requestSerialize, responseDeserialize } = linkService.connect;
    this.#stream = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.#stream.on('data', (message: ControlMessage) => {
      this.received.push(message);
      if (message.chunk != null) this.#take(message.chunk);
      this.#tell();
    });
    this.#stream.on('error', (error: ServiceError) => {
      this.ended = error;
      this.#tell();
    });
    this.#stream.on('end', () => {
      this.ended ??= 'ended';
      this.#tell();
    });
  }

  send(message: AgentMessage): void {
    this.#stream.write(message);
  }

  /** Sends a batch of the trail and waits for its acknowledgement. @returns the code; '' = taken */
  async upload(trail: NonNullable<AgentMessage['trail']>): Promise<string> {
    const from = this.received.length;
    this.send({ trail });
    const acks = () => this.received.slice(from).map(({ trailAck }) => trailAck);
    const ack = await this.until(() => acks().find((one) => one?.cursor === trail.cursor) ?? undefined);
    return ack.code ?? '';
  }

  hello(more: NonNullable<AgentMessage['hello']> = {}): void {
    this.send({
      hello: { version: 'test', capabilities: [...CAPABILITIES], instance: 'main', chainEpoch: 1, ...more },
    });
  }

  /** Waits until `find` gives something. @throws after `ms` */
  async until<T>(find: () => T | undefined, ms = 5_000): Promise<T> {
    const found = find();
    if (found !== undefined) return found;
    return await new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#changed.delete(look);
        reject(
          new Error(
            `nothing came in ${ms} ms; received ${this.received.map((message) => Object.keys(message)).join(' ')}`,
          ),
        );
      }, ms);
      const look = (): void => {
        const value = find();
        if (value === undefined) return;
        clearTimeout(timer);
        this.#changed.delete(look);
        resolve(value);
      };
      this.#changed.add(look);
    });
  }

  /** The next message of a kind after those seen so far. */
  async next<K extends keyof ControlMessage>(kind: K, ms?: number): Promise<NonNullable<ControlMessage[K]>> {
    const from = this.received.length;
    return await this.until(
      () =>
        this.received
          .slice(from)
          .map((message) => message[kind])
          .find((value) => value != null) as NonNullable<ControlMessage[K]> | undefined,
      ms,
    );
  }

  /** The newest message of a kind, waiting for one if there is none. */
  async last<K extends keyof ControlMessage>(kind: K, ms?: number): Promise<NonNullable<ControlMessage[K]>> {
    return await this.until(
      () =>
        this.received.map((message) => message[kind]).findLast((value) => value != null) as
          | NonNullable<ControlMessage[K]>
          | undefined,
      ms,
    );
  }

  /** The newest manifest, read, with the bodies of all its chunks. One that is newer meanwhile takes its place, as at an agent. */
  async bundle(ms?: number): Promise<ReadBundle> {
    for (;;) {
      const read = await this.#read(await this.last('manifest', ms), ms);
      if (read !== undefined) return read;
    }
  }

  async #read(signed: SignedManifest, ms?: number): Promise<ReadBundle | undefined> {
    const manifest = wire.BundleManifest.decode(signed.manifest ?? new Uint8Array());
    const hexOf = ({ digest }: { readonly digest?: Uint8Array | null }): string =>
      Buffer.from(digest ?? []).toString('hex');
    const pages = (manifest.pages ?? []).map(hexOf);
    if (!(await this.#fetched(signed, pages, ms))) return undefined;
    const listed = pages.flatMap((digest) => wire.BundlePage.decode(this.chunks.get(digest)!).chunks);
    const names = new Map([...(manifest.chunks ?? []), ...listed].map((chunk) => [chunk.name ?? '', hexOf(chunk)]));
    if (!(await this.#fetched(signed, [...names.values()], ms))) return undefined;
    const bodies = new Map(
      [...names].map(([name, digest]) => [
        name,
        JSON.parse(this.chunks.get(digest)!.toString()) as Record<string, unknown>,
      ]),
    );
    return { signed, manifest, bodies };
  }

  /** Asks for bodies that are not here, and waits for them. @returns false once another manifest has come: its own are kept no longer */
  async #fetched(signed: SignedManifest, digests: readonly string[], ms?: number): Promise<boolean> {
    const missing = digests.filter((digest) => !this.chunks.has(digest));
    if (missing.length > 0) this.send({ want: { digests: missing.map((digest) => Buffer.from(digest, 'hex')) } });
    return await this.until(() => {
      if (digests.every((digest) => this.chunks.has(digest))) return true;
      return this.received.findLast(({ manifest }) => manifest != null)?.manifest === signed ? undefined : false;
    }, ms);
  }

  /** The first bundle that has a body of that name; manifests of earlier changes may come before it. */
  async bundleWith(name: string, ms?: number): Promise<ReadBundle> {
    for (;;) {
      const from = this.received.filter((message) => message.manifest != null).length;
      const bundle = await this.bundle(ms);
      if (bundle.bodies.has(name)) return bundle;
      await this.until(
        () => (this.received.filter((message) => message.manifest != null).length > from ? true : undefined),
        ms,
      );
    }
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }

  #take(chunk: NonNullable<ControlMessage['chunk']>): void {
    const digest = Buffer.from(chunk.digest ?? []).toString('hex');
    const known = (chunk.offset ?? 0) === 0 ? Buffer.alloc(0) : (this.#partial.get(digest) ?? Buffer.alloc(0));
    const whole = Buffer.concat([known, chunk.part ?? new Uint8Array()]);
    if (chunk.last === true) this.chunks.set(digest, whole);
    else this.#partial.set(digest, whole);
  }
  readonly #partial = new Map<string, Buffer>();

  #tell(): void {
    for (const look of this.#changed) look();
  }
}
