/**
 * The REST API as typed calls: one method per route that the CLI and the console use, nothing above it.
 * Refuses to decide: no caching, no retries. Things are addressed by id or name.
 */
import { jsonLines } from './lines.ts';
import { type OAuthApi, oauthApi } from './oauth.ts';
import { createTransport, type Query, type Transport, type TransportOptions } from './transport.ts';
import type {
  AccessOptions,
  AccessRequest,
  Account,
  AccountLink,
  Act,
  Agent,
  ApiToken,
  ApplyDocument,
  ApprovalRequest,
  ApproverDelegation,
  Budget,
  CertifiedKey,
  Change,
  ChangeProposal,
  CommandSearchPage,
  CreateAccessRequest,
  Credential,
  CredentialErrandResult,
  Drift,
  DualControl,
  Explanation,
  FilmEvent,
  FilmHeader,
  Grant,
  GrantDocument,
  Group,
  IdentityProvider,
  IdentityProviderPreview,
  IdentityProviderTest,
  JoinToken,
  Lease,
  NewSecret,
  NewToken,
  Page,
  Policy,
  PolicyCheck,
  Principal,
  Project,
  ProjectAdmin,
  ProposalAnswer,
  RecordedStatement,
  ReplayFrame,
  Resource,
  Retention,
  Review,
  ReviewAnswer,
  ReviewDocument,
  ReviewItem,
  RotatedMasterKey,
  RotatedSamlKey,
  Session,
  SessionCommand,
  SlackLink,
  SshAuthorities,
  TrailEvent,
  TreeHead,
  TrustPreview,
  TrustRule,
  WhoAmI,
} from './types.ts';

export interface ApiClientOptions extends TransportOptions {
  /** `client_id` of the device flow. */
  readonly deviceClient?: string;
}

/** How far a yes goes, where it is not for one statement. */
export interface ApprovalTerms {
  readonly scope?: 'once' | 'shape';
  readonly minutes?: number;
  readonly rowsMax?: number;
  readonly sessions?: 'this' | 'all';
}

const at = (name: string): string => encodeURIComponent(name);
const PAGE_SIZE = 100;

/**
 * Every item of a list, page by page.
 * @param max stops after that many; all when left out
 */
