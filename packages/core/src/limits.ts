/**
 * Every limit on what a peer can grow, in one place; units stand in the names.
 * Refuses to know who enforces them. docs/reference/limits.md is generated from this table.
 * A limit that refuses is part of the product's behaviour: change one with a changelog line.
 */
export const LIMITS = {
  /** One message of a client's protocol; a longer one is refused with `frame.too_large`. */
  frameBytesMax: 64 * 1024 * 1024,
  /** A startup packet (PostgreSQL itself allows 10,000). */
  startupBytesMax: 10_000,
  /** A password message: access tokens are under 1,000 bytes, cluster tokens a few KiB. */
  passwordBytesMax: 16 * 1024,
  /** One statement's text; beyond it `statement.too_large`. */
  statementBytesMax: 8 * 1024 * 1024,
  /** Statements up to this size are parsed on the event loop; larger ones in the worker. */
  inlineParseBytesMax: 16 * 1024,
  /** Statements in one multi-statement string. */
  statementsPerStringMax: 100,
  /** All bind parameters of one statement. */
  parameterBytesMax: 16 * 1024 * 1024,
  preparedStatementsMax: 10_000,
  portalsMax: 1_000,
  /** Messages and bytes of one session that wait behind a held statement. */
  heldQueueBytesMax: 1024 * 1024,
  /** Bytes queued towards a slow peer before its other side is paused. */
  writeQueueBytesMax: 1024 * 1024,
  /** One row that a mask has to rebuild. */
  maskedRowBytesMax: 16 * 1024 * 1024,
  /** Bytes of a masked stream that wait for what follows; what is longer is hidden to its end. */
  streamHeldBytesMax: 16 * 1024,
  /** A private key in a masked stream; what goes on behind is shown again. */
  streamKeyBytesMax: 64 * 1024,
  /** A string, name or number in masked JSON that is looked at as a whole; longer strings are read piece by piece. */
  maskedJsonTokenBytesMax: 64 * 1024,
  /** Containers in containers of masked JSON; deeper documents are refused. */
  maskedJsonDepthMax: 512,
  loginTimeoutMsMax: 10_000,
  upstreamConnectMsMax: 10_000,
  closeTimeoutMsMax: 2_000,
  sessionsMax: 5_000,
  halfOpenSessionsMax: 500,
  halfOpenSessionsPerAddressMax: 64,
  /** Groups one sign-in may bring; beyond it the sign-in is refused, since half of them would be a wrong answer. */
  groupsPerSignInMax: 10_000,
  /** OpenSSH cuts a password at 1,023 bytes. */
  accessTokenBytesMax: 1_000,
  /** Principals of one trust rule that agents know by its issuer's own tokens, the latest made; others exchange theirs. */
  issuerPrincipalsMax: 1_000,
  accessTokenTtlMsMax: 15 * 60_000,
  approvalWaitMsMax: 24 * 60 * 60_000,
  /** A requester's own words. */
  reasonBytesMax: 200,
  commentCharactersMax: 2_000,
  commentsPerApprovalMax: 200,
  /** Longest life and widest bound of an approved shape. */
  shapeMsMax: 24 * 60 * 60_000,
  shapeRowsMax: 1_000_000,
  shapeGrantsMax: 10_000,
  budgetsPerPolicyMax: 50,
  budgetWindowMsMax: 31 * 24 * 60 * 60_000,
  budgetAccountsMax: 20_000,
  /** A statement waits this long for a share of a budget. */
  budgetAskMsMax: 2_000,
  /** Of one session; a database's connection never has more than one, an SSH connection one for each channel. */
  openApprovalsPerSessionMax: 10,
  openApprovalsMax: 1_000,
  /** Channels of one SSH connection at a time. */
  sshChannelsMax: 100,
  /** What a peer may send on a channel before it was passed on. */
  sshWindowBytes: 2 * 1024 * 1024,
  /** Bytes under one set of SSH keys (RFC 4344 section 3.2); OpenSSH's own default lies near. */
  sshRekeyBytes: 32 * 1024 * 1024 * 1024,
  /** Attempts to sign in on one SSH connection, offers of keys counted, as sshd's MaxAuthTries. */
  sshSignInsMax: 20,
  /** From the key exchange to the end of signing in: for a password that is pasted, and with a link to a browser. */
  sshPasswordMsMax: 60_000,
  sshLoginMsMax: 5 * 60_000,
  /** A peer that was silent so long is asked for a word, and is gone after three without an answer. */
  sshAliveMs: 30_000,
  /** One SFTP packet; OpenSSH's own limit (SFTP_MAX_MSG_LENGTH). */
  sftpPacketBytesMax: 256 * 1024,
  /** A command line that is judged. */
  sshCommandBytesMax: 256 * 1024,
  /** A request's or answer's head; nginx and Node take less. */
  httpHeadBytesMax: 64 * 1024,
  httpHeadersMax: 200,
  /** A request target. */
  httpTargetBytesMax: 16 * 1024,
  /** A request's body that is read before it is judged; a longer one streams, and rules that read it match. */
  httpBodyJudgedBytesMax: 256 * 1024,
  /** From a request's first byte to the end of its head, and from there to the end of a body that is judged. */
  httpHeadMsMax: 20_000,
  httpBodyJudgedMsMax: 60_000,
  /** A connection without a request, a stream in which nothing moves, and a service that says nothing. */
  httpIdleMsMax: 75_000,
  httpStallMsMax: 10 * 60_000,
  httpUpstreamAnswerMsMax: 10 * 60_000,
  /** Requests of one connection at a time: streams of HTTP/2, or pipelined ones of HTTP/1.1, which wait. */
  httpRequestsInFlightMax: 100,
  /** Connections to the service for one client connection. */
  httpUpstreamConnectionsMax: 16,
  /** Requests a client of HTTP/2 may take back within ten seconds. */
  httpResetsPerWindowMax: 200,
  /** Of one shared session without a connection. */
  httpSessionLingerMsMax: 30_000,
  /** Who signed in on one connection: tokens, resources and roles. */
  httpSessionsPerConnectionMax: 16,
  /** A held request that is polled for: answers kept, their bytes, and for how long. */
  httpHeldAnswersMax: 1_000,
  httpHeldAnswerMsMax: 10 * 60_000,
  /** Reads of the gateway's own before a request is judged: of one request, bytes of one answer, and how long all may take. */
  httpLooksMax: 20,
  httpLookBytesMax: 1024 * 1024,
  httpLookMsMax: 5_000,
  /** One Server-Sent Event, or text message of a WebSocket, that is masked; a longer one ends the answer. */
  httpEventBytesMax: 1024 * 1024,
  /** Texts that come in pieces, side by side in one stream (`http.streams`); one more ends the answer. */
  joinedTextsMax: 64,
  /** A message that brings a piece of such a text; a longer one ends the answer. */
  joinedMessageBytesMax: 64 * 1024,
  /** Of a GraphQL document that is judged. */
  httpGraphqlTokensMax: 10_000,
  /** Headers of one part of a multipart body. */
  httpPartHeadBytesMax: 16 * 1024,
  /** A compressed body may grow to so much in any case; beyond it, by so many times. */
  httpInflatedBytesFree: 16 * 1024 * 1024,
  httpInflateRatioMax: 200,
  /** Access requests of one requester that wait for an answer. */
  openAccessRequestsMax: 20,
  approvalNoticeEveryMs: 60_000,
  holdInTransactionMsDefault: 30_000,
  /** A transaction whose COMMIT is to be held: how long it may stay open, and its statements. */
  commitOpenMsMax: 60 * 60_000,
  commitStatementsMax: 1_000,
  /** Of its statements, what an approver and the trail are shown. */
  commitListedMax: 100,
  commitSampleRowsMax: 20,
  commitSavepointsMax: 10_000,
  bundleChunkBytesMax: 256 * 1024,
  bundleBytesMax: 256 * 1024 * 1024,
  grpcMessageBytesMax: 4 * 1024 * 1024,
  trailBatchBytesMax: 256 * 1024,
  /** How long smaller batches gather before they are sent. */
  trailLingerMs: 100,
  eventPayloadBytesMax: 1024 * 1024,
  segmentBytesMax: 8 * 1024 * 1024,
  segmentAgeMsMax: 60_000,
  spoolBytesMax: 4 * 1024 * 1024 * 1024,
  recordedRowBytesPerStatementMax: 64 * 1024,
  /** A line of COPY data that is gathered to be masked for the recording, or shown in a replay; a longer one is only named. */
  recordedLineBytesMax: 1024 * 1024,
  /** Output and input of one command that `results` keeps, streams together; the rest is counted and digested. */
  recordedStreamBytesPerStatementMax: 1024 * 1024,
  /** The same of a terminal, which shows a person's whole day: keys, screens, resizes. */
  recordedTerminalBytesPerStatementMax: 64 * 1024 * 1024,
  /** Of one HTTP body, where the resource does not say; the rest is counted and digested. */
  recordedHttpBodyBytes: 64 * 1024,
  /** The most a resource may ask for. */
  recordedHttpBodyBytesMax: 16 * 1024 * 1024,
  recordingChunkBytesMax: 256 * 1024,
  /** Recorded bytes of one session that are not on disk yet; beyond it `results` cuts and `full` throttles. */
  recordingQueueBytesMax: 4 * 1024 * 1024,
  /** The same over all sessions of a process. */
  recordingQueuesBytesMax: 64 * 1024 * 1024,
  /** A chunk leaves memory at this age even when it is small, so that a session can be watched. */
  recordingChunkAgeMsMax: 5_000,
  /** A row that a replay or a live view shows cell by cell; of a larger one it says the size. */
  replayedRowBytesMax: 4 * 1024 * 1024,
  /** Of `spoolBytesMax`, what recordings may fill; the rest is kept for the trail. */
  recordingSpoolShareMax: 0.75,
  /** Outcomes of forwarded statements that wait for a full disk; beyond it the process must end. */
  owedEventsMax: 200_000,
  /** After a failed write new statements are refused this long before the disk is tried again. */
  spoolRetryMs: 1_000,
  /** Leases of one agent; beyond it a sign-in that needs another is refused with `credential.unavailable`. */
  leasesMax: 2_000,
  /** How long a value fetched from a store is used before it is asked for again. */
  credentialFreshMs: 60_000,
  /** How long a fetched value is used while its store cannot be reached. */
  credentialStaleMsMax: 60 * 60_000,
  heartbeatEveryMs: 5_000,
  /** An agent asks its control plane for a sign of life so often. */
  linkAliveMs: 3_000,
  /** A control plane that has not given it by then is away: the link is called down. */
  linkSilenceMsMax: 7_000,
  pageSizeMax: 200,
  /** Sessions whose recordings one request for commands looks into, and how long it looks before it gives its page. */
  commandSearchSessionsMax: 50,
  commandSearchMsMax: 5_000,
  /** A SCIM filter or path: characters, nesting, comparisons. */
  scimFilterCharsMax: 2_000,
  scimFilterDepthMax: 10,
  scimFilterTermsMax: 50,
  /** Operations of one SCIM PATCH, and values of one of its lists. */
  scimPatchOperationsMax: 1_000,
  scimValuesMax: 20_000,
  scimTextCharsMax: 1_000,
  /** One SAML answer as it comes, in base64. */
  samlResponseBytesMax: 512 * 1024,
  /** Metadata of a SAML identity provider. */
  samlMetadataBytesMax: 1024 * 1024,
  /** Hosts that one agent's issuer for its forward proxy is constrained to; resources that register more share no more. */
  interceptedHostsMax: 2_000,
  /** Leaves kept ready by a forward proxy; those that were not used for longest are made again. */
  interceptionLeavesMax: 256,
  /** One message of an MCP server, and of a client what `httpBodyJudgedBytesMax` says. A longer one is not shown. */
  mcpMessageBytesMax: 4 * 1024 * 1024,
  /** MCP sessions whose owners an agent remembers; those that were not used for longest begin anew. */
  mcpSessionsMax: 20_000,
  /** Tools whose first descriptions an agent remembers. */
  mcpToolsMax: 50_000,
  /** A document that rules read field by field; a deeper or longer one is not computable. */
  bodyDepthMax: 64,
  bodyFieldsMax: 5_000,
  /** Words and signs of YAML that is sent to a cluster: reading that takes long, and holds others up. */
  yamlTokensMax: 65_536,
  celSourceBytesMax: 4 * 1024,
  /** A command line: what Linux takes as one argument of a program. A longer one is refused. */
  shellTextCharactersMax: 128 * 1024,
  /** Substitutions, compound commands and texts in texts of one command line. */
  shellNestingMax: 50,
  /** Programs one command line runs, each call of a function and each turn of a short loop by itself. */
  shellCommandsMax: 2_000,
  shellStepsMax: 20_000,
  /** Words that one word becomes, and words of one command. */
  shellWordsMax: 10_000,
  /** Characters that variables and inner texts of one command line become. */
  shellExpandedCharactersMax: 1024 * 1024,
  rulesPerPolicyMax: 500,
  /** Relations and commands that a judged statement's event names, for access reviews, and the length of each. */
  reachedPerStatementMax: 20,
  reachedCharactersMax: 160,
  /** Distinct relations and commands that a principal's use of a resource is kept by in one day; the rest is summed up as `…`. */
  usageWordsPerDayMax: 300,
  /** Grants in one round of an access review. */
  reviewItemsMax: 10_000,
} as const;
