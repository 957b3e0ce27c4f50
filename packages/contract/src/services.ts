/**
 * The gRPC services as grpc-js wants them. Refuses to open a channel or a port: each app does.
 * Paths and message names are those of proto/sallyport/agent/v1.
 */
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import {
  type AgentMessage,
  type ControlMessage,
  type EnrollRequest,
  type EnrollResponse,
  type RecoverRequest,
  type RenewRequest,
  wire,
} from './messages.ts';

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

function method<Q, S>(path: string, request: Codec<Q>, response: Codec<S>, stream: boolean): MethodDefinition<Q, S> {
  const write =
    <T>(codec: Codec<T>) =>
    (message: T): Buffer => {
      const bytes = codec.encode(message).finish();
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    };
  return {
    path,
    requestStream: stream,
    responseStream: stream,
    requestSerialize: write(request),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: write(response),
    responseDeserialize: (bytes) => response.decode(bytes),
    originalName: path.slice(path.lastIndexOf('/') + 1),
  };
}

const enroll = '/sallyport.agent.v1.EnrollmentService';
const link = '/sallyport.agent.v1.LinkService';

/** Over TLS without a client certificate. */
export const enrollmentService = {
  enroll: method<EnrollRequest, EnrollResponse>(`${enroll}/Enroll`, wire.EnrollRequest, wire.EnrollResponse, false),
  recover: method<RecoverRequest, EnrollResponse>(`${enroll}/Recover`, wire.RecoverRequest, wire.EnrollResponse, false),
} satisfies ServiceDefinition;

/** Over mutual TLS. */
export const linkService = {
  connect: method<AgentMessage, ControlMessage>(`${link}/Connect`, wire.AgentMessage, wire.ControlMessage, true),
  renew: method<RenewRequest, EnrollResponse>(`${link}/Renew`, wire.RenewRequest, wire.EnrollResponse, false),
} satisfies ServiceDefinition;
