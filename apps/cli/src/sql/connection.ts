/**
 * One session on a resource for the prompt: TLS straight to the agent, verified, with an access token as the password.
 * Refuses to interpret values: the server's text is shown as it came. Tries a resource's endpoints in turn.
 */
import type { EventEmitter } from 'node:events';
import pg from 'pg';
import { agentTls, dialAgent } from '../proxy/agent-endpoint.ts';
import type { WayIn } from '../proxy/way-in.ts';
import type { ResultTable } from './result-table.ts';
import { type ServerFields, SqlError } from './sql-error.ts';

/** What came back for one statement. */
export interface StatementResult extends ResultTable {
  /** Command tag without its count: `SELECT`, `DELETE`, … */
  readonly command: string;
  /** Rows returned or changed; null where the command has none. */
  readonly count: number | null;
}

/** How much of an answer is wanted. */
export interface AnswerBound {
  /** Rows that are kept of each statement; the rest are counted. */
  readonly rowsMax: number;
  /** Characters of values that are kept of the whole answer. */
  readonly keptMax: number;
  /** Characters that are read, kept or not, before the server is asked to stop. */
  readonly readMax: number;
}

export type TransactionStatus = 'idle' | 'open' | 'failed';

export interface SqlConnection {
  /** Simple protocol: the text may hold several statements. @throws SqlError */
  run(text: string, bound?: AnswerBound): Promise<readonly StatementResult[]>;
  /** Asks the server to stop what runs now (CancelRequest). */
  cancel(): Promise<void>;
  status(): TransactionStatus;
  /** Settles when the connection is gone, with why when the other side ended it. */
  readonly ended: Promise<unknown>;
  close(): Promise<void>;
}

const CANCEL_REQUEST = 80_877_102;

/** @param onNotice each NoticeResponse, as a hold's @throws SqlError, GatewayError */
export async function openSqlConnection(
  way: WayIn,
  database: string | undefined,
  onNotice: (notice: ServerFields) => void,
): Promise<SqlConnection> {
  const client = await connect(way, database, onNotice);
  let lost: Error | undefined;
  let status: TransactionStatus = 'idle';
  let onReady: (() => void) | undefined;
  client.on('error', (error) => {
    // The first one says why; what follows says that the socket closed.
    lost ??= error;
  });
  client.on('end', () => onReady?.());
  const ended = new Promise<unknown>((resolve) => {
    client.once('end', () => resolve(lost === undefined ? undefined : asSqlError(lost)));
  });
  // The driver's promise is settled by ErrorResponse, before the ReadyForQuery that says how the transaction stands.
  const { connection } = client as unknown as { readonly connection: EventEmitter };
  connection.on('readyForQuery', (message: { readonly status: string }) => {
    status = message.status === 'T' ? 'open' : message.status === 'E' ? 'failed' : 'idle';
    onReady?.();
  });

  const cancel = async (): Promise<void> => {
    const { processID, secretKey } = client as unknown as { readonly processID: number; readonly secretKey: number };
    const packet = Buffer.alloc(16);
    packet.writeInt32BE(16, 0);
    packet.writeInt32BE(CANCEL_REQUEST, 4);
    packet.writeInt32BE(processID, 8);
    packet.writeInt32BE(secretKey, 12);
    const socket = await dialAgent(way.endpoints, way.root);
    socket.on('error', () => socket.destroy());
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.resume();
      socket.end(packet);
    });
  };

  return {
    run: async (text, bound) => {
      if (lost !== undefined) throw asSqlError(lost);
      const ready = new Promise<void>((resolve) => {
        onReady = resolve;
      });
      try {
        const answer =
          bound === undefined
            ? await client.query<Row>({ text, rowMode: 'array' })
            : await readBounded(client, text, bound, () => void cancel().catch(() => undefined));
        const results = Array.isArray(answer) ? (answer as unknown as pg.QueryArrayResult<Row>[]) : [answer];
        return results.map((result) => ({
          command: result.command ?? '',
          count: result.rowCount,
          columns: (result.fields ?? []).map((field) => field.name),
          rows: result.rows,
        }));
      } catch (error) {
        if (isServerAnswer(error) && (error as { readonly severity: string }).severity !== 'FATAL') await ready;
        throw asSqlError(error);
      }
    },
    cancel,
    status: () => status,
    ended,
    close: () => client.end().catch(() => undefined),
  };
}

type Row = (string | null)[];

/** Rows one by one, so that those that nobody wants are gone when the next comes. */
function readBounded(
  client: pg.Client,
  text: string,
  { rowsMax, keptMax, readMax }: AnswerBound,
  stop: () => void,
): Promise<pg.QueryArrayResult<Row>> {
  const query = new pg.Query({ text, rowMode: 'array' } as pg.QueryConfig) as unknown as EventEmitter & pg.Submittable;
  let [kept, read] = [0, 0];
  query.on('row', (row: Row, result: pg.QueryArrayResult<Row>) => {
    const size = row.reduce((sum, cell) => sum + (cell?.length ?? 4), row.length);
    const before = read;
    read += size;
    if (before <= readMax && read > readMax) stop();
    if (result.rows.length >= rowsMax || kept + size > keptMax) return;
    kept += size;
    result.rows.push(row);
  });
  return new Promise((resolve, reject) => {
    query.once('end', resolve);
    query.once('error', reject);
    client.query(query);
  });
}

async function connect(
  way: WayIn,
  database: string | undefined,
  onNotice: (notice: ServerFields) => void,
): Promise<pg.Client> {
  let last: unknown;
  for (const address of way.endpoints) {
    const client = new pg.Client({
      host: address.host,
      port: address.port,
      user: way.user,
      database: database ?? way.database ?? way.user,
      password: () => way.tokens.get(),
      ssl: agentTls(address, way.root),
      application_name: 'sallyport sql',
      // Values stay the server's text: no number is rounded and no date is read in another zone.
      types: { getTypeParser: () => (value: string | Buffer) => value },
    } as pg.ClientConfig);
    client.on('notice', (notice) => onNotice(notice));
    try {
      await client.connect();
      if (way.reason !== undefined) await client.query(`SET sallyport.reason = ${pg.escapeLiteral(way.reason)}`);
      return client;
    } catch (error) {
      last = error;
      // An answer in the protocol is final; only silence is worth another endpoint.
      if (isServerAnswer(error)) break;
    }
  }
  throw asSqlError(last);
}

const isServerAnswer = (error: unknown): boolean =>
  typeof (error as { severity?: unknown } | undefined)?.severity === 'string';

function asSqlError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (isServerAnswer(error)) return new SqlError(error as unknown as ServerFields, error);
  // Errors of our own on the way in (the token exchange) are told as they are.
  if (error.name === 'ApiError' || error.name === 'CliError') return error;
  return new SqlError(
    { severity: 'FATAL', code: '08006', message: `The agent did not answer: ${error.message}.` },
    error,
  );
}
