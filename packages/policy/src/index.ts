export {
  type BudgetStanding,
  isWriting,
  NO_BUDGETS,
  rank,
  type SessionBudget,
  SessionMeters,
  windowEnd,
} from './budgets.ts';
export { checkPolicy, type PolicyProblem } from './check.ts';
export { commitsWithoutApprover, ticketConflict } from './commit.ts';
export {
  PolicyDocumentError,
  parsePolicyDocument,
  problemLine,
  renderDuration,
  renderPolicyDocument,
} from './document.ts';
export { type DecisionInput, loadBundlePolicies, type PolicyEngine } from './engine.ts';
export type { Explanation, RuleExplanation } from './explain.ts';
export { FACT_TYPES, FAMILIES } from './facts.ts';
export { soleBundle } from './sole-bundle.ts';
export {
  type CaseResult,
  type ReadCommand,
  type TestInput,
  type TestReport,
  testPolicies,
  testPolicyFiles,
} from './table.ts';
export { type HttpCase, type HttpReading, readHttpCase } from './table-http.ts';
