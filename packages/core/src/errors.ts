/**
 * The one table of error codes and the one error class of the product.
 * Refuses to know how an error is shown: the edges (REST problem filter, gRPC status, a protocol's deny.ts) translate.
 * Codes are public contract: add, never rename. docs/reference/errors.md is generated from this table.
 */

/** `http` and `text` are all a stranger may see of an error. */
export const CODES = {
  // signing in and rights
  'auth.failed': { http: 401, text: 'Authentication failed.' },
  'auth.required': { http: 401, text: 'This call needs a valid token.' },
  'auth.forbidden': { http: 403, text: 'Your role or token does not allow this.' },
  'auth.throttled': { http: 429, text: 'Too many attempts. Wait a minute and try again.' },
  'auth.provider_unavailable': {
    http: 503,
    text: 'The identity provider could not be reached. Try again in a minute.',
  },
  'auth.groups_overage': {
    http: 403,
    text: 'The identity provider sent too many groups, or a link in place of them. Your administrator finds the remedy in the how-to of the provider.',
  },
  'auth.groups_malformed': {
    http: 403,
    text: 'The identity provider sent groups in a form that its settings do not name. Your administrator can see it in a preview.',
  },
  'auth.step_up': { http: 401, text: 'This needs a fresher or stronger sign-in. Sign in again at the address given.' },
  'auth.token_too_large': { http: 400, text: 'What the access token has to say does not fit into it.' },
  'auth.passkey_unavailable': {
    http: 409,
    text: 'Passkeys need a server that is reached by a name, over https. Use a password with a one-time code.',
  },
  'issuer.unavailable': { http: 502, text: 'The keys of the token’s issuer could not be fetched.' },
  'grant.missing': { http: 403, text: 'No grant gives you this on this resource.' },
  'grant.exceeded': { http: 403, text: 'The statement does more than your grant allows.' },
  'grant.unreviewed': {
    http: 403,
    text: 'The access review of your grant has lapsed, or did not confirm this. Ask its reviewer.',
  },
  // access reviews
  'review.not_reviewer': {
    http: 403,
    text: 'You cannot answer this item: it is not yours to review, or it is about you.',
  },
  'review.answered': { http: 409, text: 'This item has already been answered.' },
  // judging
  'policy.denied': { http: 403, text: 'The policy does not allow this statement.' },
  'policy.unavailable': { http: 503, text: 'The policy could not be evaluated, so the statement was refused.' },
  'policy.invalid': { http: 422, text: 'The document is not valid.' },
  'statement.unknown': { http: 403, text: 'The statement could not be understood, so it was refused.' },
  'statement.refused': { http: 403, text: 'The gateway allows this statement in no session.' },
  'statement.too_large': { http: 413, text: 'The statement is larger than this gateway accepts.' },
  'mask.unvouched': {
    http: 403,
    text: 'The answer could hold masked values that cannot be traced, so the statement was refused.',
  },
  // approvals
  'approval.required': { http: 403, text: 'This statement waits for approval. Run it again once it is approved.' },
  'approval.denied': { http: 403, text: 'The approver refused this statement.' },
  'approval.expired': { http: 408, text: 'Nobody approved this statement in time.' },
  'approval.cancelled': { http: 409, text: 'The wait for approval was cancelled.' },
  'approval.mismatch': { http: 403, text: 'The approval is for another statement.' },
  'approval.not_yours': { http: 403, text: 'You cannot answer this approval request.' },
  'approval.answered': { http: 409, text: 'This approval request has already been answered.' },
  'approval.early': {
    http: 409,
    text: 'The session that asks is not on record yet, so nobody knows who made its token. Answer again in a moment.',
  },
  'approval.reason_required': { http: 403, text: 'This statement needs a reason before anybody is asked.' },
  'approval.quiet': { http: 403, text: 'Nobody answers at this hour, and the rule does not wait.' },
  'approval.shape': { http: 409, text: 'This request cannot be approved as a shape.' },
  'approval.rows': {
    http: 403,
    text: 'The statement reached more rows than its approval allows; the session was ended.',
  },
  'approval.transaction_required': {
    http: 403,
    text: 'Its COMMIT has to be approved, and by itself it commits at once. Send BEGIN first, and COMMIT alone.',
  },
  'approval.transaction_limit': {
    http: 403,
    text: 'The transaction has as many statements as may wait for one approval. Send ROLLBACK, and less at a time.',
  },
  'approval.transaction_timeout': {
    http: 408,
    text: 'The transaction was open longer than its rule allows; it was rolled back, and the session was ended.',
  },
  'approval.delegate': { http: 409, text: 'This person cannot take that seat.' },
  // budgets
  'budget.exceeded': { http: 429, text: 'A budget is used up.' },
  'budget.unavailable': { http: 503, text: 'The agent has no share of a budget left and cannot ask for more.' },
  // access requests
  'access.not_eligible': {
    http: 403,
    text: 'No access policy lets you ask for this, or it no longer allows what was asked.',
  },
  'access.not_yours': { http: 403, text: 'You cannot answer or change this access request.' },
  'access.answered': { http: 409, text: 'This access request has already been answered.' },
  'access.expired': { http: 408, text: 'Nobody answered this access request in time.' },
  'access.ended': { http: 409, text: 'There is no grant of this request that could be prolonged or ended.' },
  // record
  'trail.unavailable': { http: 503, text: 'The statement could not be recorded, so it was refused.' },
  'trail.broken': { http: 500, text: 'The record does not verify.' },
  'recording.unavailable': { http: 404, text: 'There is no recording of this session.' },
  'recording.erased': {
    http: 410,
    text: 'This session was erased: its key was destroyed, and nobody can read what was said in it.',
  },
  // wire
  'frame.too_large': { http: 413, text: 'The message is larger than this gateway accepts.' },
  'protocol.malformed': { http: 400, text: 'The client sent a malformed message.' },
  'protocol.unexpected': { http: 400, text: 'The client sent a message that is not allowed at this point.' },
  'protocol.unsupported': { http: 400, text: 'The client asked for a protocol feature this gateway refuses.' },
  'http.proxy_host': {
    http: 403,
    text: 'The forward proxy reaches only hosts and paths that a resource registers. Ask an administrator to register this one, or use the resource’s own URL.',
  },
  'mcp.malformed': {
    http: 400,
    text: 'This is no message of the Model Context Protocol that this gateway reads: send one JSON-RPC 2.0 message as application/json.',
  },
  'mcp.tool_unknown': {
    http: 404,
    text: 'The server has listed no tool of exactly this name: list its tools, and use a name as it stands there.',
  },
  'mcp.session_unknown': { http: 404, text: 'There is no MCP session of that id for you: initialize again.' },
  'http.malformed': {
    http: 400,
    text: 'The request is not HTTP as RFC 9112 and RFC 9113 have it. Look for odd bytes in its request line, path and headers.',
  },
  'http.smuggling': {
    http: 400,
    text: 'Where the request ends can be read in two ways, so it was refused. Send one length, or chunks, and not both.',
  },
  'http.too_large': { http: 413, text: 'The body is larger than this resource accepts.' },
  'http.header_limit': { http: 431, text: 'The headers are larger, or more, than this gateway accepts.' },
  'http.misdirected': {
    http: 421,
    text: 'The request is for another host than its connection was made for. Open a connection to the host it names.',
  },
  'http.other_site': {
    http: 403,
    text: 'A page of another site asked for this. Through a proxy, pages of the service’s own site and links to it may.',
  },
  'http.method_refused': { http: 405, text: 'The resource takes no request of this method.' },
  'http.upgrade_refused': { http: 403, text: 'This connection may not be turned into another protocol.' },
  'http.upstream': { http: 502, text: 'The service answered in a way this gateway does not pass on.' },
  'http.upstream_timeout': { http: 504, text: 'The service did not answer in time.' },
  'http.body_unmaskable': {
    http: 502,
    text: 'The answer could hold masked values and cannot be read, so it was not passed on.',
  },
  'http.body_unsigned': {
    http: 413,
    text: 'The service wants its requests signed with their body, and this body is too long for that. Send it in smaller parts.',
  },
  'http.slow': { http: 408, text: 'The request did not come in time.' },
  'http.held': { http: 404, text: 'There is no held request of that name for you, or its answer was fetched already.' },
  'kubernetes.path': {
    http: 400,
    text: 'The path could be read in two ways by the API server. Ask for it plainly: no escapes, no empty or dot segments, each parameter once.',
  },
  'kubernetes.object': {
    http: 400,
    text: 'The object cannot be read one way. Send JSON or YAML with each key once, without aliases; in a JSON Patch no move or copy.',
  },
  'kubernetes.media_type': {
    http: 415,
    text: 'Objects are read as JSON or YAML, without a content coding. Ask your client to send application/json.',
  },
  'kubernetes.protobuf': {
    http: 415,
    text: 'The object in protobuf has a kind or a field that is not known here, or cannot be read one way. Send it as JSON or YAML (kubectl apply does), or let it in unread by the resource’s `opaque: [protobuf]`.',
  },
  'kubernetes.not_acceptable': {
    http: 406,
    text: 'Answers are masked here, and go as JSON alone. Ask your client to accept application/json.',
  },
  'kubernetes.masked_value': {
    http: 409,
    text: 'The object holds what stands for masked values, and would overwrite them. Leave those fields out, or send a patch.',
  },
  'kubernetes.masked_comparison': {
    http: 403,
    text: 'The answer would say whether a guess is what is masked here. Leave masked fields out of selectors, dry runs and writes to what is immutable, and `test` out of JSON patches; apply with --force-conflicts.',
  },
  'kubernetes.impersonation': {
    http: 403,
    text: 'Whom the cluster takes you for is said by the gateway. Leave out --as, --as-group and --as-uid.',
  },
  'kubernetes.spdy_refused': {
    http: 403,
    text: 'This stream would be SPDY, which is not recorded here. Use kubectl 1.30 (exec, attach, cp) or 1.31 (port-forward) or later; with 1.29 set KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true.',
  },
  'kubernetes.stream': {
    http: 400,
    text: 'The stream is none of v5.channel.k8s.io, v4.channel.k8s.io or SPDY/3.1+portforward.k8s.io over a WebSocket.',
  },
  'tls.required': { http: 400, text: 'This listener speaks TLS only.' },
  'database.unknown': { http: 404, text: 'The resource offers no database of that name.' },
  'session.limit': { http: 429, text: 'Too many sessions are open. Close one and try again.' },
  'session.idle': { http: 408, text: 'The session was silent for too long and was closed.' },
  'session.too_long': { http: 408, text: 'The session lasted as long as its resource allows and was closed.' },
  'session.killed': { http: 403, text: 'The session was ended by an administrator.' },
  'session.open': { http: 409, text: 'The session is still open. End it first.' },
  'session.closed': { http: 409, text: 'The session has ended already.' },
  'session.revoked': { http: 403, text: 'The right behind this session was revoked.' },
  'agent.stale': {
    http: 503,
    text: 'The agent has been without its control plane for longer than this resource allows.',
  },
  'agent.stopping': { http: 503, text: 'The agent is shutting down.' },
  'agent.program_missing': {
    http: 503,
    text: 'Files of the agent’s program are missing: they were removed or replaced while it ran. Restart the agent.',
  },
  'agent.lost': { http: 503, text: 'The agent was not heard of again, so the session counts as ended.' },
  // upstream
  'upstream.unreachable': { http: 502, text: 'The resource could not be reached.' },
  'upstream.tls': { http: 502, text: 'The resource did not prove its identity by TLS.' },
  'upstream.host_key': { http: 502, text: 'The host did not prove its identity by a key that is known.' },
  'upstream.auth': { http: 502, text: 'The resource refused the gateway’s credential.' },
  'upstream.protocol': { http: 502, text: 'The resource answered in a way this gateway does not accept.' },
  'upstream.version': { http: 502, text: 'This gateway does not read SQL as the version of this resource does.' },
  'credential.unavailable': { http: 503, text: 'The credential of this resource is not available to the agent.' },
  'credential.agent_away': {
    http: 503,
    text: 'An agent that guards a resource of this credential is away, and would not learn of its next value.',
  },
  'agent.away': { http: 503, text: 'No agent that guards this resource is connected.' },
  // bundle and link
  'bundle.signature': { http: 422, text: 'The bundle is not signed by a trusted key.' },
  'bundle.stale': { http: 409, text: 'The bundle is older than the one in force.' },
  'bundle.capability': { http: 422, text: 'The bundle needs a capability this agent does not have.' },
  'bundle.malformed': { http: 422, text: 'The bundle could not be read.' },
  'interception.off': {
    http: 404,
    text: 'Agents of this installation end no TLS for programs: set SALLYPORT_INTERCEPTION=on for the control plane and the agent, or use the resource’s own URL.',
  },
  'enroll.failed': { http: 401, text: 'The agent could not be enrolled. Ask for a fresh join token.' },
  // REST
  'request.invalid': { http: 400, text: 'The request is not valid.' },
  'request.not_found': { http: 404, text: 'There is nothing at this address.' },
  'request.conflict': { http: 409, text: 'This conflicts with something that exists.' },
  'control_plane.database': {
    http: 503,
    text: 'The control plane’s database did not answer in time. Try again in a minute.',
  },
  'request.throttled': { http: 429, text: 'Too many requests. Wait a moment and try again.' },
  'project.mismatch': { http: 404, text: 'Your token is for another project than this call means.' },
  'proposal.not_yours': { http: 403, text: 'Another person than the proposer has to agree to this change.' },
  'proposal.stale': {
    http: 409,
    text: 'What this change is about has changed since it was proposed. Propose it again.',
  },
  'proposal.failed': { http: 409, text: 'The change could not be made as it was proposed. Propose it again.' },
  'config.invalid': { http: 500, text: 'The configuration is not valid.' },
  internal: { http: 500, text: 'Something went wrong inside. The request id names it in the logs.' },
} as const satisfies Record<string, { readonly http: number; readonly text: string }>;

export type ErrorCode = keyof typeof CODES;

/** True for a string that names a row of the table; for codes that arrive over a wire. */
export const isErrorCode = (value: string): value is ErrorCode => Object.hasOwn(CODES, value);

/**
 * An operating error. `detail` and `cause` stay inside the process (logs, trail); only `safeMessage` may leave it.
 * @param detail small facts for the operator; never a secret, never a statement
 */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;
  readonly detail: Readonly<Record<string, string | number>>;
  constructor(code: ErrorCode, detail: Record<string, string | number> = {}, options?: { cause?: unknown }) {
    super(code, options);
    this.code = code;
    this.detail = Object.freeze({ ...detail });
  }
  /** What may leave the process: never `cause`, never `detail`. */
  get safeMessage(): string {
    return CODES[this.code].text;
  }
}
