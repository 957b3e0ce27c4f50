/**
 * The client's side of a session: which message goes where, in which state; what is not listed ends the session.
 * PostgreSQL protocol, "Message Flow". Judging is judge.ts, the two halves of the protocol are simple.ts and pipeline.ts.
 */
import { GatewayError } from '@sallyport/core';
import type { Permit } from '@sallyport/protocol-kit';
import type { Answers } from './answers.ts';
import { HEAD_BYTES, letter } from './codec.ts';
import { Intake } from './intake.ts';
import { Judge } from './judge.ts';
import { terminate } from './messages.ts';
import { Pipeline } from './pipeline.ts';
import type { Road } from './road.ts';
import { SimpleQueries } from './simple.ts';

const QUERY = letter('Q');
const FUNCTION_CALL = letter('F');
const SYNC = letter('S');
const TERMINATE = letter('X');
const COPY_DATA = letter('d');
const COPY_DONE = letter('c');

export class Requests {
  readonly #road: Road;
  readonly #goodbye: () => void;
  readonly #intake: Intake;
  readonly #simple: SimpleQueries;
  readonly #pipeline: Pipeline;
  readonly judge: Judge;
  /** Under which COPY data goes to the server. */
  #copyPermit: Permit | undefined;

  /** @param run runs a step of a promise, so that what it throws ends the session; @param goodbye the client said Terminate */
  constructor(road: Road, answers: Answers, run: (step: () => void) => void, goodbye: () => void) {
    this.#road = road;
    this.#goodbye = goodbye;
    this.judge = new Judge(road, answers, run);
    this.#intake = new Intake(road, {
      frame: (type, bytes, at, end) => this.#frame(type, bytes, at, end),
      copyData: (piece) => this.#copyData(piece),
      tooLarge: (type) => this.#tooLarge(type),
      endOfChunk: () => this.#endOfChunk(),
    });
    this.judge.intake = this.#intake;
    const copies = (permit: Permit): void => {
      this.#copyPermit = permit;
    };
    this.#simple = new SimpleQueries(road, answers, this.judge, this.#intake, copies);
    this.#pipeline = new Pipeline(road, answers, this.judge, this.#intake, copies);
  }

  /** @throws GatewayError `protocol.*`, `frame.too_large`, `session.limit`: the session ends */
  bytes(chunk: Buffer): void {
    this.#intake.bytes(chunk);
  }

  /** The server's chunk is through. */
  progressed(): void {
    this.judge.progressed();
  }

  #frame(type: number, bytes: Buffer, at: number, end: number): boolean {
    if (this.#road.copyIn !== undefined) return this.#copyFrame(type, bytes, at, end);
    // A server that skips to Sync skips all but these.
    if (this.#pipeline.isDropping && type !== SYNC && type !== TERMINATE) return true;
    switch (String.fromCharCode(type)) {
      case 'Q':
        if (!this.#isQuiet()) return this.#waitQuiet();
        if (bytes[end - 1] !== 0 || end - at === HEAD_BYTES) throw new GatewayError('protocol.malformed');
        this.#simple.query(bytes, at, end);
        return true;
      case 'P':
        return this.#pipeline.parse(bytes, at, end);
      case 'B':
        return this.#pipeline.bind(bytes, at, end);
      case 'D':
        return this.#pipeline.describe(bytes, at, end);
      case 'E':
        return this.#pipeline.execute(bytes, at, end);
      case 'C':
        return this.#pipeline.close(bytes, at, end);
      case 'H':
        requireBare(at, end);
        this.#pipeline.flush();
        return true;
      case 'S':
        requireBare(at, end);
        return this.#pipeline.sync(bytes, at, end);
      case 'X':
        this.#terminate();
        return true;
      case 'F':
        if (!this.#isQuiet()) return this.#waitQuiet();
        this.#refuseFunctionCall();
        return true;
      // Data of a COPY that has failed meanwhile; a server ignores it too.
      case 'd':
      case 'c':
      case 'f':
        return true;
      default:
        throw new GatewayError('protocol.unexpected', { type });
    }
  }

  #copyFrame(type: number, bytes: Buffer, at: number, end: number): boolean {
    switch (String.fromCharCode(type)) {
      case 'd':
      case 'c':
      case 'f':
        if (type === COPY_DATA) this.#copyData(bytes.subarray(at, end));
        else {
          this.#road.endCopyIn(type === COPY_DONE);
          this.#copyBytes(bytes.subarray(at, end));
        }
        return true;
      // Sent ahead of the data (libpq does): a server in COPY ignores them.
      case 'H':
      case 'S':
        requireBare(at, end);
        return true;
      case 'X':
        this.#terminate();
        return true;
      default:
        throw new GatewayError('protocol.unexpected', { type });
    }
  }

  #copyData(bytes: Buffer): void {
    this.#road.copyIn?.message(bytes);
    this.#copyBytes(bytes);
  }

  #copyBytes(bytes: Buffer): void {
    if (this.#copyPermit === undefined) throw new GatewayError('protocol.unexpected', { why: 'COPY data' });
    this.#road.toServer(this.#copyPermit, bytes);
  }

  /** What was sent is in the recording before the turn's bytes leave. */
  #endOfChunk(): void {
    if (this.#road.copyIn !== undefined) {
      this.#road.copyIn.flush();
      this.#road.checkRecorder();
    }
    this.#pipeline.endOfChunk();
  }

  #terminate(): void {
    this.#road.ownToServer(terminate());
    this.#goodbye();
  }

  /** Nothing is on its way: the transaction's status is known. */
  #isQuiet(): boolean {
    return this.#road.flight.size === 0 && this.#pipeline.isEmpty;
  }

  /** Offers the message again once all is answered; a server answers an open pipeline only when told to. */
  #waitQuiet(): false {
    const quiet = (): boolean => this.#isQuiet();
    this.#intake.block(quiet);
    this.#pipeline.flush(() => this.#intake.block(quiet));
    return false;
  }

  #tooLarge(type: number): void {
    if (this.#pipeline.isDropping) return;
    if (type !== QUERY && type !== FUNCTION_CALL) return this.#pipeline.tooLarge();
    const refuse = (): void => (type === QUERY ? this.#simple.tooLarge() : this.#refuseFunctionCall());
    if (this.#isQuiet()) return refuse();
    this.#intake.block(() => {
      if (!this.#isQuiet()) return false;
      refuse();
      return true;
    });
    this.#pipeline.flush();
  }

  #refuseFunctionCall(): void {
    this.#simple.fail(this.judge.refusal('[function call]', 'protocol.unsupported', 'gateway/function-call'));
  }
}

function requireBare(at: number, end: number): void {
  if (end - at !== HEAD_BYTES) throw new GatewayError('protocol.malformed');
}
