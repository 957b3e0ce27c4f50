/**
 * What conditions read of HTTP requests, their bodies, and what they mean to a Kubernetes API server or an MCP server.
 * Refuses to guess: what was not read makes a condition that needs it not computable, never false.
 */
import type { BodyFacts, BodyField, HttpFacts, KubernetesFacts, McpFacts } from '@sallyport/model';
import { Fact, unreadable } from './fact.ts';

export const HTTP_FACT_TYPES = {
  BodyField: { path: 'string', value: 'string', number: 'double', kind: 'string' },
  Http: {
    method: 'string',
    scheme: 'string',
    host: 'string',
    path: 'string',
    route: 'string',
    operation: 'string',
    query: 'map<string, list<string>>',
    headers: 'map<string, string>',
    content_type: 'string',
    size: 'int',
    upgrade: 'string',
  },
  Body: {
    fields: 'list<BodyField>',
    graphql_kind: 'string',
    graphql_name: 'string',
    graphql_fields: 'list<string>',
    duplicate_keys: 'bool',
    text: 'string',
  },
  Kubernetes: {
    verb: 'string',
    group: 'string',
    version: 'string',
    resource: 'string',
    subresource: 'string',
    namespace: 'string',
    name: 'string',
    label_selector: 'string',
    field_selector: 'string',
    dry_run: 'bool',
    non_resource: 'bool',
    path: 'string',
    patch_type: 'string',
    object: 'list<BodyField>',
    replicas: 'int',
    images: 'list<string>',
    privileged: 'bool',
    host_path: 'bool',
    host_network: 'bool',
    service_account: 'string',
    secret: 'bool',
    rbac: 'bool',
    exec_command: 'list<string>',
  },
  Mcp: {
    method: 'string',
    tool: 'string',
    resource_uri: 'string',
    prompt: 'string',
    arguments: 'list<BodyField>',
    changed: 'bool',
  },
} as const;

export class BodyFieldFact extends Fact {}
export class HttpFact extends Fact {}
export class BodyFact extends Fact {}
export class KubernetesFact extends Fact {}
export class McpFact extends Fact {}

const fieldFact = ({ path, value, number, kind }: BodyField): BodyFieldFact =>
  new BodyFieldFact({ path, value, number, kind });

/** Without what stands for other readings: those are facts of their own. */
export function httpFact(facts: HttpFacts): HttpFact {
  const { method, scheme, host, path, route, operation, query, headers, contentType, size, upgrade } = facts;
  return new HttpFact({
    method,
    scheme,
    host,
    path,
    route,
    operation,
    query,
    headers,
    content_type: contentType,
    size: BigInt(size),
    upgrade,
  });
}

const BODY_FIELDS = Object.keys(HTTP_FACT_TYPES.Body);

export function bodyFact(facts: BodyFacts): BodyFact {
  if (!facts.read) return unreadable(new BodyFact({}), BODY_FIELDS);
  return new BodyFact({
    fields: facts.fields.map(fieldFact),
    graphql_kind: facts.graphqlKind,
    graphql_name: facts.graphqlName,
    graphql_fields: facts.graphqlFields,
    duplicate_keys: facts.duplicateKeys,
    text: facts.text,
  });
}

/** What is read of the object sent. */
const OBJECT_FIELDS = ['object', 'replicas', 'images', 'privileged', 'host_path', 'host_network', 'service_account'];

export function kubernetesFact(facts: KubernetesFacts): KubernetesFact {
  const fact = new KubernetesFact({
    verb: facts.verb,
    group: facts.group,
    version: facts.version,
    resource: facts.resource,
    subresource: facts.subresource,
    namespace: facts.namespace,
    name: facts.name,
    label_selector: facts.labelSelector,
    field_selector: facts.fieldSelector,
    dry_run: facts.dryRun,
    non_resource: facts.nonResource,
    path: facts.path,
    patch_type: facts.patchType,
    secret: facts.secret,
    rbac: facts.rbac,
    exec_command: facts.execCommand,
  });
  if (facts.object === 'unread') return unreadable(fact, OBJECT_FIELDS);
  return Object.assign(fact, {
    object: facts.fields.map(fieldFact),
    replicas: BigInt(facts.replicas),
    images: facts.images,
    privileged: facts.privileged,
    host_path: facts.hostPath,
    host_network: facts.hostNetwork,
    service_account: facts.serviceAccount,
  });
}

export const mcpFact = (facts: McpFacts): McpFact =>
  new McpFact({
    method: facts.method,
    tool: facts.tool,
    resource_uri: facts.resourceUri,
    prompt: facts.prompt,
    arguments: facts.arguments.map(fieldFact),
    changed: facts.changed,
  });
