// Fields that chatbot and forms share, and what may be typed in them.
import { h } from './dom.js';
import { countries, guessRegion, readPhone } from './phone.js';

const EMAIL = /^[^\s@<>(),;:"\\[\]]+@[^\s@<>(),;:"\\[\]]+\.[^\s@<>(),;:"\\[\].]{2,}$/;

/** Returns {value} or {fault: key of a text}. */
export function readName(text) {
  const value = text.trim().replace(/\s+/g, ' ');
  if (!value) return { fault: 'required' };
  if ([...value].length < 2) return { fault: 'nameShort' };
  return value.length > 200 ? { fault: 'tooLong' } : { value };
}

export function readEmail(text) {
  const value = text.trim();
  if (!value) return { fault: 'required' };
  return EMAIL.test(value) && value.length <= 254 ? { value } : { fault: 'emailFault' };
}

export function readText(text, longest = 1000) {
  const value = text.trim();
  if (!value) return { fault: 'required' };
  return value.length > longest ? { fault: 'tooLong' } : { value };
}

/**
 * A number with its country: {node, input, read()}. The number and its fault belong to `describedBy`.
 * @param language for the names of the countries
 */
export function phoneField(t, language, properties = {}) {
  const guess = guessRegion();
  const select = h('select', { 'aria-label': t('country'), autocomplete: 'tel-country-code', part: 'field', onchange: () => { select.title = select.selectedOptions[0].textContent; } },
    countries(language).map(({ region, code, name }) => h('option', { value: region, selected: region === guess }, `\u2066+${code}\u2069 ${name}`)));
  const input = h('input', {
    type: 'tel', inputmode: 'tel', autocomplete: 'tel', name: 'customerPhone', part: 'field', maxlength: '40', dir: 'ltr', 'aria-label': t('number'), ...properties,
  });
  return {
    node: h('div', { class: 'phone' }, select, input), input,
    get isEmpty() { return !input.value.trim(); },
    read() {
      const { phone, fault } = readPhone(input.value, select.value);
      return phone ? { value: phone } : { fault: `phone${fault[0].toUpperCase()}${fault.slice(1)}` };
    },
  };
}
