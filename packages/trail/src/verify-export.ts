/**
 * Checks an export offline: order, completeness and signatures of everything in it, against the root and against heads that
 * left the building. Needs node:crypto alone. Reports every finding it can and goes on; it throws for nothing in the export.
 * Longer than most files: the order of the checks is the argument, so it stands in one place.
 */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { agentUri, controlPlaneUri, EKU_AGENT_TRAIL, EKU_CONTROL_TRAIL, GatewayError } from '@sallyport/core';
import { broken } from './bytes.ts';
import { parseCertificates, TrustStore } from './certificates.ts';
import { type ChainIdentity, type ChainPosition, chainStart } from './chain.ts';
import { ChainChecker } from './chain-check.ts';
import { type Checkpoint, checkpointHolds } from './checkpoint.ts';
import type { EventRecord } from './event.ts';
import { EXPORT_FORMAT } from './export.ts';
import { MerkleFrontier } from './merkle.ts';
import { decodeEventPayload } from './payload-decode.ts';
import { RECORD_ERASED_EVENT, RECORD_EVENT, readRecords } from './record.ts';
import { recordingDigest } from './recording-chunk.ts';
import { parseSegmentHeader } from './segment.ts';
import { readTar } from './tar.ts';
import { parseTreeHeads, type TreeHead, treeHeadHolds } from './tree-head.ts';

/**
 * `altered`: bytes are not those that were chained; `removed`: a gap; `reordered`; `truncated`: an end is missing;
 * `forked`: two histories of one chain; `rewritten`: a head does not fit the tree; `untrusted`: a signature or certificate;
 * `malformed`: cannot be read.
 */
export type FindingKind =
  | 'altered'
  | 'removed'
  | 'reordered'
  | 'truncated'
  | 'forked'
  | 'rewritten'
  | 'untrusted'
  | 'malformed';

export interface Finding {
  readonly kind: FindingKind;
  /** Entry of the archive, or chain, or head. */
  readonly where: string;
  /** First event concerned; undefined when it is not about an event. */
  readonly sequence: number | undefined;
  /** How many events or segments, where known. */
  readonly count: number | undefined;
  readonly reason: string;
}

export interface ChainSummary extends ChainIdentity {
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Hex. */
  readonly head: string;
}

export interface VerifyReport {
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  readonly events: number;
  readonly segments: number;
  readonly checkpoints: number;
  /** Signed segments from before a known head that the export leaves out: their leaves were checked, they were not. */
  readonly leftOut: number;
  /** Events whose payload was erased: the chain holds, the content is gone. */
  readonly erased: number;
  /** Events after the last checkpoint of their chain, or in checkpointed segments newer than the last head. */
  readonly pending: number;
  readonly recordings: number;
  /**
   * Chunks that the record names and an export with recordings lacks: not arrived yet, kept no longer, or taken out.
   * 0 for an export without recordings.
   */
  readonly recordingsAbsent: number;
  readonly chains: readonly ChainSummary[];
  /** The newest head in the export. */
  readonly head: { readonly size: number; readonly root: string; readonly timeMs: number } | undefined;
}

export interface VerifyOptions {
  /** Certificate or public key of the root, from anywhere but the export. */
  readonly root: X509Certificate | KeyObject;
  /** Heads kept outside: what was in the tree then must be in it now. */
  readonly knownHeads?: readonly TreeHead[];
  /** How long after its certificate's end an agent may still close segments (it may be cut off); 7 days when left out. */
  readonly agentGraceMs?: number;
  /** The export may leave out this many first leaves, because they were checked before; 0 when left out. */
  readonly since?: number;
}

/** What every export has, however little it covers. */
const REQUIRED = ['manifest.json', 'certificates.pem', 'heads.jsonl', 'leaves.bin'];
const ENTRY_BYTES_MAX = 256 * 1024 * 1024;
const DAY_MS = 24 * 60 * 60_000;

