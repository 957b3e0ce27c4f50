/** The story, in order. Each chapter stands alone (`--chapter NAME`), so each makes what it needs. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type pg from 'pg';
import { accessRequests } from './access-requests.ts';
import { commits } from './commits.ts';
import { eventually, inForce, refused, type TourContext } from './context.ts';
import { credentials } from './credentials.ts';
import { http } from './http.ts';
import { identity } from './identity.ts';
import { kubernetes } from './kubernetes.ts';
import { reviews } from './reviews.ts';
import { shapes } from './shapes.ts';
import { ssh } from './ssh.ts';
import { type Chapter, promise } from './story.ts';

const APPROVAL_POLICY = (name: string, expires: string): string => `kind: Policy
name: ${name}
resources: { names: [payments-db] }
rules:
  - name: hold-update-of-notes
    when: sql.statements.exists(s, s.kind == "update" && s.relations.exists(r, r.name == "payments" && r.access == "write"))
    verdict: hold
    message: Changing payments needs a second pair of eyes.
    approval: { groups: [dba], count: 1, expires: ${expires} }
`;

async function withPolicy(tour: TourContext, name: string, expires: string, run: () => Promise<void>): Promise<void> {
  const documents = [{ file: `${name}.yaml`, text: APPROVAL_POLICY(name, expires) }];
  const { admin } = tour.stack;
  await admin.call('POST', '/v1/apply', { documents, dryRun: false, prune: false });
  await inForce(admin);
  try {
    await run();
  } finally {
    await admin.call('DELETE', `/v1/policies/${name}`);
  }
}

const maskedRead: Chapter<TourContext> = {
  name: 'masked-read',
  title: 'Carla reads customers, and what is sensitive stays hidden',
  intro: 'She uses an ordinary driver. She has no database password; her token is good for this resource, for minutes.',
  run: async (tour, step) => {
    const carla = await tour.sql('carla');
    try {
      const sql = 'select id, name, email, national_id, card_number from customers where id = 7';
      const truth = (
        await tour.truth("select national_id || ' ' || card_number || ' ' || email from customers where id = 7")
      ).split(' ');
      await step('the row arrives with its name in clear', async () => {
        const { rows } = await carla.client.query(sql);
        promise(rows.length === 1 && typeof rows[0].name === 'string' && rows[0].name.length > 3, 'no row');
        const shown = JSON.stringify(rows[0]);
        for (const value of truth) promise(!shown.includes(value), `a value came out in clear: ${value}`);
        return shown;
      });
      await step('an alias, a cast or the binary format does not help', async () => {
        const alias = await carla.client.query('select card_number as c from customers where id = 7');
        promise(!JSON.stringify(alias.rows).includes(truth[1]!), 'the alias came out in clear');
        const binary = await carla.client.query({
          text: 'select card_number from customers where id = 7',
          binary: true,
        } as pg.QueryConfig);
        promise(!JSON.stringify(binary.rows).includes(truth[1]!), 'the binary format came out in clear');
        return 'both came out masked';
      });
      await step('using a hidden column in an expression or a condition waits for somebody else', async () => {
        const guess = carla.client.query("select id from customers where card_number like '4000%' limit 1");
        guess.catch(() => undefined);
        const request = await tour.pending('ben');
        await (await tour.as('ben')).call('POST', `/v1/approvals/${request.id}/deny`, {
          reason: 'Ask for the id instead.',
        });
        return `${request.rule}: ${(await refused(guess)).message}`;
      });
      await step('a card number hidden in a free-text note is found', async () => {
        const { rows } = await carla.client.query('select note from payments where id = 1000');
        promise(/\d{4}/.test(rows[0].note) && !/\d{13}/.test(rows[0].note), `not hidden: ${rows[0].note}`);
        return rows[0].note;
      });
      await step('her grant is read-only', async () => {
        const refusal = await refused(carla.client.query("update customers set city = 'X' where id = 7"));
        promise(refusal.sqlstate === '42501', `SQLSTATE ${refusal.sqlstate}`);
        return refusal.message;
      });
    } finally {
      await carla.close();
    }
  },
};

const ddlDenied: Chapter<TourContext> = {
  name: 'ddl-denied',
  title: 'The payments bot tries to drop a table',
  intro: 'It may read, write and even change schemas by its grant; the policy still says no, and says why.',
  run: async (tour, step) => {
    const bot = await tour.sql('payments-bot');
    try {
      await step('DROP TABLE is denied with the rule and a request id', async () => {
        const refusal = await refused(bot.client.query('drop table payments'));
        promise(refusal.sqlstate === '42501', `SQLSTATE ${refusal.sqlstate}`);
        promise(typeof refusal.detail.rule === 'string' && refusal.detail.rule.includes('/'), 'no rule in DETAIL');
        promise(typeof refusal.detail.requestId === 'string', 'no request id in DETAIL');
        return `${refusal.message}  DETAIL ${JSON.stringify(refusal.detail)}`;
      });
      await step('inside a transaction the server itself says it failed', async () => {
        await bot.client.query('begin');
        await refused(bot.client.query('drop table payments'));
        const next = await refused(bot.client.query('select 1'));
        promise(next.sqlstate === '25P02', `the next statement gave ${next.sqlstate}, not 25P02`);
        await bot.client.query('rollback');
        return 'the transaction is aborted, as after any server error';
      });
      await step('hiding it does not help', async () => {
        for (const sql of [
          "do $$ begin execute 'drop table payments'; end $$",
          'select 1; drop table payments',
          '/* select */ drop /* x */ table payments',
        ]) {
          await refused(bot.client.query(sql));
        }
        promise((await tour.truth("select to_regclass('public.payments') is not null")) === 't', 'the table is gone');
        return 'DO, a multi-statement string and comments are all refused; the table stands';
      });
    } finally {
      await bot.close();
    }
  },
};

