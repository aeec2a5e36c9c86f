// Telephone numbers as people type them. The server has the last word (Sources/Leads/PhoneNumber.swift); this finds
// the country of a national number, and obvious faults while the visitor is still there.

/** The countries with their codes. */
const CODES = `AE971 SA966 QA974 KW965 BH973 OM968 IN91 PK92 GB44 US1 CA1 RU7 KZ7 CN86 EG20 JO962 LB961 SY963 IQ964 YE967 PS970
IR98 TR90 DE49 FR33 IT39 ES34 PT351 NL31 BE32 LU352 CH41 AT43 IE353 SE46 NO47 DK45 FI358 IS354 PL48 CZ420 SK421 HU36 RO40
BG359 GR30 CY357 MT356 HR385 SI386 RS381 BA387 ME382 MK389 AL355 XK383 EE372 LV371 LT370 UA380 BY375 MD373 GE995 AM374 AZ994
UZ998 TM993 KG996 TJ992 AF93 BD880 LK94 NP977 BT975 MV960 MM95 TH66 VN84 KH855 LA856 MY60 SG65 ID62 PH63 BN673 TL670 JP81
KR82 TW886 HK852 MO853 MN976 AU61 NZ64 ZA27 NG234 KE254 GH233 ET251 TZ255 UG256 RW250 SD249 SS211 LY218 TN216 DZ213 MA212
MR222 SN221 CI225 CM237 AO244 MZ258 ZM260 ZW263 BW267 NA264 MU230 SC248 MG261 SO252 DJ253 ER291 CD243 CG242 GA241 BJ229 BF226
ML223 NE227 TG228 GN224 GM220 SL232 LR231 TD235 CF236 GQ240 MW265 BI257 LS266 SZ268 CV238 IL972 BR55 AR54 CL56 CO57 PE51 VE58
EC593 BO591 PY595 UY598 MX52 GT502 SV503 HN504 NI505 CR506 PA507 CU53 JM1 TT1 BS1 BB1 DO1 PR1 HT509 GY592 SR597 BZ501 MC377
AD376 SM378 LI423 GI350 FJ679 PG675`.split(/\s+/).map(word => [word.slice(0, 2), word.slice(2)]);

/** A country by its time zone, where many of the visitors are. */
const ZONES = Object.fromEntries(`AE:Asia/Dubai SA:Asia/Riyadh QA:Asia/Qatar KW:Asia/Kuwait BH:Asia/Bahrain OM:Asia/Muscat
IN:Asia/Kolkata IN:Asia/Calcutta PK:Asia/Karachi GB:Europe/London RU:Europe/Moscow EG:Africa/Cairo JO:Asia/Amman LB:Asia/Beirut
IQ:Asia/Baghdad IR:Asia/Tehran TR:Europe/Istanbul DE:Europe/Berlin FR:Europe/Paris IT:Europe/Rome ES:Europe/Madrid
NL:Europe/Amsterdam CH:Europe/Zurich AT:Europe/Vienna BE:Europe/Brussels IE:Europe/Dublin SE:Europe/Stockholm PL:Europe/Warsaw
UA:Europe/Kiev UA:Europe/Kyiv CN:Asia/Shanghai HK:Asia/Hong_Kong SG:Asia/Singapore BD:Asia/Dhaka LK:Asia/Colombo NP:Asia/Kathmandu
PH:Asia/Manila ID:Asia/Jakarta MY:Asia/Kuala_Lumpur TH:Asia/Bangkok JP:Asia/Tokyo KR:Asia/Seoul KZ:Asia/Almaty UZ:Asia/Tashkent
AZ:Asia/Baku GE:Asia/Tbilisi NG:Africa/Lagos KE:Africa/Nairobi ZA:Africa/Johannesburg MA:Africa/Casablanca TN:Africa/Tunis
DZ:Africa/Algiers AU:Australia/Sydney AU:Australia/Melbourne AU:Australia/Perth NZ:Pacific/Auckland CA:America/Toronto
CA:America/Vancouver US:America/New_York US:America/Chicago US:America/Denver US:America/Los_Angeles BR:America/Sao_Paulo`
  .split(/\s+/).map(word => word.split(':').reverse()));

