/**
 * What a SCIM User and Group consist of here (RFC 7643 §4): the one table that documents, paths, filters and /Schemas are
 * read from. What is not listed is not kept: an identity provider sends much that a gateway has no use for.
 */
export const USER = 'urn:ietf:params:scim:schemas:core:2.0:User';
export const GROUP = 'urn:ietf:params:scim:schemas:core:2.0:Group';
export const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

export interface Attribute {
  readonly name: string;
  readonly type: 'string' | 'boolean' | 'complex';
  readonly isMany?: boolean;
  readonly isRequired?: boolean;
  readonly isReadOnly?: boolean;
  /** Case matters when values are compared. */
  readonly isExact?: boolean;
  readonly unique?: 'server';
  readonly about: string;
  readonly sub?: readonly Attribute[];
}

export interface ResourceSchema {
  readonly id: string;
  readonly name: string;
  readonly about: string;
  readonly attributes: readonly Attribute[];
  readonly extension?: { readonly id: string; readonly name: string; readonly attributes: readonly Attribute[] };
  /** Attributes of the RFC that are taken without a word and not kept. */
  readonly unkept: ReadonlySet<string>;
}

const text = (name: string, about: string, more: Partial<Attribute> = {}): Attribute => ({
  name,
  type: 'string',
  about,
  ...more,
});
/** Set by us on every resource (RFC 7643 §3.1); clients send them back and we do not mind. */
export const OWN: ReadonlySet<string> = new Set(['id', 'schemas', 'meta']);
const EXTERNAL_ID = text('externalId', 'The client’s own id of it.', { isExact: true });

export const USER_SCHEMA: ResourceSchema = {
  id: USER,
  name: 'User',
  about: 'A person, as the identity provider knows them.',
  attributes: [
    EXTERNAL_ID,
    text('userName', 'What the person signs in as.', { isRequired: true, unique: 'server' }),
    {
      name: 'name',
      type: 'complex',
      about: 'The person’s name in parts.',
      sub: [
        text('formatted', 'The whole name.'),
        text('familyName', 'Family name.'),
        text('givenName', 'Given name.'),
        text('middleName', 'Middle names.'),
        text('honorificPrefix', 'Title before the name.'),
        text('honorificSuffix', 'What follows the name.'),
      ],
    },
    text('displayName', 'The name shown to others.'),
    text('nickName', 'What the person is called.'),
    text('title', 'The person’s post.'),
    text('userType', 'As the organization calls it.'),
    text('preferredLanguage', 'BCP 47.'),
    text('locale', 'BCP 47.'),
    text('timezone', 'Name in the zone database.'),
    { name: 'active', type: 'boolean', about: 'False ends what the person has open, and keeps them out.' },
    {
      name: 'emails',
      type: 'complex',
      isMany: true,
      about: 'Mail addresses; the primary one is shown.',
      sub: [
        text('value', 'The address.'),
        text('type', 'As `work`.'),
        text('display', 'How it is shown.'),
        { name: 'primary', type: 'boolean', about: 'The one that is used.' },
      ],
    },
    {
      name: 'groups',
      type: 'complex',
      isMany: true,
      isReadOnly: true,
      about: 'Groups of this client that the person belongs to; changed through the groups.',
      sub: [
        text('value', 'Id of the group.', { isReadOnly: true, isExact: true }),
        text('display', 'Its name.', { isReadOnly: true }),
      ],
    },
  ],
  extension: {
    id: ENTERPRISE,
    name: 'EnterpriseUser',
    attributes: [
      text('employeeNumber', 'As the organization counts.'),
      text('costCenter', 'Cost centre.'),
      text('organization', 'Organization.'),
      text('division', 'Division.'),
      text('department', 'Department.'),
      {
        name: 'manager',
        type: 'complex',
        about: 'Who reviews what the person may do.',
        sub: [text('value', 'Id of the manager’s User.', { isExact: true }), text('displayName', 'Their name.')],
      },
    ],
  },
  unkept: new Set(
    'profileurl password phonenumbers ims photos addresses entitlements roles x509certificates'.split(' '),
  ),
};

export const GROUP_SCHEMA: ResourceSchema = {
  id: GROUP,
  name: 'Group',
  about: 'A group of the identity provider. Which of our groups it gives is the provider’s mapping.',
  attributes: [
    EXTERNAL_ID,
    text('displayName', 'Its name.', { isRequired: true, unique: 'server' }),
    {
      name: 'members',
      type: 'complex',
      isMany: true,
      about: 'Who belongs to it: Users alone.',
      sub: [text('value', 'Id of the User.', { isExact: true }), text('display', 'Their name.', { isReadOnly: true })],
    },
  ],
  unkept: new Set(),
};

/** Names of attributes are compared without case (RFC 7643 §2.1). */
export const attributeNamed = (attributes: readonly Attribute[] | undefined, name: string): Attribute | undefined =>
  attributes?.find((attribute) => attribute.name.toLowerCase() === name.toLowerCase());