export async function* allItems<T>(
  transport: Transport,
  path: string,
  query: Query = {},
  max = Number.POSITIVE_INFINITY,
): AsyncGenerator<T> {
  let cursor: string | undefined;
  let left = max;
  do {
    const page = await transport.json<Page<T>>('GET', path, {
      query: { ...query, limit: Math.min(left, PAGE_SIZE), cursor },
    });
    for (const item of page.items) {
      yield item;
      left--;
      if (left <= 0) return;
    }
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
}

/** Heads are walked by the size of the tree: there is no cursor. */
async function* allHeads(transport: Transport): AsyncGenerator<TreeHead> {
  for (let after = 0; ; ) {
    const { items } = await transport.json<Page<TreeHead>>('GET', '/v1/trail/heads', {
      query: { after, limit: PAGE_SIZE },
    });
    yield* items;
    const last = items.at(-1);
    if (last === undefined || last.size <= after) return;
    after = last.size;
  }
}

/** Agents answer within 25 s, or the row says later what became of it. */
const ERRAND_MS = 40_000;
const REWRAP_MS = 120_000;

export interface ApiClient {
  readonly transport: Transport;
  readonly oauth: OAuthApi;
  whoami(): Promise<WhoAmI>;
  /** PEM of the root that agents' certificates chain to. */
  rootCertificate(): Promise<string>;
  /** PEM of the issuer of what agents' forward proxies show. @throws ApiError 404 where they end no TLS */
  interceptionCertificate(): Promise<string>;
  readonly ssh: {
    /** @param publicKey as in a `.pub` file; the token is bound to it */
    certify(publicKey: string, accessToken: string): Promise<CertifiedKey>;
    /** Who certifies agents' host keys. */
    authorities(): Promise<SshAuthorities>;
  };
  readonly resources: {
    list(query?: Query, max?: number): AsyncGenerator<Resource>;
    get(name: string): Promise<Resource>;
  };
  readonly principals: {
    list(query?: Query, max?: number): AsyncGenerator<Principal>;
    get(name: string): Promise<Principal>;
    create(body: {
      readonly name: string;
      readonly kind: string;
      readonly displayName?: string;
      readonly roles?: readonly string[];
    }): Promise<Principal>;
    update(name: string, body: { readonly sameAs?: string | null }): Promise<Principal>;
    remove(name: string): Promise<void>;
    createToken(
      name: string,
      body: {
        readonly name: string;
        readonly expiresInSeconds: number;
        readonly scopes?: readonly string[];
        /** For `scim:write` alone: whose directory will use it. */
        readonly scim?: { readonly provider: string; readonly subject?: string };
      },
    ): Promise<NewToken>;
    tokens(name: string, query?: Query, max?: number): AsyncGenerator<ApiToken>;
    removeToken(id: string): Promise<void>;
    createSecret(name: string): Promise<NewSecret>;
  };
  readonly accounts: {
    list(query?: Query, max?: number): AsyncGenerator<Account>;
    get(name: string): Promise<Account>;
    /** @param body `replaces`: the ways in that are there stop working */
    createLink(
      name: string,
      body: { readonly replaces: boolean; readonly breakGlass: boolean; readonly expiresInSeconds: number },
    ): Promise<AccountLink>;
    update(name: string, body: { readonly breakGlass: boolean }): Promise<Account>;
    remove(name: string): Promise<void>;
    removePasskey(name: string, id: string): Promise<void>;
  };
  readonly trustRules: {
    list(query?: Query, max?: number): AsyncGenerator<TrustRule>;
    get(name: string): Promise<TrustRule>;
    create(document: object): Promise<TrustRule>;
    replace(name: string, document: object): Promise<TrustRule>;
    remove(name: string): Promise<void>;
    preview(token: string): Promise<TrustPreview>;
  };
  readonly groups: {
    list(query?: Query, max?: number): AsyncGenerator<Group>;
    get(name: string): Promise<Group>;
    create(body: { readonly name: string; readonly description?: string }): Promise<Group>;
    remove(name: string): Promise<void>;
    addMember(name: string, principal: string): Promise<void>;
    removeMember(name: string, principal: string): Promise<void>;
  };
  readonly grants: {
    list(query?: Query, max?: number): AsyncGenerator<Grant>;
    get(name: string): Promise<Grant>;
    create(body: GrantDocument): Promise<Grant>;
    revoke(name: string): Promise<Grant>;
  };
  /** Access reviews. */
  readonly reviews: {
    list(query?: Query, max?: number): AsyncGenerator<Review>;
    create(body: ReviewDocument): Promise<Review>;
    start(name: string): Promise<Review>;
    end(name: string): Promise<Review>;
    items(name: string, query?: Query, max?: number): AsyncGenerator<ReviewItem>;
    answer(name: string, body: ReviewAnswer): Promise<{ readonly items: readonly ReviewItem[] }>;
    export(name: string, query?: Query): Promise<string>;
    drift(query?: Query): Promise<{ readonly items: readonly Drift[] }>;
  };
  readonly policies: {
    list(query?: Query, max?: number): AsyncGenerator<Policy>;
    check(source: string): Promise<PolicyCheck>;
    explain(body: {
      readonly resource: string;
      readonly statement: string;
      readonly principal?: string;
      readonly groups?: readonly string[];
    }): Promise<Explanation>;
  };
  apply(
    documents: readonly ApplyDocument[],
    options: { readonly dryRun: boolean; readonly prune: boolean },
  ): Promise<{ readonly changes: readonly Change[] }>;
  readonly accessRequests: {
    list(query?: Query, max?: number): AsyncGenerator<AccessRequest>;
    options(): Promise<AccessOptions>;
    get(id: string): Promise<AccessRequest>;
    create(body: CreateAccessRequest): Promise<AccessRequest>;
    approve(
      id: string,
      body: { readonly effects?: AccessRequest['effects']; readonly duration?: number; readonly reason?: string },
    ): Promise<AccessRequest>;
    deny(id: string, reason: string): Promise<AccessRequest>;
    withdraw(id: string, reason?: string): Promise<AccessRequest>;
    extend(id: string, body: { readonly duration: number; readonly reason: string }): Promise<AccessRequest>;
    /** As an approver: ends its grant before its time. */
    revoke(id: string, reason: string): Promise<AccessRequest>;
  };
  readonly slackLinks: {
    list(): Promise<{ readonly items: readonly SlackLink[] }>;
    create(code: string): Promise<SlackLink>;
    remove(id: string): Promise<void>;
  };
  readonly approvals: {
    list(query?: Query, max?: number): AsyncGenerator<ApprovalRequest>;
    get(id: string): Promise<ApprovalRequest>;
    approve(id: string, reason?: string, terms?: ApprovalTerms): Promise<ApprovalRequest>;
    delegate(id: string, to: string, reason?: string): Promise<ApprovalRequest>;
    comment(id: string, text: string): Promise<ApprovalRequest>;
    /** Takes an approved shape back. */
    revoke(id: string, reason: string): Promise<ApprovalRequest>;
    deny(id: string, reason: string): Promise<ApprovalRequest>;
  };
  /** Seats that approvers hand over for a time. */
  readonly delegations: {
    list(query?: Query, max?: number): AsyncGenerator<ApproverDelegation>;
    create(body: {
      readonly to: string;
      readonly startsAt?: string;
      readonly endsAt: string;
    }): Promise<ApproverDelegation>;
    end(id: string): Promise<void>;
  };
  /** What is left of principals' budgets. */
  budgets(query?: Query): Promise<{ readonly items: readonly Budget[] }>;
  readonly sessions: {
    list(query?: Query, max?: number): AsyncGenerator<Session>;
    get(id: string): Promise<Session>;
    statements(id: string, query?: Query, max?: number): AsyncGenerator<RecordedStatement>;
    recording(id: string, query?: Query, signal?: AbortSignal): AsyncGenerator<ReplayFrame>;
    watch(id: string, signal?: AbortSignal): AsyncGenerator<ReplayFrame>;
    /** asciicast v2: the header, then events. */
    film(id: string, query?: Query): AsyncGenerator<FilmHeader | FilmEvent>;
    commands(id: string, query?: Query, max?: number): AsyncGenerator<SessionCommand>;
    /** One page of a text’s places among the commands of many sessions; it may be empty and not the last. */
    searchCommands(query: Query): Promise<CommandSearchPage>;
    kill(id: string, reason: string): Promise<Session>;
    /** Destroys the session's key; it cannot be undone. */
    erase(id: string, reason: string): Promise<Session>;
  };
  readonly trail: {
    events(query?: Query, max?: number): AsyncGenerator<TrailEvent>;
    /** The archive, as bytes of the answer's body. */
    export(query?: Query): Promise<Response>;
    /** Administrative acts, newest first, with what each changed. */
    acts(query?: Query, max?: number): AsyncGenerator<Act>;
    /** Every signed head, oldest first. */
    heads(): AsyncGenerator<TreeHead>;
    /** How many days sessions can be read and events searched; null = for good. */
    retention(): Promise<Retention>;
    setRetention(setting: Retention): Promise<Retention>;
  };
  readonly agents: {
    list(query?: Query, max?: number): AsyncGenerator<Agent>;
    joinToken(body: {
      readonly name: string;
      readonly names?: readonly string[];
      readonly expiresInSeconds?: number;
    }): Promise<JoinToken>;
    revoke(name: string): Promise<Agent>;
  };
  readonly credentials: {
    list(query?: Query, max?: number): AsyncGenerator<Credential>;
    get(name: string): Promise<Credential>;
    putSecret(name: string, secret: string): Promise<Credential>;
    /** Has agents sign in with it. */
    test(name: string): Promise<{ readonly items: readonly CredentialErrandResult[] }>;
    /** Gives its account a new password. */
    rotate(name: string): Promise<CredentialErrandResult>;
  };
  readonly leases: {
    list(query?: Query, max?: number): AsyncGenerator<Lease>;
    get(id: string): Promise<Lease>;
    revoke(id: string): Promise<Lease>;
  };
  /** @param to where the new key lies: `file`, `environment` or a KMS's name; the preferred one when absent */
  rotateMasterKey(to?: string): Promise<RotatedMasterKey>;
  /** Changes that wait for a second admin. */
  readonly proposals: {
    list(query?: Query, max?: number): AsyncGenerator<ChangeProposal>;
    get(id: string): Promise<ChangeProposal>;
    approve(id: string, reason?: string): Promise<ChangeProposal>;
    reject(id: string, reason: string): Promise<ChangeProposal>;
    withdraw(id: string): Promise<ChangeProposal>;
    /** What the caller's own change answered when it was made; once. */
    answer(id: string): Promise<ProposalAnswer>;
    areas(): Promise<DualControl>;
    setAreas(areas: readonly string[]): Promise<DualControl>;
  };
  readonly identityProviders: {
    list(query?: Query, max?: number): AsyncGenerator<IdentityProvider>;
    get(name: string): Promise<IdentityProvider>;
    create(body: Readonly<Record<string, unknown>>): Promise<IdentityProvider>;
    update(name: string, body: Readonly<Record<string, unknown>>): Promise<IdentityProvider>;
    remove(name: string): Promise<void>;
    /** Of a SAML provider: makes our next key. @returns when it begins to sign */
    rollKeys(name: string, signsAfterSeconds: number): Promise<RotatedSamlKey>;
    test(name: string): Promise<IdentityProviderTest>;
    preview(name: string, body: Readonly<Record<string, unknown>>): Promise<IdentityProviderPreview>;
  };
  /** Ends the sign-in behind the token. @returns where to sign out at the provider too */
  signOut(): Promise<{ readonly providerUrl: string | null }>;
  readonly projects: {
    list(query?: Query, max?: number): AsyncGenerator<Project>;
    get(name: string): Promise<Project>;
    create(body: { readonly name: string; readonly description?: string }): Promise<Project>;
    update(name: string, body: { readonly description?: string; readonly disabled?: boolean }): Promise<Project>;
    addAdmin(name: string, body: { readonly name: string; readonly expiresInSeconds?: number }): Promise<ProjectAdmin>;
  };
}

export function createApiClient(options: ApiClientOptions): ApiClient {
  const transport = createTransport(options);
  const get = <T>(path: string): Promise<T> => transport.json<T>('GET', path);
  const post = <T>(path: string, body: unknown = {}): Promise<T> => transport.json<T>('POST', path, { body });
  const remove = (path: string): Promise<void> => transport.json('DELETE', path);
  const list =
    <T>(path: string) =>
    (query?: Query, max?: number): AsyncGenerator<T> =>
      allItems<T>(transport, path, query, max);
  // A session may be silent for hours: only the caller ends these.
  const stream = async function* <T = ReplayFrame>(
    path: string,
    query: Query | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<T> {
    const response = await transport.raw('GET', path, {
      timeoutMs: undefined,
      ...(query === undefined ? {} : { query }),
      ...(signal === undefined ? {} : { signal }),
    });
    yield* jsonLines<T>(response);
  };

  return {
    transport,
    oauth: oauthApi(transport, options.deviceClient ?? 'sallyport-cli'),
    whoami: () => get('/v1/whoami'),
    ssh: {
      certify: (publicKey, accessToken) =>
        transport.json('POST', '/v1/ssh/certificates', { body: { publicKey, accessToken } }),
      authorities: () => transport.json('GET', '/v1/ssh/authorities'),
    },
    interceptionCertificate: async () => (await transport.raw('GET', '/v1/ca/interception')).text(),
    rootCertificate: async () => (await transport.raw('GET', '/v1/ca')).text(),
    resources: { list: list('/v1/resources'), get: (name) => get(`/v1/resources/${at(name)}`) },
    principals: {
      list: list('/v1/principals'),
      get: (name) => get(`/v1/principals/${at(name)}`),
      create: (body) => post('/v1/principals', body),
      update: (name, body) => transport.json('PATCH', `/v1/principals/${at(name)}`, { body }),
      remove: (name) => remove(`/v1/principals/${at(name)}`),
      createToken: (name, body) => post(`/v1/principals/${at(name)}/tokens`, body),
      createSecret: (name) => post(`/v1/principals/${at(name)}/secrets`),
      tokens: (name, query, max) => allItems(transport, `/v1/principals/${at(name)}/tokens`, query, max),
      removeToken: (id) => remove(`/v1/tokens/${at(id)}`),
    },
    accounts: {
      list: list('/v1/accounts'),
      get: (name) => get(`/v1/accounts/${at(name)}`),
      createLink: (name, body) => post(`/v1/accounts/${at(name)}/links`, body),
      update: (name, body) => transport.json('PATCH', `/v1/accounts/${at(name)}`, { body }),
      remove: (name) => remove(`/v1/accounts/${at(name)}`),
      removePasskey: (name, id) => remove(`/v1/accounts/${at(name)}/passkeys/${at(id)}`),
    },
    trustRules: {
      list: list('/v1/trust-rules'),
      get: (name) => get(`/v1/trust-rules/${at(name)}`),
      create: (document) => post('/v1/trust-rules', document),
      replace: (name, document) => transport.json('PUT', `/v1/trust-rules/${at(name)}`, { body: document }),
      remove: (name) => remove(`/v1/trust-rules/${at(name)}`),
      preview: (token) => post('/v1/trust-rules/preview', { token }),
    },
    groups: {
      list: list('/v1/groups'),
      get: (name) => get(`/v1/groups/${at(name)}`),
      create: (body) => post('/v1/groups', body),
      remove: (name) => remove(`/v1/groups/${at(name)}`),
      addMember: (name, principal) => transport.json('PUT', `/v1/groups/${at(name)}/members/${at(principal)}`),
      removeMember: (name, principal) => remove(`/v1/groups/${at(name)}/members/${at(principal)}`),
    },
    grants: {
      list: list('/v1/grants'),
      get: (name) => get(`/v1/grants/${at(name)}`),
      create: (body) => post('/v1/grants', body),
      revoke: (name) => post(`/v1/grants/${at(name)}/revoke`),
    },
    reviews: {
      list: list('/v1/reviews'),
      create: (body) => post('/v1/reviews', body),
      start: (name) => post(`/v1/reviews/${at(name)}/start`),
      end: (name) => post(`/v1/reviews/${at(name)}/end`),
      items: (name, query, max) => allItems(transport, `/v1/reviews/${at(name)}/items`, query, max),
      answer: (name, body) => post(`/v1/reviews/${at(name)}/answers`, body),
      export: async (name, query = {}) =>
        (await transport.raw('GET', `/v1/reviews/${at(name)}/export`, { query })).text(),
      drift: (query = {}) => transport.json('GET', '/v1/drift', { query }),
    },
    policies: {
      list: list('/v1/policies'),
      check: (source) => post('/v1/policies/check', { source }),
      explain: (body) => post('/v1/policies/explain', body),
    },
    apply: (documents, { dryRun, prune }) => post('/v1/apply', { documents, dryRun, prune }),
    accessRequests: {
      list: list('/v1/access-requests'),
      options: () => get('/v1/access-requests/options'),
      get: (id) => get(`/v1/access-requests/${at(id)}`),
      create: (body) => post('/v1/access-requests', body),
      approve: (id, body) => post(`/v1/access-requests/${at(id)}/approve`, body),
      deny: (id, reason) => post(`/v1/access-requests/${at(id)}/deny`, { reason }),
      withdraw: (id, reason) => post(`/v1/access-requests/${at(id)}/withdraw`, reason === undefined ? {} : { reason }),
      extend: (id, body) => post(`/v1/access-requests/${at(id)}/extend`, body),
      revoke: (id, reason) => post(`/v1/access-requests/${at(id)}/revoke`, { reason }),
    },
    slackLinks: {
      list: () => get('/v1/slack/links'),
      create: (code) => post('/v1/slack/links', { code }),
      remove: (id) => remove(`/v1/slack/links/${at(id)}`),
    },
    approvals: {
      list: list('/v1/approvals'),
      get: (id) => get(`/v1/approvals/${at(id)}`),
      approve: (id, reason, terms = {}) =>
        post(`/v1/approvals/${at(id)}/approve`, { ...(reason === undefined ? {} : { reason }), ...terms }),
      delegate: (id, to, reason) =>
        post(`/v1/approvals/${at(id)}/delegate`, { to, ...(reason === undefined ? {} : { reason }) }),
      comment: (id, text) => post(`/v1/approvals/${at(id)}/comments`, { text }),
      revoke: (id, reason) => post(`/v1/approvals/${at(id)}/revoke`, { reason }),
      deny: (id, reason) => post(`/v1/approvals/${at(id)}/deny`, { reason }),
    },
    delegations: {
      list: list('/v1/approver-delegations'),
      create: (body) => post('/v1/approver-delegations', body),
      end: (id) => remove(`/v1/approver-delegations/${at(id)}`),
    },
    budgets: (query = {}) => transport.json('GET', '/v1/budgets', { query }),
    sessions: {
      list: list('/v1/sessions'),
      get: (id) => get(`/v1/sessions/${at(id)}`),
      statements: (id, query, max) => allItems(transport, `/v1/sessions/${at(id)}/statements`, query, max),
      recording: (id, query, signal) => stream(`/v1/sessions/${at(id)}/recording`, query, signal),
      film: (id, query) => stream(`/v1/sessions/${at(id)}/film`, query, undefined),
      commands: (id, query, max) => list<SessionCommand>(`/v1/sessions/${at(id)}/commands`)(query, max),
      searchCommands: (query) => transport.json('GET', '/v1/sessions/commands', { query }),
      watch: (id, signal) => stream(`/v1/sessions/${at(id)}/watch`, undefined, signal),
      kill: (id, reason) => post(`/v1/sessions/${at(id)}/kill`, { reason }),
      erase: (id, reason) => post(`/v1/sessions/${at(id)}/erase`, { reason }),
    },
    trail: {
      events: list('/v1/trail/events'),
      acts: list('/v1/acts'),
      export: (query) =>
        transport.raw('GET', '/v1/trail/export', { timeoutMs: undefined, ...(query === undefined ? {} : { query }) }),
      heads: () => allHeads(transport),
      retention: () => get('/v1/retention'),
      setRetention: (setting) => transport.json('PUT', '/v1/retention', { body: setting }),
    },
    agents: {
      list: list('/v1/agents'),
      joinToken: (body) => post('/v1/agents/join-tokens', body),
      revoke: (name) => post(`/v1/agents/${at(name)}/revoke`),
    },
    credentials: {
      list: list('/v1/credentials'),
      get: (name) => get(`/v1/credentials/${at(name)}`),
      putSecret: (name, secret) => transport.json('PUT', `/v1/credentials/${at(name)}/secret`, { body: { secret } }),
      test: (name) => transport.json('POST', `/v1/credentials/${at(name)}/test`, { timeoutMs: ERRAND_MS, body: {} }),
      rotate: (name) =>
        transport.json('POST', `/v1/credentials/${at(name)}/rotate`, { timeoutMs: ERRAND_MS, body: {} }),
    },
    leases: {
      list: list('/v1/leases'),
      get: (id) => get(`/v1/leases/${at(id)}`),
      revoke: (id) => post(`/v1/leases/${at(id)}/revoke`),
    },
    rotateMasterKey: (to) =>
      transport.json('POST', '/v1/keys/master/rotate', { timeoutMs: REWRAP_MS, body: to === undefined ? {} : { to } }),
    proposals: {
      list: list('/v1/change-proposals'),
      get: (id) => get(`/v1/change-proposals/${at(id)}`),
      approve: (id, reason) => post(`/v1/change-proposals/${at(id)}/approve`, reason === undefined ? {} : { reason }),
      reject: (id, reason) => post(`/v1/change-proposals/${at(id)}/reject`, { reason }),
      withdraw: (id) => post(`/v1/change-proposals/${at(id)}/withdraw`),
      answer: (id) => post(`/v1/change-proposals/${at(id)}/answer`),
      areas: () => get('/v1/dual-control'),
      setAreas: (areas) => transport.json('PUT', '/v1/dual-control', { body: { areas } }),
    },
    identityProviders: {
      list: list('/v1/identity-providers'),
      get: (name) => get(`/v1/identity-providers/${at(name)}`),
      create: (body) => post('/v1/identity-providers', body),
      update: (name, body) => transport.json('PATCH', `/v1/identity-providers/${at(name)}`, { body }),
      remove: (name) => remove(`/v1/identity-providers/${at(name)}`),
      rollKeys: (name, signsAfterSeconds) =>
        post(`/v1/identity-providers/${at(name)}/saml-keys`, { signsAfterSeconds }),
      test: (name) => post(`/v1/identity-providers/${at(name)}/test`),
      preview: (name, body) => post(`/v1/identity-providers/${at(name)}/preview`, body),
    },
    signOut: () => post('/v1/logout'),
    projects: {
      list: list('/v1/projects'),
      get: (name) => get(`/v1/projects/${at(name)}`),
      create: (body) => post('/v1/projects', body),
      update: (name, body) => transport.json('PATCH', `/v1/projects/${at(name)}`, { body }),
      addAdmin: (name, body) => post(`/v1/projects/${at(name)}/admins`, body),
    },
  };
}
