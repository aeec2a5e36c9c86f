// Dialogs with a form of their own: status, follow-up, log-in and export.
import { session } from '../lib/store.js';
import { announce } from '../lib/live.js';
import { api, openSession } from '../lib/api.js';
import { describe } from '../lib/actions.js';
import { fill, h, icon, setAttribute } from '../lib/dom.js';
import { amount, label, number, t } from '../lib/i18n.js';
import { addDays, clock, instant, localDay, localInput, now, zone } from '../lib/time.js';
import { buttons, modal } from './dialogs.js';

export const field = (text, control, hint) => h('label', { class: 'field' }, h('span', null, text), control,
  hint && h('small', { class: 'secondary' }, hint));

export const select = (values, chosen, text, properties) => h('select', properties,
  values.map(value => h('option', { value, selected: value === chosen }, text(value))));

/** What says that fields with a star must be filled in; only forms with it show the stars. */
export const needs = () => h('p', { class: 'secondary needs' }, t('form.needs'));

const WRONG = { required: 'required', blank: 'required', invalid_email: 'email', invalid_phone: 'phone',
  invalid_length: 'length', agent_email_taken: 'taken' };
const nameOfField = control => control.closest('label')?.querySelector('span')?.textContent ?? control.name;

// Says beside a field what is wrong, with the name of the field, until it is changed.
function mark(control, text) {
  const id = `fault-${control.name}`;
  control.form.querySelector(`#${id}`)?.remove();
  (control.closest('label') ?? control).after(h('p', { class: 'fault field-fault', id },
    `${nameOfField(control)}: ${text}`));
  setAttribute(control, 'aria-invalid', 'true');
  setAttribute(control, 'aria-describedby', id);
  control.addEventListener('input', () => {
    control.form.querySelector(`#${id}`)?.remove();
    for (const name of ['aria-invalid', 'aria-describedby']) setAttribute(control, name, null);
  }, { once: true });
}

function why(control) {
  const { valueMissing, badInput, rangeUnderflow, rangeOverflow, stepMismatch, typeMismatch } = control.validity;
  if (badInput && control.type === 'date') return t('fault.date');
  if (valueMissing) return t('fault.required');
  if (badInput || rangeUnderflow || rangeOverflow || stepMismatch) return t('fault.range', { min: Number(control.min),
    max: Number(control.max) });
  return t(typeMismatch && control.type === 'email' ? 'fault.email' : 'fault.length');
}

/** Reports whether all fields are filled in well. Otherwise says beside each what is wrong, and goes to the first. */
export function isFilled(form) {
  const wrong = [...form.elements].filter(control => control.willValidate && !control.validity.valid);
  for (const control of wrong) mark(control, why(control));
  wrong[0]?.focus();
  return wrong.length === 0;
}

/** Disables a form while `work` runs and shows its problem beside the fields. Returns whether it succeeded. */
export async function submit(form, fault, work) {
  const button = form.querySelector('[type=submit]');
  button.disabled = true;
  fill(fault);
  try { await work(); return true; } catch (problem) {
    if (!('status' in problem)) console.error(problem);
    const details = problem.details?.length ? problem.details
      : [{ path: problem.code === 'agent_email_taken' && 'email', code: problem.code }];
    const beside = details.filter(({ path }) => path && form.elements.namedItem(path));
    for (const { path, code, message } of beside) {
      const control = form.elements.namedItem(path);
      const text = control.type === 'tel' ? 'phone' : WRONG[code];
      mark(control, text ? t(`fault.${text}`) : message);
    }
    if (beside.length === details.length) form.elements.namedItem(beside[0].path).focus();
    else fill(fault, describe(problem), problem.requestId && h('small', { class: 'secondary' }, ' ',
      t('error.request', { id: problem.requestId })));
    return false;
  } finally { button.disabled = false; }
}

const STATUS_KEYS = { n: 'new', p: 'in-progress', c: 'completed', l: 'lost', v: 'converted', s: 'spam' };

