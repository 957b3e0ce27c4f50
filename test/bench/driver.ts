/**
 * The smallest PostgreSQL client that can measure: plaintext, a clear-text password or none, answers counted and thrown
 * away as they come, so that the client costs little beside what it measures.
 * Refuses SCRAM and TLS: the bench's own server trusts its direct user on loopback. Protocol: message-formats, protocol 3.0.
 */
import { connect, type Socket } from 'node:net';

export interface DriverOptions {
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password?: string;
}

export interface Answer {
  readonly rows: number;
  readonly bytes: number;
}

const READY = 0x5a;
const ERROR = 0x45;
const DATA_ROW = 0x44;
const AUTHENTICATION = 0x52;

function message(type: string, ...parts: readonly (string | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  const head = Buffer.alloc(type === '' ? 4 : 5);
  head.write(type, 'latin1');
  head.writeInt32BE(body.length + 4, type.length);
  return Buffer.concat([head, body]);
}

/** One connection; one thing asked at a time. */
export class Driver {
  readonly #socket: Socket;
  #rows = 0;
  #bytes = 0;
  /** Bytes of the current message that are still to come, and the header when it came in pieces. */
  #skip = 0;
  #head = Buffer.alloc(0);
  #keep = Buffer.alloc(0);
  #done: ((answer: Answer) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  #error: string | undefined;
  #authenticate: ((code: number) => void) | undefined;

  private constructor(options: DriverOptions) {
    const buffer = Buffer.allocUnsafeSlow(256 * 1024);
    this.#socket = connect({
      host: '127.0.0.1',
      port: options.port,
      noDelay: true,
      onread: {
        buffer,
        callback: (length) => {
          this.#read(buffer, length);
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => this.#failed?.(error));
    this.#socket.on('close', () => this.#failed?.(new Error(this.#error ?? 'the connection was closed')));
  }

  static async open(options: DriverOptions): Promise<Driver> {
    const driver = new Driver(options);
    const startup = message('', Buffer.from([0, 3, 0, 0]), `user\0${options.user}\0database\0${options.database}\0\0`);
    driver.#authenticate = (code) => {
      if (code === 3) driver.#socket.write(message('p', `${options.password ?? ''}\0`));
      else if (code !== 0) driver.#socket.destroy(new Error(`authentication ${code} is asked for`));
    };
    await driver.#ask(startup);
    driver.#authenticate = undefined;
    return driver;
  }

  #ask(bytes: Buffer): Promise<Answer> {
    this.#rows = 0;
    this.#bytes = 0;
    this.#error = undefined;
    return new Promise((resolve, reject) => {
      this.#done = resolve;
      this.#failed = reject;
      this.#socket.write(bytes);
    });
  }

  /** Simple query; all its rows are read and counted. Rejects with the server's error. */
  query(sql: string): Promise<Answer> {
    return this.#ask(message('Q', `${sql}\0`));
  }

  /** Prepares `sql` with one int4 parameter as the statement `s`. */
  prepare(sql: string): Promise<Answer> {
    return this.#ask(Buffer.concat([message('P', `s\0${sql}\0`, Buffer.from([0, 1, 0, 0, 0, 23])), message('S')]));
  }

  /** Bind, Execute, Sync of the prepared statement. */
  execute(value: number): Promise<Answer> {
    const text = String(value);
    const bind = Buffer.concat([
      Buffer.from('\0s\0\0\0\0\x01'),
      Buffer.from([0, 0, 0, text.length]),
      Buffer.from(`${text}\0\0`),
    ]);
    return this.#ask(Buffer.concat([message('B', bind), message('E', Buffer.from('\0\0\0\0\0')), message('S')]));
  }

  close(): void {
    this.#failed = undefined;
    this.#socket.end(message('X'));
  }

  #read(chunk: Buffer, length: number): void {
    this.#bytes += length;
    let at = 0;
    while (at < length) {
      if (this.#skip > 0) {
        const part = Math.min(this.#skip, length - at);
        if (this.#keep.length > 0 || this.#isKept)
          this.#keep = Buffer.concat([this.#keep, chunk.subarray(at, at + part)]);
        this.#skip -= part;
        at += part;
        if (this.#skip === 0) this.#end();
        continue;
      }
      if (this.#head.length > 0 || length - at < 5) {
        const part = Math.min(5 - this.#head.length, length - at);
        this.#head = Buffer.concat([this.#head, chunk.subarray(at, at + part)]);
        at += part;
        if (this.#head.length < 5) return;
        this.#begin(this.#head[0]!, this.#head.readInt32BE(1) - 4);
        this.#head = Buffer.alloc(0);
      } else {
        const type = chunk[at]!;
        const body = chunk.readInt32BE(at + 1) - 4;
        at += 5;
        // Rows that are whole in the chunk are the bulk: counted without a further step.
        if (type === DATA_ROW && at + body <= length) {
          this.#rows++;
          at += body;
        } else this.#begin(type, body);
      }
    }
  }

  #type = 0;
  get #isKept(): boolean {
    return this.#type === ERROR || this.#type === AUTHENTICATION;
  }

  #begin(type: number, body: number): void {
    this.#type = type;
    this.#skip = body;
    this.#keep = Buffer.alloc(0);
    if (body === 0) this.#end();
  }

  #end(): void {
    const kept = this.#keep;
    this.#keep = Buffer.alloc(0);
    if (this.#type === DATA_ROW) this.#rows++;
    else if (this.#type === AUTHENTICATION) this.#authenticate?.(kept.readInt32BE(0));
    else if (this.#type === ERROR) {
      this.#error =
        kept
          .toString('utf8')
          .split('\0')
          .find((field) => field.startsWith('M'))
          ?.slice(1) ?? 'an error';
    } else if (this.#type === READY) {
      const done = this.#done;
      const failed = this.#failed;
      this.#done = this.#failed = undefined;
      if (this.#error !== undefined) failed?.(new Error(this.#error));
      else done?.({ rows: this.#rows, bytes: this.#bytes });
    }
  }
}
