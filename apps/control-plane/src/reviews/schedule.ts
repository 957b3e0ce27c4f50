/** When a campaign's next round starts. Pure, UTC. Refuses times of day that the schedule did not name: they stay as they are. */

const UNITS = { day: 1, week: 7 } as const;
const DAY_MS = 86_400_000;

/** `3 months` after an instant; the last day of a month that is shorter. */
export function addEvery(at: Date, every: string): Date {
  const [, count, unit] = /^(\d+) (day|week|month)s?$/.exec(every) ?? [];
  const times = Number(count);
  if (unit === 'day' || unit === 'week') return new Date(at.getTime() + times * UNITS[unit] * DAY_MS);
  const month = at.getUTCMonth() + times;
  const days = new Date(Date.UTC(at.getUTCFullYear(), month + 1, 0)).getUTCDate();
  const next = new Date(at);
  next.setUTCDate(1);
  next.setUTCMonth(month);
  next.setUTCDate(Math.min(at.getUTCDate(), days));
  return next;
}

/** The first turn of a schedule after `now`: what was missed is not made up for. Null when it has no further turn. */
export function nextTurn(nextAt: Date | null, every: string | null, now: Date): Date | null {
  if (every === null) return nextAt !== null && nextAt > now ? nextAt : null;
  let next = nextAt ?? addEvery(now, every);
  while (next <= now) next = addEvery(next, every);
  return next;
}
