/**
 * Chapter `http`: an AI agent's program calls an API it has no key for, under `sallyport run`. The service is the demo's own,
 * over TLS; that what was held never reached it is read from its database, past Sallyport.
 */
import { execFileSync } from 'node:child_process';
import { eventually, type TourContext } from './context.ts';
import { type Chapter, promise } from './story.ts';

const CURL = ['curl', '-sS', '-m', '60'] as const;
const URL_OF = '$SALLYPORT_PAYMENTS_API_URL';

const hasCurl = (): boolean => {
  try {
    execFileSync('curl', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

export const http: Chapter<TourContext> = {
  name: 'http',
  title: 'An AI agent’s program calls an API, and has no key for it',
  intro: 'The program is plain curl. The key of the API is put in by the agent; the program could not leak it.',
  run: async (tour, step) => {
    if (!hasCurl()) {
      await step('left out here: there is no curl on this machine', () => 'curl');
      return;
    }
    await play(tour, step);
  },
};

async function play(tour: TourContext, step: Parameters<Chapter<TourContext>['run']>[1]): Promise<void> {
  const run = async (script: string): Promise<{ readonly code: number; readonly out: string; readonly err: string }> =>
    tour.cli('payments-bot', 'run', 'payments-api', '--', 'sh', '-c', script);
  const call = (...args: string[]): string => [...CURL, ...args].join(' ');
  await step('customers are read with a key nobody was given, and what is sensitive in them is hidden', async () => {
    const truth = await tour.truth(
      "select national_id || ' ' || card_number || ' ' || email from customers where id = 1",
    );
    const { code, out, err } = await run(call(`"${URL_OF}/v1/customers?limit=1"`));
    promise(code === 0 && out.includes('"customers"'), `${code}: ${out}${err}`);
    for (const value of truth.split(' ')) promise(!out.includes(value), `in clear: ${out}`);
    return out.trim();
  });
  await step('a small payment goes through', async () => {
    const { out, err } = await run(pay(12.5));
    promise(out.includes('"status":"pending"'), `${out}${err}`);
    return out.trim();
  });
  await step('a large one waits for somebody else: nothing has reached the service', async () => {
    const before = await tour.truth('select count(*) from payments');
    const paying = run(pay(25_000));
    const request = await tour.pending('ben');
    promise((await tour.truth('select count(*) from payments')) === before, 'it was paid already');
    await (await tour.as('ben')).call('POST', `/v1/approvals/${request.id}/approve`, { reason: 'Invoice 4711' });
    const { out, err } = await paying;
    promise(out.includes('"amount":25000'), `${out}${err}`);
    return `${request.rule} (${request.id})\n${out.trim()}`;
  });
  await step('a program that does not want to wait asks for an address, and fetches the answer there', async () => {
    const asked = await run(`${pay(30_000, '-H "prefer: respond-async"')}`);
    const { location } = JSON.parse(asked.out) as { location: string };
    promise(location.includes('/.sallyport/held/'), asked.out);
    const inside = location.replace('/r/payments-api', '');
    const request = await tour.pending('ben');
    await (await tour.as('ben')).call('POST', `/v1/approvals/${request.id}/approve`, { reason: 'Invoice 4712' });
    const answer = await eventually(
      async () => {
        const { out } = await run(call(`"${URL_OF}${inside}"`));
        return out.includes('"amount":30000') ? out : undefined;
      },
      20_000,
      'the answer',
    );
    return `202 ${location}\n${answer.trim()}`;
  });
  await step('what no grant allows is refused in words and for programs', async () => {
    const { out } = await tour.cli('carla', 'run', 'payments-api', '--', 'sh', '-c', pay(1));
    promise(out.includes('"code":"grant.exceeded"'), out);
    return out.trim();
  });
}

const pay = (amount: number, more = ''): string =>
  [
    ...CURL,
    more,
    '-H "content-type: application/json"',
    `-d '{"customer_id":7,"amount":${amount}}'`,
    `"${URL_OF}/v1/payments"`,
  ].join(' ');
