/**
 * Forwards (RFC 4254 section 7, OpenSSH PROTOCOL section 2.4): each is a statement with its address as a fact, judged before
 * the host hears of it. An address that is one of this agent's resources is never passed through: it becomes a client of our
 * own SSH server, which signs in by itself. Refuses what was not asked for from the host's side.
 */
import { CODES, GatewayError } from '@sallyport/core';
import type { SshForward } from '@sallyport/model';
import { type NestedClient, type Permit, Refusal } from '@sallyport/protocol-kit';
import type { Channel, Channels } from './channels.ts';
import { canonicalHost, forwardStatement } from './classify.ts';
import { countedFilter } from './mask.ts';
import { type ChannelOpen, encode, OPEN_FAILURE, parseTcpAddresses, Reader, string, uint32 } from './messages.ts';
import { Pipe } from './pipe.ts';
import type { GlobalAnswer } from './upstream.ts';
import type { Judged, Work } from './work.ts';

interface Listening {
  readonly key: string;
  readonly judged: Judged;
  readonly ended: () => void;
}

const LISTENS: ReadonlySet<string> = new Set([
  'tcpip-forward',
  'streamlocal-forward@openssh.com',
  'cancel-tcpip-forward',
  'cancel-streamlocal-forward@openssh.com',
]);
const LISTENS_IN_LINE_MAX = 100;
/** Keep-alives of hours of a hold. */
const IN_LINE_MAX = 10_000;
const NOTHING = Buffer.alloc(0);
const SILENT = { held: () => undefined };

export class Forwards {
  readonly #work: Work;
  readonly #client: Channels;
  readonly #listening = new Map<string, Listening>();
  /** Global requests are answered in the order in which they came (section 4), also behind one that is held. */
  #line: Promise<void> = Promise.resolve();
  /** How many stand in that line. */
  #inLine = 0;

  constructor(work: Work, client: Channels) {
    this.#work = work;
    this.#client = client;
  }

