// Small pieces that several views show: quality, deadline, contacts, empty and error states.
import { fill, h, icon, setAttribute, setText } from '../lib/dom.js';
import { label, number, t } from '../lib/i18n.js';
import { describe } from '../lib/actions.js';
import { deadline } from '../lib/time.js';

const QUALITY_ICONS = { hot: 'flame', warm: 'sun', cold: 'snow' };
const SLA_ICONS = { breached: 'alert', warning: 'clock', ok: 'clock', met: 'check', late: 'alert', none: 'none' };

/** A pill with the quality and the score. `update(row)` changes it. */
export function qualityChip() {
  const use = icon('sun');
  const text = h('span');
  const node = h('span', { class: 'quality' }, use, text);
  return { node, update(row) {
    setAttribute(node, 'class', `quality ${row.leadQuality}`);
    setAttribute(use.firstChild, 'href', `#i-${QUALITY_ICONS[row.leadQuality]}`);
    setText(text, `${label('quality', row.leadQuality)} ${number(row.leadScore)}`);
  } };
}

/** A square chip with the deadline. */
export function slaChip() {
  const use = icon('clock');
  const text = h('span');
  const node = h('span', { class: 'sla' }, use, text);
  return { node, update(row) {
    const { state, text: words } = deadline(row);
    setAttribute(node, 'class', `sla ${state}`);
    setAttribute(use.firstChild, 'href', `#i-${SLA_ICONS[state]}`);
    setText(text, words);
  } };
}

/** The addresses by which a customer can be reached: [{kind, href, label, icon}]. */
export function contacts(row) {
  const result = [];
  if (row.customerPhone) {
    result.push({ kind: 'call', href: `tel:${row.customerPhone.replace(/[^+\d]/g, '')}`, label: t('contact.call'),
      icon: 'phone' });
    result.push({ kind: 'whatsapp', href: `https://wa.me/${row.customerPhone.replace(/\D/g, '')}`, label: 'WhatsApp',
      icon: 'chat' });
  }
  if (row.customerEmail) result.push({ kind: 'email',
    href: `mailto:${encodeURIComponent(row.customerEmail).replace('%40', '@')}`, label: t('contact.mail'),
    icon: 'mail' });
  return result;
}

/** A phone number, which reads from left to right in Arabic too. */
export const phone = value => h('bdi', { dir: 'ltr', class: 'tabular' }, value);

/** The name of a customer, or what is known instead. */
export const nameOf = row => row.customerName || row.customerPhone || row.customerEmail || t('lead.unnamed');

/** "2M · buy · JVC": the amount first, so that it is never what is cut off. */
export const wants = row => [row.budget, row.intent && label('intent', row.intent), row.propertyType,
  row.preferredArea].filter(Boolean);

/** A sentence and one action, for a list without rows. */
export const emptyState = (text, action) => h('div', { class: 'state' }, icon('inbox'), h('p', null, text), action);

/** What went wrong, with the id of the request and a button that tries again. */
export const errorState = (problem, again) => h('div', { class: 'state', role: 'alert' }, icon('alert'),
  h('h2', null, problem.title ?? t('error.unexpected')),
  h('p', { dir: 'auto' }, describe(problem)), problem.requestId
    && h('p', { class: 'secondary mono' }, t('error.request', { id: problem.requestId })),
  again && h('button', { type: 'button', class: 'button', onClick: again }, t('again')));

/**
 * Shows that `region` is loading: aria-busy at once, and a skeleton after 200 ms if it is empty. Returns what ends it.
 */
export function loading(region, rows = 6) {
  setAttribute(region, 'aria-busy', 'true');
  const timer = setTimeout(() => {
    if (region.childElementCount === 0) fill(region, h('div', { class: 'skeleton', 'aria-hidden': 'true' },
      Array.from({ length: rows }, () => h('div'))));
  }, 200);
  return () => {
    clearTimeout(timer);
    setAttribute(region, 'aria-busy', null);
    region.querySelector(':scope > .skeleton')?.remove();
  };
}

/** A row of tabs that choose what a list shows: [{id, text}]. They are buttons with aria-pressed, not ARIA tabs. */
export function switches(name, items, chosen, choose) {
  return h('div', { class: 'switches', role: 'group', 'aria-label': name }, items.map(({ id, text }) =>
    h('button', { type: 'button', 'aria-pressed': String(id === chosen), data: { id }, onClick: () => choose(id) },
      text)));
}

/** Marks one of the switches as chosen. */
export function press(group, id) {
  for (const button of group.children) setAttribute(button, 'aria-pressed', String(button.dataset.id === id));
}
