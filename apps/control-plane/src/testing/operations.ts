/**
 * The REST API as its own OpenAPI document tells it, for tests that walk every route: what each takes, and a request body
 * that its schema accepts. A route that is added is walked without being named here. Refuses to know features.
 */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly format?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

export interface Operation {
  /** `GET /v1/things/{thing}`. */
  readonly label: string;
  readonly method: string;
  readonly path: string;
  readonly query: readonly { readonly name: string; readonly schema: Schema }[];
  readonly body: Schema | undefined;
  /** Permissions of which one is needed. */
  readonly requires: readonly string[];
}

interface RawOperation {
  readonly parameters?: readonly { readonly in: string; readonly name: string; readonly schema: Schema }[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, { readonly schema?: Schema }>> };
  readonly 'x-requires'?: readonly string[];
}
export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, RawOperation>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
}

export const operationsOf = (document: OpenApi): readonly Operation[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, raw]) => ({
      label: `${method.toUpperCase()} ${path}`,
      method: method.toUpperCase(),
      path,
      query: (raw.parameters ?? []).filter((one) => one.in === 'query'),
      body: Object.values(raw.requestBody?.content ?? {})[0]?.schema,
      requires: raw['x-requires'] ?? [],
    })),
  );

/** Names of path parameters with the segment before each: `{ segment: 'groups', name: 'group' }`. */
export const parametersOf = (path: string): readonly { readonly segment: string; readonly name: string }[] =>
  [...path.matchAll(/([^/{}]+)\/\{(\w+)\}/g)].map((match) => ({ segment: match[1]!, name: match[2]! }));

/** The schema itself, behind references and wrappers. */
export function resolve(document: OpenApi, schema: Schema): Schema {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split('/').at(-1)!;
    return resolve(document, document.components?.schemas?.[name] ?? {});
  }
  const [only] = schema.allOf ?? [];
  if (only !== undefined && schema.allOf!.length === 1) return resolve(document, only);
  const real = (schema.anyOf ?? schema.oneOf)?.find((one) => one.type !== 'null');
  return real === undefined ? schema : resolve(document, real);
}

const TEXTS = ['walked', 'x', '1', '30s', '10m', 'read', '0.1.0', '/walked', 'a@example.com', 'https://a.example'];

/** The least that the schema accepts; refinements that a schema cannot say are the test's to know. */
export function exampleOf(document: OpenApi, given: Schema): unknown {
  const schema = resolve(document, given);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case 'object':
      return Object.fromEntries(
        (schema.required ?? [])
          .filter((name) => resolve(document, schema.properties?.[name] ?? {}).default === undefined)
          .map((name) => [name, exampleOf(document, schema.properties?.[name] ?? {})]),
      );
    case 'array':
      return Array.from({ length: schema.minItems ?? 0 }, () => exampleOf(document, schema.items ?? {}));
    case 'boolean':
      return false;
    case 'integer':
    case 'number':
      return Math.min(Math.max(schema.minimum ?? 1, 1), schema.maximum ?? Number.MAX_SAFE_INTEGER);
    case 'string':
      return textOf(schema);
    default:
      return {};
  }
}

function textOf({ format, pattern, minLength = 0 }: Schema): string {
  if (format === 'uuid') return '0190b3a4-0000-7000-8000-0000000000aa';
  if (format === 'date-time') return new Date(Date.now() + 3_600_000).toISOString();
  if (format === 'email') return 'a@example.com';
  if (format === 'uri') return 'https://a.example/x';
  const fits = TEXTS.find(
    (text) => (pattern === undefined || new RegExp(pattern).test(text)) && text.length >= minLength,
  );
  return fits ?? 'w'.repeat(Math.max(1, minLength));
}

/** Every object schema inside, with the path to it. */
export function objectsIn(document: OpenApi, given: Schema, at = ''): readonly (readonly [string, Schema])[] {
  const schema = resolve(document, given);
  const inner = [
    ...Object.entries(schema.properties ?? {}).map(([name, one]) => [`${at}.${name}`, one] as const),
    ...(schema.items === undefined ? [] : [[`${at}[]`, schema.items] as const]),
  ].flatMap(([path, one]) => objectsIn(document, one, path));
  return schema.type === 'object' ? [[at, schema], ...inner] : inner;
}
