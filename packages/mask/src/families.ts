/**
 * PostgreSQL's built-in types by what a mask can put in their place, by type OID (src/include/catalog/pg_type.dat).
 * Refuses to know catalogs: a domain arrives as its base type, and an OID from 16384 up (enum, citext, composite, a
 * type of an extension) is `custom`.
 */

/**
 * text: any text may stand in its place, in both formats · json, jsonb: a JSON string may · array: of texts, detected
 * spans may be replaced in text format · custom: text in text format, unknown in binary · int8, float8, numeric, bytea: read to look
 * for digits or text, masked only to NULL · plain: cannot hold what a detector looks for · opaque: everything else.
 */
export type Family =
  | 'text'
  | 'json'
  | 'jsonb'
  | 'array'
  | 'custom'
  | 'int8'
  | 'float8'
  | 'numeric'
  | 'bytea'
  | 'plain'
  | 'opaque';

const OIDS: { readonly [K in Exclude<Family, 'custom' | 'opaque'>]: readonly number[] } = {
  // text, varchar, bpchar, name, xml, unknown, cstring, "char"
  text: [25, 1043, 1042, 19, 142, 705, 2275, 18],
  json: [114],
  jsonb: [3802],
  // text[], varchar[], bpchar[], name[], xml[], cstring[]
  array: [1009, 1015, 1014, 1003, 143, 1263],
  // int8, money
  int8: [20, 790],
  float8: [701],
  numeric: [1700],
  bytea: [17],
  // bool, int2, int4, float4, oid, tid, xid, xid8, cid, uuid, date, time, timestamp, timestamptz, interval, timetz,
  // void, bit, varbit, macaddr, macaddr8, pg_lsn, and arrays of bool, int2, int4, float4, oid, uuid, date, time, timestamp, timestamptz
  plain: [
    16, 21, 23, 700, 26, 27, 28, 5069, 29, 2950, 1082, 1083, 1114, 1184, 1186, 1266, 2278, 1560, 1562, 829, 774, 3220,
    1000, 1005, 1007, 1021, 1028, 2951, 1182, 1183, 1115, 1185,
  ],
};
const BY_OID = new Map<number, Family>();
for (const [family, oids] of Object.entries(OIDS)) for (const oid of oids) BY_OID.set(oid, family as Family);

/** OIDs below are assigned by the server itself (`FirstNormalObjectId`). */
const FIRST_NORMAL_OID = 16_384;

/** How a column of this type is read and masked. */
export const familyOf = (typeOid: number): Family =>
  BY_OID.get(typeOid) ?? (typeOid >= FIRST_NORMAL_OID ? 'custom' : 'opaque');
