/**
 * The generated wire codecs and types, under their own names. The only file that imports generated code.
 * Refuses to hold meaning: each side turns messages into the model at its edge.
 * protobufjs encodes a BigInt as 0 without an error, so the contract has no 64-bit field: they are decimal texts.
 */
import type { sallyport } from '../gen/contract.js';
import { sallyport as generated } from '../gen/contract.js';

/** Codecs by message name: `wire.AgentMessage.encode(…).finish()`, `wire.AgentMessage.decode(bytes)`. */
export const wire = generated.agent.v1;

export type AgentMessage = sallyport.agent.v1.AgentMessage.$Shape;
export type ControlMessage = sallyport.agent.v1.ControlMessage.$Shape;
export type EnrollRequest = sallyport.agent.v1.EnrollRequest.$Shape;
export type EnrollResponse = sallyport.agent.v1.EnrollResponse.$Shape;
export type RecoverRequest = sallyport.agent.v1.RecoverRequest.$Shape;
export type RenewRequest = sallyport.agent.v1.RenewRequest.$Shape;
export type BundleManifest = sallyport.agent.v1.BundleManifest.$Shape;
export type SignedManifest = sallyport.agent.v1.SignedManifest.$Shape;
export type ChunkRef = sallyport.agent.v1.ChunkRef.$Shape;
export type Chunk = sallyport.agent.v1.Chunk.$Shape;
export type SealedCredentialMessage = sallyport.agent.v1.SealedCredential.$Shape;
export type TrailBatch = sallyport.agent.v1.TrailBatch.$Shape;
export type TrailAck = sallyport.agent.v1.TrailAck.$Shape;
export type RecordingChunk = sallyport.agent.v1.RecordingChunk.$Shape;
export type RecordingAck = sallyport.agent.v1.RecordingAck.$Shape;
export type Heartbeat = sallyport.agent.v1.Heartbeat.$Shape;
export type BudgetAmounts = sallyport.agent.v1.BudgetAmounts.$Shape;
export type BudgetAsk = sallyport.agent.v1.BudgetAsk.$Shape;
export type BudgetLease = sallyport.agent.v1.BudgetLease.$Shape;
export type Hello = sallyport.agent.v1.Hello.$Shape;
export type SshHostKey = sallyport.agent.v1.SshHostKey.$Shape;
export type SignInAsk = sallyport.agent.v1.SignInAsk.$Shape;