const bulkDelete: Chapter<TourContext> = {
  name: 'bulk-delete',
  title: 'A bulk delete waits for another person, and runs once',
  intro: 'The statement hangs in the driver. Ana, of the dba group, sees what it is and approves exactly that.',
  run: async (tour, step) => {
    const bot = await tour.sql('payments-bot');
    try {
      const sql = "delete from payments where status = 'refunded' and id <= 20000";
      const before = Number(await tour.truth('select count(*) from payments'));
      const running = bot.client.query(sql);
      running.catch(() => undefined);
      const request = await tour.pending('ana');
      await step('the statement is held and the client is told at once', async () => {
        const notice = await eventually(() => bot.notices[0], 2_000, 'a notice');
        promise(notice.includes(request.id), 'the notice does not name the request');
        promise(Number(await tour.truth('select count(*) from payments')) === before, 'rows are gone already');
        return notice;
      });
      await step('the bot cannot approve its own request, nor can an outsider', async () => {
        for (const principal of ['payments-bot', 'carla']) {
          const rest = await tour.as(principal);
          const error = await rest.call('POST', `/v1/approvals/${request.id}/approve`, {}).then(
            () => undefined,
            (e: { status?: number }) => e,
          );
          promise(error?.status === 403 || error?.status === 404, `${principal} got ${String(error?.status)}`);
        }
        return 'both are refused';
      });
      await step('Ana sees the statement and approves; it runs', async () => {
        const rest = await tour.as('ana');
        const shown = JSON.stringify(await rest.call('GET', `/v1/approvals/${request.id}`));
        promise(shown.includes('delete from payments'), 'the statement is not shown');
        await rest.call('POST', `/v1/approvals/${request.id}/approve`, { reason: 'Ticket 4711' });
        const result = await running;
        const after = Number(await tour.truth('select count(*) from payments'));
        promise(
          result.rowCount === before - after && after < before,
          `row counts do not fit: ${result.rowCount}, ${before - after}`,
        );
        return `${result.rowCount} rows deleted`;
      });
      await step('the approval is used up: the same statement waits again', async () => {
        const again = bot.client.query(sql);
        again.catch(() => undefined);
        const second = await tour.pending('ana');
        promise(second.id !== request.id, 'the old request was offered again');
        await (await tour.as('ana')).call('POST', `/v1/approvals/${second.id}/deny`, { reason: 'Once was enough.' });
        const refusal = await refused(again);
        return refusal.message;
      });
    } finally {
      await bot.close();
    }
  },
};

