/**
 * Named schemas of an OpenAPI 3.0 document as readonly TypeScript interfaces. Knows the words our document uses and
 * refuses any other, so that nothing is dropped silently.
 */

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly $ref?: string;
  readonly nullable?: boolean;
  readonly description?: string;
}

export interface OpenApiDocument {
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

const HEADER = `/**
 * Generated from docs/reference/openapi.json by packages/api-client/scripts/generate.ts; not edited by hand.
 * Instants are ISO 8601 texts in UTC.
 */
`;

/** The whole of src/generated/schema.ts. @throws Error for a schema it cannot say in TypeScript */
export function renderSchemas(document: OpenApiDocument): string {
  const names = Object.keys(document.components.schemas).sort();
  const interfaces = names.map((name) => {
    const schema = document.components.schemas[name]!;
    const type = render(schema, '');
    return type.startsWith('{') ? `export interface ${name} ${type}` : `export type ${name} = ${type};`;
  });
  return `${HEADER}${interfaces.map((text) => `\n${text}\n`).join('')}`;
}

function render(schema: Schema, indent: string): string {
  const type = renderBare(schema, indent);
  return schema.nullable === true ? `${type} | null` : type;
}

function renderBare(schema: Schema, indent: string): string {
  if (schema.$ref !== undefined) return schema.$ref.split('/').at(-1)!;
  if (schema.anyOf !== undefined) return schema.anyOf.map((one) => render(one, indent)).join(' | ');
  if (schema.enum !== undefined) return schema.enum.map(literal).join(' | ');
  switch (schema.type) {
    case 'string':
    case 'boolean':
      return schema.type;
    case 'number':
    case 'integer':
      return 'number';
    case 'array':
      return `readonly ${inParentheses(render(schema.items ?? {}, indent))}[]`;
    case 'object':
      return renderObject(schema, indent);
    case undefined:
      return 'unknown';
    default:
      throw new Error(`a schema of type ${schema.type} has no words here`);
  }
}

const literal = (value: unknown): string => (typeof value === 'string' ? `'${value}'` : JSON.stringify(value));
const inParentheses = (type: string): string => (/[ |]/.test(type) && !type.startsWith('{') ? `(${type})` : type);

function renderObject(schema: Schema, indent: string): string {
  const { properties, additionalProperties } = schema;
  if (properties === undefined) {
    const value = typeof additionalProperties === 'object' ? render(additionalProperties, indent) : 'unknown';
    return `Readonly<Record<string, ${value}>>`;
  }
  const deeper = `${indent}  `;
  const lines = Object.entries(properties).flatMap(([name, property]) => {
    const key = /^\w+$/.test(name) ? name : `'${name}'`;
    const mark = schema.required?.includes(name) === true ? '' : '?';
    const comment = property.description === undefined ? [] : [`${deeper}/** ${property.description} */`];
    return [...comment, `${deeper}readonly ${key}${mark}: ${render(property, deeper)};`];
  });
  const open = typeof additionalProperties === 'object' ? [`${deeper}readonly [key: string]: unknown;`] : [];
  return `{\n${[...lines, ...open].join('\n')}\n${indent}}`;
}
