/**
 * scp's older protocol (OpenSSH scp.c, "source" and "sink"), between a client and a host: each file that moves is a statement
 * with its path and size, judged before its name reaches the side that would write it or its content leaves. What moves is
 * counted and hashed. Refuses names with a slash in them, and whatever is not that protocol.
 */
import { createHash, type Hash } from 'node:crypto';
import { GatewayError } from '@sallyport/core';
import type { FileFacts } from '@sallyport/model';
import type { Channel, ChannelOwner } from './channels.ts';
import { fileStatement, normalPath, type Transfer } from './classify.ts';
import { forTerminal, heldText } from './deny.ts';
import type { ContentScan } from './mask.ts';
import type { ChannelRequest } from './messages.ts';
import type { Judged, Work } from './work.ts';

const LINE_BYTES_MAX = 16 * 1024;
const LF = 0x0a;
const DEPTH_MAX = 200;

/** The side that sends files speaks headers; the other answers single bytes, or a line that begins with 1 or 2. */
type Expecting =
  | { readonly kind: 'header' }
  | { readonly kind: 'content'; left: number; readonly file: Moving }
  | { readonly kind: 'status' };

interface Moving {
  readonly judged: Judged;
  readonly facts: FileFacts;
  readonly hash: Hash;
  readonly scan: ContentScan | undefined;
}

export class Scp implements ChannelOwner {
  readonly #work: Work;
  readonly #client: Channel;
  readonly #host: Channel;
  readonly #transfer: Transfer;
  readonly #ended: () => void;
  #expecting: Expecting = { kind: 'header' };
  #line: Buffer[] = [];
  #lineBytes = 0;
  /** Directories that are open, below the path that was asked for. */
  #path: string[] = [];
  /** What waits while a file is being judged; whose bytes they are is who sends files. */
  #queue: Buffer[] = [];
  #busy = false;
  #owed = 0;
  #owedOther = 0;
  #sourceEof = false;
  #over = false;

  constructor(work: Work, client: Channel, host: Channel, transfer: Transfer, ended: () => void) {
    this.#work = work;
    this.#client = client;
    this.#host = host;
    this.#transfer = transfer;
    this.#ended = ended;
    host.owner = this;
  }

