/**
 * Time as an argument: packages below the apps never read a clock themselves, so that tests are exact.
 * Refuses to know time zones; all instants are UTC milliseconds.
 */
export interface Clock {
  /** UTC milliseconds since the epoch; may jump. */
  nowMs(): number;
  /** Milliseconds that never go back; for deadlines only. */
  monotonicMs(): number;
}
