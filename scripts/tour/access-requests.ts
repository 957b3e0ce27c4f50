/** The chapter of access requests: a right for seconds, asked for, given in part, and gone by itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, refused, type TourContext } from './context.ts';
import { type Chapter, promise } from './story.ts';

const POLICY = `kind: AccessPolicy
name: tour-payments-notes
description: Analysts may correct notes of payments.
requesters: { groups: [analysts] }
resources: { names: [payments-db] }
effects: [write, ddl]
durationMax: 1h
ticket: { required: true, pattern: 'OPS-[0-9]+' }
approve: { groups: [dba] }
`;
const WRITE = 'update payments set note = note where id = 1';
const SECONDS = 5;

interface Request {
  readonly id: string;
  readonly state: string;
  readonly grant: { readonly effects: readonly string[]; readonly notAfter: string } | null;
}

export const accessRequests: Chapter<TourContext> = {
  name: 'access-requests',
  title: 'Carla needs to write, for a moment',
  intro: 'Her standing right is to read. A policy says what she may ask for, for how long, and who answers.',
  run: async (tour, step) => {
    const { admin } = tour.stack;
    const documents = [{ file: 'access.yaml', text: POLICY }];
    await admin.call('POST', '/v1/apply', { documents, dryRun: false, prune: false });
    try {
      let id = '';
      await step('she asks at her terminal, with a reason and a ticket', async () => {
        const options = ['--effect', 'write,ddl', '--for', '10m', '--reason', 'A note is wrong'];
        const bare = await tour.cli('carla', 'request', 'payments-db', ...options);
        promise(bare.code !== 0, 'a request without its ticket was taken');
        const { code, out, err } = await tour.cli(
          'carla',
          'request',
          'payments-db',
          ...options,
          '--ticket',
          'OPS-7',
          '--json',
        );
        promise(code === 0, err);
        id = (JSON.parse(out) as Request).id;
        return `${id} waits for dba`;
      });
      await step('she cannot answer it herself', async () => {
        const { code } = await tour.cli('carla', 'requests', 'approve', id);
        promise(code === 4, `exit ${code}`);
        return 'exit 4';
      });
      let end = 0;
      await step('Ben gives less: no schema changes, and seconds instead of minutes', async () => {
        const { code, out, err } = await tour.cli(
          'ben',
          'requests',
          'approve',
          id,
          '--effect',
          'write',
          '--for',
          `${SECONDS}s`,
          '--json',
        );
        promise(code === 0, err);
        const { grant } = JSON.parse(out) as Request;
        promise(grant?.effects.join() === 'write', `granted: ${grant?.effects.join()}`);
        end = Date.parse(grant.notAfter);
        return `write until ${grant.notAfter}`;
      });
      const carla = await eventually(
        async () => {
          const session = await tour.sql('carla');
          const ran = await session.client.query(WRITE).then(
            () => true,
            () => false,
          );
          if (ran) return session;
          await session.close();
          return undefined;
        },
        4_000,
        'the right to write',
      );
      try {
        await step('she writes, and no more than that', async () => {
          const refusal = await refused(carla.client.query('create table tour_notes (id int)'));
          return refusal.message;
        });
        await step('at its end the right is gone, without anybody doing anything', async () => {
          await sleep(Math.max(0, end - Date.now()));
          const gone = await eventually(() => carla.ended(), 3_000, 'the end of the session');
          promise(Date.now() - end < 2_500, `${Date.now() - end} ms late`);
          const again = await tour.sql('carla');
          const refusal = await refused(again.client.query(WRITE));
          await again.close();
          return `${gone}; connected again: ${refusal.message}`;
        });
      } finally {
        await carla.close();
      }
    } finally {
      await admin.call('DELETE', '/v1/access-policies/tour-payments-notes');
    }
  },
};
