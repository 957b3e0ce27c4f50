/**
 * A command or a shell that runs: the client's channel joined to the host's, with what is masked, recorded and counted on its
 * way, and its end. A transfer's streams are counted alone. Refuses to judge: it is made with what was permitted.
 */
import { InputTrack } from '@sallyport/film';
import type { DetectMask } from '@sallyport/model';
import type { Refusal } from '@sallyport/protocol-kit';
import type { Channel } from './channels.ts';
import type { Transfer } from './classify.ts';
import { REFUSED_STATUS } from './deny.ts';
import { countedFilter, type Filter, StreamFilter } from './mask.ts';
import {
  type ChannelRequest,
  encode,
  parseExitSignal,
  parsePty,
  parseWindowChange,
  Reader,
  string,
  uint32,
} from './messages.ts';
import { Pipe } from './pipe.ts';
import type { Holding, Judged, Work } from './work.ts';

export interface RunOptions {
  readonly work: Work;
  readonly client: Channel;
  readonly host: Channel;
  readonly judged: Judged;
  /** The terminal's request as it came; undefined without one. */
  readonly pty: Buffer | undefined;
  readonly transfer?: Transfer | undefined;
  /** What the terminal shows, as the client sees it. */
  shown?(bytes: Buffer): void;
  /** Another bundle forbids it: say so. */
  forbidden(error: Refusal): void;
}

type End = { readonly code?: number; readonly signal?: string };

export class RunningStream implements Holding {
  readonly pipe: Pipe;
  readonly #options: RunOptions;
  readonly #stream: StreamFilter | undefined;
  readonly #cleanUps: (() => void)[];
  /** Of a terminal's keys, only those that came back on the screen are recorded: a password does not. */
  readonly #typed: InputTrack | undefined;
  #end: End = {};
  #detect: readonly DetectMask[];

  constructor(options: RunOptions) {
    this.#options = options;
    const { work, judged, client, host } = options;
    this.#typed = options.pty === undefined ? undefined : new InputTrack();
    this.#detect = options.transfer === undefined ? this.#masks(judged.permit.masks.detect) : [];
    this.#stream = options.transfer === undefined ? this.#streamFilter() : undefined;
    const filter = this.#stream === undefined ? this.#counted() : this.#tapped(this.#stream);
    this.pipe = new Pipe(client, host, filter, {
      exited: (request) => {
        this.#end = endOf(request);
      },
      closed: () => this.#closed(),
    });
    this.#cleanUps = [
      work.running(judged.statement, (error) => {
        options.forbidden(error);
        judged.tally.error = error.code;
        this.terminate();
        this.pipe.stop(encode(uint32(REFUSED_STATUS)));
      }),
      work.recorded(() => this.pipe.caughtUp()),
      work.stream(this),
    ];
    if (options.pty !== undefined) {
      const { columns, rows } = parsePty(options.pty);
      work.host.recorder.resize(judged.tally.number, columns, rows);
    }
  }

  #masks(detect: readonly DetectMask[]): readonly DetectMask[] {
    return this.#options.work.signed.resource.ssh?.maskStreams === true ? detect : [];
  }

  #streamFilter(): StreamFilter {
    const { work, judged, pty } = this.#options;
    const { tally } = judged;
    return new StreamFilter({
      recorder: work.host.recorder,
      number: tally.number,
      pty: pty !== undefined,
      detect: this.#detect,
      key: work.signed.maskKey,
      counted: (bytes, masked) => {
        tally.bytes += bytes;
        tally.masked = masked;
      },
      holds: () => work.holds(this),
      nowMs: () => work.host.nowMs(),
      recordInput: (chunk) => this.#recordInput(this.#typed === undefined ? chunk : this.#typed.typed(chunk)),
    });
  }

  #recordInput(bytes: Uint8Array): void {
    const { work, judged } = this.#options;
    if (bytes.length > 0 && work.signed.resource.ssh?.inputRecorded === true)
      work.host.recorder.streamInput(judged.tally.number, bytes);
  }

  /** What is shown is told to whoever reads the screen along, and says which keys were no password. */
  #tapped(stream: StreamFilter): Filter {
    if (this.#options.pty === undefined) return stream;
    const tap = (bytes: Buffer): Buffer => {
      if (bytes.length > 0) this.#shown(bytes);
      return bytes;
    };
    return {
      get saturated() {
        return stream.saturated;
      },
      get gathers() {
        return stream.gathers;
      },
      get owes() {
        return stream.owes;
      },
      settle: () => stream.settle(),
      down: (chunk, isStderr) => tap(stream.down(chunk, isStderr)),
      up: (chunk) => stream.up(chunk),
      rest: (isStderr) => tap(stream.rest(isStderr)),
    };
  }

  #shown(bytes: Buffer): void {
    if (this.#typed !== undefined) this.#recordInput(this.#typed.output(bytes));
    this.#options.shown?.(bytes);
  }

  #counted(): Filter {
    const { judged, transfer } = this.#options;
    const reads = transfer?.op === 'read';
    return countedFilter((bytes, up) => {
      if (up !== reads) judged.tally.bytes += bytes;
    });
  }

  quiet(): boolean {
    const stream = this.#stream;
    if (stream === undefined) return false;
    this.#release(stream.quiet());
    return stream.holds;
  }

  remask(): void {
    const detect = this.#masks(this.#options.work.signed.masks().detect);
    if (this.#stream === undefined || detect === this.#detect) return;
    this.#detect = detect;
    this.#stream.remask(detect);
  }

  terminate(): void {
    for (const signal of ['HUP', 'TERM']) this.pipe.requestHost('signal', encode(string(signal)));
  }

  #release([out, err]: readonly [Buffer, Buffer]): void {
    if (out.length > 0) this.#shown(out);
    this.pipe.release(out, false);
    this.pipe.release(err, true);
  }

  #closed(): void {
    const { work, judged, transfer } = this.#options;
    for (const undo of this.#cleanUps) undo();
    const { file } = judged.statement.facts;
    if (transfer !== undefined && file !== undefined) work.fileEnded(judged.tally, file, '');
    work.host.recorder.exit(judged.tally.number, this.#end);
    judged.tally.finish(work.host.monotonicUs());
  }

  // From the client.

  clientData(chunk: Buffer): void {
    this.pipe.clientData(chunk);
  }
  clientEof(): void {
    this.pipe.clientEof();
  }
  clientClosed(): void {
    this.pipe.clientClosed();
  }
  clientDrained(): void {
    this.pipe.clientDrained();
  }
  resized(data: Buffer): void {
    const { columns, rows } = parseWindowChange(data);
    this.#options.work.host.recorder.resize(this.#options.judged.tally.number, columns, rows);
    this.pipe.requestHost('window-change', data);
  }
  signal(data: Buffer): void {
    this.pipe.requestHost('signal', data);
  }
}

function endOf({ type, data }: ChannelRequest): End {
  return type === 'exit-status'
    ? { code: new Reader(data, 0).uint32() }
    : { signal: parseExitSignal(data).signal.slice(0, 40) };
}
