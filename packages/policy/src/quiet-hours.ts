/**
 * Whether an instant lies in a rule's quiet hours, and when they end. Pure: the instant is an argument, the zone's rules are
 * those of the runtime's own time-zone data (ECMA-402, Intl.DateTimeFormat).
 * Refuses to decide what follows from it.
 */
import { type ApprovalSpec, WEEKDAYS } from '@sallyport/model';

export type QuietHours = NonNullable<ApprovalSpec['quietHours']>;

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
/** A week of quiet days at the most. */
const LOOK_AHEAD_MS = 8 * DAY_MINUTES * MINUTE_MS;
const QUARTER_MINUTES = 15;

const formats = new Map<string, Intl.DateTimeFormat>();

/** True for a zone that this runtime knows (`Europe/Berlin`, `UTC`). */
export function isZone(zone: string): boolean {
  try {
    formatOf(zone);
    return true;
  } catch {
    // RangeError: no such zone.
    return false;
  }
}

/** UTC ms at which the quiet hours around `nowMs` end; undefined outside of them. */
export function quietUntil(quiet: QuietHours, nowMs: number): number | undefined {
  if (!isQuiet(quiet, localTime(quiet.zone, nowMs))) return undefined;
  const edges = [0, ...[quiet.from, quiet.to].filter((minute) => minute !== undefined)];
  // To the next minute at which the answer may change: an edge of the rule's, midnight, or a quarter hour, since a zone
  // changes its offset at no other. So no gap is stepped over, however short it is.
  let at = nowMs - (nowMs % MINUTE_MS);
  while (at < nowMs + LOOK_AHEAD_MS) {
    const { minute } = localTime(quiet.zone, at);
    const toEdge = Math.min(...edges.map((edge) => (edge - minute + DAY_MINUTES - 1) % DAY_MINUTES)) + 1;
    const toQuarter = QUARTER_MINUTES - ((at / MINUTE_MS) % QUARTER_MINUTES);
    at += Math.min(toEdge, toQuarter) * MINUTE_MS;
    if (!isQuiet(quiet, localTime(quiet.zone, at))) break;
  }
  return at;
}

function isQuiet({ from, to, days }: QuietHours, { minute, weekday }: LocalTime): boolean {
  if (days?.includes(weekday) === true) return true;
  if (from === undefined || to === undefined || from === to) return false;
  return from < to ? from <= minute && minute < to : minute >= from || minute < to;
}

interface LocalTime {
  readonly minute: number;
  readonly weekday: (typeof WEEKDAYS)[number];
}

function localTime(zone: string, atMs: number): LocalTime {
  let hour = 0;
  let minute = 0;
  let day = '';
  for (const { type, value } of formatOf(zone).formatToParts(atMs)) {
    if (type === 'hour') hour = Number(value);
    else if (type === 'minute') minute = Number(value);
    else if (type === 'weekday') day = value.slice(0, 3).toLowerCase();
  }
  return { minute: (hour * 60 + minute) % DAY_MINUTES, weekday: WEEKDAYS.find((name) => name === day) ?? 'sun' };
}

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    hour: '2-digit',
    minute: '2-digit',
    weekday: 'short',
  });
  formats.set(zone, made);
  return made;
}
