/** The chapter of COMMITs that wait: the server has counted before anybody is asked, and a no leaves nothing behind. */
import { eventually, refused, type TourContext } from './context.ts';
import { type Chapter, promise } from './story.ts';

const POLICY = `kind: Policy
name: tour-commits
resources: { names: [payments-db] }
rules:
  - name: notes
    when: sql.statements.exists(s, s.kind == "update" && s.relations.exists(r, r.name == "payments" && r.access == "write"))
    verdict: hold
    approval: { groups: [dba], at: commit, expires: 1m, transaction: { open: 2m, statements: 10 } }
`;
/** Payments of the demo that no other chapter counts on. */
const UPDATE = (note: string): string =>
  `update payments set note = '${note}' where id between 40001 and 40007 returning id, note`;

export const commits: Chapter<TourContext> = {
  name: 'commits',
  title: 'Ana reads what would be committed, with the rows the server counted',
  intro: 'The bot corrects payments in a transaction. Its statements run; its COMMIT waits.',
  run: async (tour, step) => {
    const { admin } = tour.stack;
    await admin.call('POST', '/v1/apply', {
      documents: [{ file: 'commits.yaml', text: POLICY }],
      dryRun: false,
      prune: false,
    });
    const bot = await tour.sql('payments-bot');
    const committed = (note: string): Promise<string> =>
      tour.truth(`select count(*) from payments where note = '${note}'`);
    try {
      await step('without BEGIN it is refused before it runs, and says what to do', async () => {
        const refusal = await eventually(
          () =>
            bot.client.query(UPDATE('tour-alone')).then(
              () => undefined,
              (error: unknown) => refused(Promise.reject(error as Error)),
            ),
          5_000,
          'the rule in force',
        );
        return `${refusal.sqlstate} ${refusal.message}`;
      });
      await step('in a transaction it runs, and nobody else sees it until Ana has said yes', async () => {
        await bot.client.query('begin');
        const { rowCount } = await bot.client.query(UPDATE('tour-yes'));
        const commit = bot.client.query('commit');
        commit.catch(() => undefined);
        const { id } = await tour.pending('ana');
        promise((await committed('tour-yes')) === '0', 'it was committed before anybody answered');
        const { out } = await tour.cli('ana', 'approvals', 'show', id);
        promise(out.includes(`It would commit 1 statement and ${rowCount} rows`), out);
        const { code, err } = await tour.cli('ana', 'approvals', 'approve', id);
        promise(code === 0, err);
        promise((await commit).command === 'COMMIT', 'no COMMIT');
        promise((await committed('tour-yes')) === String(rowCount), 'not what was shown');
        return out.slice(out.indexOf('\nstatement\n') + 1).trimEnd();
      });
      await step('her no undoes it at once, and the session goes on', async () => {
        await bot.client.query('begin');
        await bot.client.query(UPDATE('tour-no'));
        const commit = bot.client.query('commit');
        commit.catch(() => undefined);
        const { id } = await tour.pending('ana');
        await tour.cli('ana', 'approvals', 'deny', id, '--reason', 'Wrong batch.');
        const refusal = await refused(commit);
        promise((await committed('tour-no')) === '0', 'rows were committed');
        const { rows } = await bot.client.query('select count(*)::int as n from payments where note = $1', ['tour-no']);
        promise((rows[0] as { n: number }).n === 0, 'the transaction is still open');
        return `${refusal.sqlstate} ${refusal.message}`;
      });
    } finally {
      await bot.close();
      await admin.call('DELETE', '/v1/policies/tour-commits');
    }
  },
};
