/** The part of ssh2 that is used, and how: its transport (RFC 4253) without its connections. Read off version 1.17.0, which is pinned. */
declare module 'ssh2/lib/protocol/Protocol.js' {
  export interface Negotiated {
    serverHostKey: string;
  }
  /** What a server's host key has to be. */
  export interface SigningKey {
    readonly type: string;
    sign(data: Buffer, algorithm?: string): Buffer;
    getPublicSSH(): Buffer;
  }
  export default class Protocol {
    constructor(config: {
      server?: boolean;
      hostKeys?: Record<string, SigningKey>;
      ident: string;
      offer: unknown;
      onWrite(data: Buffer): void;
      onError(error: Error): void;
      onHandshakeComplete(negotiated: Negotiated): void;
      hostVerifier?(key: Buffer): boolean;
      messageHandlers: Record<string, (...args: never[]) => void>;
    });
    start(): void;
    parse(chunk: Buffer, from: number, to: number): void;
    cleanup(): void;
    rekey(): void;
    _onPayload: (payload: Buffer) => unknown;
    _onHandshakeComplete: (negotiated: Negotiated) => void;
    _kexinit: Buffer | undefined;
    _queue: Buffer[] | undefined;
    /** `_len`: what the packet that is being read says of its length. */
    /** Absent until the first bytes after the identification. */
    readonly _decipher: { readonly _len?: number; readonly _packet?: Uint8Array | null } | undefined;
    readonly _cipher: { encrypt(packet: Buffer): void };
    readonly _packetRW: {
      readonly write: {
        readonly allocStart: number;
        readonly allocStartKEX: number;
        alloc(size: number, force?: boolean): Buffer;
        finalize(packet: Buffer, force?: boolean): Buffer;
      };
    };
    readonly _kex: { sessionID: Buffer; remoteExtInfoEnabled: boolean; negotiated: Negotiated };
  }
}
declare module 'ssh2/lib/protocol/kex.js' {
  const kex: { readonly KexInit: new (lists: object) => object };
  export default kex;
}
declare module 'ssh2/lib/protocol/crypto.js' {
  const crypto: { readonly init: Promise<void>; readonly bindingAvailable: boolean };
  export default crypto;
}
declare module 'ssh2/lib/protocol/keyParser.js' {
  interface ParsedKey {
    readonly type: string;
    getPrivatePEM(): string | null;
    getPublicSSH(): Buffer;
  }
  const keyParser: { readonly parseKey: (text: string) => ParsedKey | ParsedKey[] | Error };
  export default keyParser;
}
