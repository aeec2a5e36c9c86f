// Texts in English and Arabic: whole sentences with {values}, plurals by Intl, values isolated for mixed directions.
import { preference, setPreference } from './store.js';

export const LANGUAGES = ['en', 'ar'];
const FSI = '\u2068';
const PDI = '\u2069';
let texts = {};
let language = 'en';
let plurals = new Intl.PluralRules('en');
const formats = new Map();

/** The language of the page: the chosen one, or the first that the browser prefers. */
export function preferredLanguage() {
  const chosen = preference('language');
  if (LANGUAGES.includes(chosen)) return chosen;
  return navigator.languages.map(tag => tag.slice(0, 2)).find(tag => LANGUAGES.includes(tag)) ?? 'en';
}

/** Loads a language and sets the direction of the page. */
export async function setLanguage(next) {
  const reply = await fetch(new URL(`../../i18n/${next}.json`, import.meta.url)).catch(() => null);
  // A status, as a Problem has one, so that it is reported like one. 0: there was no reply.
  if (!reply?.ok) {
    throw Object.assign(new Error(`The texts of ${next} cannot be loaded`), { status: reply?.status ?? 0 });
  }
  texts = await reply.json();
  language = next;
  plurals = new Intl.PluralRules(locale());
  formats.clear();
  document.documentElement.lang = next;
  document.documentElement.dir = next === 'ar' ? 'rtl' : 'ltr';
}

/** Loads a language and stores the choice. A language that cannot be loaded is not chosen. */
export async function chooseLanguage(next) {
  await setLanguage(next);
  setPreference('language', next);
}

export const currentLanguage = () => language;

/** The locale of numbers and dates: the Gregorian calendar, and the digits that the settings choose. */
export function locale() {
  if (language === 'en') return 'en-GB';
  return `ar-AE-u-ca-gregory-nu-${preference('digits') === 'arab' ? 'arab' : 'latn'}`;
}

/** Returns a cached Intl object: format('NumberFormat', {…}). */
export function format(kind, options = {}) {
  const key = locale() + kind + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl[kind](locale(), options));
  return formats.get(key);
}

export const number = (value, options) =>
  value === null || value === undefined ? '–' : format('NumberFormat', options).format(value);

function message(key, values) {
  let text = texts[key];
  if (text && typeof text === 'object') text = text[plurals.select(values?.count ?? 0)] ?? text.other;
  if (typeof text !== 'string') {
    console.error(`i18n: no text for ${key} in ${language}`);
    return key;
  }
  return text;
}

// Text that is written from right to left, and characters that change the direction.
const RIGHT_TO_LEFT = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]/;

/** Isolates a value if it could be written in another direction than the page. */
const isolate = value => language === 'ar' || RIGHT_TO_LEFT.test(value) ? FSI + value + PDI : String(value);

const shown = value => typeof value === 'number' ? number(value) : isolate(value);

/** Returns the text of a key as a string. */
export function t(key, values) {
  return message(key, values).replace(/\{(\w+)\}/g, (_, name) => shown(values?.[name] ?? ''));
}

/** Returns the text of a key as nodes: a value that is a node is inserted, another one is put into <bdi>. */
export function nodes(key, values) {
  return message(key, values).split(/(\{\w+\})/).filter(Boolean).map(part => {
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    if (!name) return part;
    const value = values?.[name] ?? '';
    if (value instanceof Node) return value;
    if (typeof value === 'number') return number(value);
    const isolated = document.createElement('bdi');
    isolated.textContent = value;
    return isolated;
  });
}

/** Returns the text of a value from the server ("status.new"). A value without a text is shown as it is. */
export function label(group, value) {
  if (value === null || value === undefined) return '–';
  return typeof texts[`${group}.${value}`] === 'string' ? texts[`${group}.${value}`]
    : String(value).replaceAll('_', ' ');
}

// Arabic and Persian digits, and the Arabic separators of decimals and thousands.
const OTHER_DIGITS = /[\u0660-\u0669\u06f0-\u06f9]/g;

/**
 * Reads an amount as people type it: "2,500,000", "٢٬٥٠٠٬٠٠٠" or "٢٫٥". Returns a number; null for no text, NaN for
 * something else.
 */
export function amount(text) {
  const plain = text.replace(OTHER_DIGITS, digit => String(digit.charCodeAt(0) & 15))
    .replaceAll('٫', '.').replaceAll(/[\s,٬،\u200e\u200f\u2066-\u2069]/g, '');
  if (plain === '') return null;
  return /^\d+(\.\d*)?$/.test(plain) ? Number(plain) : NaN;
}

/** Joins names: "Sara, Omar and Nora". */
export const list = values => format('ListFormat', { type: 'conjunction' }).format(values.map(isolate));
