/** The chapter of access reviews: what was used, what stays of it, and what becomes of a grant that nobody answers for. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, refused, type TourContext } from './context.ts';
import { type Chapter, promise } from './story.ts';

const GROUP = 'tour-reviewed';
const GRANT = 'tour-reviewed-payments';
const REVIEWS = ['tour-quarterly', 'tour-lapsing'] as const;

interface Item {
  readonly grant: string;
  readonly proposal: string;
  readonly proposalReason: string;
  readonly evidence: {
    readonly allowed: number;
    readonly effects: readonly { readonly word: string; readonly allowed: number }[];
    readonly reached: readonly { readonly word: string; readonly allowed: number }[];
    readonly trail: { readonly chain: string; readonly sequence: number } | null;
  };
}

async function prepare({ stack }: TourContext): Promise<void> {
  const { admin } = stack;
  await admin.call('POST', '/v1/groups', { name: GROUP });
  await admin.call('PUT', `/v1/groups/${GROUP}/members/carla`);
  const right = { name: GRANT, group: GROUP, resource: 'payments-db', effects: ['read', 'write', 'ddl'] };
  await admin.call('POST', '/v1/grants', right);
  for (const [name, due] of [
    ['tour-quarterly', '14d'],
    ['tour-lapsing', '2s'],
  ])
    await admin.call('POST', '/v1/reviews', {
      name,
      scope: { groups: [GROUP] },
      reviewers: { by: 'group', groups: ['dba'] },
      due,
      afterReview: 'deny',
    });
}

async function cleanUp({ stack }: TourContext): Promise<void> {
  const { admin } = stack;
  const gone = (work: Promise<unknown>): Promise<unknown> => work.catch(() => undefined);
  for (const name of REVIEWS) await gone(admin.call('POST', `/v1/reviews/${name}/end`));
  await gone(admin.call('DELETE', '/v1/reviews/tour-lapsing'));
  await gone(admin.call('DELETE', `/v1/grants/${GRANT}`));
  await gone(admin.call('DELETE', `/v1/groups/${GROUP}`));
}

export const reviews: Chapter<TourContext> = {
  name: 'reviews',
  title: 'Carla’s right to write is reviewed',
  intro:
    'She may read, write and change schemas. Ben sees what she really did with it, and answers for it; or nobody does.',
  run: async (tour, step) => {
    const { admin } = tour.stack;
    await prepare(tour);
    const write = 'update payments set note = note where id = 1';
    const carla = await eventually(
      async () => {
        const session = await tour.sql('carla');
        if ((await session.client.query(write).catch(() => undefined)) !== undefined) return session;
        await session.close();
        return undefined;
      },
      5_000,
      'the new grant at the agent',
    );
    try {
      await step('the item shows what was used of the grant, and where that stands on the trail', async () => {
        await carla.client.query('select id from payments where id = 1');
        const told = (): Promise<Item | undefined> => startedItem(tour);
        const item = await eventually(told, 8_000, 'the use on the trail');
        // What was tried and denied in earlier chapters stands there with none allowed.
        const used = item.evidence.effects.filter((sum) => sum.allowed > 0);
        const words = used.map((sum) => `${sum.word} ${sum.allowed}`).join(', ');
        promise(!words.includes('ddl') && item.evidence.trail !== null, words);
        const reached = item.evidence.reached.map((sum) => sum.word).join(', ');
        return `used: ${words}; ${reached}\nproposal: ${item.proposal}. ${item.proposalReason}\nlast use: ${item.evidence.trail?.chain}#${item.evidence.trail?.sequence}`;
      });
      await step('Carla cannot answer for herself; Ben reduces the grant to what was used', async () => {
        const own = await tour.cli('carla', 'reviews', 'answer', 'tour-quarterly', GRANT, '--keep');
        promise(own.code !== 0, 'she answered for herself');
        const answered = await tour.cli('ben', 'reviews', 'answer', 'tour-quarterly', GRANT, '--reduce');
        promise(answered.code === 0, answered.err);
        return answered.out.trim();
      });
      await step('from her next statement on she changes no schema, and writes as before', async () => {
        const refusal = await eventually(
          async () => {
            // Does nothing wherever it still runs, so that only the agent refuses it.
            const said = await refused(carla.client.query('comment on table payments is null')).catch(() => undefined);
            return said?.detail.rule === undefined ? undefined : said;
          },
          3_000,
          'the refusal',
        );
        await carla.client.query(write);
        return refusal.message;
      });
      await step('a review that nobody answers lapses at the agent, to the second', async () => {
        await admin.call('POST', '/v1/reviews/tour-lapsing/start');
        await carla.client.query(write);
        await sleep(2_100);
        const refusal = await refused(carla.client.query(write));
        promise(refusal.detail.rule === 'review', `${refusal.sqlstate} ${refusal.message}`);
        return `${refusal.message} (rule ${refusal.detail.rule})`;
      });
      await step('drift names it, and auditors get the round with its digest and its place on the trail', async () => {
        const { items } = await admin.call<{ items: { kind: string; target: string; what: string }[] }>(
          'GET',
          '/v1/drift',
        );
        const lapsed = items.find((one) => one.kind === 'review_lapsed' && one.target === `grant/${GRANT}`);
        promise(lapsed !== undefined, 'no drift');
        const file = path.join(tour.dir, 'review.html');
        const page = await eventually(
          async () => {
            await tour.cli('admin', 'reviews', 'export', 'tour-quarterly', '--format', 'html', '-o', file);
            const text = readFileSync(file, 'utf8');
            return text.includes('answer on trail') ? text : undefined;
          },
          5_000,
          'the answer on the trail',
        );
        const digest = /[0-9a-f]{64}/.exec(page)?.[0];
        promise(digest !== undefined, 'no digest');
        return `${lapsed.kind}: ${lapsed.target}: ${lapsed.what}\n${path.basename(file)}, digest ${digest}`;
      });
    } finally {
      await carla.close();
      await cleanUp(tour);
    }
  },
};

/** Started only once the use has arrived: a round freezes what is there. */
async function startedItem({ stack }: TourContext): Promise<Item | undefined> {
  const { admin } = stack;
  const { items: told } = await admin.call<{ items: { count: number }[] }>(
    'GET',
    '/v1/trail/events?kind=statement.judged&principal=carla&limit=5',
  );
  if (told.length === 0) return undefined;
  await sleep(600);
  await admin.call('POST', '/v1/reviews/tour-quarterly/start');
  const { items } = await admin.call<{ items: Item[] }>('GET', '/v1/reviews/tour-quarterly/items');
  return items.find((item) => item.grant === GRANT);
}
