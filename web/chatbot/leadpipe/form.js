// <leadpipe-form type="contact|inquiry|sell|newsletter">: a form in a shadow tree, with the outbox of the chatbot.
import { announce, BASE, h, honeypot, sheet } from './dom.js';
import './form-texts.js';
import { phoneField, readEmail, readName, readText } from './fields.js';
import { isOver, newID, outbox } from './outbox.js';
import { directionOf, faultText, languageOf, stateText, translator } from './texts.js';

const STYLE = sheet(`
:host { all: initial !important; display: block !important; }
:host([hidden]) { display: none !important; }
form { display: flex; flex-direction: column; gap: 16px; background: var(--page); color: var(--text); position: relative; }
h2 { font-size: 20px; font-weight: 600; }
textarea { min-height: 112px; resize: vertical; }
.label { font-weight: 600; display: block; }
.state { padding: 12px 16px; border-radius: var(--radius); background: var(--soft); display: flex; flex-direction: column; gap: 8px; align-items: flex-start; }
.state.trouble { background: #ffefd4; color: #5c3500; }
.state.trouble button, .state.trouble a { color: #5c3500; border-color: #5c3500; background: none; }
.state:empty { padding: 0; }
button.main { align-self: flex-start; min-width: 120px; }
`);

const PEOPLE = [{ name: 'customerName', kind: 'name', label: 'name' }];
const REACH = [{ name: 'customerEmail', kind: 'email', label: 'email', isReach: true }, { name: 'customerPhone', kind: 'phone', label: 'phone', isReach: true }];
const TYPES = ['apartment', 'villa', 'townhouse', 'penthouse', 'office', 'land'].map(key => ({ key, value: key[0].toUpperCase() + key.slice(1) }));
const SOON = [{ key: 'now', value: 'As soon as possible' }, { key: 'months', value: 'Within 3 months' }, { key: 'later', value: 'Later' }];

/** The forms: route, fields, and which fields the page sets by attributes. */
const FORMS = {
  contact: { path: '/api/contact', button: 'send', attributes: ['department'], fields: [...PEOPLE, ...REACH,
    { name: 'subject', kind: 'text', label: 'subject', longest: 200 }, { name: 'message', kind: 'long', label: 'message', isRequired: true, longest: 5000 }] },
  inquiry: { path: '/api/property-inquiry', button: 'send', attributes: ['propertyTitle', 'propertyUrl', 'propertyType'], fields: [...PEOPLE, ...REACH,
    { name: 'budget', kind: 'text', label: 'budget', longest: 200 }, { name: 'message', kind: 'long', label: 'message', longest: 5000 }] },
  sell: { path: '/api/sell-submission', button: 'send', attributes: [], fields: [...PEOPLE, ...REACH,
    { name: 'propertyType', kind: 'select', label: 'propertyType', choices: TYPES }, { name: 'propertyAddress', kind: 'text', label: 'propertyAddress', longest: 500 },
    { name: 'expectedPrice', kind: 'text', label: 'expectedPrice', longest: 200, isNumber: true }, { name: 'urgency', kind: 'select', label: 'urgency', choices: SOON },
    { name: 'propertyDescription', kind: 'long', label: 'propertyDescription', longest: 5000 }] },
  newsletter: { path: '/api/newsletter/subscribe', button: 'subscribe', attributes: ['source'], fields: [{ name: 'email', kind: 'email', label: 'email', isRequired: true }] },
};

export class LeadpipeForm extends HTMLElement {
  #t; #language; #form; #state; #button; #fields = []; #outbox; #kind; #type; #id = null; #listening = null;

  connectedCallback() {
    if (this.#form) return this.#listen();
    this.#type = FORMS[this.getAttribute('type')] ? this.getAttribute('type') : 'contact';
    this.#kind = FORMS[this.#type];
    this.#language = languageOf(this.getAttribute('language') ?? this.closest('[lang]')?.lang);
    this.#t = translator(this.#language);
    this.#outbox = outbox((this.getAttribute('api') || new URL(import.meta.url).origin).replace(/\/+$/, ''));
    this.#build();
    this.#listen();
    this.#resume();
  }

  #listen() {
    this.#listening = new AbortController();
    this.#outbox.addEventListener('change', ({ detail }) => this.#follow(detail), { signal: this.#listening.signal });
  }

