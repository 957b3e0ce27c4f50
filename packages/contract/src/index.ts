export type {
  AgentMessage,
  BudgetAmounts,
  BudgetAsk,
  BudgetLease,
  BundleManifest,
  Chunk,
  ChunkRef,
  ControlMessage,
  EnrollRequest,
  EnrollResponse,
  Heartbeat,
  Hello,
  RecordingAck,
  RecordingChunk,
  RecoverRequest,
  RenewRequest,
  SealedCredentialMessage,
  SignedManifest,
  TrailAck,
  TrailBatch,
} from './messages.ts';
export { wire } from './messages.ts';
export { enrollmentService, linkService } from './services.ts';
