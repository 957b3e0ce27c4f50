/** Instants and spans as people read and write them. Refuses to know a time zone other than the machine's. */
import { CliError } from '../exit-codes.ts';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90`, `10m`, `1h30m`, `2d` → milliseconds; a bare number counts seconds. @throws CliError usage */
export function parseSpan(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join('') !== text) {
    throw new CliError('usage', `"${text}" is no length of time.`, 'Write it as 90s, 10m, 24h or 7d.');
  }
  return parts.reduce((sum, part) => sum + Number(part[1]) * UNITS[part[2]!]!, 0);
}

/** An ISO date or time, or a span that counts back from `nowMs` → UTC ISO text. @throws CliError usage */
export function parseSince(text: string, nowMs: number): string {
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    const at = new Date(text);
    if (!Number.isNaN(at.getTime())) return at.toISOString();
    throw new CliError('usage', `"${text}" is no date.`, 'Write it as 2026-11-21 or 2026-11-21T03:00:00Z.');
  }
  return new Date(nowMs - spanOrDate(text)).toISOString();
}

/** An ISO date or time, or a span from `nowMs` on → UTC ISO text. @throws CliError usage */
export function parseUntil(text: string, nowMs: number): string {
  if (/^\d{4}-\d\d-\d\d/.test(text)) return parseSince(text, nowMs);
  return new Date(nowMs + spanOrDate(text)).toISOString();
}

function spanOrDate(text: string): number {
  try {
    return parseSpan(text);
  } catch (cause) {
    const hint = 'Write it as 90s, 10m, 24h or 7d, or as 2026-11-21 or 2026-11-21T03:00:00Z.';
    throw new CliError('usage', `"${text}" is neither a length of time nor a date.`, hint, { cause });
  }
}

/** Local time to the second; `-` for none. */
export function showInstant(value: string | number | undefined | null): string {
  if (value === undefined || value === null || value === '') return '-';
  const at = new Date(value);
  if (Number.isNaN(at.getTime())) return String(value);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** `12s`, `4m`, `3h`, `5d`: one unit, rounded down. */
export function showSpan(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** `3m ago`, or `in 9m`. */
export function showDistance(value: string | number | undefined | null, nowMs: number): string {
  if (value === undefined || value === null || value === '') return '-';
  const distance = new Date(value).getTime() - nowMs;
  if (Number.isNaN(distance)) return String(value);
  return distance > 0 ? `in ${showSpan(distance)}` : `${showSpan(-distance)} ago`;
}
