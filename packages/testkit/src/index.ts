export { type Answer, answersIn, cellsOf, fieldsOf, type Refused, type Seen, seenIn } from './wire/answers.ts';
export * as frames from './wire/frames.ts';
export { openWire, type SignIn, type Wire, type WireOptions } from './wire/wire.ts';
