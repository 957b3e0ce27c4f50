/** What an operator may see of an agent from outside: gauges and facts, without a name of anything it guards. */
import type { Bundle } from '@sallyport/model';
import type { Admission } from '@sallyport/relay';
import type { HealthView } from './health.ts';
import type { Spool } from './spool/spool.ts';
import type { TrailCounts } from './trail.ts';

/** Where the values come from; each is asked at any time and is cheap. */
export interface Vitals {
  /** Listeners stand and the process is not stopping. */
  serving(): boolean;
  spool(): Spool | undefined;
  counts(): TrailCounts | undefined;
  bundle(): Bundle | undefined;
  linked(): boolean;
  silentMs(): number;
  sessions(): number;
  connections(): Pick<Admission, 'all' | 'halfOpen'>;
  holds(): number;
  refusedBundles(): number;
  clockSkewMs(): number;
  /** False: SSH is listened for, and its ciphers run without their native addon. */
  sshNative(): boolean;
  /** A protocol's files are gone: its clients are turned away until the agent is started again. */
  restartNeeded(): boolean;
  certificateLeftMs(): number;
}

export function healthView(vitals: Vitals): HealthView {
  const gauge = (name: string, help: string, value: () => number) => ({ name, help, value });
  const asNumber = (yes: boolean): number => (yes ? 1 : 0);
  const recording = (): boolean => vitals.spool()?.isOpen ?? false;
  return {
    ready: () => vitals.serving(),
    facts: () => ({
      linked: vitals.linked(),
      recording: recording(),
      sshNative: vitals.sshNative(),
      restartNeeded: vitals.restartNeeded(),
      bundleEpoch: vitals.bundle()?.epoch ?? 0,
      bundleRevision: vitals.bundle()?.revision ?? 0,
    }),
    gauges: [
      gauge('sessions', 'Sessions signed in.', () => vitals.sessions()),
      gauge('connections', 'Connections, signed in or not.', () => vitals.connections().all),
      gauge('half_open_connections', 'Connections that have not signed in.', () => vitals.connections().halfOpen),
      gauge('holds', 'Statements that wait for a person.', () => vitals.holds()),
      gauge('ssh_native', '0 when SSH runs without its native addon, three times slower.', () =>
        asNumber(vitals.sshNative()),
      ),
      gauge('restart_needed', '1 when files of a protocol are gone and its clients are turned away.', () =>
        asNumber(vitals.restartNeeded()),
      ),
      gauge('linked', '1 while the link to the control plane stands.', () => asNumber(vitals.linked())),
      gauge('silence_seconds', 'Seconds since the control plane was heard.', () => vitals.silentMs() / 1000),
      gauge('bundle_revision', 'Revision of the bundle in force.', () => vitals.bundle()?.revision ?? 0),
      gauge('bundles_refused', 'Bundles refused since the start.', () => vitals.refusedBundles()),
      gauge('trail_open', '1 while statements can be recorded.', () => asNumber(recording())),
      gauge(
        'spool_bytes',
        'Bytes of trail and recordings not yet acknowledged.',
        () => vitals.spool()?.budget.used ?? 0,
      ),
      gauge('clock_skew_seconds', 'This clock minus that of the control plane.', () => vitals.clockSkewMs() / 1000),
      gauge(
        'certificate_seconds_left',
        'Until the identity certificate ends.',
        () => vitals.certificateLeftMs() / 1000,
      ),
    ],
    counters: [
      {
        name: 'statements_total',
        help: 'Statements recorded, by verdict. A hold and what became of it count once each.',
        label: 'verdict',
        values: () => ({ ...(vitals.counts()?.verdicts ?? { allow: 0, deny: 0, hold: 0 }) }),
      },
      {
        name: 'sign_ins_total',
        help: 'Sign-ins recorded, by outcome.',
        label: 'outcome',
        values: () => ({ opened: vitals.counts()?.sessions ?? 0, failed: vitals.counts()?.signInsFailed ?? 0 }),
      },
      {
        name: 'masked_cells_total',
        help: 'Cells of answers that masks changed.',
        label: undefined,
        values: () => ({ '': vitals.counts()?.masked ?? 0 }),
      },
    ],
  };
}
