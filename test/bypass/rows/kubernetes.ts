/**
 * Ways past a rule about a cluster: the same thing asked for by another path, patch, object or protocol. Rows never leave.
 * `refused` = before any rule was asked.
 */
export interface KubeRow {
  readonly name: string;
  /** `METHOD target` */
  readonly line: string;
  readonly type?: string;
  /** An object, or the text itself; `unread` = longer than is read. */
  readonly body?: unknown;
  readonly headers?: readonly (readonly [string, string])[];
  /** With the masks of `MASKED`. */
  readonly masked?: true;
  readonly expect: 'refused' | 'deny' | 'hold' | 'allow';
}

const MERGE = 'application/merge-patch+json';
const STRATEGIC = 'application/strategic-merge-patch+json';
const PATCH = 'application/json-patch+json';
const APPLY = 'application/apply-patch+yaml';
const NAMESPACED = '/api/v1/namespaces/shop';
const DEPLOYMENT = '/apis/apps/v1/namespaces/shop/deployments/web';
const pod = (spec: object): object => ({ kind: 'Pod', metadata: { name: 'x' }, spec });
const container = (securityContext: object): object =>
  pod({ containers: [{ name: 'a', image: 'b', securityContext }] });
const exec = (...command: readonly string[]): string =>
  `GET ${NAMESPACED}/pods/web/exec?${command.map((word) => `command=${encodeURIComponent(word)}`).join('&')}`;

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
/** Field number and value, in turn: a text (another message, too) or a small number. Short, so that all of it is ASCII. */
const message = (...fields: (readonly [number, string | number])[]): string =>
  fields
    .map(([number, value]) =>
      typeof value === 'number'
        ? String.fromCharCode(number * 8, value)
        : String.fromCharCode(number * 8 + 2, value.length) + value,
    )
    .join('');
const sent = (apiVersion: string, kind: string, ...fields: Parameters<typeof message>): string =>
  `k8s\0${message([1, message([1, apiVersion], [2, kind])], [2, message(...fields)])}`;
const NAME = [1, message([1, 'x'])] as const;

/** What is hidden from whoever asks in a row that says so. */
export const MASKED = {
  columns: [],
  detect: [],
  kubernetes: [
    { place: 'secrets:data.*', with: 'redact' },
    { place: 'widgets.example.com:spec.color', with: 'redact' },
    { place: 'pods:metadata.labels.tier', with: 'redact' },
    { place: 'pods:spec.containers[].env[].value', with: 'redact' },
    { place: 'deployments.apps:spec.template.spec.hostAliases[].ip', with: 'redact' },
  ],
} as const;
const SECRET = `PATCH ${NAMESPACED}/secrets/db`;
const GUESS = Buffer.from('hunter2').toString('base64');
const WIDGETS = 'GET /apis/example.com/v1/namespaces/shop/widgets';

/** Rules over one word each, of a namespace of their own. */
export const BANK = `kind: Policy
name: bank
rules:
  - { name: pods-stay, when: 'k8s.namespace == "bank" && k8s.verb == "delete" && k8s.resource == "pods" && k8s.name == "db-0"', verdict: deny }
  - { name: own-images, when: 'k8s.namespace == "bank" && k8s.verb == "create" && k8s.images.exists(i, !i.startsWith("bank/"))', verdict: deny }
  - { name: no-balancers, when: 'k8s.namespace == "bank" && k8s.verb == "create" && k8s.resource == "services" && k8s.object.exists(f, f.value == "LoadBalancer")', verdict: deny }
  - { name: no-consoles, when: 'k8s.namespace == "bank" && k8s.path.re("/proxy/admin(/|$)")', verdict: deny }
  - name: somebody-looks
    when: k8s.namespace == "bank" && k8s.verb == "create" && k8s.subresource in ["exec", "portforward"]
    verdict: hold
    approval: { groups: [ops], count: 1, expires: 5m }
`;
const BANKED = '/api/v1/namespaces/bank';
const BALANCER = { kind: 'Service', metadata: { name: 'x' }, spec: { type: 'LoadBalancer' } };
const FOREIGN = { kind: 'Pod', metadata: { name: 'x' }, spec: { containers: [{ name: 'a', image: 'evil/a' }] } };

