/**
 * The pieces of the control plane and the agent that the bench runs in its own process: the very code, taken from where it
 * lies, under the types that the bench needs of it. Refuses to copy any.
 */
import path from 'node:path';
import { type SignedManifest, wire } from '@sallyport/contract';
import { Secret } from '@sallyport/core';
import { type Bundle, CAPABILITIES } from '@sallyport/model';
import type { PolicyEngine } from '@sallyport/policy';
import { ROOT } from '../../scripts/stack/build.ts';

interface BodyOf {
  readonly digest: Buffer;
  readonly body: Buffer;
}
export interface Edition {
  readonly documents: readonly (BodyOf & { readonly name: string })[];
  pages(): readonly BodyOf[];
  body(hex: string): Buffer | undefined;
}
export interface Projects {
  at(counter: { readonly epoch: number; readonly revision: number }): Promise<{
    editionFor(agentName: string): Edition;
  }>;
}
export interface ControlPlaneParts {
  /** @returns what Bundles keeps of a project, on a database of its own connection */
  projects(
    databaseUrl: string,
    projectId: string,
  ): Promise<{
    make(): Projects;
    /** Of the last update, what went by until the rows were here. */
    readMs(): number;
    end(): Promise<void>;
  }>;
  manifestFor(edition: Edition, agent: { readonly id: string; readonly pages: boolean }): Buffer;
}

const dist = (file: string): string => path.join(ROOT, 'apps/control-plane/dist', file);
const agent = (file: string): string => path.join(ROOT, 'apps/agent/src', file);

export async function controlPlaneParts(): Promise<ControlPlaneParts> {
  const { Database, DatabaseUrl } = await import(dist('db/database.js'));
  const { BundlesRepository } = await import(dist('bundles/bundles.repository.js'));
  const { ProjectBundles } = await import(dist('bundles/project-bundles.js'));
  const { manifestFor } = await import(dist('bundles/view.js'));
  const settings = { trailSealKey: '', trailSealKeyId: '', issuer: '', domain: '', heartbeatMs: 5_000 };
  return {
    manifestFor,
    projects: async (databaseUrl, projectId) => {
      const database = new Database(new DatabaseUrl(new Secret(databaseUrl)));
      const repository = new BundlesRepository(database);
      let readMs = 0;
      return {
        readMs: () => readMs,
        make: () =>
          new ProjectBundles({
            read: async (since: string | undefined) => {
              const started = performance.now();
              const read = await repository.read(projectId, since);
              readMs = performance.now() - started;
              return read;
            },
            keysAndSettings: async () => ({ keys: [], settings }),
          }) as Projects,
        end: () => database.onModuleDestroy() as Promise<void>,
      };
    },
  };
}

/** The agent's own reader, store and swap. */
export interface AgentBundles {
  readonly current: { readonly bundle: Bundle; readonly engine: PolicyEngine } | undefined;
  offer(signed: SignedManifest): readonly string[];
  chunk(piece: { digest: Uint8Array; offset: number; part: Uint8Array; last: boolean }): readonly string[];
}
export interface AgentLink {
  start(): void;
  send(message: { readonly body: string; readonly [field: string]: unknown }): boolean;
  stop(): Promise<void>;
}
export interface AgentParts {
  /** Enrols, opens the agent's link, and takes bundles; says when one is in force and when one is refused. */
  open(
    joinToken: string,
    dataDir: string,
    on: { message(bytes: number, body: string): void; applied(): void; refused(error: Error): void },
  ): Promise<{ readonly bundles: AgentBundles; readonly link: AgentLink }>;
}

type Message = { readonly body?: string; readonly manifest?: SignedManifest; readonly chunk?: unknown };

export async function agentParts(): Promise<AgentParts> {
  const { Bundles } = await import(agent('bundle/bundles.ts'));
  const { BundleStore } = await import(agent('bundle/store.ts'));
  const { enroll } = await import(agent('link/enroll.ts'));
  const { readJoinToken } = await import(agent('credentials/join-token.ts'));
  const { Identity, newAgentKeys } = await import(agent('link/identity.ts'));
  const { Link } = await import(agent('link/link.ts'));
  const silent = () => undefined;
  const log = { debug: silent, info: silent, warn: silent, error: silent, child: () => log };
  return {
    open: async (joinToken, dataDir, on) => {
      const identity = new Identity(await enroll(readJoinToken(new Secret(joinToken)), newAgentKeys(), 'bench', log));
      const want = (digests: readonly string[]): void => {
        if (digests.length > 0)
          link.send({ body: 'want', want: { digests: digests.map((digest) => Buffer.from(digest, 'hex')) } });
      };
      const bundles: AgentBundles = new Bundles({
        store: new BundleStore(dataDir),
        root: identity.root,
        agentId: identity.file.agentId,
        projectId: identity.file.projectId,
        nowMs: Date.now,
        log,
        unchanged: silent,
        applied: () => on.applied(),
        kept: ({ bundle: { epoch, revision } }: { bundle: Bundle }) =>
          void link.send({ body: 'bundle', bundle: { epoch, revision, accepted: true } }),
        refused: (error: Error) => on.refused(error),
      });
      const link: AgentLink = new Link({
        identity: () => identity,
        log,
        random: Math.random,
        hello: () => ({
          body: 'hello',
          hello: { version: 'bench', capabilities: [...CAPABILITIES], instance: 'main', chainEpoch: 1 },
        }),
        opened: silent,
        closed: silent,
        refused: () => on.refused(new Error('the link was refused')),
        message: (message: Message) => {
          on.message(wire.ControlMessage.encode(message as never).finish().length, message.body ?? '');
          if (message.body === 'manifest') want(bundles.offer(message.manifest!));
          if (message.body === 'chunk') want(bundles.chunk(message.chunk as never));
        },
      });
      link.start();
      return { bundles, link };
    },
  };
}
