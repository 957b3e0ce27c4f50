export { type Asked, askedFor } from './asked.ts';
export {
  admit,
  admitLook,
  admitOwn,
  admitPreparation,
  type GatePorts,
  type HoldVerdict,
  isPermit,
  OWN_PERMIT,
  type Permit,
  Refusal,
  refuse,
  wouldHold,
} from './gate.ts';
export type {
  CancelPort,
  ClientPort,
  ClientTls,
  NestedClient,
  NestedWire,
  ProtocolAdapter,
  ProtocolSession,
  SessionHost,
  TimerName,
  TimerPort,
  TlsUpgrade,
  UpstreamOwner,
  UpstreamPort,
  UpstreamTls,
} from './ports.ts';
export type { RecordedBody, RecordedFile, RecorderPort } from './recorder.ts';
export type { HeldNotice, JoinedSession, SessionMember, SignedIn } from './road.ts';
export type { LinkSignIn, SignInPort, SignInRequest } from './sign-in.ts';
export type { HeaderField, HttpCredential, UncredentialedRequest, UpstreamCredential } from './upstream-credential.ts';
