/**
 * Calls that wait for a person while the model that made them does something else. A call that is held answers at once with
 * what it waits for; it goes on in the background, and whoever asks for its approval later gets its outcome, once.
 * Refuses to wait without end, and to keep outcomes nobody asks for.
 */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Outcome {
  readonly text: string;
  readonly isError?: boolean;
}

/** What is known of a wait. */
export interface Held {
  readonly approvalId: string;
  /** As the agent said it. */
  readonly says: string;
}

interface Kept {
  readonly held: Held;
  readonly done: Promise<Outcome>;
  readonly cancel: () => void;
}

export interface HeldCalls {
  /**
   * @param work told by `held` that it waits; its outcome comes when it has one
   * @param cancelled who asked takes it back, or is gone; what waits already has been answered, and waits on
   * @returns the outcome, or what it waits for
   */
  run(
    work: (held: (what: Held) => void, signal: AbortSignal) => Promise<Outcome>,
    cancelled: AbortSignal,
  ): Promise<Outcome>;
  /** @param waitMs how long to wait for an answer @returns undefined when no call of this process waits for that */
  check(approvalId: string, waitMs: number): Promise<Outcome | undefined>;
  /** Ends every wait. */
  close(): void;
}

const KEPT_MAX = 100;
const KEPT_MS = 15 * 60_000;
/** An answer that comes at once (a ticket, a quick approver) is the better one. */
const GRACE_MS = 1_000;

export function heldCalls(): HeldCalls {
  const kept = new Map<string, Kept>();
  const drop = (approvalId: string): void => {
    kept.get(approvalId)?.cancel();
    kept.delete(approvalId);
  };
  return {
    run: async (work, cancelled) => {
      const { promise: waiting, resolve } = Promise.withResolvers<Held>();
      const controller = new AbortController();
      const cancel = (): void => controller.abort();
      cancelled.addEventListener('abort', cancel, { once: true });
      const done = work(resolve, controller.signal);
      done.catch(() => undefined);
      const first = await Promise.race([done, waiting.then((held) => sleep(GRACE_MS, held))]).finally(() =>
        cancelled.removeEventListener('abort', cancel),
      );
      if (!('approvalId' in first)) return first;
      if (kept.size >= KEPT_MAX) drop(kept.keys().next().value!);
      kept.set(first.approvalId, { held: first, done, cancel: () => controller.abort() });
      // What nobody asks for goes after a while; its wait ends with it.
      void done.then(
        () => setTimeout(() => drop(first.approvalId), KEPT_MS).unref(),
        () => undefined,
      );
      return { text: waitingText(first) };
    },
    check: async (approvalId, waitMs) => {
      const call = kept.get(approvalId);
      if (call === undefined) return undefined;
      const outcome = await Promise.race([call.done, sleep(waitMs, undefined, { ref: false })]);
      if (outcome === undefined) return { text: waitingText(call.held) };
      kept.delete(approvalId);
      return outcome;
    },
    close: () => {
      for (const id of kept.keys()) drop(id);
    },
  };
}

const waitingText = ({ approvalId, says }: Held): string =>
  [
    'This call waits for a person to approve it. It has not run, and goes on by itself once it is approved.',
    says,
    `Do other work meanwhile, or call check_approval with {"approval_id": "${approvalId}"} to learn of it; the result comes there.`,
  ]
    .filter((line) => line !== '')
    .join('\n');
