import { describeConformance } from '@sallyport/protocol-kit/conformance';
import { fieldsOf, type Message, say, wireFrame } from '@sallyport/testkit';
import { database, gateway, tap, wire } from '../test/session.fixture.ts';

const rowsOf = (messages: readonly Message[]): Buffer =>
  Buffer.concat(messages.filter((message) => message.type === 'D').map((message) => wireFrame('D', message.body)));

describeConformance('PostgreSQL', {
  reads: (marker) => `select '${marker}', generate_series(1, 3)`,
  lasts: (marker) => `select '${marker}', pg_sleep(30)`,
  unknown: (marker) => `select '${marker}' from from`,
  start: async (options) => {
    const made = await gateway(options);
    return {
      judged: made.judged,
      held: () => made.holds,
      recordedRows: () => made.recorded.rows,
      end: (code) => made.end(code),
      close: () => made.close(),
      upstreamSaw: (marker) => tap.sent().includes(marker),
      running: async (marker) =>
        (
          await database.ask(
            `select 1 from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and query like '%${marker}%'`,
          )
        ).length,
      connect: async () => {
        const client = await wire(made);
        return {
          ask: async (statement) => {
            const messages = await client.query(statement);
            const told = messages
              .filter((message) => message.type === 'E' || message.type === 'N')
              .map((message) => fieldsOf(message.body));
            return {
              ok: !messages.some((message) => message.type === 'E'),
              text: told.map((fields) => `${fields['M']} ${fields['D'] ?? ''}`).join('\n'),
              rows: rowsOf(messages),
            };
          },
          push: (statement) => {
            client.send(say.query(statement));
            return client.socket.writableLength;
          },
          closed: async () => void (await client.closed()),
          destroy: () => client.end(),
        };
      },
    };
  },
});