  /** Called when the element is removed or moved. The outbox goes on sending. */
  disconnectedCallback() { this.#listening?.abort(); }

  /** Shows what an earlier page could not send, or what the server refused since. */
  async #resume() {
    const [waiting] = await this.#outbox.waiting(`form ${this.#type}`);
    if (!waiting || this.#id) return;
    this.#id = waiting.id;
    this.#follow(waiting);
  }

  #build() {
    const t = this.#t;
    const shadow = this.attachShadow({ mode: 'open' });
    shadow.adoptedStyleSheets = [BASE, STYLE];
    this.#state = h('div', { class: 'state', part: 'state', role: 'status', tabindex: '-1' });
    this.#button = h('button', { class: 'main', part: 'send' }, t(this.#kind.button));
    this.#fields = this.#kind.fields.map(field => this.#field(field));
    const title = this.getAttribute('heading') ?? t(this.#type);
    const hasReach = this.#kind.fields.some(field => field.isReach);
    this.#form = h('form', { novalidate: true, part: 'form', 'aria-labelledby': 'title', onsubmit: event => this.#submit(event), onfocusin: () => this.#outbox.token(`form ${this.#type}`).prepare() },
      h('h2', { id: 'title', part: 'title', hidden: title === '' }, title),
      this.#fields.flatMap(field => field.isReach && field.name === 'customerEmail' && hasReach ? [h('p', { class: 'hint', id: 'reach' }, t('emailOrPhone')), field.node] : [field.node]),
      honeypot(), h('p', { class: 'fault', id: 'faults', role: 'alert' }), this.#button);
    const root = h('div', { class: 'root', dir: directionOf(this.#language), lang: this.#language }, this.#form, this.#state);
    const color = this.getAttribute('color');
    if (color) root.style.setProperty('--leadpipe-accent', color);
    shadow.append(root);
  }

  #field(field) {
    const t = this.#t;
    const id = `f-${field.name}`;
    const isRequired = field.isRequired ?? field.kind === 'name';
    const properties = { id, name: field.name, part: 'field', 'aria-describedby': `${id}-fault${field.isReach ? ' reach' : ''}`, 'aria-required': isRequired ? 'true' : null };
    const longest = field.longest ?? 1000;
    let input, read, control;
    switch (field.kind) {
      case 'phone': {
        const phone = phoneField(t, this.#language, { ...properties, 'aria-label': null });
        ({ node: control, input } = phone);
        read = () => phone.isEmpty ? {} : phone.read();
        break;
      }
      case 'select':
        input = control = h('select', properties, h('option', { value: '' }, t('choose')), field.choices.map(({ key, value }) => h('option', { value }, t(key))));
        read = () => input.value ? { value: input.value } : {};
        break;
      case 'long':
        input = control = h('textarea', { ...properties, maxlength: String(longest), dir: 'auto' });
        read = () => input.value.trim() || isRequired ? readText(input.value, longest) : {};
        break;
      default: {
        const [type, autocomplete, reader] = { name: ['text', 'name', readName], email: ['email', 'email', readEmail], text: ['text', 'off', text => readText(text, longest)] }[field.kind];
        input = control = h('input', { ...properties, type, autocomplete, maxlength: String(Math.min(longest, 320)), dir: 'auto', inputmode: field.isNumber ? 'numeric' : null });
        read = () => input.value.trim() || isRequired ? reader(input.value) : {};
      }
    }
    const fault = h('p', { class: 'fault', id: `${id}-fault` });
    const say = text => {
      fault.textContent = text;
      if (text) input.setAttribute('aria-invalid', 'true'); else input.removeAttribute('aria-invalid');
    };
    input.addEventListener('input', () => say(''));
    return { ...field, input, read, say, node: h('div', { part: 'row' }, h('label', { class: 'label', htmlFor: id }, t(field.label)), control, fault) };
  }

  async #submit(event) {
    event.preventDefault();
    if (this.#button.disabled) return;
    const t = this.#t;
    const body = {};
    let first = null;
    for (const field of this.#fields) {
      const { value, fault } = field.read();
      field.say(fault ? t(fault) : '');
      if (fault) first ??= field;
      else if (value !== undefined) body[field.name] = value;
    }
    const reach = this.#fields.filter(field => field.isReach);
    if (!first && reach.length && !reach.some(field => body[field.name])) {
      reach[0].say(t('neither'));
      [first] = reach;
    }
    if (first) return this.#fault(first);
    this.shadowRoot.querySelector('#faults').textContent = '';
    for (const name of this.#kind.attributes) {
      const value = this.getAttribute(name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`));
      if (value) body[name] ??= value;
    }
    if (this.#type === 'inquiry') {
      body.propertyTitle ??= document.title.slice(0, 300);
      body.propertyUrl ??= location.href.split('#')[0];
    }
    body.language = this.#language;
    body.website2 = this.#form.elements.website2.value;
    this.#button.disabled = true;
    this.#id = newID();
    await this.#outbox.put(this.#id, { type: `form ${this.#type}`, path: this.#kind.path, body });
  }

  #fault(field) {
    this.shadowRoot.querySelector('#faults').textContent = this.#t('check');
    field.input.focus();
  }

  /** Shows where the submission is. The form comes back, with what was typed, if the server refused it. */
  async #follow(record) {
    if (record.id !== this.#id) return;
    const t = this.#t;
    if (record.state !== 'sending') announce(this, 'state', { type: this.#type, state: record.state, status: record.status });
    if (record.state === 'refused') {
      this.#id = null;
      await this.#outbox.forget(record.id);
      this.#outbox.token(record.type).renew();
      this.#show(true, []);
      // A page that was loaded since has empty fields.
      for (const { name, input } of this.#fields) if (!input.value) input.value = record.body[name] ?? '';
      let first = null;
      let others = '';
      for (const fault of record.details) {
        const field = this.#fields.find(({ name }) => fault.path === name);
        if (field) { field.say(faultText(t, fault)); first ??= field; }
        else others += `${faultText(t, fault)} `;
      }
      if (first) this.#fault(first);
      if (others) this.shadowRoot.querySelector('#faults').textContent = others;
      return;
    }
    if (record.sentKey === record.key) {
      this.#id = null;
      await this.#outbox.forget(record.id);
      this.#outbox.token(record.type).renew();
      this.#form.reset();
      const again = this.#type === 'newsletter' ? null : h('button', { type: 'button', onclick: () => { this.#show(true, []); this.#fields[0].input.focus(); } }, t('again'));
      this.#show(false, [h('p', {}, t(this.#type === 'newsletter' ? 'thanksNewsletter' : 'thanksForm')), again]);
      this.#state.focus();
      if (!record.isOfOtherTab) announce(this, 'lead', { type: this.#type });
      return;
    }
    const canRetry = ['unreachable', 'failed', 'offline'].includes(record.state);
    const contact = record.state === 'failed' && this.getAttribute('contact');
    this.#show(isOver(record), [h('p', {}, stateText(t, record, this.#outbox.store.isDurable)),
      canRetry ? h('button', { type: 'button', onclick: () => this.#outbox.retry() }, t('retry')) : null,
      contact ? h('a', { href: `tel:${contact.replace(/[^+\d]/g, '')}` }, t('call', { number: contact })) : null], canRetry || record.state === 'busy');
  }

  #show(hasForm, content, isTrouble = false) {
    const hadFocus = this.#form.contains(this.shadowRoot.activeElement);
    this.#form.hidden = !hasForm;
    this.#button.disabled = !hasForm;
    this.#state.classList.toggle('trouble', isTrouble);
    this.#state.replaceChildren(...content.filter(Boolean));
    if (hadFocus && !hasForm) this.#state.focus();
  }
}
