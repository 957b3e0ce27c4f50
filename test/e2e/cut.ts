/**
 * How soon a running stream ends once its right is taken away: a bare client in this process, so that the moment of the end is
 * seen as it comes. The machine may be busy: the best of some rounds counts, and a gateway that is late is late in each.
 */
import https from 'node:https';

const ROUNDS = 8;

/** @param url answers without end @returns once its first bytes are here: the moment at which it ends, ms */
export function openStream(url: string, token: string): Promise<{ readonly ended: Promise<number> }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    const asked = https.request(url, { headers, agent: false, rejectUnauthorized: false }, (answer) => {
      const end = Promise.withResolvers<number>();
      const over = (): void => end.resolve(performance.now());
      answer.once('close', over).once('error', over);
      answer.resume();
      if (answer.statusCode === 200) resolve({ ended: end.promise });
      else reject(new Error(`${answer.statusCode}`));
    });
    asked.once('error', reject);
    asked.end();
  });
}

/**
 * @param open a stream under a right of its own
 * @param revoke takes that right away
 * @returns milliseconds from asking for it to the stream's end, of the quickest round; later rounds are left out once one is
 * quick enough
 */
export async function soonestCut(
  enoughMs: number,
  open: () => Promise<{ readonly ended: Promise<number> }>,
  revoke: () => Promise<unknown>,
): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS && best > enoughMs; round++) {
    const { ended } = await open();
    const started = performance.now();
    await revoke();
    best = Math.min(best, (await ended) - started);
  }
  return best;
}