/** @param archive the export's bytes in pieces of any size */
export async function verifyExport(
  archive: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const check = new ExportCheck(options);
  await check.run(archive);
  return check.report();
}

interface ChainState {
  readonly identity: ChainIdentity;
  readonly firstSequence: number;
  position: ChainPosition;
  /** Events after the last checkpoint. */
  open: number;
  /** A finding stopped this chain: what follows it is not reported again. */
  readonly broken: boolean;
}

class ExportCheck {
  readonly #options: VerifyOptions;
  readonly #findings: Finding[] = [];
  readonly #chains = new Map<string, ChainState>();
  /** Leaf (hex) → events in its segment. */
  readonly #segmentsByLeaf = new Map<string, number>();
  /** Predecessors that epochs name, to find two that name the same. */
  readonly #recoveredBy = new Map<string, string>();
  /** `session/index/digest` that the trail names. */
  readonly #recordingEvents = new Set<string>();
  readonly #recordingsSeen = new Set<string>();
  readonly #entries = new Set<string>();
  readonly #starts: {
    readonly chain: ChainIdentity;
    readonly epoch: number;
    readonly sequence: number;
    readonly head: string;
  }[] = [];
  #trust: TrustStore | undefined;
  #controlPlaneId = '';
  #withRecordings = false;
  #since = 0;
  #heads: readonly TreeHead[] = [];
  #leaves: Buffer[] = [];
  #events = 0;
  #checkpoints = 0;
  #erased = 0;
  #recordings = 0;
  #segments = 0;
  #pending = 0;

  constructor(options: VerifyOptions) {
    this.#options = options;
  }

  async run(archive: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    try {
      for await (const entry of readTar(archive, ENTRY_BYTES_MAX)) this.#entry(entry.name, entry.bytes);
    } catch (error) {
      this.#caught(error, 'archive');
      this.#add('truncated', 'archive', 'archive');
    }
    for (const name of REQUIRED) if (!this.#entries.has(name)) this.#add('truncated', name, 'missing-entry');
    this.#epochs();
    this.#tree();
  }

  report(): VerifyReport {
    const last = this.#heads.at(-1);
    return {
      ok: this.#findings.length === 0,
      findings: this.#findings,
      events: this.#events,
      segments: this.#segments,
      checkpoints: this.#checkpoints,
      leftOut: this.#since,
      erased: this.#erased,
      pending: this.#pending,
      recordings: this.#recordings,
      recordingsAbsent: this.#withRecordings ? this.#recordingEvents.size - this.#recordingsSeen.size : 0,
      chains: [...this.#chains.values()].map((chain) => ({
        ...chain.identity,
        firstSequence: chain.firstSequence,
        lastSequence: chain.position.sequence,
        head: chain.position.head.toString('hex'),
      })),
      head: last && { size: last.size, root: last.root.toString('hex'), timeMs: last.timeMs },
    };
  }

  #add(kind: FindingKind, where: string, reason: string, sequence?: number, count?: number): void {
    this.#findings.push({ kind, where, reason, sequence, count });
  }

  /** A `trail.broken` becomes a finding; anything else is a bug or the reader's own failure and goes on. */
  #caught(error: unknown, where: string): void {
    if (!(error instanceof GatewayError)) throw error;
    const { reason, sequence, count } = error.detail;
    const word = String(reason ?? error.code);
    this.#add(
      KIND_OF_REASON[word] ?? 'malformed',
      where,
      word,
      typeof sequence === 'number' ? sequence : undefined,
      typeof count === 'number' ? count : undefined,
    );
  }

  #entry(name: string, bytes: Buffer): void {
    // Of two such entries one reader would believe the first and another the last. Two segments of one name are a fork.
    if (this.#entries.has(name) && REQUIRED.includes(name)) {
      this.#add('malformed', name, 'repeated-entry');
      return;
    }
    this.#entries.add(name);
    try {
      if (name === 'manifest.json') this.#manifest(bytes);
      else if (name === 'certificates.pem') this.#certificates(bytes);
      else if (name === 'heads.jsonl') this.#heads = parseTreeHeads(bytes.toString('utf8'));
      else if (name === 'leaves.bin') this.#leaves = cutLeaves(bytes);
      else if (name.startsWith('segments/')) this.#segment(name, bytes);
      else if (name.startsWith('recordings/')) this.#recording(name, bytes);
      else this.#add('malformed', name, 'entry');
    } catch (error) {
      this.#caught(error, name);
    }
  }

  #manifest(bytes: Buffer): void {
    let value: Record<string, unknown> = {};
    try {
      value = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    } catch {
      this.#add('malformed', 'manifest.json', 'json');
    }
    if (value['format'] !== EXPORT_FORMAT || value['version'] !== 1) this.#add('malformed', 'manifest.json', 'version');
    this.#controlPlaneId = String(value['controlPlaneId']);
    this.#withRecordings = value['recordings'] === true;
    this.#since = Number(value['since']);
    if (!Number.isSafeInteger(this.#since) || this.#since < 0) {
      this.#add('malformed', 'manifest.json', 'since');
      this.#since = 0;
    }
    // The export does not decide how much of it is checked.
    const allowed = this.#options.since ?? 0;
    if (this.#since > allowed) {
      this.#add('truncated', 'manifest.json', 'since', undefined, this.#since - allowed);
      this.#since = allowed;
    }
  }

  #certificates(bytes: Buffer): void {
    try {
      this.#trust = new TrustStore(this.#options.root, parseCertificates(bytes.toString('utf8')));
    } catch {
      this.#add('malformed', 'certificates.pem', 'certificate');
    }
  }

  #segment(name: string, bytes: Buffer): void {
    const header = parseSegmentHeader(bytes);
    this.#segments++;
    const id = chainName(header.identity);
    const before = this.#chains.get(id);
    const from = { sequence: header.firstSequence - 1, head: header.prev };
    if (!this.#follows(name, header.identity, before, from)) return;
    const checker = new ChainChecker(header.identity, from);
    const start = this.#events;
    let closed: Checkpoint | undefined;
    let stopped = false;
    let at = header.length;
    try {
      for (const record of readRecords(bytes, header.length)) {
        at = record.end;
        if (closed !== undefined) {
          this.#add('altered', name, 'after-checkpoint');
          break;
        }
        const checked = checker.accept(record);
        if (checked.kind === 'event') {
          this.#events++;
          if (record.type === RECORD_ERASED_EVENT) this.#erased++;
          this.#event(header.identity, checked.event);
        } else if (checked.kind === 'checkpoint') {
          closed = checked.checkpoint;
        }
      }
    } catch (error) {
      stopped = true;
      this.#caught(movedRatherThanRemoved(error, bytes, at), name);
    }
    const count = this.#events - start;
    if (closed !== undefined) this.#closed(name, closed, count);
    this.#chains.set(id, {
      identity: header.identity,
      firstSequence: before?.firstSequence ?? header.firstSequence,
      position: { sequence: checker.position.sequence, head: Buffer.from(checker.position.head) },
      open: closed === undefined ? count : 0,
      broken: stopped,
    });
  }

  /** Whether the segment goes on where its chain stopped; false = it cannot be read on from here. */
  #follows(name: string, identity: ChainIdentity, before: ChainState | undefined, from: ChainPosition): boolean {
    if (before?.broken === true) return true;
    // A partial export may start anywhere; its leaves say whether something is missing.
    const expected = before?.position ?? (this.#since > 0 ? from : chainStart(identity));
    if (from.sequence > expected.sequence) {
      this.#add('removed', name, 'removed', expected.sequence + 1, from.sequence - expected.sequence);
    } else if (from.sequence < expected.sequence) {
      const forked = before !== undefined && from.sequence >= before.firstSequence - 1;
      this.#add(forked ? 'forked' : 'reordered', name, 'overlap', from.sequence + 1);
      return false;
    } else if (!from.head.equals(expected.head)) {
      this.#add('altered', name, 'prev', from.sequence + 1);
    }
    return true;
  }

  #event(chain: ChainIdentity, record: EventRecord): void {
    if (record.payload === undefined) return;
    if (record.kind === 'epoch.started') {
      const event = decodeEventPayload(record.kind, record.payload);
      if (event.kind !== 'epoch.started' || event.recoveredHead === '') return;
      this.#starts.push({
        chain,
        epoch: event.recoveredEpoch,
        sequence: event.recoveredSequence,
        head: event.recoveredHead,
      });
    } else if (record.kind === 'recording.chunk') {
      const event = decodeEventPayload(record.kind, record.payload);
      if (event.kind === 'recording.chunk')
        this.#recordingEvents.add(`${record.sessionId}/${event.index}/${event.digest}`);
    }
  }

  #closed(name: string, checkpoint: Checkpoint, count: number): void {
    this.#checkpoints++;
    const own = checkpoint.identity.agentId === this.#controlPlaneId;
    const answer = this.#trust?.find(checkpoint.keyId, {
      usage: own ? EKU_CONTROL_TRAIL : EKU_AGENT_TRAIL,
      uri: own ? controlPlaneUri(this.#controlPlaneId) : agentUri(checkpoint.identity.agentId),
      timeMs: checkpoint.timeMs,
      graceMs: own ? 0 : (this.#options.agentGraceMs ?? 7 * DAY_MS),
    });
    if (answer === undefined) this.#add('untrusted', name, 'unknown-signer', checkpoint.lastSequence);
    else if (answer.kind === 'refused') this.#add('untrusted', name, answer.problem, checkpoint.lastSequence);
    else if (!checkpointHolds(checkpoint, answer.key))
      this.#add('untrusted', name, 'signature', checkpoint.lastSequence);
    this.#segmentsByLeaf.set(checkpoint.leaf.toString('hex'), count);
  }

  #recording(name: string, bytes: Buffer): void {
    this.#recordings++;
    const [, sessionId, file] = name.split('/');
    const index = Number.parseInt(file ?? '', 10);
    const chunk = `${sessionId}/${index}/${recordingDigest(bytes)}`;
    if (this.#recordingEvents.has(chunk)) this.#recordingsSeen.add(chunk);
    else this.#add('altered', name, 'recording');
  }

  /** Each epoch goes on from the end of the one before it in its slot; two that go on from one head are a fork. */
  #epochs(): void {
    for (const start of this.#starts) {
      const where = chainName(start.chain);
      const former = `${start.chain.agentId}/${start.chain.instance}/${start.epoch}/${start.head}`;
      if (this.#recoveredBy.has(former)) this.#add('forked', where, 'two-successors', start.sequence);
      this.#recoveredBy.set(former, where);
      const before = this.#chains.get(chainName({ ...start.chain, epoch: start.epoch }));
      if (before === undefined) {
        if (this.#since === 0) this.#add('removed', where, 'epoch-before', undefined);
        continue;
      }
      if (before.broken) continue;
      const had = before.position.sequence;
      if (had < start.sequence)
        this.#add('truncated', chainName(before.identity), 'epoch-end', had + 1, start.sequence - had);
      else if (had > start.sequence)
        this.#add('forked', chainName(before.identity), 'grew-after-successor', start.sequence + 1);
      else if (before.position.head.toString('hex') !== start.head) this.#add('forked', where, 'head', start.sequence);
    }
  }

  #tree(): void {
    const frontier = new MerkleFrontier();
    const roots = new Map<number, Buffer>([[0, frontier.root()]]);
    const wanted = new Set([...this.#heads, ...(this.#options.knownHeads ?? [])].map((head) => head.size));
    for (const leaf of this.#leaves) {
      frontier.add(leaf);
      if (wanted.has(frontier.size)) roots.set(frontier.size, frontier.root());
    }
    for (const head of this.#heads) this.#head(head, roots, 'heads.jsonl');
    for (const head of this.#options.knownHeads ?? []) this.#head(head, roots, 'known-heads');
    const signed = Math.max(0, ...this.#heads.map((head) => head.size));
    if (this.#heads.length === 0 && this.#leaves.length + this.#segments > 0)
      this.#add('truncated', 'heads.jsonl', 'no-head');
    if (this.#leaves.length > signed)
      this.#add('rewritten', 'leaves.bin', 'unsigned-leaves', undefined, this.#leaves.length - signed);
    if (this.#since > this.#leaves.length) this.#add('truncated', 'leaves.bin', 'since');
    this.#present();
  }

  #head(head: TreeHead, roots: ReadonlyMap<number, Buffer>, where: string): void {
    const at = `${where}#${head.size}`;
    if (head.controlPlaneId !== this.#controlPlaneId) this.#add('untrusted', at, 'wrong-name');
    const answer = this.#trust?.find(head.keyId, {
      usage: EKU_CONTROL_TRAIL,
      uri: controlPlaneUri(head.controlPlaneId),
      timeMs: head.timeMs,
      graceMs: 0,
    });
    if (answer === undefined) this.#add('untrusted', at, 'unknown-signer');
    else if (answer.kind === 'refused') this.#add('untrusted', at, answer.problem);
    else if (!treeHeadHolds(head, answer.key)) this.#add('untrusted', at, 'signature');
    if (head.size > this.#leaves.length)
      this.#add('truncated', at, 'leaves', undefined, head.size - this.#leaves.length);
    else if (!roots.get(head.size)?.equals(head.root)) this.#add('rewritten', at, 'root');
  }

  /** Every leaf after `since` has its segment; segments without a leaf are younger than the last head. */
  #present(): void {
    const inTree = new Set(this.#leaves.map((leaf) => leaf.toString('hex')));
    for (const [i, leaf] of this.#leaves.entries()) {
      if (i >= this.#since && !this.#segmentsByLeaf.has(leaf.toString('hex'))) {
        this.#add('removed', `leaves.bin#${i}`, 'segment', undefined, 1);
      }
    }
    for (const [leaf, count] of this.#segmentsByLeaf) if (!inTree.has(leaf)) this.#pending += count;
    for (const chain of this.#chains.values()) this.#pending += chain.open;
  }
}

const KIND_OF_REASON: Readonly<Record<string, FindingKind>> = {
  altered: 'altered',
  'payload-digest': 'altered',
  'key-record': 'altered',
  removed: 'removed',
  reordered: 'reordered',
  truncated: 'truncated',
  record: 'truncated',
};

/** A gap whose event stands further on in the segment was made by moving events, not by taking one away. */
function movedRatherThanRemoved(error: unknown, bytes: Buffer, from: number): unknown {
  if (!(error instanceof GatewayError) || error.detail['reason'] !== 'removed') return error;
  const sequence = Number(error.detail['sequence']);
  try {
    for (const { type, body } of readRecords(bytes, from)) {
      if ((type === RECORD_EVENT || type === RECORD_ERASED_EVENT) && Number(body.readBigUInt64BE(8)) === sequence)
        return broken('reordered', { sequence });
    }
  } catch (later) {
    // What cannot be read further on does not change what was found here.
    if (!(later instanceof GatewayError)) throw later;
  }
  return error;
}

const chainName = (identity: ChainIdentity): string => `${identity.agentId}/${identity.instance}/${identity.epoch}`;

function cutLeaves(bytes: Buffer): Buffer[] {
  if (bytes.length % 32 !== 0) throw new GatewayError('trail.broken', { reason: 'leaves' });
  return Array.from({ length: bytes.length / 32 }, (_, i) => bytes.subarray(i * 32, i * 32 + 32));
}
