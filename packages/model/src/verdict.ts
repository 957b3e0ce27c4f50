/** What was decided about one statement, with the rule that said so and what to mask in the answer. */
import type { ErrorCode } from '@sallyport/core';
import type { ApprovalSpec, Detector, MaskMethod } from './policy.ts';

export interface ColumnMask {
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  readonly with: MaskMethod;
}
export interface DetectMask {
  readonly detect: Detector;
  readonly with: MaskMethod;
}
/** `path` as in the policy: `parseJsonPath` reads it. */
export interface JsonMask {
  readonly path: string;
  readonly with: MaskMethod;
}
export interface HeaderMask {
  /** Lower case. */
  readonly header: string;
  readonly with: MaskMethod;
}
/** `place` as in the policy: `parseKubernetesMask` reads it. */
export interface KubernetesMask {
  readonly place: string;
  readonly with: MaskMethod;
}
/** Shared by reference between verdicts of one bundle, so that a plan compiled for it can be kept in a WeakMap. */
export interface MaskSet {
  readonly columns: readonly ColumnMask[];
  readonly detect: readonly DetectMask[];
  /** Absent = none; so are the next two. */
  readonly json?: readonly JsonMask[];
  readonly headers?: readonly HeaderMask[];
  readonly kubernetes?: readonly KubernetesMask[];
}
export const NO_MASKS: MaskSet = Object.freeze({ columns: Object.freeze([]), detect: Object.freeze([]) });

/** A rule in shadow mode that would have said something; recorded, never enforced. */
export interface ShadowHit {
  readonly rule: string;
  readonly verdict: 'allow' | 'hold' | 'deny';
}

/** A rule that holds the COMMIT of what it let run. */
export interface CommitHold {
  readonly rule: string;
  readonly message?: string;
  readonly approval: ApprovalSpec;
}

/** `rule` is `<policy>/<rule>`, `grant` when the grant itself decided, `review` when its access review did, or `none`. */
export type Verdict =
  | {
      readonly kind: 'allow';
      readonly rule: string;
      readonly masks: MaskSet;
      readonly shadow?: readonly ShadowHit[];
      /** At most so many rows may come back or be changed; beyond it the session ends. */
      readonly rowsMax?: number;
      /** It may run, and its transaction's COMMIT waits for these. */
      readonly untilCommit?: readonly CommitHold[];
    }
  | {
      readonly kind: 'hold';
      readonly rule: string;
      readonly approval: ApprovalSpec;
      readonly message?: string;
      readonly shadow?: readonly ShadowHit[];
    }
  | {
      readonly kind: 'deny';
      readonly rule: string;
      readonly code: ErrorCode;
      readonly message?: string;
      /** UTC ms: when the same would be allowed again. */
      readonly resetAt?: number;
      readonly shadow?: readonly ShadowHit[];
    };
