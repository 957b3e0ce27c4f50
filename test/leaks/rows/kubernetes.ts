/**
 * Ways to ask a cluster for what masks hide: a Secret's data, one key of a ConfigMap, an address in a log. Each is sent by real
 * kubectl, or as a bare request, to a real API server; none may show it. Rows never leave.
 */
export const PASSWORD = 'correct-horse-battery';
export const MAIL = 'ana.smith@example.com';
/** Of a Service: in a column of its table, and a key of what the API server keeps of who wrote what. */
export const ADDRESS = '192.0.2.177';
export const FINALIZER = 'example.com/kept-for-acme';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
export const NEVER: readonly string[] = [
  PASSWORD,
  base64(PASSWORD),
  // Without what a neighbour changes at its end.
  base64(PASSWORD).slice(0, 20),
  base64(base64(PASSWORD)).slice(0, 30),
  MAIL,
  'smith@',
  base64(MAIL),
  ADDRESS,
  FINALIZER,
];

export interface KubeLeak {
  readonly name: string;
  /** Words of kubectl, in the namespace `leak`. */
  readonly kubectl?: readonly string[];
  readonly input?: string;
  /** Or a request of its own: `METHOD target`. */
  readonly line?: string;
  readonly accept?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly type?: string;
  /** What must come, so that it is not empty for another reason; a code where it is refused. */
  readonly shows: string;
}

export const HIDDEN = base64('[redacted]');
const SECRETS = '/api/v1/namespaces/leak/secrets';
const DB = `${SECRETS}/db`;
const SERVICES = '/api/v1/namespaces/leak/services';
const AS = ';v=v1;g=meta.k8s.io';
const MERGE = 'application/merge-patch+json';
const PATCH = 'application/json-patch+json';
const STRATEGIC = 'application/strategic-merge-patch+json';
const secret = (data: object, extra: object = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'db', namespace: 'leak' },
    stringData: data,
    ...extra,
  });
const OTHER = { other: 'not-this-one' };

