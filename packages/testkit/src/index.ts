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
  TEST_TOKEN,
  testResource,
} from './gateway.ts';
export { startTap, type Tap } from './tap.ts';
export { cellsOf, connectWire, digestOfAnswer, fieldsOf, type Message, say, WireClient, wireFrame } from './wire.ts';
