/** What a SCIM client may ask about us (RFC 7643 §5–7, RFC 7644 §4), made from the table of attributes. */
import { LIMITS } from '@sallyport/core';
import {
  type Attribute,
  ENTERPRISE,
  GROUP,
  GROUP_SCHEMA,
  type ResourceSchema,
  USER,
  USER_SCHEMA,
} from './attributes.ts';

const CORE = 'urn:ietf:params:scim:schemas:core:2.0';

const location = (base: string, kind: string, path: string) => ({ resourceType: kind, location: `${base}/${path}` });

export const serviceProviderConfig = (base: string): object => ({
  schemas: [`${CORE}:ServiceProviderConfig`],
  patch: { supported: true },
  bulk: { supported: false, maxOperations: 0, maxPayloadSize: 0 },
  filter: { supported: true, maxResults: LIMITS.pageSizeMax },
  changePassword: { supported: false },
  sort: { supported: true },
  etag: { supported: true },
  authenticationSchemes: [
    {
      type: 'oauthbearertoken',
      name: 'API token',
      description: 'An API token with the scope scim:write, made for one identity provider.',
      specUri: 'https://www.rfc-editor.org/rfc/rfc6750',
      primary: true,
    },
  ],
  meta: location(base, 'ServiceProviderConfig', 'ServiceProviderConfig'),
});

const resourceType = (base: string, { name, about, id, extension }: ResourceSchema) => ({
  schemas: [`${CORE}:ResourceType`],
  id: name,
  name,
  description: about,
  endpoint: `/${name}s`,
  schema: id,
  ...(extension === undefined ? {} : { schemaExtensions: [{ schema: extension.id, required: false }] }),
  meta: location(base, 'ResourceType', `ResourceTypes/${name}`),
});
export const resourceTypes = (base: string) => [USER_SCHEMA, GROUP_SCHEMA].map((schema) => resourceType(base, schema));

const shown = (attribute: Attribute): object => ({
  name: attribute.name,
  type: attribute.type,
  multiValued: attribute.isMany === true,
  description: attribute.about,
  required: attribute.isRequired === true,
  caseExact: attribute.isExact === true,
  mutability: attribute.isReadOnly === true ? 'readOnly' : 'readWrite',
  returned: 'default',
  uniqueness: attribute.unique ?? 'none',
  ...(attribute.sub === undefined ? {} : { subAttributes: attribute.sub.map(shown) }),
});

const schema = (base: string, id: string, name: string, description: string, attributes: readonly Attribute[]) => ({
  schemas: [`${CORE}:Schema`],
  id,
  name,
  description,
  attributes: attributes.map(shown),
  meta: location(base, 'Schema', `Schemas/${id}`),
});
export const schemas = (base: string) => [
  schema(base, USER, 'User', USER_SCHEMA.about, USER_SCHEMA.attributes),
  schema(base, GROUP, 'Group', GROUP_SCHEMA.about, GROUP_SCHEMA.attributes),
  schema(base, ENTERPRISE, 'EnterpriseUser', 'What an organization adds.', USER_SCHEMA.extension!.attributes),
];
