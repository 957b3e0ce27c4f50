/**
 * Test-only: the control plane's side of enrolment and link on a real gRPC server with real certificates, and signed
 * bundles, tokens and approvals as it would make them.
 */
import { createHash, type KeyObject, sign } from 'node:crypto';
import { Server, ServerCredentials, type ServerDuplexStream, status } from '@grpc/grpc-js';
import {
  type AgentMessage,
  type BudgetAsk,
  type BudgetLease,
  type ControlMessage,
  type EnrollRequest,
  type EnrollResponse,
  enrollmentService,
  linkService,
  type SignedManifest,
  wire,
} from '@sallyport/contract';
import {
  agentUri,
  EKU_AGENT_IDENTITY,
  EKU_AGENT_TRAIL,
  EKU_BUNDLE_SIGNING,
  newSealKeyPair,
  seal,
} from '@sallyport/core';
import type { Approval } from '@sallyport/model';
import { CLIENT_AUTH, issue, newKey, requestKey, SERVER_AUTH } from './certificates.fixture.ts';

export const AGENT_ID = '01900000-0000-7000-8000-0000000000aa';
export const PROJECT_ID = '01900000-0000-7000-8000-0000000000bb';
export const RESOURCE_ID = '01900000-0000-7000-8000-0000000000cc';
export const ANA = '01900000-0000-7000-8000-0000000000a1';
const NAME = 'control-plane.sallyport.internal';
const ISSUER = 'http://127.0.0.1:7400';

type Link = ServerDuplexStream<AgentMessage, ControlMessage>;
export type Documents = Readonly<Record<string, unknown>>;

export const trailSeal = newSealKeyPair();
const accessKey = newKey();
const approvalKey = newKey();

const jwk = (key: KeyObject) => {
  const { kty, crv, x, y } = key.export({ format: 'jwk' }) as Record<string, string>;
  return { kty, crv, x, y };
};
const publicJwk = (key: KeyObject) => jwk(key);

/** A small bundle: one resource, ana may read and write it. */
export function documents(port: number, more: Documents = {}): Documents {
  const always = { notBefore: 0, notAfter: 4_102_444_800_000, issuer: ISSUER };
  return {
    [`resource/${RESOURCE_ID}`]: {
      id: RESOURCE_ID,
      projectId: PROJECT_ID,
      name: 'payments-db',
      kind: 'postgres',
      labels: { env: 'prod' },
      postgres: { host: '127.0.0.1', port, databases: [], tls: 'disable', auth: ['scram-sha-256'] },
      credential: { kind: 'stored', username: 'app', reference: 'cred-1' },
      recording: 'results',
      durability: 'standard',
      approval: 'wait',
      exceeded: 'deny',
      holdInTransactionMsMax: 30_000,
      offline: { sessionsMs: 60_000, newSessionsMs: 60_000 },
    },
    'grant/g1': {
      id: '01900000-0000-7000-8000-0000000000d1',
      projectId: PROJECT_ID,
      principal: ANA,
      resource: 'payments-db',
      effects: ['read', 'write'],
      roles: [],
      kind: 'standing',
    },
    'key/access-1': { kid: 'access-1', use: 'access_token', jwk: publicJwk(accessKey), ...always },
    'key/approval-1': { kid: 'approval-1', use: 'approval', jwk: publicJwk(approvalKey), ...always },
    'revocations/all': [],
    'settings/all': {
      trailSealKey: trailSeal.publicKey.toString('base64url'),
      trailSealKeyId: 't1',
      issuer: ISSUER,
      domain: '',
      heartbeatMs: 100,
    },
    ...more,
  };
}