  /** Who sends files. */
  get #uploads(): boolean {
    return this.#transfer.op === 'write';
  }
  get #source(): Channel {
    return this.#uploads ? this.#client : this.#host;
  }
  get #sink(): Channel {
    return this.#uploads ? this.#host : this.#client;
  }

  // Bytes of who sends files.

  #fromSource(chunk: Buffer): void {
    this.#queue.push(Buffer.from(chunk));
    this.#owed += chunk.length;
    this.#more();
  }

  #more(): void {
    try {
      while (!this.#busy && !this.#over) {
        const next = this.#queue.shift();
        if (next === undefined) break;
        const rest = this.#read(next);
        if (rest.length > 0) this.#queue.unshift(rest);
      }
    } catch (error) {
      return this.#break(error);
    }
    if (this.#busy || this.#queue.length > 0) return;
    if (this.#sourceEof) this.#sink.eof();
    this.#pay();
  }

  #pay(): void {
    if (this.#sink.queued > 0) return;
    const owed = this.#owed;
    this.#owed = 0;
    if (owed > 0) this.#source.took(owed);
  }

  /** @returns what is left behind one element */
  #read(bytes: Buffer): Buffer {
    const expecting = this.#expecting;
    if (expecting.kind === 'content') return this.#content(expecting, bytes);
    if (expecting.kind === 'status') {
      // Behind a file's content: a zero, or a line that says what went wrong.
      if (bytes[0] === 0) {
        this.#sink.write(bytes.subarray(0, 1));
        this.#expecting = { kind: 'header' };
        return bytes.subarray(1);
      }
      return this.#header(bytes);
    }
    return this.#header(bytes);
  }

  #content(expecting: Extract<Expecting, { kind: 'content' }>, bytes: Buffer): Buffer {
    const own = bytes.subarray(0, Math.min(expecting.left, bytes.length));
    if (!this.#uploads && expecting.file.scan?.found(own) === true) {
      expecting.file.judged.tally.error = 'policy.denied';
      throw new GatewayError('policy.denied', { reason: 'content' });
    }
    expecting.file.hash.update(own);
    expecting.file.judged.tally.bytes += own.length;
    expecting.left -= own.length;
    this.#sink.write(own);
    if (expecting.left === 0) {
      this.#moved(expecting.file);
      this.#expecting = { kind: 'status' };
    }
    return bytes.subarray(own.length);
  }

  #moved({ judged, facts, hash }: Moving): void {
    this.#work.fileEnded(judged.tally, facts, hash.digest('hex'));
  }

  #header(bytes: Buffer): Buffer {
    const end = bytes.indexOf(LF);
    const own = end === -1 ? bytes : bytes.subarray(0, end + 1);
    this.#line.push(own);
    this.#lineBytes += own.length;
    if (this.#lineBytes > LINE_BYTES_MAX) throw new GatewayError('frame.too_large', { what: 'scp header' });
    if (end === -1) return Buffer.alloc(0);
    const line = Buffer.concat(this.#line);
    this.#line = [];
    this.#lineBytes = 0;
    this.#expecting = { kind: 'header' };
    this.#said(line);
    return bytes.subarray(end + 1);
  }

  #said(line: Buffer): void {
    const text = line.toString('utf8', 0, line.length - 1);
    const [kind] = text;
    if (kind === 'C' || kind === 'D') {
      const found = /^[CD]([0-7]{4}) (\d{1,19}) (.+)$/s.exec(text);
      if (found === null) throw new GatewayError('protocol.malformed', { what: 'scp header' });
      return this.#named(kind, Number(found[2]), found[3]!, line);
    }
    if (kind === 'E') this.#path.pop();
    // Times, the end of a directory, and what went wrong on the other side: nothing is written under them.
    else if (kind !== 'T' && kind !== '\u0001' && kind !== '\u0002')
      throw new GatewayError('protocol.malformed', { what: 'scp header' });
    this.#sink.write(line);
  }

  #named(kind: 'C' | 'D', size: number, name: string, line: Buffer): void {
    if (name.includes('/') || name === '.' || name === '..' || this.#path.length >= DEPTH_MAX)
      throw new GatewayError('protocol.malformed', { what: 'scp name' });
    const paths = this.#pathsOf(name);
    if (kind === 'D') {
      this.#path.push(name);
      if (!this.#uploads) return void this.#sink.write(line);
    }
    const op = kind === 'D' ? 'mkdir' : this.#uploads ? 'write' : 'read';
    this.#busy = true;
    this.#judge(paths.map((path) => ({ op, path, target: '', size: kind === 'D' ? 0 : size, via: 'scp' })))
      .then((file) => {
        this.#busy = false;
        if (this.#over || file === undefined) return;
        this.#sink.write(line);
        if (kind === 'D') this.#work.fileEnded(file.judged.tally, file.facts, '');
        else this.#begin(file, size);
        this.#more();
      })
      .catch((error: unknown) => this.#break(error));
  }

  /** Every path it may turn out to be has to be allowed. @returns undefined when the client has heard why not */
  async #judge(files: readonly FileFacts[]): Promise<Moving | undefined> {
    const max = this.#work.signed.resource.ssh?.downloadBytesMax;
    let judged: Judged | undefined;
    for (const facts of files) {
      const statement = fileStatement(facts, this.#work.signed.info.role);
      try {
        if (facts.op === 'read' && max !== undefined && facts.size > max)
          throw this.#work.refuse(
            statement,
            'gateway/download-size',
            'The file is larger than may be downloaded here.',
          );
        judged?.tally.finish(this.#work.host.monotonicUs());
        judged = await this.#work.judge(statement, {
          held: (notice) => this.#say(heldText(notice, this.#work.host.nowMs())),
        });
      } catch (error) {
        this.#break(error, statement);
        return undefined;
      }
    }
    const facts = files.at(-1);
    return judged === undefined || facts === undefined
      ? undefined
      : { judged, facts, hash: createHash('sha256'), scan: this.#work.contentScan() };
  }

  #begin(file: Moving, size: number): void {
    if (size > 0) {
      this.#expecting = { kind: 'content', left: size, file };
      return;
    }
    this.#moved(file);
    this.#expecting = { kind: 'status' };
  }

  /**
   * What the file may be on the host. Down: it lies where the line said. Up: whether the path that was asked for is a
   * directory only the host knows, so it may be that path itself or one in it.
   */
  #pathsOf(name: string): readonly string[] {
    const asked = this.#transfer.paths[0] ?? '.';
    const base = normalPath(asked);
    if (!this.#uploads) {
      const directory = base.includes('/') ? base.slice(0, base.lastIndexOf('/')) : '.';
      return [normalPath([directory, ...this.#path, name].join('/'))];
    }
    const inside = normalPath([base, ...this.#path, name].join('/'));
    const itself = normalPath([base, ...(this.#path.length === 0 ? [] : [...this.#path.slice(1), name])].join('/'));
    return asked.endsWith('/') && this.#path.length === 0 ? [inside] : [itself, inside];
  }

  #say(text: string): void {
    this.#client.write(forTerminal(text, false), true);
  }

  /** The other side's answers, as they come: single bytes, or a line of what went wrong. */
  #fromSink(chunk: Buffer): void {
    this.#source.write(chunk);
    if (this.#source.queued === 0) this.#sink.took(chunk.length);
    else this.#owedOther += chunk.length;
  }

  // From the client.

  clientData(chunk: Buffer): void {
    if (this.#uploads) this.#fromSource(chunk);
    else this.#fromSink(chunk);
  }
  clientEof(): void {
    if (!this.#uploads) this.#host.eof();
    else {
      this.#sourceEof = true;
      this.#more();
    }
  }
  clientClosed(): void {
    this.#host.abort();
  }
  clientDrained(): void {
    this.#drained(this.#client);
  }

  #drained(channel: Channel): void {
    if (channel === this.#sink) this.#pay();
    else {
      const owed = this.#owedOther;
      this.#owedOther = 0;
      if (owed > 0) this.#sink.took(owed);
    }
  }

  // From the host.

  data(chunk: Buffer, isStderr: boolean): void {
    if (isStderr) {
      this.#client.write(chunk, true);
      this.#host.took(chunk.length);
    } else if (this.#uploads) this.#fromSink(chunk);
    else this.#fromSource(chunk);
  }
  eof(): void {
    if (this.#uploads) this.#client.eof();
    else {
      this.#sourceEof = true;
      this.#more();
    }
  }
  drained(): void {
    this.#drained(this.#host);
  }
  request({ type, wantReply, data }: ChannelRequest): void {
    if (type === 'exit-status' || type === 'exit-signal') this.#client.request(type, data);
    else if (wantReply) this.#host.answer(false);
  }

  closed(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#expecting.kind === 'content') {
      const { judged, facts } = this.#expecting.file;
      judged.tally.error = 'upstream';
      this.#work.fileEnded(judged.tally, facts, '');
    }
    this.#client.close();
    this.#ended();
  }

  stop(): void {
    this.#host.abort();
  }

  #break(error: unknown, statement?: Judged['statement']): void {
    if (this.#over) return;
    const text = this.#work.textOf(error, statement);
    this.#say(text);
    // Fatal in scp's own words (2), so that a client does not wait for more.
    this.#client.write(Buffer.from(`\u0002${text.split('\n')[0] ?? ''}\n`));
    this.#host.abort();
    this.#client.close();
  }
}