/** Countries whose national numbers begin with a 0 that is dialled from abroad too. */
const ZERO_STAYS = new Set(['39', '225', '226', '228', '229', '241', '242', '378']);
const HOME = 'AE';

/** The countries as {region, code, name}, the most likely first, the others by name. */
export function countries(language) {
  let names = null;
  try { names = new Intl.DisplayNames([language], { type: 'region' }); } catch { /* Then the letters must do. */ }
  const all = CODES.map(([region, code]) => ({ region, code, name: names?.of(region) ?? region }));
  return [...all.slice(0, 10), ...all.slice(10).sort((a, b) => a.name.localeCompare(b.name, language))];
}

/** The country code of a region: `971`. */
export function codeOf(region) { return CODES.find(([name]) => name === region)?.[1] ?? '971'; }

/** The visitor's country: by the time zone, else by the languages, else the United Arab Emirates. */
export function guessRegion(languages = navigator.languages ?? [], zone = Intl.DateTimeFormat().resolvedOptions().timeZone) {
  const here = ZONES[zone];
  if (here) return here;
  for (const language of languages) {
    const region = /-([A-Z]{2})\b/.exec(language)?.[1];
    // Browsers have en-US all over the world.
    if (region && (region !== 'US' || zone?.startsWith('America/')) && CODES.some(([name]) => name === region)) return region;
  }
  return HOME;
}

/** Returns the text with the decimal digits of any script as ASCII digits: ٠٥٠, ۰۵۰, ０５０. */
export function plainDigits(text) {
  return text.replace(/\p{Nd}/gu, sign => {
    let zero = sign.codePointAt(0);
    if (zero < 128) return sign;
    // Each script has its ten digits in a row.
    while (/\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero -= 1;
    return String((sign.codePointAt(0) - zero) % 10);
  });
}

/**
 * Reads a number: {phone: '+971501234567'}, or {fault: 'empty' | 'letters' | 'short' | 'long'}. A number without a
 * country code gets that of `region`: `050 123 4567`, `00971 (0)50…`, `971501234567`, `٠٥٠…`.
 */
export function readPhone(text, region = HOME) {
  // Direction marks come along with copied Arabic numbers.
  const typed = plainDigits(text).replace(/^\s*tel:/i, '').replace(/[\s\-‐‑–().\/\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, '')
    .replace(/^\uff0b/, '+');
  if (!typed) return { fault: 'empty' };
  if (!/^\+?\d+$/.test(typed)) return { fault: 'letters' };
  const code = codeOf(region);
  let digits = typed.replace('+', '');
  const hasCode = typed.startsWith('+') || digits.startsWith('00');
  if (digits.startsWith('00')) digits = digits.slice(2);
  if (!hasCode) {
    // 971501234567: the code without a plus. National numbers are shorter, but those of Brazil may begin with 55 too.
    const isWhole = digits.startsWith(code) && digits.length >= code.length + (code === '55' ? 10 : 8) && digits.length > 10;
    if (!isWhole) digits = code + (code === '7' && digits.length === 11 ? digits.slice(1) : ZERO_STAYS.has(code) ? digits : digits.replace(/^0/, ''));
  }
  const own = hasCode ? CODES.find(([, one]) => digits.startsWith(one) && one.length === 3)?.[1]
    ?? CODES.find(([, one]) => digits.startsWith(one))?.[1] ?? '' : code;
  if (digits.startsWith(own + '0') && own && !ZERO_STAYS.has(own)) digits = own + digits.slice(own.length + 1);
  const count = digits.length - own.length;
  if (digits.length < 8 || own === '971' && count < 8) return { fault: 'short' };
  if (digits.length > 15 || own === '971' && count > 9) return { fault: 'long' };
  return { phone: `+${digits}` };
}