function jws(header: object, body: object, key: KeyObject): string {
  const text = [header, body].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** An access token for ana on the resource; `claims` and `header` overrule. */
export function accessToken(claims: object = {}, header: object = {}, key: KeyObject = accessKey): string {
  const now = Math.floor(Date.now() / 1000);
  const usual = {
    iss: ISSUER,
    aud: RESOURCE_ID,
    sub: ANA,
    nam: 'ana',
    knd: 'person',
    jti: 'j1',
    iat: now,
    exp: now + 300,
    prj: PROJECT_ID,
    gr: ['*'],
  };
  return jws({ alg: 'ES256', typ: 'at+jwt', kid: 'access-1', ...header }, { ...usual, ...claims }, key);
}

export const signedApproval = (approval: Approval, key: KeyObject = approvalKey): string =>
  jws({ alg: 'ES256', typ: 'sallyport-approval+jwt', kid: 'approval-1' }, approval, key);

export class ControlPlane {
  readonly root = issue({ subject: 'root', ca: true });
  readonly signing = issue({ subject: 'signing', ca: true, issuer: this.root });
  readonly identityCa = issue({ subject: 'identity', ca: true, issuer: this.root });
  bundleSigner = issue({ subject: 'bundles', issuer: this.signing, usages: [EKU_BUNDLE_SIGNING] });
  readonly heard: AgentMessage[] = [];
  readonly links = new Set<Link>();
  /** How long identities live, ms. */
  identityMs = 3_600_000;
  renewals = 0;
  enrolments: EnrollRequest[] = [];
  manifest: SignedManifest | undefined;
  chunks = new Map<string, Buffer>();
  sealKey: Buffer = Buffer.alloc(0);
  /** Cut pieces short, to make them wrong. */
  truncateChunks = false;
  /** Answers asks for shares of budgets; undefined = nobody answers. */
  lease: ((ask: BudgetAsk) => BudgetLease | undefined) | undefined;
  /** The agent is revoked: its links are refused. */
  revoked = false;
  #enroll: Server | undefined;
  #link: Server | undefined;
  enrollPort = 0;
  linkPort = 0;

  async start(): Promise<void> {
    const server = issue({ subject: NAME, issuer: this.root, dns: [NAME], usages: [SERVER_AUTH] });
    const pem = (...all: { certificate: { toString(): string } }[]) =>
      Buffer.from(all.map(({ certificate }) => certificate.toString()).join('\n'));
    const key = Buffer.from(server.key.export({ type: 'pkcs8', format: 'pem' }) as string);
    const pair = { private_key: key, cert_chain: pem(server, this.root) };
    this.#enroll = new Server();
    this.#enroll.addService(enrollmentService, {
      enroll: (call: { request: EnrollRequest }, done: (e: null, r: EnrollResponse) => void) => {
        this.enrolments.push(call.request);
        this.sealKey = Buffer.from(call.request.sealKey ?? []);
        done(null, this.#certify(call.request));
      },
      recover: (call: { request: EnrollRequest }, done: (e: null, r: EnrollResponse) => void) => {
        this.renewals++;
        done(null, this.#certify(call.request));
      },
    });
    this.#link = new Server();
    this.#link.addService(linkService, {
      connect: (call: Link) => this.#connect(call),
      renew: (call: { request: EnrollRequest }, done: (e: null, r: EnrollResponse) => void) => {
        this.renewals++;
        done(null, this.#certify(call.request));
      },
    });
    this.enrollPort = await bind(this.#enroll, this.enrollPort, ServerCredentials.createSsl(null, [pair], false));
    this.linkPort = await bind(
      this.#link,
      this.linkPort,
      ServerCredentials.createSsl(Buffer.from(this.root.certificate.toString()), [pair], true),
    );
  }

  stop(): void {
    this.#enroll?.forceShutdown();
    this.#link?.forceShutdown();
    this.links.clear();
  }

  joinToken(root = this.root): string {
    const f = createHash('sha256').update(root.certificate.raw).digest('base64url');
    return `spj1.${Buffer.from(JSON.stringify({ e: [`127.0.0.1:${this.enrollPort}`], f, s: 'secret' })).toString('base64url')}`;
  }

  #certify(request: EnrollRequest): EnrollResponse {
    const toMs = Date.now() + this.identityMs;
    const identity = issue({
      subject: 'agent',
      issuer: this.identityCa,
      publicKey: requestKey(Buffer.from(request.csr ?? [])),
      usages: [CLIENT_AUTH, EKU_AGENT_IDENTITY, EKU_AGENT_TRAIL],
      uris: [agentUri(AGENT_ID)],
      fromMs: Date.now() - 1_000,
      toMs,
    });
    const listener = issue({
      subject: 'listener',
      issuer: this.root,
      publicKey: requestKey(Buffer.from(request.listenerCsr ?? [])),
      usages: [SERVER_AUTH],
      dns: ['localhost'],
      ips: ['127.0.0.1'],
    });
    return {
      agentId: AGENT_ID,
      agentName: 'local',
      projectId: PROJECT_ID,
      identityChain: `${identity.certificate.toString()}\n${this.identityCa.certificate.toString()}`,
      listenerChain: listener.certificate.toString(),
      root: this.root.certificate.toString(),
      endpoints: [`127.0.0.1:${this.linkPort}`],
    };
  }

  #connect(call: Link): void {
    call.on('error', () => {});
    if (this.revoked) {
      this.#cut(call);
      return;
    }
    call.on('data', (message: AgentMessage) => {
      this.heard.push(message);
      if (message.body === 'hello') {
        this.links.add(call);
        call.write({ body: 'welcome', welcome: { now: String(Date.now()) } });
        const offered = this.manifest === undefined ? undefined : wire.BundleManifest.decode(this.manifest.manifest!);
        const { bundleEpoch = 0, bundleRevision = 0 } = message.hello;
        const news =
          offered !== undefined &&
          (offered.epoch > bundleEpoch! || (offered.epoch === bundleEpoch && offered.revision > bundleRevision!));
        if (news) call.write({ body: 'manifest', manifest: this.manifest! });
        const box = seal(Buffer.from('s3cret'), this.sealKey, 'credential/cred-1');
        call.write({ body: 'credentials', credentials: { credentials: [{ id: 'cred-1', box }] } });
      }
      if (message.body === 'want')
        for (const digest of message.want.digests ?? []) this.#sendChunk(call, Buffer.from(digest));
      if (message.body === 'budgetAsk') {
        const budgetLease = this.lease?.(message.budgetAsk);
        if (budgetLease !== undefined) call.write({ body: 'budgetLease', budgetLease });
      }
      if (message.body === 'trail') {
        const { instance, epoch, cursor } = message.trail;
        call.write({ body: 'trailAck', trailAck: { instance, epoch, cursor } });
      }
    });
    call.on('data', (message: AgentMessage) => {
      if (message.body !== 'recording' || !message.recording.last) return;
      const { sessionId, index } = message.recording;
      call.write({ body: 'recordingAck', recordingAck: { sessionId, index } });
    });
    call.on('end', () => call.end());
    call.on('close', () => this.links.delete(call));
    call.on('cancelled', () => this.links.delete(call));
  }

  #cut(call: Link): void {
    call.emit('error', { code: status.UNAUTHENTICATED, details: 'auth.failed: Authentication failed.' });
  }

  revoke(): void {
    this.revoked = true;
    for (const link of this.links) this.#cut(link);
    this.links.clear();
  }

  #sendChunk(call: Link, digest: Buffer): void {
    const body = this.chunks.get(digest.toString('hex')) ?? Buffer.alloc(0);
    const half = Math.floor(body.length / 2);
    call.write({
      body: 'chunk',
      chunk: { digest, offset: 0, part: body.subarray(0, half), last: this.truncateChunks },
    });
    if (!this.truncateChunks)
      call.write({ body: 'chunk', chunk: { digest, offset: half, part: body.subarray(half), last: true } });
  }

  send(message: ControlMessage): void {
    for (const link of this.links) link.write(message);
  }

  /** Signs a bundle; `change` edits the manifest before it is signed. */
  sign(
    epoch: number,
    revision: number,
    docs: Documents,
    change: (manifest: object) => object = (m) => m,
  ): SignedManifest {
    const chunks = Object.entries(docs).map(([name, value]) => {
      const body = Buffer.from(JSON.stringify(value));
      const digest = createHash('sha256').update(body).digest();
      this.chunks.set(digest.toString('hex'), body);
      return { name, digest, size: body.length };
    });
    const manifest = Buffer.from(
      wire.BundleManifest.encode(
        change({
          format: 1,
          agentId: AGENT_ID,
          projectId: PROJECT_ID,
          epoch,
          revision,
          createdAt: String(Date.now()),
          requires: ['postgres.1', 'trail.1'],
          chunks,
        }),
      ).finish(),
    );
    const signature = sign('sha256', manifest, { key: this.bundleSigner.key, dsaEncoding: 'ieee-p1363' });
    return { manifest, signature, certificates: [this.bundleSigner.certificate.raw, this.signing.certificate.raw] };
  }

  /** Makes it the one that is offered, and offers it now. */
  offer(signed: SignedManifest): void {
    this.manifest = signed;
    this.send({ body: 'manifest', manifest: signed });
  }
}

const bind = (server: Server, port: number, credentials: ServerCredentials): Promise<number> =>
  new Promise((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
