/** The chapter of shapes: one yes for the same statement with other values, for a time, and never for more rows than it said. */
import { eventually, refused, type TourContext } from './context.ts';
import { type Chapter, promise } from './story.ts';

const SQL = 'delete from payments where id >= $1 and id < $2';
const ROWS = 2;
const MINUTES = 30;
/** Rows of the demo that no other chapter counts on. */
const FIRST = 30_001;

export const shapes: Chapter<TourContext> = {
  name: 'shapes',
  title: 'Ana says yes once, to a shape',
  intro: `The bot removes payments in small lots. Ana allows that statement with other values, ${ROWS} rows at most, for ${MINUTES} minutes.`,
  run: async (tour, step) => {
    let bot = await tour.sql('payments-bot');
    const left = async (): Promise<number> =>
      Number(await tour.truth(`select count(*) from payments where id >= ${FIRST} and id < ${FIRST + 100}`));
    const remove = (from: number, rows: number) => bot.client.query(SQL, [FIRST + from, FIRST + from + rows]);
    let id = '';
    try {
      await step('the first lot is held, and she sees what she would allow', async () => {
        const before = await left();
        const running = remove(0, ROWS);
        running.catch(() => undefined);
        ({ id } = await tour.pending('ana'));
        const terms = ['--shape', '--minutes', String(MINUTES), '--rows', String(ROWS), '--all-sessions'];
        const { code, out, err } = await tour.cli('ana', 'approvals', 'approve', id, ...terms);
        promise(code === 0, err);
        const { rowCount } = await running;
        promise(rowCount === ROWS && before - (await left()) === ROWS, `${rowCount} rows`);
        return `${err.split('\n').find((line) => line.startsWith('shape')) ?? ''}\n${out.trim()}`;
      });
      await step('the next lots run without asking', async () => {
        for (const lot of [1, 2, 3]) promise((await remove(lot * ROWS, ROWS)).rowCount === ROWS, `lot ${lot}`);
        return `${ROWS * 3} rows in 3 statements, nobody was asked`;
      });
      await step('one row more than she allowed: nothing of it is committed', async () => {
        const before = await left();
        const refusal = await refused(remove(20, ROWS + 1));
        promise((await left()) === before, 'rows are gone');
        return `${refusal.sqlstate} ${refusal.message}`;
      });
      await step('she takes it back, and the statement waits again', async () => {
        await bot.close();
        const { code, err } = await tour.cli('ana', 'approvals', 'revoke', id, '--reason', 'The clean-up is done.');
        promise(code === 0, err);
        const ask = await eventually(
          async () => {
            bot = await tour.sql('payments-bot');
            const running = remove(30, 1).then(
              () => 'ran',
              () => 'refused',
            );
            const held = await Promise.race([running, eventually(() => bot.notices[0], 4_000, 'a notice')]);
            if (held.includes('apr-')) return held;
            await bot.close();
            return undefined;
          },
          10_000,
          'the hold',
        );
        const pending = await tour.pending('ana');
        await (await tour.as('ana')).call('POST', `/v1/approvals/${pending.id}/deny`, { reason: 'It is done.' });
        return ask;
      });
    } finally {
      await bot.close();
    }
  },
};
