/**
 * A PostgreSQL client that says exactly the bytes it is told, for tests of the protocol itself. Knows frames, not meaning;
 * independent of packages/protocol-postgres, so that both cannot share a mistake. Dev-only.
 */
import net from 'node:net';

export interface Message {
  readonly type: string;
  readonly body: Buffer;
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
};
const int16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
};
const text = (value: string | Buffer): Buffer => Buffer.concat([Buffer.from(value), Buffer.of(0)]);

/** A frame of any type. */
export const wireFrame = (type: string, ...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
};

/** Frontend messages by name; PostgreSQL protocol, "Message Formats". */
export const say = {
  startup: (parameters: Readonly<Record<string, string>>, version = 3 << 16): Buffer => {
    const body = Buffer.concat([
      int32(version),
      ...Object.entries(parameters).flatMap(([k, v]) => [text(k), text(v)]),
      Buffer.of(0),
    ]);
    return Buffer.concat([int32(body.length + 4), body]);
  },
  password: (value: string): Buffer => wireFrame('p', text(value)),
  query: (sql: string | Buffer): Buffer => wireFrame('Q', text(sql)),
  parse: (name: string, sql: string | Buffer, types: readonly number[] = []): Buffer =>
    wireFrame('P', text(name), text(sql), int16(types.length), ...types.map(int32)),
  bind: (
    portal: string,
    statement: string,
    values: readonly (string | Buffer | null)[] = [],
    formats: readonly number[] = [],
    resultFormats: readonly number[] = [],
  ): Buffer =>
    wireFrame(
      'B',
      text(portal),
      text(statement),
      int16(formats.length),
      ...formats.map(int16),
      int16(values.length),
      ...values.flatMap((value) =>
        value === null ? [int32(-1)] : [int32(Buffer.byteLength(value)), Buffer.from(value)],
      ),
      int16(resultFormats.length),
      ...resultFormats.map(int16),
    ),
  describe: (kind: 'S' | 'P', name: string): Buffer => wireFrame('D', Buffer.from(kind), text(name)),
  execute: (portal: string, rowsMax = 0): Buffer => wireFrame('E', text(portal), int32(rowsMax)),
  close: (kind: 'S' | 'P', name: string): Buffer => wireFrame('C', Buffer.from(kind), text(name)),
  sync: (): Buffer => wireFrame('S'),
  flush: (): Buffer => wireFrame('H'),
  terminate: (): Buffer => wireFrame('X'),
  functionCall: (oid: number): Buffer => wireFrame('F', int32(oid), int16(0), int16(0), int16(0)),
  copyData: (value: string | Buffer): Buffer => wireFrame('d', Buffer.from(value)),
  copyDone: (): Buffer => wireFrame('c'),
  copyFail: (why: string): Buffer => wireFrame('f', text(why)),
  cancel: (processId: number, secret: Buffer): Buffer =>
    Buffer.concat([int32(12 + secret.length), int32(80877102), int32(processId), secret]),
};

/** Cells of a DataRow; null = NULL. */
export function cellsOf(body: Buffer): (string | null)[] {
  const cells: (string | null)[] = [];
  let at = 2;
  for (let i = 0; i < body.readInt16BE(0); i++) {
    const length = body.readInt32BE(at);
    at += 4;
    if (length === -1) cells.push(null);
    else {
      cells.push(body.toString('utf8', at, at + length));
      at += length;
    }
  }
  return cells;
}

/** Fields of an ErrorResponse or NoticeResponse by letter. */
export function fieldsOf(body: Buffer): Record<string, string> {
  const fields: Record<string, string> = {};
  let at = 0;
  while (body[at] !== 0) {
    const end = body.indexOf(0, at + 1);
    fields[String.fromCharCode(body[at]!)] = body.toString('utf8', at + 1, end);
    at = end + 1;
  }
  return fields;
}

/** Generous: machines are busy, and a test that fails for it says nothing. */
const ANSWER_MS_MAX = 20_000;

export class WireClient {
  readonly socket: net.Socket;
  /** Messages not yet taken. */
  readonly messages: Message[] = [];
  isClosed = false;
  #tail: Buffer = Buffer.alloc(0);
  #wake: (() => void)[] = [];
  processId = 0;
  secret: Buffer = Buffer.alloc(0);

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#tail = Buffer.concat([this.#tail, chunk]);
      while (this.#tail.length >= 5) {
        const size = this.#tail.readInt32BE(1) + 1;
        if (this.#tail.length < size) break;
        this.messages.push({
          type: String.fromCharCode(this.#tail[0]!),
          body: Buffer.from(this.#tail.subarray(5, size)),
        });
        this.#tail = this.#tail.subarray(size);
      }
      this.#wakeAll();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
      this.#wakeAll();
    });
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  send(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  async next(timeoutMs = ANSWER_MS_MAX): Promise<Message> {
    const until = Date.now() + timeoutMs;
    while (this.messages.length === 0) {
      if (this.isClosed) throw new Error('the connection is closed');
      const left = until - Date.now();
      if (left <= 0) throw new Error('nothing came in time');
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return this.messages.shift()!;
  }

  /** Everything up to and with a message of this type. */
  async until(type: string, timeoutMs = ANSWER_MS_MAX): Promise<Message[]> {
    const seen: Message[] = [];
    for (;;) {
      const message = await this.next(timeoutMs);
      seen.push(message);
      if (message.type === type) return seen;
    }
  }

  /** Resolves when the other side has closed. */
  async closed(timeoutMs = ANSWER_MS_MAX): Promise<Message[]> {
    const until = Date.now() + timeoutMs;
    while (!this.isClosed) {
      if (Date.now() > until) throw new Error('still open');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.messages.splice(0);
  }

  /** Startup and password until the first ReadyForQuery. */
  async signIn(parameters: Readonly<Record<string, string>>, password: string, version = 3 << 16): Promise<Message[]> {
    this.send(say.startup(parameters, version));
    const first = await this.until('R');
    this.send(say.password(password));
    const rest = await this.until('Z');
    const key = rest.find((message) => message.type === 'K');
    if (key !== undefined) {
      this.processId = key.body.readInt32BE(0);
      this.secret = key.body.subarray(4);
    }
    return [...first, ...rest];
  }

  /** A simple query's whole answer. */
  async query(sql: string | Buffer, timeoutMs = ANSWER_MS_MAX): Promise<Message[]> {
    this.send(say.query(sql));
    return this.until('Z', timeoutMs);
  }

  end(): void {
    this.socket.destroy();
  }
}

/** One line for an answer: types, and what tells it apart. */
export const digestOfAnswer = (messages: readonly Message[]): string =>
  messages
    .map(({ type, body }) => {
      if (type === 'Z') return `Z${body.toString('latin1')}`;
      if (type === 'E') return `E${fieldsOf(body)['C']}`;
      if (type === 'C') return `C(${body.toString('latin1', 0, body.length - 1)})`;
      if (type === 'D') return `D[${cellsOf(body).join('|')}]`;
      return type;
    })
    .join(' ');

export const connectWire = (port: number, host = '127.0.0.1'): Promise<WireClient> =>
  new Promise((resolve, reject) => {
    const socket = net.connect({ host, port }, () => resolve(new WireClient(socket)));
    socket.once('error', reject);
  });
