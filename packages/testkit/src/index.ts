export { type DemoDatabase, SECRET_CARD, SECRET_IDS, startDemoDatabase } from './demo-database.ts';
export {
  allow,
  deny,
  type Gateway,
  type GatewayOptions,
  hold,
  type Judged,
  type OpenHold,
  passwordCredential,
  type Recorded,
  startGateway,
  testHttpResource,
  testResource,
  testSshResource,
} from './gateway.ts';
export { type Cluster, clusterMissing, kubectls, kubernetesClients, startCluster } from './kubernetes.ts';
export { TEST_TOKEN } from './login.ts';
export {
  freePort,
  makeKey,
  type Ran,
  type RunOptions,
  run,
  type SshServer,
  sshdMissing,
  sshEnv,
  sshOptions,
  startSshd,
  type Talk,
  talk,
} from './sshd.ts';
export { startTap, type Tap } from './tap.ts';
export { type Refused, type Seen } from './wire/answers.ts';
export * as frames from './wire/frames.ts';
export { openWire, type SignIn, type Wire, type WireOptions } from './wire/wire.ts';
export { cellsOf, connectWire, digestOfAnswer, fieldsOf, type Message, say, WireClient, wireFrame } from './wire.ts';