export const KUBERNETES_LEAKS: Readonly<Record<string, readonly KubeLeak[]>> = {
  'read by kubectl': [
    { name: 'as JSON', kubectl: ['get', 'secret', 'db', '-o', 'json'], shows: HIDDEN },
    { name: 'as YAML', kubectl: ['get', 'secret', 'db', '-o', 'yaml'], shows: HIDDEN },
    { name: 'as a table', kubectl: ['get', 'secrets'], shows: 'Opaque' },
    { name: 'as a wide table', kubectl: ['get', 'secrets', '-A', '-o', 'wide'], shows: 'Opaque' },
    { name: 'as a list of one', kubectl: ['get', 'secrets', '-o', 'json', '--chunk-size=1'], shows: HIDDEN },
    { name: 'by a field’s path', kubectl: ['get', 'secret', 'db', '-o', 'jsonpath={.data.password}'], shows: HIDDEN },
    { name: 'by all of a path', kubectl: ['get', 'secret', 'db', '-o', 'jsonpath={.data}{.metadata}'], shows: HIDDEN },
    {
      name: 'by a template that decodes',
      kubectl: ['get', 'secret', 'db', '-o', 'go-template={{range $k,$v := .data}}{{$v | base64decode}} {{end}}'],
      shows: '[redacted]',
    },
    {
      name: 'by columns of one’s own',
      kubectl: ['get', 'secrets', '-o', 'custom-columns=N:.metadata.name,D:.data,A:.metadata.annotations'],
      shows: 'db',
    },
    { name: 'sorted by it', kubectl: ['get', 'secrets', '--sort-by={.data.password}', '-o', 'yaml'], shows: HIDDEN },
    { name: 'described', kubectl: ['describe', 'secret', 'db'], shows: 'password:' },
    { name: 'described, each of them', kubectl: ['describe', 'secrets'], shows: 'password:' },
    {
      name: 'with managed fields',
      kubectl: ['get', 'secret', 'db', '-o', 'yaml', '--show-managed-fields'],
      shows: 'f:password',
    },
    { name: 'as it was applied last', kubectl: ['apply', 'view-last-applied', 'secret', 'db'], shows: '' },
    {
      name: 'as a key of managed fields',
      kubectl: ['get', 'services', '-o', 'json', '--show-managed-fields'],
      shows: 'f:finalizers',
    },
    {
      name: 'as a key of managed fields, with what is said of it alone',
      line: `GET ${SERVICES}/web`,
      accept: `application/json;as=PartialObjectMetadata${AS}`,
      shows: 'f:finalizers',
    },
    { name: 'with all that is said of it', kubectl: ['get', 'secret', 'db', '-v=9'], shows: 'db' },
    { name: 'raw', kubectl: ['get', '--raw', DB], shows: HIDDEN },
    { name: 'raw, laid out', kubectl: ['get', '--raw', `${DB}?pretty=true`], shows: HIDDEN },
    { name: 'raw, all of the cluster', kubectl: ['get', '--raw', '/api/v1/secrets'], shows: HIDDEN },
    { name: 'raw, a few at a time', kubectl: ['get', '--raw', `${SECRETS}?limit=1`], shows: HIDDEN },
    { name: 'raw, as it was once', kubectl: ['get', '--raw', `${DB}?resourceVersion=0`], shows: HIDDEN },
    {
      name: 'raw, of a version',
      line: `GET ${SECRETS}?resourceVersion=1&resourceVersionMatch=NotOlderThan&limit=500`,
      shows: HIDDEN,
    },
    { name: 'by a selector', kubectl: ['get', 'secrets', '--field-selector=type=Opaque', '-o', 'yaml'], shows: HIDDEN },
    {
      name: 'by its name as a selector',
      kubectl: ['get', 'secrets', '--field-selector=metadata.name=db', '-o', 'yaml'],
      shows: HIDDEN,
    },
    { name: 'edited, and nothing changed', kubectl: ['edit', 'secret', 'db', '-o', 'yaml'], shows: 'no changes' },
  ],
  watched: [
    { name: 'by a parameter', line: `GET ${SECRETS}?watch=1&timeoutSeconds=1&resourceVersion=0`, shows: HIDDEN },
    {
      name: 'by the old path',
      line: `GET /api/v1/watch/namespaces/leak/secrets?timeoutSeconds=1&resourceVersion=0`,
      shows: HIDDEN,
    },
    {
      name: 'one by the old path',
      line: `GET /api/v1/watch/namespaces/leak/secrets/db?timeoutSeconds=1&resourceVersion=0`,
      shows: HIDDEN,
    },
    {
      name: 'as tables with the objects',
      line: `GET ${SECRETS}?watch=1&timeoutSeconds=1&resourceVersion=0&includeObject=Object`,
      accept: `application/json;as=Table${AS}`,
      shows: HIDDEN,
    },
    {
      name: 'as protobuf, or JSON',
      line: `GET ${SECRETS}?watch=1&timeoutSeconds=1&resourceVersion=0`,
      accept: 'application/vnd.kubernetes.protobuf;stream=watch,application/json;stream=watch',
      shows: HIDDEN,
    },
    {
      name: 'as what is said of them alone',
      line: `GET ${SECRETS}?watch=1&timeoutSeconds=1&resourceVersion=0`,
      accept: `application/json;as=PartialObjectMetadata${AS}`,
      shows: 'db',
    },
  ],
  'asked for in another form': [
    {
      name: 'protobuf',
      line: `GET ${DB}`,
      accept: 'application/vnd.kubernetes.protobuf',
      shows: 'kubernetes.not_acceptable',
    },
    { name: 'CBOR', line: `GET ${DB}`, accept: 'application/cbor', shows: 'kubernetes.not_acceptable' },
    {
      name: 'protobuf, or JSON',
      line: `GET ${DB}`,
      accept: 'application/vnd.kubernetes.protobuf, application/json',
      shows: HIDDEN,
    },
    {
      name: 'protobuf in capitals',
      line: `GET ${DB}`,
      accept: 'Application/Vnd.Kubernetes.Protobuf,*/*',
      shows: HIDDEN,
    },
    { name: 'YAML', line: `GET ${DB}`, accept: 'application/yaml', shows: HIDDEN },
    { name: 'anything', line: `GET ${DB}`, accept: '*/*', shows: HIDDEN },
    {
      name: 'a table with the objects',
      line: `GET ${SECRETS}?includeObject=Object`,
      accept: `application/json;as=Table${AS}`,
      shows: HIDDEN,
    },
    {
      name: 'a table in protobuf',
      line: `GET ${SECRETS}`,
      accept: `application/vnd.kubernetes.protobuf;as=Table${AS}`,
      shows: 'kubernetes.not_acceptable',
    },
    {
      name: 'what is said of it alone, with what was applied last',
      line: `GET ${DB}`,
      accept: `application/json;as=PartialObjectMetadata${AS}`,
      shows: 'last-applied',
    },
    {
      name: 'what is said of all',
      line: `GET ${SECRETS}`,
      accept: `application/json;as=PartialObjectMetadataList${AS}`,
      shows: 'last-applied',
    },
    ...['application/json; as = Table', 'application/json;as =Table', 'application/json;as= Table'].map((accept) => ({
      name: `a table by another spelling: ${accept}`,
      line: `GET ${SERVICES}`,
      accept: `${accept}${AS}`,
      shows: 'kubernetes.not_acceptable',
    })),
    {
      name: 'a table by another spelling, watched',
      line: `GET ${SERVICES}?watch=1&timeoutSeconds=1&resourceVersion=0`,
      accept: `application/json; as = Table${AS}`,
      shows: 'kubernetes.not_acceptable',
    },
    { name: 'compressed', line: `GET ${SECRETS}`, headers: { 'accept-encoding': 'gzip' }, shows: HIDDEN },
    { name: 'a part of it', line: `GET ${DB}`, headers: { range: 'bytes=0-400' }, shows: '' },
    { name: 'if it is still that', line: `GET ${DB}`, headers: { 'if-none-match': '*' }, shows: HIDDEN },
  ],
  'said in the answer to a change': [
    { name: 'a label', kubectl: ['label', 'secret', 'db', 'a=b', '--overwrite', '-o', 'yaml'], shows: HIDDEN },
    { name: 'an annotation', kubectl: ['annotate', 'secret', 'db', 'a=c', '--overwrite', '-o', 'json'], shows: HIDDEN },
    { name: 'a merge', line: `PATCH ${DB}`, type: MERGE, body: {}, shows: HIDDEN },
    {
      name: 'a strategic merge',
      line: `PATCH ${DB}`,
      type: STRATEGIC,
      body: { metadata: { labels: { x: 'y' } } },
      shows: HIDDEN,
    },
    {
      name: 'a JSON Patch',
      line: `PATCH ${DB}`,
      type: PATCH,
      body: [{ op: 'add', path: '/metadata/labels/q', value: 'r' }],
      shows: HIDDEN,
    },
    {
      name: 'a merge, asked for in protobuf',
      line: `PATCH ${DB}`,
      type: MERGE,
      body: {},
      accept: 'application/vnd.kubernetes.protobuf',
      shows: 'kubernetes.not_acceptable',
    },
    {
      name: 'an apply',
      kubectl: ['apply', '-f', '-', '-o', 'yaml'],
      input: secret({ password: PASSWORD, ...OTHER }),
      shows: HIDDEN,
    },
    {
      name: 'an apply by the server',
      kubectl: ['apply', '--server-side', '--force-conflicts', '-f', '-', '-o', 'yaml'],
      input: secret(OTHER),
      shows: HIDDEN,
    },
    {
      name: 'an apply by the server that may conflict',
      kubectl: ['apply', '--server-side', '--field-manager=x', '-f', '-'],
      input: secret(OTHER),
      shows: 'kubernetes.masked_comparison',
    },
    {
      name: 'an apply without effect, by the server',
      kubectl: ['apply', '--dry-run=server', '-f', '-', '-o', 'yaml'],
      input: secret(OTHER),
      shows: 'kubernetes.masked_comparison',
    },
    {
      name: 'a label without effect',
      kubectl: ['label', 'secret', 'db', 'n=m', '--dry-run=server', '-o', 'yaml'],
      shows: HIDDEN,
    },
    { name: 'a difference', kubectl: ['diff', '-f', '-'], input: secret(OTHER), shows: 'kubernetes.masked_comparison' },
    { name: 'one more of that name', kubectl: ['create', '-f', '-'], input: secret(OTHER), shows: 'already exists' },
    {
      name: 'a replacement of an old version',
      line: `PUT ${DB}`,
      body: { kind: 'Secret', apiVersion: 'v1', metadata: { name: 'db', resourceVersion: '1' }, data: {} },
      shows: 'Conflict',
    },
    { name: 'what is no Secret', line: `PATCH ${DB}`, type: MERGE, body: { immutable: 'x' }, shows: 'Failure' },
    {
      name: 'what is no Secret, strategically',
      line: `PATCH ${DB}`,
      type: STRATEGIC,
      body: { data: 7 },
      shows: 'Failure',
    },
    { name: 'another type', line: `PATCH ${DB}`, type: MERGE, body: { type: 'kubernetes.io/tls' }, shows: 'Invalid' },
    {
      name: 'a change of what stays',
      line: `PATCH ${SECRETS}/stays`,
      type: MERGE,
      body: { data: { password: base64('guess') } },
      shows: 'masked_comparison',
    },
    { name: 'its end, with a finalizer', line: `DELETE ${SECRETS}/kept`, shows: HIDDEN },
    { name: 'the end of many', line: `DELETE ${SECRETS}?labelSelector=many%3Dyes`, shows: HIDDEN },
  ],
  'a key of a ConfigMap': [
    { name: 'as YAML', kubectl: ['get', 'configmap', 'app', '-o', 'yaml'], shows: 'color: red' },
    { name: 'in a list', kubectl: ['get', 'configmaps', '-o', 'yaml'], shows: 'color: red' },
    { name: 'described', kubectl: ['describe', 'configmap', 'app'], shows: 'red' },
    { name: 'as it was applied last', kubectl: ['apply', 'view-last-applied', 'configmap', 'app'], shows: '' },
    {
      name: 'watched',
      line: 'GET /api/v1/namespaces/leak/configmaps?watch=1&timeoutSeconds=1&resourceVersion=0',
      shows: 'red',
    },
  ],
  'found by a detector': [
    { name: 'in a log', kubectl: ['logs', 'web'], shows: 'mail of [redacted]' },
    { name: 'in a log, a few bytes', kubectl: ['logs', 'web', '--limit-bytes=200000'], shows: 'mail of' },
    { name: 'in a log, cut within it', kubectl: ['logs', 'web', '--limit-bytes=33'], shows: 'mail of' },
    {
      name: 'in a log, cut within it by another spelling',
      line: 'GET /api/v1/namespaces/leak/pods/web/log?tailLines=1&limit%42ytes=33',
      shows: 'mail of',
    },
    {
      name: 'in what a command says',
      kubectl: ['exec', 'web', '--', 'sh', '-c', `echo a; echo ${MAIL} >&2; echo ${MAIL}`],
      shows: '[redacted]',
    },
    {
      name: 'in a program’s environment',
      kubectl: ['exec', 'web', '--', 'env', `MAIL=${MAIL}`, 'env'],
      shows: 'MAIL=[redacted]',
    },
    { name: 'in a file that is copied out', kubectl: ['exec', 'web', '--', 'tar', 'cf', '-', 'log'], shows: 'mail of' },
    { name: 'in an event', kubectl: ['get', 'events', '-o', 'yaml'], shows: '[redacted]' },
    { name: 'in events as kubectl lists them', kubectl: ['events'], shows: '[redacted]' },
    { name: 'in a pod’s environment', kubectl: ['get', 'pod', 'web', '-o', 'yaml'], shows: '[redacted]' },
    { name: 'in a pod that is described', kubectl: ['describe', 'pod', 'web'], shows: '[redacted]' },
    {
      name: 'in a pod that is debugged',
      kubectl: ['debug', 'web', '--image=busybox', '--attach=false', '-v=9'],
      shows: 'ephemeral',
    },
    {
      name: 'in a table of pods',
      line: 'GET /api/v1/namespaces/leak/pods?includeObject=Object',
      accept: `application/json;as=Table${AS},application/json`,
      shows: '[redacted]',
    },
    { name: 'in a refusal', line: `GET /api/v1/namespaces/leak/pods/${MAIL}`, shows: '[redacted]' },
    {
      name: 'in what cannot be made',
      line: 'POST /api/v1/namespaces/leak/pods',
      body: { metadata: { name: MAIL }, spec: {} },
      shows: '[redacted]',
    },
  ],
};
