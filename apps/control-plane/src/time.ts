/** The system's clock and fresh ids, for injection, so that tests can hold time still. Refuses to know time zones. */
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { type Clock, uuid7Bytes, uuidText } from '@sallyport/core';

@Injectable()
export class SystemClock implements Clock {
  nowMs(): number {
    return Date.now();
  }
  monotonicMs(): number {
    return performance.now();
  }
  now(): Date {
    return new Date(this.nowMs());
  }
  /** A fresh UUIDv7 text. */
  id(): string {
    return uuidText(uuid7Bytes(this.nowMs(), randomBytes(10)));
  }
}
