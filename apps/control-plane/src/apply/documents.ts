/**
 * YAML texts → checked documents of the seven kinds, or every problem found, each with file, line and field.
 * Pure. Refuses aliases, unknown kinds and fields, and two documents of one kind and name.
 */
import { INHERITED, isInherited, isProse, UNFIT } from '@sallyport/core';
import { type Document, isAlias, isScalar, LineCounter, parseAllDocuments, visit } from 'yaml';
import { z } from 'zod';
import { GrantDocument } from '../grants/grant-document.ts';
import { type FieldProblem, fieldProblems, InvalidRequest } from '../http/invalid-request.ts';
import { GroupName, open, Prose } from '../http/schema.ts';
import { PrincipalName } from '../identity/identity.dto.ts';
import { ProviderDocument } from '../identity/provider-settings/providers.dto.ts';
import { compilePolicy } from '../policies/policies.service.ts';
import { AccessPolicyDocument } from '../requests/access-policy.ts';
import { ResourceDocument } from '../resources/resource-document.ts';
import { ReviewDocument } from '../reviews/reviews.dto.ts';

export const GroupDocument = z.strictObject({
  name: open(GroupName),
  description: open(Prose(500)).default(''),
  members: open(z.array(PrincipalName).max(10_000).optional()).describe(
    'When given, exactly these are its manual members.',
  ),
});
export type GroupDocument = z.infer<typeof GroupDocument>;

interface Place {
  readonly file: string;
  readonly line: number;
}
export type CheckedDocument = Place &
  (
    | { readonly kind: 'Group'; readonly name: string; readonly document: GroupDocument }
    | { readonly kind: 'Resource'; readonly name: string; readonly document: ResourceDocument }
    | { readonly kind: 'Grant'; readonly name: string; readonly document: GrantDocument }
    | { readonly kind: 'AccessPolicy'; readonly name: string; readonly document: AccessPolicyDocument }
    | { readonly kind: 'IdentityProvider'; readonly name: string; readonly document: ProviderDocument }
    | { readonly kind: 'AccessReview'; readonly name: string; readonly document: ReviewDocument }
    | { readonly kind: 'Policy'; readonly name: string; readonly source: string }
  );
export type DocumentKind = CheckedDocument['kind'];
export const DOCUMENT_KINDS: readonly DocumentKind[] = [
  'Group',
  'Resource',
  'Grant',
  'Policy',
  'AccessPolicy',
  'IdentityProvider',
  'AccessReview',
];

export interface DocumentText {
  readonly file: string;
  readonly text: string;
}

const SCHEMAS = {
  Group: GroupDocument,
  Resource: ResourceDocument,
  Grant: GrantDocument,
  AccessPolicy: AccessPolicyDocument,
  IdentityProvider: ProviderDocument,
  AccessReview: ReviewDocument,
} as const;

const isSchemaKind = (kind: string): kind is keyof typeof SCHEMAS => Object.hasOwn(SCHEMAS, kind);

/** The line of the node at a path, or of the nearest one above it. */
function lineOf(document: Document.Parsed, path: readonly string[], lines: LineCounter): number {
  for (let length = path.length; length >= 0; length--) {
    const keys = path.slice(0, length).map((key) => (/^\d+$/.test(key) ? Number(key) : key));
    const node = (length === 0 ? document.contents : document.getIn(keys, true)) as
      | { range?: [number, number, number] }
      | null
      | undefined;
    if (node?.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

/** @throws InvalidRequest `policy.invalid` (422) with everything that is wrong, in all files */
export function readDocuments(texts: readonly DocumentText[]): readonly CheckedDocument[] {
  const problems: FieldProblem[] = [];
  const checked = texts.flatMap((text) => readText(text, problems));
  const seen = new Set<string>();
  for (const { kind, name, file, line } of checked) {
    if (seen.has(`${kind}/${name}`))
      problems.push({ file, line, field: 'name', message: `a second ${kind} of this name` });
    seen.add(`${kind}/${name}`);
  }
  if (problems.length > 0) throw new InvalidRequest(problems, 'policy.invalid');
  return checked;
}

function readText({ file, text }: DocumentText, problems: FieldProblem[]): CheckedDocument[] {
  const unfit = text.split('\n').findIndex((line) => !isProse(line));
  if (unfit >= 0) problems.push({ file, line: unfit + 1, field: '', message: UNFIT });
  if (unfit >= 0) return [];
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, version: '1.2', uniqueKeys: true });
  if (!Array.isArray(parsed)) return [];
  return parsed.flatMap((document): CheckedDocument[] => {
    for (const error of document.errors)
      problems.push({
        file,
        line: error.linePos?.[0].line ?? 1,
        column: error.linePos?.[0].col ?? 1,
        field: '',
        message: error.message.split('\n')[0]!,
      });
    if (document.errors.length > 0 || document.contents === null) return [];
    const line = lineOf(document, [], lines);
    let hasAlias = false;
    const before = problems.length;
    visit(document, {
      Node: (_key, node) => {
        if (isAlias(node)) hasAlias = true;
      },
      Pair: (_key, { key }) => {
        if (!isScalar<unknown>(key) || typeof key.value !== 'string' || !isInherited(key.value)) return;
        const at = key.range === undefined || key.range === null ? line : lines.linePos(key.range[0]).line;
        problems.push({ file, line: at, field: key.value, message: INHERITED });
      },
    });
    if (problems.length > before) return [];
    if (hasAlias) {
      problems.push({ file, line, field: '', message: 'aliases are not allowed' });
      return [];
    }
    const value: unknown = document.toJS();
    // Nothing between two `---`, or behind the last.
    if (value === null) return [];
    const { kind, ...fields } = value as Record<string, unknown>;
    // A table of expectations may stand beside its policy; `policy test` reads it, offline.
    if (kind === 'PolicyTest') return [];
    if (kind === 'Policy') return readPolicy(file, text, document, line, problems);
    if (typeof kind !== 'string' || !isSchemaKind(kind)) {
      problems.push({
        file,
        line: lineOf(document, ['kind'], lines),
        field: 'kind',
        message: `one of ${DOCUMENT_KINDS.join(', ')} is expected`,
      });
      return [];
    }
    const result = SCHEMAS[kind].safeParse(fields);
    if (!result.success) {
      for (const problem of fieldProblems(result.error.issues))
        problems.push({ ...problem, file, line: lineOf(document, problem.field.split('.'), lines) });
      return [];
    }
    return [{ kind, name: result.data.name, document: result.data, file, line } as CheckedDocument];
  });
}

/** The text alone, moved to its own line so that the policy's parser counts as the file does. */
function readPolicy(
  file: string,
  text: string,
  document: Document.Parsed,
  line: number,
  problems: FieldProblem[],
): CheckedDocument[] {
  const source = `${text.slice(document.contents!.range[0], document.contents!.range[1]).trimEnd()}\n`;
  try {
    const policy = compilePolicy(source, file, { id: 'check', projectId: '' });
    return [{ kind: 'Policy', name: policy.name, source, file, line }];
  } catch (error) {
    if (!(error instanceof InvalidRequest)) throw error;
    for (const problem of error.errors) problems.push({ ...problem, line: (problem.line ?? 1) + line - 1 });
    return [];
  }
}