const deniedHold: Chapter<TourContext> = {
  name: 'denied-hold',
  title: 'Ben says no, with a reason',
  intro: 'A denial needs words, and they reach whoever asked.',
  run: (tour, step) =>
    withPolicy(tour, 'tour-denied', '5m', async () => {
      const bot = await tour.sql('payments-bot');
      try {
        await step('the reason reaches the client and nothing has changed', async () => {
          const before = await tour.truth("select count(*) from payments where note = 'tour'");
          const running = bot.client.query("update payments set note = 'tour' where id = 1");
          running.catch(() => undefined);
          const request = await tour.pending('ben');
          const rest = await tour.as('ben');
          const empty = await rest.call('POST', `/v1/approvals/${request.id}/deny`, {}).then(
            () => undefined,
            (e: { status?: number }) => e,
          );
          promise(empty?.status === 400 || empty?.status === 422, 'a denial without a reason was taken');
          await rest.call('POST', `/v1/approvals/${request.id}/deny`, { reason: 'Not during the audit.' });
          const refusal = await refused(running);
          promise(refusal.sqlstate === '42501', `SQLSTATE ${refusal.sqlstate}`);
          promise(JSON.stringify(refusal).includes('Not during the audit.'), 'the reason did not arrive');
          promise(
            (await tour.truth("select count(*) from payments where note = 'tour'")) === before,
            'the row changed',
          );
          return JSON.stringify(refusal.detail);
        });
      } finally {
        await bot.close();
      }
    }),
};

const expiredHold: Chapter<TourContext> = {
  name: 'expired-hold',
  title: 'Nobody answers, and that is a no',
  intro: 'A hold has an end. Silence never lets a statement through.',
  run: (tour, step) =>
    withPolicy(tour, 'tour-expired', '2s', async () => {
      const bot = await tour.sql('payments-bot');
      try {
        await step('after two seconds the statement is refused and the session goes on', async () => {
          const started = Date.now();
          const refusal = await refused(bot.client.query("update payments set note = 'tour' where id = 2"));
          const waited = Date.now() - started;
          promise(waited > 1_500 && waited < 6_000, `it took ${waited} ms`);
          const { rows } = await bot.client.query('select 1 as one');
          promise(rows[0].one === 1, 'the session is broken');
          return `${refusal.message} (${(waited / 1000).toFixed(1)} s)`;
        });
      } finally {
        await bot.close();
      }
    }),
};

const revokedGrant: Chapter<TourContext> = {
  name: 'revoked-grant',
  title: 'A right is taken away while it is in use',
  intro: 'Carla is connected. Her grant is revoked, and the agent ends her session without waiting for a statement.',
  run: async (tour, step) => {
    const { admin } = tour.stack;
    const carla = await tour.sql('carla');
    try {
      await step('the session ends within a second', async () => {
        await carla.client.query('select 1');
        const started = Date.now();
        await admin.call('POST', '/v1/grants/analysts-read-prod/revoke', {});
        const ended = await eventually(() => carla.ended(), 3_000, 'the end of the session');
        const took = Date.now() - started;
        promise(took < 1_500, `it took ${took} ms`);
        return `${ended} (${took} ms)`;
      });
      await step('a new connection is refused like any other failed sign-in', async () => {
        try {
          const again = await tour.sql('carla');
          await again.close();
        } catch (error) {
          return (error as Error).message;
        }
        throw new Error('she is in again');
      });
    } finally {
      await carla.close();
      const text = readFileSync(path.join(import.meta.dirname, '../demo/grants.yaml'), 'utf8');
      await admin.call('POST', '/v1/apply', {
        documents: [{ file: 'grants.yaml', text }],
        dryRun: false,
        prune: false,
      });
    }
    await step('given back, it works again', async () => {
      const back = await eventually(() => tour.sql('carla').catch(() => undefined), 5_000, 'a new session');
      await back.close();
      return '';
    });
  },
};