  /** The client opens a channel to an address. @throws GatewayError `protocol.malformed` */
  open(open: ChannelOpen): void {
    if (open.type === 'direct-tcpip') {
      const { host: spelled, port, originHost, originPort } = parseTcpAddresses(open.data);
      // Rules name an address once: what is judged is what the host is asked for.
      const host = canonicalHost(spelled);
      const { signIn } = this.#work.host;
      if ([spelled, host].some((name) => signIn.isResource?.(name) === true)) return this.#nest(open);
      return this.#through(open, { kind: 'local', host, port }, (permit) =>
        this.#work.upstream.openTcp(permit, host, port, { host: originHost, port: originPort }),
      );
    }
    if (open.type === 'direct-streamlocal@openssh.com') {
      const path = new Reader(open.data, 0).text();
      const forward: SshForward = { kind: 'streamlocal', host: path, port: 0 };
      return this.#through(open, forward, (permit) => this.#work.upstream.openSocket(permit, path));
    }
    this.#client.refuse(open, OPEN_FAILURE.unknownType, 'not carried');
  }

  #through(open: ChannelOpen, forward: SshForward, reach: (permit: Permit) => Promise<Channel>): void {
    const statement = forwardStatement(forward, this.#work.signed.info.role);
    const run = async (): Promise<void> => {
      const judged = await this.#work.judge(statement, SILENT);
      let host: Channel;
      try {
        host = await reach(judged.permit);
      } catch (error) {
        judged.tally.error = error instanceof GatewayError ? error.code : 'internal';
        judged.tally.finish(this.#work.host.monotonicUs());
        throw error;
      }
      const channel = this.#client.accept(open);
      if (channel === undefined) return host.abort();
      this.#join(channel, host, judged);
    };
    run().catch((error: unknown) => this.#refuse(open, error));
  }

  #join(client: Channel, host: Channel, judged: Judged): void {
    const { tally, statement } = judged;
    const pipe = new Pipe(
      client,
      host,
      countedFilter((bytes, up) => {
        if (!up) tally.bytes += bytes;
      }),
      {
        exited: () => undefined,
        closed: () => {
          ended();
          tally.finish(this.#work.host.monotonicUs());
        },
      },
    );
    const ended = this.#work.running(statement, () => pipe.stop(new Uint8Array(4)));
    client.owner = {
      data: (chunk) => pipe.clientData(chunk),
      eof: () => pipe.clientEof(),
      closed: () => pipe.clientClosed(),
      drained: () => pipe.clientDrained(),
      request: (request) => {
        if (request.wantReply) client.answer(false);
      },
    };
  }

  #refuse(open: ChannelOpen, error: unknown): void {
    const refused = error instanceof Refusal;
    const code = error instanceof GatewayError ? error.code : 'internal';
    if (!(error instanceof GatewayError)) this.#work.host.log.error('a forward broke', { error });
    const verdict = refused ? error.verdict : undefined;
    const why = verdict !== undefined && verdict.kind !== 'allow' ? verdict.message : undefined;
    const reason = refused ? OPEN_FAILURE.prohibited : OPEN_FAILURE.connectFailed;
    this.#client.refuse(open, reason, `Sallyport: ${why ?? CODES[code].text}`);
  }

  /** The way to another resource of ours leads through our own door. */
  #nest(open: ChannelOpen): void {
    const channel = this.#client.accept(open);
    if (channel === undefined) return;
    let paused = false;
    let owed = 0;
    const pay = (): void => {
      if (paused) return;
      const bytes = owed;
      owed = 0;
      channel.took(bytes);
    };
    const nested: NestedClient | undefined = this.#work.host.nest?.({
      write: (bytes) => channel.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
      pause: () => {
        paused = true;
      },
      resume: () => {
        paused = false;
        pay();
      },
      end: () => channel.close(),
      destroy: () => channel.abort(),
    });
    if (nested === undefined) return channel.abort();
    channel.owner = {
      data: (chunk) => {
        owed += chunk.length;
        nested.bytes(chunk);
        pay();
      },
      eof: () => channel.close(),
      drained: () => nested.drained(),
      closed: () => nested.closed(),
      request: ({ wantReply }) => {
        if (wantReply) channel.answer(false);
      },
    };
  }

  /** A global request of the client. @throws GatewayError `protocol.unexpected` when too many wait behind one that is held */
  request(name: string, wantReply: boolean, data: Buffer): void {
    const listens = LISTENS.has(name);
    if (!listens && !wantReply) return;
    if (this.#inLine >= (listens ? LISTENS_IN_LINE_MAX : IN_LINE_MAX))
      throw new GatewayError('protocol.unexpected', { reason: 'too many global requests' });
    // Keep-alives are global requests, too: their answer waits, and the client is not to think us dead meanwhile.
    if (wantReply && this.#inLine > 0) this.#client.alive();
    this.#inLine++;
    const kept = listens ? data : NOTHING;
    this.#line = this.#line.then(async () => {
      await this.#answer(name, wantReply, kept);
      this.#inLine--;
    });
  }

  async #answer(name: string, wantReply: boolean, data: Buffer): Promise<void> {
    let answer: GlobalAnswer = { ok: false, data: NOTHING };
    try {
      if (name === 'tcpip-forward' || name === 'streamlocal-forward@openssh.com')
        answer = await this.#listen(name, data);
      else if (name === 'cancel-tcpip-forward' || name === 'cancel-streamlocal-forward@openssh.com')
        answer = await this.#unlisten(name, data);
      else if (name === 'no-more-sessions@openssh.com') answer = { ok: true, data: NOTHING };
    } catch (error) {
      if (!(error instanceof GatewayError)) this.#work.host.log.error('a forward broke', { error });
    }
    if (wantReply) this.#client.answerGlobal(answer.ok, answer.data);
  }

  async #listen(name: string, data: Buffer): Promise<GlobalAnswer> {
    const forward = forwardOf(data, name.startsWith('streamlocal'));
    const judged = await this.#work.judge(forwardStatement(forward, this.#work.signed.info.role), SILENT);
    return await this.#work.upstream.global(judged.permit, name, data, (answer) => {
      if (answer.ok) return this.#listens(forward, judged, name, data, answer);
      judged.tally.error = 'upstream';
      judged.tally.finish(this.#work.host.monotonicUs());
    });
  }

  #listens(forward: SshForward, judged: Judged, name: string, data: Buffer, answer: GlobalAnswer): void {
    const port = forward.port === 0 && answer.data.length === 4 ? answer.data.readUInt32BE() : forward.port;
    const key = keyOf(forward.host, port);
    const ended = this.#work.running(judged.statement, () => void this.#stopListening(key, name, data));
    this.#listening.set(key, { key, judged, ended });
  }

  async #unlisten(name: string, data: Buffer): Promise<GlobalAnswer> {
    const { host, port } = forwardOf(data, name.includes('streamlocal'));
    const found = this.#listening.get(keyOf(host, port));
    if (found === undefined) return { ok: false, data: NOTHING };
    this.#forget(found);
    return await this.#work.upstream.global(found.judged.permit, name, data);
  }

  #forget({ key, judged, ended }: Listening): void {
    this.#listening.delete(key);
    ended();
    judged.tally.finish(this.#work.host.monotonicUs());
  }

  /** Another bundle forbids it. */
  async #stopListening(key: string, name: string, data: Buffer): Promise<void> {
    const found = this.#listening.get(key);
    if (found === undefined) return;
    this.#forget(found);
    await this.#work.upstream.global(found.judged.permit, `cancel-${name}`, data).catch(() => undefined);
  }

  /** The host opens a channel for somebody who came to where it listens. */
  fromHost(open: ChannelOpen): void {
    const { channels } = this.#work.upstream;
    const listening = this.#listeningFor(open);
    if (listening === undefined) return channels.refuse(open, OPEN_FAILURE.prohibited, 'not asked for');
    this.#client.open(open.type, open.data, (client) => {
      if (client instanceof GatewayError) return channels.refuse(open, OPEN_FAILURE.connectFailed, 'refused');
      const host = channels.accept(open);
      if (host === undefined) return client.abort();
      const { judged } = listening;
      this.#join(client, host, { ...judged, tally: this.#work.tally(judged.statement) });
    });
  }

  #listeningFor(open: ChannelOpen): Listening | undefined {
    if (open.type === 'forwarded-tcpip') {
      const { host, port } = parseTcpAddresses(open.data);
      return this.#listening.get(keyOf(host, port));
    }
    if (open.type === 'forwarded-streamlocal@openssh.com')
      return this.#listening.get(keyOf(new Reader(open.data, 0).text(), 0));
    return undefined;
  }

  /** The session is over. */
  close(): void {
    for (const listening of this.#listening.values()) this.#forget(listening);
  }
}

function forwardOf(data: Buffer, isSocket: boolean): SshForward {
  const reader = new Reader(data, 0);
  const host = reader.text();
  return isSocket ? { kind: 'streamlocal', host, port: 0 } : { kind: 'remote', host, port: reader.uint32() };
}

const keyOf = (host: string, port: number): string => encode(string(host), uint32(port)).toString('latin1');
