/**
 * What an agent consists of from its first moment, before anybody is served: made once, in an order in which each may know
 * the others only when it is called. Refuses to act: agent.ts starts and stops, link/dialogue.ts speaks, serving.ts serves.
 */
import { randomBytes } from 'node:crypto';
import tls from 'node:tls';
import type { AgentMessage } from '@sallyport/contract';
import type { Clock, Logger } from '@sallyport/core';
import type { MaskKey } from '@sallyport/mask';
import { Admission } from '@sallyport/relay';
import { readAnswer } from './approvals/answer.ts';
import { Holds } from './approvals/holds.ts';
import { Shapes } from './approvals/shapes.ts';
import { Tickets } from './approvals/tickets.ts';
import { Ledger } from './budgets/ledger.ts';
import { Bundles, type BundlesOptions, type InForce } from './bundle/bundles.ts';
import { Contact } from './bundle/contact.ts';
import { BundleStore } from './bundle/store.ts';
import type { AgentConfig } from './config.ts';
import { Credentials } from './credentials/credentials.ts';
import { loadMaskKey } from './credentials/mask-key.ts';
import { InterceptionIssuer } from './interception/issuer.ts';
import type { Identity } from './link/identity.ts';
import { Link, type LinkOptions } from './link/link.ts';
import { Renewal } from './link/renewal.ts';
import type { AgentProtocols } from './protocols.ts';
import type { Serving } from './serving.ts';
import { CancelKeys } from './sessions/cancel-keys.ts';
import { LiveSessions } from './sessions/live.ts';
import { LinkSignIns } from './signin/link-sign-ins.ts';
import { SshHostKey } from './ssh/host-key.ts';
import { KnownHosts } from './ssh/known-hosts.ts';

/** What an agent is given. */
export interface AgentGiven {
  readonly config: AgentConfig;
  readonly protocols: AgentProtocols;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What changes while it runs, and more than one part reads. */
export interface AgentState {
  identity: Identity;
  tlsContext: tls.SecureContext;
  /** Once a bundle says whom the trail is sealed to. */
  serving: Serving | undefined;
  stopping: boolean;
  refusedBundles: number;
  clockSkewMs: number;
  /** Of the bundle in force; made once a bundle. */
  interceptedHosts: readonly string[];
  readonly first: PromiseWithResolvers<InForce>;
}

export const startingState = (identity: Identity): AgentState => ({
  identity,
  tlsContext: listenerContext(identity),
  serving: undefined,
  stopping: false,
  refusedBundles: 0,
  clockSkewMs: 0,
  interceptedHosts: [],
  first: Promise.withResolvers<InForce>(),
});

/** Who hears what bundles and the link say; called after all parts are made. */
export interface AgentEvents {
  readonly bundles: Pick<BundlesOptions, 'applied' | 'kept' | 'unchanged' | 'refused'>;
  readonly link: Pick<LinkOptions, 'hello' | 'opened' | 'closed' | 'refused' | 'message'>;
}

export interface AgentParts {
  readonly store: BundleStore;
  readonly credentials: Credentials;
  readonly bundles: Bundles;
  readonly contact: Contact;
  readonly link: Link;
  readonly renewal: Renewal;
  readonly tickets: Tickets;
  readonly shapes: Shapes;
  readonly ledger: Ledger;
  readonly holds: Holds;
  readonly live: LiveSessions;
  readonly admission: Admission;
  readonly cancelKeys: CancelKeys;
  /** Where the control plane gives none. */
  readonly maskKey: MaskKey;
  readonly linkSignIns: LinkSignIns;
  readonly knownHosts: KnownHosts;
  /** Undefined where SSH is not listened for. */
  readonly sshHostKey: SshHostKey | undefined;
  /** Undefined where the forward proxy ends no TLS. */
  readonly interception: InterceptionIssuer | undefined;
}

/** @throws GatewayError `config.invalid` when the data directory holds what cannot be read */
export function makeParts(given: AgentGiven, state: AgentState, events: AgentEvents): AgentParts {
  const { config, clock, log } = given;
  const { dataDir } = config;
  const { agentId, projectId, root, sealKeys: keys } = state.identity;
  const nowMs = (): number => clock.nowMs();
  const send = (message: AgentMessage): boolean => parts.link.send(message);
  const store = new BundleStore(dataDir);
  const contact = new Contact(store, nowMs);
  const tickets = new Tickets(dataDir);
  const shapes = new Shapes(dataDir);
  const bundles = new Bundles({ store, root, agentId, projectId, nowMs, log, ...events.bundles });
  const approvalKey = (kid: string) => bundles.current?.keys.get(`approval/${kid}`);
  const live = new LiveSessions({
    nowMs,
    log,
    send,
    fresh: (session) => contact.sessionsAllowed(session.road.resource),
  });
  const link = new Link({ identity: () => state.identity, log, random: Math.random, ...events.link });
  const renewal = new Renewal(dataDir, state.identity, link, nowMs, log, (renewed) => {
    state.identity = renewed;
    state.tlsContext = listenerContext(renewed);
  });
  const parts: AgentParts = {
    store,
    contact,
    tickets,
    shapes,
    bundles,
    live,
    link,
    renewal,
    credentials: new Credentials({
      agentId,
      instance: config.instance,
      dataDir,
      sdkDir: config.sdkDir,
      store,
      keys,
      log,
      nowMs,
      send,
      resource: (id) => bundles.current?.resourcesById.get(id),
      resources: () => bundles.current?.bundle.resources ?? [],
      endSession: (id, code) => live.end(id, code),
    }),
    ledger: new Ledger({ nowMs, send, log }),
    holds: new Holds({
      agentId,
      tickets,
      shapes,
      log,
      nowMs,
      send,
      read: (signed) => readAnswer(signed, approvalKey),
    }),
    admission: new Admission(),
    cancelKeys: new CancelKeys(config.instance),
    maskKey: loadMaskKey(dataDir),
    linkSignIns: new LinkSignIns(send),
    knownHosts: new KnownHosts(dataDir, log),
    sshHostKey: config.listenSsh === undefined ? undefined : new SshHostKey({ dataDir, send, nowMs, log }),
    interception: config.interception
      ? new InterceptionIssuer({ dataDir, send, nowMs, log, hosts: () => state.interceptedHosts })
      : undefined,
  };
  return parts;
}

const listenerContext = ({ file }: Identity): tls.SecureContext =>
  tls.createSecureContext({
    cert: file.listenerChain,
    key: file.listenerKey,
    minVersion: 'TLSv1.2',
    sessionIdContext: randomBytes(16).toString('hex'),
  });
