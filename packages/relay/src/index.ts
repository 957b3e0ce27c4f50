export { Admission, type AdmissionLimits, type AdmissionTicket } from './admission.ts';
export { ByteSocket, type ByteSocketOwner } from './byte-socket.ts';
export { Connection, type ConnectionOptions, type HostParts } from './connection.ts';
export { upstreamTlsOptions } from './credentials/upstream-tls.ts';
export { isLoopback, type Listener, type ListenOptions, listen } from './listener.ts';
export { pump } from './pump.ts';
export { Turn, type TurnMember, type TurnRecords } from './turn.ts';
export { upstreamAddress } from './upstream-side.ts';
