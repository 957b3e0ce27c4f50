/**
 * Where recordings lie. One interface that a directory and an object store share: whole objects by key, nothing else.
 * Refuses to know what is in them: they are encrypted by the agent under the session's key.
 */

/** An abstract class, so that it is its own injection token. */
export abstract class RecordingStore {
  /** Durable when it resolves. Putting the same key again replaces it whole. */
  abstract put(key: string, bytes: Uint8Array): Promise<void>;
  /** @throws GatewayError `recording.unavailable` */
  abstract get(key: string): Promise<Buffer>;
  /** No error when it is not there. */
  abstract delete(key: string): Promise<void>;
  /** Keys that start with `prefix`, sorted. */
  abstract list(prefix: string): AsyncIterable<string>;
}

/** `<project>/<session>/<index>-<digest>`: a second upload of other bytes never replaces the first. */
export const recordingKey = (projectId: string, sessionId: string, index: number, digest: Uint8Array): string =>
  `${projectId}/${sessionId}/${String(index).padStart(8, '0')}-${Buffer.from(digest).toString('hex', 0, 8)}.rec`;