const replay: Chapter<TourContext> = {
  name: 'replay',
  title: 'What happened can be seen again',
  intro: 'An auditor replays the session as the client saw it: masked.',
  run: async (tour, step) => {
    const started = new Date().toISOString();
    const carla = await tour.sql('carla');
    await carla.client.query('select name, card_number from customers where id = 42');
    await carla.close();
    const card = await tour.truth('select card_number from customers where id = 42');
    const rest = tour.stack.admin;
    const session = await eventually(
      async () => {
        const page = await rest.call<{ items: { id: string; openedAt: string; closedAt: string | null }[] }>(
          'GET',
          '/v1/sessions?principal=carla&sort=-openedAt',
        );
        return page.items.find((row) => row.closedAt !== null && row.openedAt >= started);
      },
      8_000,
      'the closed session',
    );
    await step('the replay shows statement and rows, and no value in clear', async () => {
      const printed = await eventually(
        async () => {
          const result = await tour.cli('admin', 'sessions', 'replay', session.id, '--speed', '0');
          return result.code === 0 && result.out.includes('customers') ? result.out : undefined;
        },
        15_000,
        'the replay',
      );
      promise(printed.includes('select name, card_number'), 'the statement is missing');
      promise(!printed.includes(card), 'the card number is in clear');
      return printed.trim();
    });
    await step('looking is itself on the record', async () => {
      await eventually(
        async () => {
          const events = await rest.call<{ items: { action?: string | null }[] }>(
            'GET',
            '/v1/trail/events?kind=control.act',
          );
          return events.items.find((event) => event.action === 'recording.viewed');
        },
        8_000,
        'the event recording.viewed',
      );
      return 'recording.viewed';
    });
  },
};

const verify: Chapter<TourContext> = {
  name: 'verify',
  title: 'Anyone can check the record',
  intro: 'The export is checked offline, with the verifier and the root alone. Then somebody tampers with a copy.',
  run: async (tour, step) => {
    const file = path.join(tour.dir, 'trail.tar');
    const root = tour.stack.dev.ca;
    const check = (copy: string): ReturnType<TourContext['cli']> =>
      tour.cli('admin', 'trail', 'verify', copy, '--root', root, '--json');
    await step('the export verifies', async () => {
      const exported = await tour.cli('admin', 'trail', 'export', '-o', file);
      promise(exported.code === 0, exported.err);
      const result = await check(file);
      promise(result.code === 0, result.out + result.err);
      const report = JSON.parse(result.out) as { ok: boolean; events: number; segments: number };
      promise(report.ok && report.events > 0, result.out);
      return `${report.events} events in ${report.segments} segments: nothing altered, removed, reordered or missing`;
    });
    const bytes = readFileSync(file);
    await step('one flipped bit is found', async () => {
      const tampered = Buffer.from(bytes);
      const inSegment = tampered.indexOf('segments/') + 512 + 300;
      tampered[inSegment] = tampered[inSegment]! ^ 1;
      writeFileSync(`${file}.tampered`, tampered);
      const result = await check(`${file}.tampered`);
      promise(result.code !== 0, 'the tampered copy verified');
      return summary(result.out);
    });
    await step('a missing end is found', async () => {
      writeFileSync(`${file}.truncated`, bytes.subarray(0, Math.floor(bytes.length * 0.7)));
      const result = await check(`${file}.truncated`);
      promise(result.code !== 0, 'the truncated copy verified');
      return summary(result.out);
    });
  },
};

function summary(json: string): string {
  const report = JSON.parse(json) as { findings: { kind: string; where: string; reason: string }[] };
  return report.findings
    .slice(0, 3)
    .map((f) => `${f.kind}: ${f.where} (${f.reason})`)
    .join('\n');
}

export const CHAPTERS: readonly Chapter<TourContext>[] = [
  maskedRead,
  ddlDenied,
  bulkDelete,
  shapes,
  commits,
  deniedHold,
  expiredHold,
  revokedGrant,
  accessRequests,
  replay,
  credentials,
  reviews,
  identity,
  ssh,
  kubernetes,
  http,
  verify,
];
