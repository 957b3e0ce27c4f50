/**
 * What one HTTP request asks for, in the words rules read: the request itself, its body, and what it means to a Kubernetes API
 * server or an MCP server. Refuses to know bytes; packages/http and the dialects make these.
 */

export interface HttpFacts {
  /** Upper case, as it is sent on. */
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** Lower case, without a port that is the scheme's own. */
  readonly host: string;
  /** Normalised, as it is sent on, decoded once. */
  readonly path: string;
  /** Template of the route that fits; '' = none does. */
  readonly route: string;
  /** Its operation; '' = none. */
  readonly operation: string;
  /** The two as they are of the path without parameters; absent = the same. */
  readonly plain?: { readonly route: string; readonly operation: string };
  /** Every value of every parameter, decoded once. */
  readonly query: Readonly<Record<string, readonly string[]>>;
  /** As services read it that part it at `;`, too; absent = the same. */
  readonly partedQuery?: Readonly<Record<string, readonly string[]>>;
  /** By lower-case name, several joined by `, `; without credentials and cookies. */
  readonly headers: Readonly<Record<string, string>>;
  /** Media type, lower case, without parameters; '' = none. */
  readonly contentType: string;
  /** Bytes of the body; 0 = there is none, -1 = not known before it ends. */
  readonly size: number;
  /** '' or what the connection is to become, lower case: `websocket`. */
  readonly upgrade: string;
}

/**
 * A decoded path without the parameters of its segments (`/a;x=1/b` is `/a/b`): what many services look for, whatever stood
 * there. RFC 3986 section 3.3.
 */
export const withoutParameters = (path: string): string => (path.includes(';') ? path.replace(/;[^/]*/g, '') : path);

/** One value inside a document. Containers stand here only where they are empty. */
export interface BodyField {
  /** `a.b[0].c`; a key that is not a plain word is quoted as JSON: `a."x.y"`. */
  readonly path: string;
  /** The text; numbers as they are written; '' for null and for what is empty. */
  readonly value: string;
  /** Of a number, and of a text that reads as one; otherwise 0. */
  readonly number: number;
  readonly kind: 'string' | 'number' | 'bool' | 'null' | 'object' | 'array';
}

/** A request's body. `read: false`: there is one, and it is too long, or nobody can read it. */
export type BodyFacts =
  | { readonly read: false }
  | {
      readonly read: true;
      /** Of JSON, a form, YAML; empty for other texts. */
      readonly fields: readonly BodyField[];
      /** `query`, `mutation`, `subscription`; '' = no GraphQL. Of several in one body the most that one of them is. */
      readonly graphqlKind: string;
      readonly graphqlName: string;
      /** Fields at the root of the operation, whatever their aliases; fragments resolved. */
      readonly graphqlFields: readonly string[];
      /** A key stands twice in one object: whoever reads it next may take the other value. */
      readonly duplicateKeys: boolean;
      /** '' unless it is a form or a text. */
      readonly text: string;
    };

/** A request to a Kubernetes API server. */
export interface KubernetesFacts {
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; of a non-resource URL the method in lower case. */
  readonly verb: string;
  /** '' = the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural: `pods`. */
  readonly resource: string;
  readonly subresource: string;
  /** '' = of no namespace, or of all. */
  readonly namespace: string;
  readonly name: string;
  readonly labelSelector: string;
  readonly fieldSelector: string;
  readonly dryRun: boolean;
  /** `/healthz`, `/version`, …: nothing of the API's objects. */
  readonly nonResource: boolean;
  readonly path: string;
  /** `json`, `merge`, `strategic`, `apply`; '' = no patch. */
  readonly patchType: string;
  /** Whether the object sent was read: all that follows is of it. */
  readonly object: 'none' | 'read' | 'unread';
  readonly fields: readonly BodyField[];
  /** What the object asks for; -1 = it does not say. */
  readonly replicas: number;
  /** Of all containers. */
  readonly images: readonly string[];
  readonly privileged: boolean;
  readonly hostPath: boolean;
  readonly hostNetwork: boolean;
  readonly serviceAccount: string;
  /** It is about Secrets. */
  readonly secret: boolean;
  /** It is about roles, bindings, or who may be whom. */
  readonly rbac: boolean;
  /** Of exec: the command as it is given. */
  readonly execCommand: readonly string[];
}

/** One message to an MCP server. */
export interface McpFacts {
  /** JSON-RPC: `tools/call`, `resources/read`, … */
  readonly method: string;
  readonly tool: string;
  readonly resourceUri: string;
  readonly prompt: string;
  /** Of the call; paths as in a body's fields. */
  readonly arguments: readonly BodyField[];
  /** The tool's description is not the one that was shown first. */
  readonly changed: boolean;
}