/** Asks for a status, and for the value of a converted or the reason of a lost lead. Returns the changed fields. */
export async function askStatus(row) {
  const extra = h('div', { class: 'stack' });
  const show = status => {
    if (status === 'converted') {
      fill(extra, field(t('field.conversionValue'), h('input',
        { name: 'conversionValue', type: 'text', inputmode: 'decimal',
        value: row?.conversionValue ?? '', autocomplete: 'off' }), t('status.valueHint')));
    } else if (status === 'lost') {
      fill(extra, field(t('field.outcome'), h('input', { name: 'outcome', type: 'text', maxlength: '500',
        value: row?.outcome ?? '', dir: 'auto' })));
    } else fill(extra);
    return extra.querySelector('input');
  };
  // A click says that the choice is made; an arrow key may be on its way to another.
  let isClicked = false;
  const fault = h('p', { class: 'fault', role: 'alert' });
  const form = h('form', { class: 'stack', onPointerdown: () => { isClicked = true; }, onSubmit: event => {
    event.preventDefault();
    const data = new FormData(form);
    const fields = { status: data.get('status') };
    const value = fields.status === 'converted' ? amount(data.get('conversionValue')) : null;
    if (value !== null && !(value < 1e12)) {
      fill(fault, t('status.valueFault'));
      extra.querySelector('input').focus();
      return;
    }
    if (value !== null) fields.conversionValue = value;
    if (fields.status === 'lost' && data.get('outcome').trim()) fields.outcome = data.get('outcome').trim();
    box.close(fields);
  } },
  h('fieldset', { class: 'radios' }, h('legend', { class: 'sr' }, t('field.status')),
    Object.entries(STATUS_KEYS).map(([key, status]) => h('label', null,
      h('input', { type: 'radio', name: 'status', value: status, checked: status === (row?.status ?? 'in-progress'),
        onChange: () => { const input = show(status); if (isClicked) input?.focus(); } }),
      h('span', null, label('status', status)), h('kbd', null, key.toUpperCase())))),
  extra, fault, buttons(t('save')));
  const box = modal({ title: t('status.title'), body: form, size: 'narrow is-growing' });
  show(row?.status);
  box.dialog.addEventListener('keydown', event => {
    isClicked = false;
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('[type=text]')) return;
    const letter = /^Key(.)$/.exec(event.code)?.[1].toLowerCase();
    const status = STATUS_KEYS[/^[a-z]$/i.test(event.key) ? event.key.toLowerCase() : letter];
    if (!status) return;
    event.preventDefault();
    const radio = form.querySelector(`[value="${status}"]`);
    radio.checked = true;
    (show(status) ?? radio).focus();
  });
  form.querySelector(':checked').focus();
  return box.closed;
}

/** The moments that a follow-up can be set to with one click: [{text, at}]. */
export function presets(at = now()) {
  const today = localDay(at);
  const weekday = new Date(`${today}T12:00:00Z`).getUTCDay();
  const days = [[t('preset.tomorrow'), addDays(today, 1)], [t('preset.threeDays'), addDays(today, 3)],
    [t('preset.monday'), addDays(today, (8 - weekday) % 7 || 7)]];
  const soon = Math.ceil((at + 2 * 3_600_000) / 900_000) * 900_000;
  const result = days.map(([text, date]) => ({ text: `${text} ${clock(instant(`${date}T10:00`))}`,
    at: instant(`${date}T10:00`) }));
  return [result[0], { text: `${t('preset.twoHours')} ${clock(soon)}`, at: soon }, ...result.slice(1)];
}

/** Asks for a follow-up. Returns {followUpDate, reminderType, reminderText} or undefined. A preset answers at once. */
export async function askFollowUp({ title = t('followUp.title'), kind = 'call', text = '' } = {}) {
  const offered = presets();
  const answer = at => {
    const data = new FormData(form);
    const body = { followUpDate: new Date(at).toISOString(), reminderType: data.get('kind') };
    if (data.get('text').trim()) body.reminderText = data.get('text').trim();
    box.close(body);
  };
  const fault = h('p', { class: 'fault', role: 'alert' });
  const when = h('input', { type: 'datetime-local', name: 'when', value: localInput(offered[0].at),
    min: localInput(now()), required: true });
  const form = h('form', { class: 'stack', onSubmit: event => {
    event.preventDefault();
    const at = instant(when.value);
    if (!(at > now())) { fill(fault, t('followUp.past')); when.focus(); return; }
    answer(at);
  } },
  h('div', { class: 'presets' }, offered.map(({ text: words, at }, index) =>
    h('button', { type: 'button', class: 'button', onClick: () => answer(at) }, words,
      h('kbd', null, String(index + 1))))),
  h('div', { class: 'pair' },
    field(t('followUp.when'), when, t('followUp.zone', { zone: zone() })),
    field(t('followUp.kind'), select(['call', 'whatsapp', 'email', 'sms'], kind, value => label('channel', value),
      { name: 'kind' }))),
  field(t('followUp.text'), h('input', { type: 'text', name: 'text', maxlength: '500', value: text, dir: 'auto' })),
  fault, buttons(t('save')));
  const box = modal({ title, body: form, size: 'narrow' });
  box.dialog.addEventListener('keydown', event => {
    const digit = /^Digit(\d)$/.exec(event.code)?.[1];
    if (!digit || !offered[digit - 1] || event.target.matches('input, select')) return;
    event.preventDefault();
    answer(offered[digit - 1].at);
  });
  form.querySelector('.presets button').focus();
  return box.closed;
}

