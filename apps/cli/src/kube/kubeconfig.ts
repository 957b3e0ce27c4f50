/**
 * A kubeconfig with our clusters in it: entries of ours are written anew, everything else keeps its place and its comments.
 * Refuses to write into a file it cannot read as one. Kubernetes, "Organizing Cluster Access Using kubeconfig Files".
 */
import { type Document, isMap, isSeq, parseDocument, YAMLMap, YAMLSeq } from 'yaml';
import { CliError } from '../exit-codes.ts';

export interface ClusterEntry {
  /** Of cluster, user and context. */
  readonly name: string;
  readonly server: string;
  /** PEM of who vouches for the server. */
  readonly ca: string;
  /** Program and arguments that print an ExecCredential. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly namespace?: string | undefined;
}

/**
 * @param text of the file; '' = there is none
 * @param current becomes the current context; undefined = it stays
 * @throws CliError failure
 */
export function withClusters(text: string, entries: readonly ClusterEntry[], current: string | undefined): string {
  const document = parseDocument(text === '' ? 'apiVersion: v1\nkind: Config\n' : text);
  if (document.errors.length > 0 || !isMap(document.contents))
    throw new CliError('failure', 'The kubeconfig there is no YAML that can be read.', 'Give another by --kubeconfig.');
  for (const { name, server, ca, command, env, namespace } of entries) {
    const [program = 'sallyport', ...args] = command;
    put(document, 'clusters', name, {
      cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') },
    });
    put(document, 'users', name, {
      user: {
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: program,
          args,
          env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
          interactiveMode: 'IfAvailable',
          provideClusterInfo: false,
          installHint: 'Install Sallyport’s command line, and run `sallyport login`.',
        },
      },
    });
    put(document, 'contexts', name, {
      context: { cluster: name, user: name, ...(namespace === undefined ? {} : { namespace }) },
    });
  }
  if (current !== undefined) document.set('current-context', current);
  return document.toString({ lineWidth: 0 });
}

/** Replaces the entry of that name, where it stands, or adds it. */
function put(document: Document, list: string, name: string, value: object): void {
  let entries = document.get(list);
  if (!isSeq(entries)) {
    entries = new YAMLSeq();
    document.set(list, entries);
  }
  const node = document.createNode({ name, ...value });
  const { items } = entries as YAMLSeq;
  const at = items.findIndex((item) => item instanceof YAMLMap && item.get('name') === name);
  if (at === -1) items.push(node);
  else items[at] = node;
}