export const KUBERNETES: Readonly<Record<string, readonly KubeRow[]>> = {
  'a namespace is deleted': [
    { name: 'plainly', line: `DELETE ${NAMESPACED}`, expect: 'deny' },
    { name: 'by a doubled slash', line: 'DELETE /api/v1//namespaces/shop', expect: 'refused' },
    { name: 'by a dot segment', line: 'DELETE /api/v1/pods/../namespaces/shop', expect: 'refused' },
    { name: 'by an escape in the path', line: 'DELETE /api/v1/namespace%73/shop', expect: 'refused' },
    { name: 'by a slash at the end', line: `DELETE ${NAMESPACED}/`, expect: 'refused' },
    { name: 'as a collection', line: 'DELETE /api/v1/namespaces', expect: 'deny' },
    {
      name: 'with options in protobuf',
      line: `DELETE ${NAMESPACED}?dryRun=All`,
      type: PROTOBUF,
      body: sent('v1', 'DeleteOptions', [4, 'Background']),
      expect: 'deny',
    },
    {
      name: 'said to be a dry run, and not in the body that counts',
      line: `DELETE ${NAMESPACED}?dryRun=All`,
      body: { kind: 'DeleteOptions', dryRun: [] },
      expect: 'deny',
    },
  ],
  'everything is scaled away': [
    {
      name: 'by kubectl scale',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: MERGE,
      body: { spec: { replicas: 0 } },
      expect: 'hold',
    },
    {
      name: 'by JSON Patch',
      line: `PATCH ${DEPLOYMENT}`,
      type: PATCH,
      body: [{ op: 'replace', path: '/spec/replicas', value: 0 }],
      expect: 'hold',
    },
    // JSON has no such number: null would be sent in its place.
    {
      name: 'by a number that JSON has not',
      line: `PATCH ${DEPLOYMENT}`,
      type: APPLY,
      body: 'spec: {replicas: .nan}',
      expect: 'refused',
    },
    {
      name: 'by JSON Patch of the whole spec',
      line: `PATCH ${DEPLOYMENT}`,
      type: PATCH,
      body: [{ op: 'add', path: '/spec', value: { replicas: 0 } }],
      expect: 'hold',
    },
    {
      name: 'by server-side apply in YAML',
      line: `PATCH ${DEPLOYMENT}`,
      type: APPLY,
      body: 'spec: { replicas: 0 }',
      expect: 'hold',
    },
    {
      name: 'by an octal in YAML',
      line: `PATCH ${DEPLOYMENT}`,
      type: APPLY,
      body: 'spec: { replicas: 00 }',
      expect: 'hold',
    },
    {
      name: 'by a key that stands twice',
      line: `PATCH ${DEPLOYMENT}`,
      type: MERGE,
      body: '{"spec":{"replicas":3,"replicas":0}}',
      expect: 'refused',
    },
    {
      name: 'by a key twice, once escaped',
      line: `PATCH ${DEPLOYMENT}`,
      type: MERGE,
      body: '{"spec":{"replicas":3,"replic\\u0061s":0}}',
      expect: 'refused',
    },
    {
      name: 'by YAML’s alias',
      line: `PATCH ${DEPLOYMENT}`,
      type: APPLY,
      body: 'a: &x { replicas: 0 }\nspec: *x',
      expect: 'refused',
    },
    {
      name: 'by protobuf',
      line: `PUT ${DEPLOYMENT}`,
      type: 'application/vnd.kubernetes.protobuf',
      body: 'k8s\0',
      expect: 'refused',
    },
    {
      name: 'by protobuf that is whole',
      line: `PUT ${DEPLOYMENT}`,
      type: PROTOBUF,
      body: sent('apps/v1', 'Deployment', NAME, [2, message([1, 0])]),
      expect: 'hold',
    },
    {
      name: 'by protobuf, the number twice',
      line: `PUT ${DEPLOYMENT}`,
      type: PROTOBUF,
      body: sent('apps/v1', 'Deployment', NAME, [2, message([1, 3], [1, 0])]),
      expect: 'refused',
    },
    {
      name: 'by protobuf, the spec in two pieces',
      line: `PUT ${DEPLOYMENT}`,
      type: PROTOBUF,
      body: sent('apps/v1', 'Deployment', NAME, [2, message([1, 3])], [2, message([1, 0])]),
      expect: 'refused',
    },
    {
      name: 'by protobuf with a field of tomorrow',
      line: `PUT ${DEPLOYMENT}`,
      type: PROTOBUF,
      body: sent('apps/v1', 'Deployment', NAME, [2, message([1, 3], [15, 0])]),
      expect: 'refused',
    },
    {
      name: 'by a scale that says no number',
      line: `PUT ${DEPLOYMENT}/scale`,
      body: { kind: 'Scale', apiVersion: 'autoscaling/v1', metadata: { name: 'web' }, spec: {} },
      expect: 'hold',
    },
    {
      name: 'by a strategic merge that replaces the spec of a scale',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: STRATEGIC,
      body: { spec: { $patch: 'replace' } },
      expect: 'hold',
    },
    {
      name: 'by a strategic merge that deletes the spec of a scale',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: STRATEGIC,
      body: { spec: { $patch: 'delete' } },
      expect: 'hold',
    },
    {
      name: 'by a strategic merge that keeps no key of a scale',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: STRATEGIC,
      body: { spec: { $retainKeys: [] } },
      expect: 'hold',
    },
    {
      name: 'by a strategic merge that keeps the metadata of a scale alone',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: STRATEGIC,
      body: { $retainKeys: ['metadata'], metadata: { name: 'web' } },
      expect: 'hold',
    },
    {
      name: 'by operations on a scale, the last of which takes the number away',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: PATCH,
      body: [
        { op: 'replace', path: '/spec/replicas', value: 5 },
        { op: 'remove', path: '/spec/replicas' },
      ],
      expect: 'hold',
    },
    {
      name: 'by operations on a scale, the last of which empties the spec',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: PATCH,
      body: [
        { op: 'replace', path: '/spec/replicas', value: 5 },
        { op: 'replace', path: '/spec', value: {} },
      ],
      expect: 'hold',
    },
    {
      name: 'by operations on a scale, the last of which replaces it',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: PATCH,
      body: [
        { op: 'replace', path: '/spec/replicas', value: 5 },
        { op: 'replace', path: '', value: { kind: 'Scale', metadata: { name: 'web' } } },
      ],
      expect: 'hold',
    },
    {
      name: 'and a scale to some, after all, is none of that',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: PATCH,
      body: [
        { op: 'replace', path: '/spec/replicas', value: 0 },
        { op: 'replace', path: '/spec/replicas', value: 5 },
      ],
      expect: 'allow',
    },
    {
      name: 'by taking the number out of a scale',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: MERGE,
      body: { spec: { replicas: null } },
      expect: 'hold',
    },
    {
      name: 'by taking the spec out of a scale',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: MERGE,
      body: { spec: null },
      expect: 'hold',
    },
    {
      name: 'by JSON Patch that removes the number of a scale',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: PATCH,
      body: [{ op: 'remove', path: '/spec/replicas' }],
      expect: 'hold',
    },
    {
      name: 'by JSON Patch of a whole scale',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: PATCH,
      body: [{ op: 'replace', path: '', value: { kind: 'Scale', metadata: { name: 'web' } } }],
      expect: 'hold',
    },
    {
      name: 'by the apply of a scale without a number',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: APPLY,
      body: 'kind: Scale\nspec: {}',
      expect: 'hold',
    },
    {
      name: 'by the protobuf of a scale that leaves the zero out',
      line: `PUT ${DEPLOYMENT}/scale`,
      type: PROTOBUF,
      body: sent('autoscaling/v1', 'Scale', NAME, [2, '']),
      expect: 'hold',
    },
    {
      name: 'by the protobuf of a scale',
      line: `PUT ${DEPLOYMENT}/scale`,
      type: PROTOBUF,
      body: sent('autoscaling/v1', 'Scale', NAME, [2, message([1, 0])]),
      expect: 'hold',
    },
  ],
  'a pod becomes its node’s master': [
    { name: 'privileged', line: `POST ${NAMESPACED}/pods`, body: container({ privileged: true }), expect: 'deny' },
    {
      name: 'privileged, in protobuf',
      line: `POST ${NAMESPACED}/pods`,
      type: PROTOBUF,
      body: sent('v1', 'Pod', NAME, [2, message([2, message([1, 'a'], [15, message([2, 1])])])]),
      expect: 'deny',
    },
    {
      name: 'on the node’s network, in protobuf',
      line: `POST ${NAMESPACED}/pods`,
      type: PROTOBUF,
      body: sent('v1', 'Pod', NAME, [2, message([11, 1])]),
      expect: 'deny',
    },
    {
      name: 'by a folder of the node, in protobuf',
      line: `POST ${NAMESPACED}/pods`,
      type: PROTOBUF,
      body: sent('v1', 'Pod', NAME, [2, message([1, message([1, 'v'], [2, message([1, message([1, '/'])])])])]),
      expect: 'deny',
    },
    {
      name: 'by a capability',
      line: `POST ${NAMESPACED}/pods`,
      body: container({ capabilities: { add: ['cap_sys_admin'] } }),
      expect: 'deny',
    },
    {
      name: 'by an init container',
      line: `POST ${NAMESPACED}/pods`,
      body: pod({ initContainers: [{ securityContext: { privileged: true } }] }),
      expect: 'deny',
    },
    {
      name: 'by a path of the host',
      line: `POST ${NAMESPACED}/pods`,
      body: pod({ volumes: [{ hostPath: { path: '/' } }] }),
      expect: 'deny',
    },
    {
      name: 'by a disk of the node that is a volume',
      line: 'POST /api/v1/persistentvolumes',
      body: { kind: 'PersistentVolume', metadata: { name: 'x' }, spec: { local: { path: '/' } } },
      expect: 'deny',
    },
    {
      name: 'by a disk of the node, by JSON Patch',
      line: 'PATCH /api/v1/persistentvolumes/x',
      type: PATCH,
      body: [{ op: 'replace', path: '/spec/local/path', value: '/' }],
      expect: 'deny',
    },
    { name: 'by the host’s processes', line: `POST ${NAMESPACED}/pods`, body: pod({ hostPID: true }), expect: 'deny' },
    {
      name: 'inside a custom resource',
      line: 'POST /apis/example.com/v1/namespaces/shop/runners',
      body: { spec: { podTemplate: { spec: { hostNetwork: true } } } },
      expect: 'deny',
    },
    {
      name: 'added to a template afterwards',
      line: `PATCH ${DEPLOYMENT}`,
      type: PATCH,
      body: [{ op: 'add', path: '/spec/template/spec/containers/0/securityContext', value: { privileged: true } }],
      expect: 'deny',
    },
    // The server's library counts from the end where the number is below zero, and takes a sign before any.
    ...['-1', '+0'].map((index) => ({
      name: `by a capability added at ${index}`,
      line: `PATCH ${DEPLOYMENT}`,
      type: PATCH,
      body: [
        {
          op: 'add',
          path: `/spec/template/spec/containers/0/securityContext/capabilities/add/${index}`,
          value: 'SYS_ADMIN',
        },
      ],
      expect: 'deny' as const,
    })),
  ],
  'a Secret leaves': [
    {
      name: 'copied by JSON Patch to where no mask is',
      line: `PATCH ${NAMESPACED}/secrets/db`,
      type: PATCH,
      body: [{ op: 'copy', from: '/data/password', path: '/metadata/annotations/x' }],
      expect: 'refused',
    },
    { name: 'read in a pod', line: exec('cat', '/var/run/secrets/kubernetes.io/serviceaccount/token'), expect: 'deny' },
    {
      name: 'read in a pod by a shell',
      line: exec('sh', '-c', 'cd /var/run/secrets && cat */*/token'),
      expect: 'deny',
    },
  ],
  'somebody else is asked as': [
    {
      name: '--as',
      line: `GET ${NAMESPACED}/secrets`,
      headers: [['impersonate-user', 'system:admin']],
      expect: 'refused',
    },
    {
      name: '--as-group',
      line: `GET ${NAMESPACED}/secrets`,
      headers: [['impersonate-group', 'system:masters']],
      expect: 'refused',
    },
    {
      name: 'by a front proxy’s header',
      line: `GET ${NAMESPACED}/secrets`,
      headers: [['x-remote-user', 'admin']],
      expect: 'refused',
    },
  ],
  // The API server has none; what stands before or behind it may.
  'a path with parameters in its segments': [
    { name: 'of a namespace', line: `DELETE ${NAMESPACED};x=1`, expect: 'refused' },
    { name: 'of an object', line: `DELETE ${BANKED}/pods/db-0;x=1`, expect: 'refused' },
    { name: 'of a kind', line: `GET ${NAMESPACED}/secrets;x`, expect: 'refused' },
    { name: 'of a version', line: `GET /api/v1;x/namespaces/shop/secrets`, expect: 'refused' },
    { name: 'of a subresource', line: `GET ${BANKED}/pods/db-0/exec;x?command=sh`, expect: 'refused' },
    { name: 'of what is no resource', line: 'GET /version;x/debug', expect: 'refused' },
    { name: 'by an escape', line: `DELETE ${BANKED}/pods/db-0%3bx`, expect: 'refused' },
    { name: 'of a proxied service', line: `GET ${BANKED}/services/web;x/proxy/admin`, expect: 'refused' },
    { name: 'of a proxy', line: `GET ${BANKED}/services/web/proxy;x/admin`, expect: 'refused' },
    { name: 'of nothing in a proxied path', line: `GET ${BANKED}/services/web/proxy/;x/admin`, expect: 'refused' },
    { name: 'of none of them', line: `GET ${BANKED}/services/web/proxy/admin`, expect: 'deny' },
    { name: 'of a proxied path', line: `GET ${BANKED}/services/web/proxy/admin;x=1`, expect: 'deny' },
    { name: 'of a proxied path to a pod', line: `POST ${BANKED}/pods/web/proxy/admin;x=1/users`, expect: 'deny' },
    { name: 'of another proxied path', line: `GET ${BANKED}/services/web/proxy/shop;x=1`, expect: 'allow' },
  ],
  'what is not meant': [
    { name: 'a list of pods', line: `GET ${NAMESPACED}/pods?labelSelector=app%3Dweb`, expect: 'allow' },
    {
      name: 'a pod as everybody makes one',
      line: `POST ${NAMESPACED}/pods`,
      body: pod({ containers: [{ name: 'a', image: 'b' }] }),
      expect: 'allow',
    },
    {
      name: 'scaling up',
      line: `PATCH ${DEPLOYMENT}/scale`,
      type: MERGE,
      body: { spec: { replicas: 5 } },
      expect: 'allow',
    },
    { name: 'a command that reads nothing of the pod’s own', line: exec('ls', '/srv'), expect: 'allow' },
  ],
  'a rule names one way of several': [
    { name: 'a pod is deleted', line: `DELETE ${BANKED}/pods/db-0`, expect: 'deny' },
    { name: 'another pod is', line: `DELETE ${BANKED}/pods/db-1`, expect: 'allow' },
    {
      name: 'a pod is evicted',
      line: `POST ${BANKED}/pods/db-0/eviction`,
      body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'db-0' } },
      expect: 'deny',
    },
    {
      name: 'another pod is evicted',
      line: `POST ${BANKED}/pods/db-1/eviction`,
      body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'db-1' } },
      expect: 'allow',
    },
    // The rules that are shipped say so of every collection: its dry run is asked about here.
    { name: 'all pods are deleted', line: `DELETE ${BANKED}/pods?dryRun=All`, expect: 'deny' },
    { name: 'pods of a label are', line: `DELETE ${BANKED}/pods?labelSelector=app%3Ddb&dryRun=All`, expect: 'deny' },
    {
      name: 'another pod by its name as a selector',
      line: `DELETE ${BANKED}/pods?fieldSelector=metadata.name%3Ddb-1&dryRun=All`,
      expect: 'allow',
    },
    {
      name: 'the pod by its name as a selector',
      line: `DELETE ${BANKED}/pods?fieldSelector=metadata.name%3Ddb-0&dryRun=All`,
      expect: 'deny',
    },
    { name: 'a pod is made', line: `POST ${BANKED}/pods`, body: FOREIGN, expect: 'deny' },
    { name: 'a pod is made by an apply', line: `PATCH ${BANKED}/pods/x`, type: APPLY, body: FOREIGN, expect: 'deny' },
    { name: 'a pod is patched', line: `PATCH ${BANKED}/pods/x`, type: MERGE, body: FOREIGN, expect: 'allow' },
    { name: 'a service is made', line: `POST ${BANKED}/services`, body: BALANCER, expect: 'deny' },
    { name: 'a service is made by an update', line: `PUT ${BANKED}/services/x`, body: BALANCER, expect: 'deny' },
    { name: 'a command begins by GET', line: `GET ${BANKED}/pods/web/exec?command=date`, expect: 'hold' },
  ],
  'what is masked is guessed': [
    {
      name: 'by a test in a JSON patch',
      line: SECRET,
      type: PATCH,
      body: [{ op: 'test', path: '/data/password', value: GUESS }],
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a test of what holds it',
      line: SECRET,
      type: PATCH,
      body: [
        { op: 'test', path: '/data', value: { password: GUESS } },
        { op: 'add', path: '/metadata/labels/hit', value: 'yes' },
      ],
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a test of the copy in the last-applied annotation',
      line: SECRET,
      type: PATCH,
      body: [
        { op: 'test', path: '/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration', value: '{}' },
      ],
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a test through a pointer in another spelling',
      line: SECRET,
      type: PATCH,
      body: [{ op: 'test', path: '/data/pass~0word', value: GUESS }],
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a test through a subresource',
      line: 'PATCH /apis/example.com/v1/namespaces/shop/widgets/a/status',
      type: PATCH,
      body: [{ op: 'test', path: '/spec/color', value: 'red' }],
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by an apply that conflicts where the guess is wrong',
      line: `${SECRET}?fieldManager=me`,
      type: APPLY,
      body: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'db' }, data: { password: GUESS } },
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by an apply of a text',
      line: `${SECRET}?fieldManager=me&force=false`,
      type: APPLY,
      body: 'stringData: { password: hunter2 }',
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a dry run whose answer says who manages the field',
      line: `${SECRET}?dryRun=All&fieldManager=me`,
      type: MERGE,
      body: { data: { password: GUESS } },
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a dry run of the whole object',
      line: `PUT ${NAMESPACED}/secrets/db?dryRun=All`,
      body: { kind: 'Secret', metadata: { name: 'db' }, data: { password: GUESS } },
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a dry run of a JSON patch',
      line: `${SECRET}?dryRun=All`,
      type: PATCH,
      body: [{ op: 'replace', path: '/data/password', value: GUESS }],
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a deletion of a value from a list',
      line: SECRET,
      type: 'application/strategic-merge-patch+json',
      body: { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } },
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a deletion from a list of whoever has a guessed key',
      line: `PATCH ${DEPLOYMENT}`,
      type: STRATEGIC,
      body: { spec: { template: { spec: { hostAliases: [{ $patch: 'delete', ip: '10.0.0.7' }] } } } },
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a change that an immutable Secret takes only where it is none, when nobody could look',
      line: SECRET,
      type: MERGE,
      body: { data: { password: GUESS } },
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by such a JSON patch',
      line: SECRET,
      type: PATCH,
      body: [{ op: 'replace', path: '/data/password', value: GUESS }],
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by such a change that is too long to be read',
      line: SECRET,
      type: MERGE,
      body: 'unread',
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a change of a pod’s spec, which stays as it is',
      line: `PATCH ${NAMESPACED}/pods/web`,
      type: STRATEGIC,
      body: { spec: { containers: [{ name: 'a', env: [{ name: 'KEY', value: 'hunter2' }] }] } },
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a JSON patch of it',
      line: `PATCH ${NAMESPACED}/pods/web`,
      type: PATCH,
      body: [{ op: 'replace', path: '/spec/containers/0/env/0/value', value: 'hunter2' }],
      masked: true,
      expect: 'refused',
    },
    {
      name: 'not by what a pod may change',
      line: `PATCH ${NAMESPACED}/pods/web`,
      type: STRATEGIC,
      body: { metadata: { labels: { tier: 'gold' } }, spec: { containers: [{ name: 'a', image: 'b' }] } },
      masked: true,
      expect: 'allow',
    },
    {
      name: 'not by a change of another field of a Secret',
      line: SECRET,
      type: MERGE,
      body: { metadata: { labels: { a: 'b' } } },
      masked: true,
      expect: 'allow',
    },
    { name: 'by a field selector', line: `${WIDGETS}?fieldSelector=spec.color%3Dred`, masked: true, expect: 'refused' },
    {
      name: 'by a field selector that says what it is not',
      line: `${WIDGETS}?watch=1&fieldSelector=metadata.name%3Da%5C%2Cb,spec.color!%3Dred`,
      masked: true,
      expect: 'refused',
    },
    {
      name: 'by a label selector',
      line: `GET ${NAMESPACED}/pods?labelSelector=app%3Dweb,tier+in+(gold,lead)`,
      masked: true,
      expect: 'refused',
    },
    {
      name: 'not by other selectors',
      line: `GET ${NAMESPACED}/pods?labelSelector=app%3Dweb&fieldSelector=status.phase%3DRunning`,
      masked: true,
      expect: 'allow',
    },
    { name: 'not by a name', line: `${WIDGETS}?fieldSelector=metadata.name%3Da`, masked: true, expect: 'allow' },
    {
      name: 'not by a test of the version',
      line: 'PATCH /apis/example.com/v1/namespaces/shop/widgets/a',
      type: PATCH,
      body: [
        { op: 'test', path: '/metadata/resourceVersion', value: '5' },
        { op: 'add', path: '/metadata/labels/a', value: 'b' },
      ],
      masked: true,
      expect: 'allow',
    },
    {
      name: 'not by an apply that leaves it out',
      line: 'PATCH /apis/example.com/v1/namespaces/shop/widgets/a?fieldManager=me',
      type: APPLY,
      body: 'spec: { size: 3 }',
      masked: true,
      expect: 'allow',
    },
    {
      name: 'not by an apply that overwrites it',
      line: 'PATCH /apis/example.com/v1/namespaces/shop/widgets/a?fieldManager=me&force=true',
      type: APPLY,
      body: 'spec: { color: red }',
      masked: true,
      expect: 'allow',
    },
    {
      name: 'not where nothing is masked',
      line: 'PATCH /apis/example.com/v1/namespaces/shop/gadgets/a',
      type: PATCH,
      body: [{ op: 'test', path: '/spec/color', value: 'red' }],
      masked: true,
      expect: 'allow',
    },
  ],
};
