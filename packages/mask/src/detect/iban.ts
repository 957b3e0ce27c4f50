/**
 * IBANs (ISO 13616): country, two check digits, account, of the country's exact length, with the mod-97 rule, in any
 * case, alone or with single spaces. Refuses countries outside the registry's list below.
 */
import { isAlphanumeric, isDigit, isLetter, SPACE, upper } from '../bytes.ts';
import { isGluedAfter, isGluedBefore, type Scan } from '../span.ts';

// SWIFT IBAN registry: country and total length.
const REGISTRY =
  'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 ' +
  'FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 ' +
  'LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 ' +
  'RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30';

/** Length of an IBAN per country at `(first letter - A) * 26 + (second letter - A)`, 0 = none; given to the kernel too. */
export const IBAN_LENGTHS: Uint8Array = new Uint8Array(676);
for (const entry of REGISTRY.split(' ')) {
  IBAN_LENGTHS[(entry.charCodeAt(0) - 65) * 26 + entry.charCodeAt(1) - 65] = Number(entry.slice(2));
}

const characters = new Uint8Array(34);

function ibanEnd(text: Uint8Array, start: number, length: number, seams: Uint8Array | undefined): number {
  let count = 0;
  let at = start;
  while (count < length) {
    if (isAlphanumeric(text[at])) characters[count++] = upper(text[at++]!);
    else if (text[at] === SPACE && count > 0 && text[at - 1] !== SPACE) at++;
    else return -1;
  }
  if (isGluedAfter(text, at, seams)) return -1;
  let rest = 0;
  for (let i = 0; i < length; i++) {
    const char = characters[(i + 4) % length]!;
    rest = char < 65 ? (rest * 10 + char - 48) % 97 : (rest * 100 + char - 55) % 97;
  }
  return rest === 1 ? at : -1;
}

export const scanIbans: Scan = (text, hit, seams) => {
  for (let at = 0; at + 15 <= text.length; at++) {
    if (!isLetter(text[at]) || isGluedBefore(text, at, seams) || !isLetter(text[at + 1])) continue;
    if (!isDigit(text[at + 2]) || !isDigit(text[at + 3])) continue;
    const length = IBAN_LENGTHS[(upper(text[at]!) - 65) * 26 + upper(text[at + 1]!) - 65]!;
    const end = length === 0 ? -1 : ibanEnd(text, at, length, seams);
    if (end < 0) continue;
    hit(at, end);
    at = end - 1;
  }
};
