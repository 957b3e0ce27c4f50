/** Durations in documents and REST: `30s`, `10m`, `24h`, `7d`, or milliseconds as a number; always shown as text. */
import { z } from 'zod';

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds. */
export const Duration = (maxMs: number) =>
  z
    .union([z.string().regex(/^\d{1,6}[smhd]$/, 'a duration is expected, as 30s, 10m or 24h'), z.number().int().min(0)])
    .transform((value) => (typeof value === 'number' ? value : Number(value.slice(0, -1)) * UNITS[value.slice(-1)]!))
    .refine((ms) => ms <= maxMs, `at most ${showDuration(maxMs)}`);

/** 600000 → `10m`; what is no whole second stays a number. */
export function showDuration(ms: number): string | number {
  if (ms === 0) return '0s';
  const unit = Object.entries(UNITS).findLast(([, size]) => ms % size === 0);
  return unit === undefined ? ms : `${ms / unit[1]}${unit[0]}`;
}
