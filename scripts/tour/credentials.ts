/** Chapter `credentials`: a password changed by Sallyport under running sessions, and an account that lives for one session. */
import { openSql } from '../stack/sql-client.ts';
import { eventually, type TourContext } from './context.ts';
import { type Chapter, promise } from './story.ts';

const TEMPLATE = 'tour_template';
const MAKER = 'tour_maker';
const MAKER_PASSWORD = 'tour-makes-accounts';

export const credentials: Chapter<TourContext> = {
  name: 'credentials',
  title: 'Passwords change under running sessions, and an account lives for one session',
  intro: 'Nobody but Sallyport knows the password of payments_app. It gives the account another one while Carla works.',
  run: async (tour, step) => {
    const { admin } = tour.stack;
    const truth = (sql: string): Promise<string> => tour.truth(sql);
    const carla = await tour.sql('carla');
    try {
      await step(
        'Sallyport gives the account a new password; the server gets a verifier, never the password',
        async () => {
          const verifier = `select rolpassword from pg_authid where rolname = 'payments_app'`;
          const before = await truth(verifier);
          const { outcome } = await admin.call<{ outcome: string }>('POST', '/v1/credentials/payments-app/rotate');
          promise(outcome === 'done', `the rotation ended ${outcome}`);
          const after = await truth(verifier);
          promise(after !== before && after.startsWith('SCRAM-SHA-256$'), 'the server has no new verifier');
          return 'the new one signed in before the old one was forgotten';
        },
      );
      await step('Carla’s session goes on, and the next one opens', async () => {
        const { rows } = await carla.client.query('select count(*)::int as n from payments where id <= 3');
        promise(rows[0].n === 3, 'her session was disturbed');
        await (await tour.sql('carla')).close();
        return 'she noticed nothing';
      });
    } finally {
      await carla.close();
    }
    await makeAccounts(tour);
    const lent = await eventually(
      () => openSql(tour.stack.dev, 'carla', 'payments-lent').catch(() => undefined),
      10_000,
      'a session at payments-lent',
    );
    let account = '';
    await step('at another resource she gets an account of her own, for this session', async () => {
      const { rows } = await lent.client.query('select session_user as s, current_user as c');
      account = String(rows[0].s);
      promise(/^sp_[0-9a-f]{10}_carla_/.test(account) && rows[0].c === TEMPLATE, JSON.stringify(rows[0]));
      return `${account}, and what it makes belongs to ${TEMPLATE}`;
    });
    await step('the lease is listed, and revoking it ends the session and the account', async () => {
      const lease = await eventually(
        async () => {
          const { items } = await admin.call<{ items: { id: string; account: string }[] }>(
            'GET',
            '/v1/leases?state=live',
          );
          return items.find((item) => item.account === account);
        },
        5_000,
        'the lease in the list',
      );
      await admin.call('POST', `/v1/leases/${lease.id}/revoke`);
      await eventually(() => lent.ended(), 5_000, 'the end of the session');
      const left = `select count(*) from pg_roles where rolname = '${account}'`;
      await eventually(async () => ((await truth(left)) === '0' ? true : undefined), 5_000, 'the end of the account');
      return 'both are gone';
    });
    await lent.close();
  },
};

async function makeAccounts(tour: TourContext): Promise<void> {
  const { admin } = tour.stack;
  const there = await tour.truth(`select count(*) from pg_roles where rolname = '${TEMPLATE}'`);
  if (there === '0')
    await tour.truth(
      `do $$ begin
         create role ${TEMPLATE} nologin;
         grant select on all tables in schema public to ${TEMPLATE};
         create role ${MAKER} login createrole password '${MAKER_PASSWORD}';
         grant ${TEMPLATE} to ${MAKER} with admin option;
       end $$`,
    );
  const known = await admin.call<{ postgres: unknown }>('GET', '/v1/resources/payments-db');
  const made = async (
    path: string,
    body: { readonly name: string; readonly [field: string]: unknown },
  ): Promise<void> => {
    await admin.call('GET', `${path}/${body.name}`).catch(() => admin.call('POST', path, body));
  };
  await made('/v1/credentials', {
    name: MAKER.replace('_', '-'),
    kind: 'stored',
    username: MAKER,
    secret: MAKER_PASSWORD,
  });
  await made('/v1/credentials', {
    name: 'payments-accounts',
    kind: 'ephemeral',
    admin: MAKER.replace('_', '-'),
    settings: { template: TEMPLATE },
  });
  await made('/v1/resources', {
    name: 'payments-lent',
    type: 'postgres',
    labels: { env: 'prod', team: 'payments' },
    credential: 'payments-accounts',
    postgres: known.postgres,
  });
}
