export { admit, type GatePorts, type HoldVerdict, isPermit, OWN_PERMIT, type Permit, Refusal } from './gate.ts';
export type {
  CancelPort,
  ClientPort,
  ClientTls,
  HeldNotice,
  ProtocolAdapter,
  ProtocolSession,
  RecorderPort,
  SessionHost,
  SignedIn,
  SignInPort,
  SignInRequest,
  TimerName,
  TimerPort,
  UpstreamCredential,
  UpstreamPort,
  UpstreamTls,
} from './ports.ts';