let asking = null;

/** Asks for a key over the page, once however many requests need it. Resolves to whether it succeeded. */
export function logInAgain() {
  asking ??= new Promise(resolve => {
    const fault = h('p', { class: 'fault', role: 'alert' });
    const key = h('input', { type: 'password', name: 'key', autocomplete: 'current-password', required: true,
      dir: 'ltr' });
    const form = h('form', { class: 'stack', onSubmit: async event => {
      event.preventDefault();
      if (await submit(form, fault, () => openSession({ key: key.value.trim() }))) {
        announce('login');
        finish();
        dispatchEvent(new CustomEvent('leadpipe-login'));
      }
    } },
    h('p', null, t('login.again')), field(t('login.key'), key), fault,
    h('footer', { class: 'dialog-foot' }, h('button', { type: 'submit', class: 'button primary' }, t('login.button'))));
    const box = modal({ title: t('login.ended'), body: form, size: 'narrow' });
    const finish = () => { removeEventListener('leadpipe-login',
      finish); asking = null; box.close(true); resolve(true); };
    addEventListener('leadpipe-login', finish);
    // It can be closed to copy a text; the next request asks again.
    box.closed.then(() => { if (asking) { asking = null; removeEventListener('leadpipe-login',
      finish); resolve(false); } });
    key.focus();
  });
  return asking;
}

/**
 * Offers the list as a file. `filters` are the API's parameters, `names` their words. `numbers` ({name, text()}) is a
 * file that the page makes itself, offered first.
 */
export async function exportList({ filters, names, total, order, numbers = null }) {
  const formats = session.get().exports.map(value => [value,
    numbers ? t('export.leads', { format: value.toUpperCase() }) : value.toUpperCase()]);
  if (numbers) formats.unshift(['numbers', t('export.numbers')]);
  const fault = h('p', { class: 'fault', role: 'alert' });
  const progress = h('p', { class: 'secondary', role: 'status' });
  const form = h('form', { class: 'stack', onSubmit: async event => {
    event.preventDefault();
    const format = new FormData(form).get('format');
    if (format === 'numbers') {
      save([numbers.text()], numbers.name, 'text/csv;charset=utf-8');
      box.close(true);
      return;
    }
    fill(progress, t('export.working'));
    if (await submit(form, fault, () => download(format, filters, progress))) box.close(true); else fill(progress);
  } },
  h('p', null, names.join(' · ')), h('p', { class: 'secondary' }, t('export.order', { order, zone: zone() })),
  h('fieldset', { class: numbers ? 'radios' : 'radios row' }, h('legend', { class: 'sr' }, t('export.format')),
    formats.map(([value, text], index) => h('label', null,
      h('input', { type: 'radio', name: 'format', value, checked: index === 0 }), h('span', null, text)))),
  progress, fault, buttons(t('export.download')));
  const box = modal({ title: numbers ? t('export.button') : t('export.title', { count: total }), body: form,
    size: 'narrow' });
  form.querySelector('[type=submit]').focus();
  return box.closed;
}

async function download(format, filters, progress) {
  const { reply } = await api('POST', '/api/admin/conversations/export',
    { body: { ...filters, format, timeZone: zone() }, isRaw: true });
  const chunks = [];
  let size = 0;
  const reader = reply.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    size += part.value.length;
    fill(progress, t('export.size', { size: number(size / 1e6,
      { style: 'unit', unit: 'megabyte', maximumFractionDigits: 1 }) }));
  }
  const given = reply.headers.get('content-disposition') ?? '';
  const name = /filename="([\w.-]+)"/.exec(given)?.[1] ?? `conversations.${format}`;
  save(chunks, name, reply.headers.get('content-type') ?? '');
}

/** Gives the visitor a file. */
export function save(chunks, name, type) {
  const address = URL.createObjectURL(new Blob(chunks, { type }));
  const link = h('a', { download: name });
  link.href = address;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Shows a key once, with a button that copies it. */
export function showKey(name, key) {
  const copied = h('span', { role: 'status', class: 'secondary' });
  const text = h('input', { type: 'text', readonly: true, value: key, dir: 'ltr', class: 'mono',
    'aria-label': t('keys.new') });
  const copy = async () => { await navigator.clipboard.writeText(key); fill(copied, t('copied')); };
  const box = modal({ title: t('keys.made', { name }), size: 'narrow',
    body: h('form', { class: 'stack', method: 'dialog' },
    h('p', null, t('keys.once')), text,
    h('footer', { class: 'dialog-foot' }, copied, h('button', { type: 'button', class: 'button', onClick: copy },
      icon('copy'), t('copy')),
      h('button', { class: 'button primary' }, t('keys.stored')))) });
  text.select();
  return box.closed;
}

