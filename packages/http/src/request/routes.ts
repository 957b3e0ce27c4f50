/**
 * Routes of a service: which template a path fits, so that rules speak of operations instead of paths. Refuses to guess: a path
 * that fits no template has no route. OpenAPI 3.1, Paths Object (concrete paths before templated ones).
 */
import type { HttpRoute } from '@sallyport/model';

interface Node {
  readonly literals: Map<string, Node>;
  /** Segments with names in them, those with most text first. */
  readonly patterns: { readonly test: RegExp; readonly source: string; readonly node: Node }[];
  readonly routes: HttpRoute[];
}

const trees = new WeakMap<readonly HttpRoute[], Node>();

/**
 * The route of a request; made ready once per list. A slash at the end makes no difference, and a HEAD is a GET.
 * @param path normalised and decoded, below the resource's own path
 */
export function matchRoute(routes: readonly HttpRoute[], method: string, path: string): HttpRoute | undefined {
  if (routes.length === 0) return undefined;
  let tree = trees.get(routes);
  if (tree === undefined) {
    tree = treeOf(routes);
    trees.set(routes, tree);
  }
  return find(tree, segmentsOf(path), 0, method);
}

const segmentsOf = (path: string): readonly string[] => path.split('/').filter((segment) => segment !== '');
const node = (): Node => ({ literals: new Map(), patterns: [], routes: [] });

function treeOf(routes: readonly HttpRoute[]): Node {
  const root = node();
  for (const route of routes) {
    let at = root;
    for (const segment of segmentsOf(route.path)) at = childOf(at, segment);
    at.routes.push(route);
  }
  return root;
}

function childOf(at: Node, segment: string): Node {
  if (!segment.includes('{')) {
    let child = at.literals.get(segment);
    if (child === undefined) {
      child = node();
      at.literals.set(segment, child);
    }
    return child;
  }
  const source = segment
    .split(/\{[^}]*\}/)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
    .join('[^/]+');
  const known = at.patterns.find((pattern) => pattern.source === source);
  if (known !== undefined) return known.node;
  const child = node();
  // One name alone matches everything; it is asked last.
  at.patterns.push({ test: new RegExp(`^${source}$`, 'u'), source, node: child });
  at.patterns.sort((a, b) => b.source.length - a.source.length);
  return child;
}

function find(at: Node, segments: readonly string[], index: number, method: string): HttpRoute | undefined {
  const segment = segments[index];
  if (segment === undefined) return routeOf(at.routes, method);
  const literal = at.literals.get(segment);
  const found = literal === undefined ? undefined : find(literal, segments, index + 1, method);
  if (found !== undefined) return found;
  for (const pattern of at.patterns) {
    const below = pattern.test.test(segment) ? find(pattern.node, segments, index + 1, method) : undefined;
    if (below !== undefined) return below;
  }
  return undefined;
}

const routeOf = (routes: readonly HttpRoute[], method: string): HttpRoute | undefined =>
  routes.find((route) => route.method === method) ??
  (method === 'HEAD' ? routes.find((route) => route.method === 'GET') : undefined) ??
  routes.find((route) => route.method === undefined);
