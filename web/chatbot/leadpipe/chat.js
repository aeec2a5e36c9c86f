// <leadpipe-chat>: the button and the conversation, in a shadow tree that the page's style sheets do not reach.
import { announce, BASE, h, honeypot, icon, sheet } from './dom.js';
import { phoneField, readEmail, readName, readText } from './fields.js';
import { Memory } from './memory.js';
import { outbox } from './outbox.js';
import { inLanguage, isUsable, shortest } from './questions.js';
import { directionOf, faultText, languageOf, reference, stateText, translator } from './texts.js';

const BUBBLE = 'M21 12a8 8 0 0 1-8 8H4l2.3-2.9A8 8 0 1 1 21 12z';
const CROSS = 'M6 6l12 12M18 6L6 18';
const STYLE = sheet(`
:host { all: initial !important; position: fixed !important; inset: auto !important; inset-block-end: 0 !important; inset-inline-end: 0 !important;
  z-index: 2147483000 !important; display: block !important; visibility: visible !important; opacity: 1 !important; width: 0 !important; height: 0 !important;
  transform: none !important; filter: none !important; unicode-bidi: isolate !important; pointer-events: auto !important; }
:host([inside]) { position: static !important; width: auto !important; height: auto !important; }
.launcher { position: fixed; inset-block-end: 16px; inset-inline-end: 16px; display: flex; align-items: center; gap: 8px; min-height: 56px; padding: 8px 20px; border-radius: 28px;
  background: var(--accent); color: var(--on-accent); border: 1px solid var(--on-accent); font-weight: 600; box-shadow: 0 4px 16px rgb(20 28 45 / 30%); }
.start .launcher { inset-inline-end: auto; inset-inline-start: 16px; }
dialog { position: fixed; inset: auto; inset-block-end: 16px; inset-inline-end: 16px; margin: 0; padding: 0; width: 384px; max-width: calc(100vw - 32px); height: 600px; max-height: calc(100dvh - 32px);
  border: 1px solid var(--line); border-radius: var(--radius); background: var(--page); color: var(--text); box-shadow: 0 8px 32px rgb(20 28 45 / 30%); overflow: hidden; }
.start dialog { inset-inline-end: auto; inset-inline-start: 16px; }
dialog[open] { display: flex; flex-direction: column; }
dialog::backdrop { background: rgb(20 28 45 / 40%); }
.head { display: flex; align-items: center; gap: 8px; padding: 8px 8px 8px 16px; padding-inline: 16px 8px; background: var(--accent); color: var(--on-accent); }
.head h2 { flex: 1; font-size: 16px; font-weight: 600; }
.head button { min-width: 44px; padding: 8px; border: 0; background: none; color: inherit; display: grid; place-items: center; }
.head :focus-visible { outline-color: var(--on-accent); outline-offset: -4px; }
.log { flex: 1; min-height: 80px; overflow-y: auto; padding: 16px; display: flex; flex-direction: column; gap: 8px; overscroll-behavior: contain; }
.log > * { max-width: 88%; padding: 8px 12px; border-radius: var(--radius); overflow-wrap: anywhere; flex: none; }
.bot { align-self: flex-start; background: var(--soft); }
.customer { align-self: flex-end; background: var(--accent); color: var(--on-accent); }
.customer button.link { color: inherit; display: block; margin-inline-start: auto; }
.customer :focus-visible { outline-color: var(--on-accent); }
.ask { padding: 12px 16px; border-block-start: 1px solid var(--soft); display: flex; flex-direction: column; gap: 8px; max-height: 60%; overflow-y: auto; flex: none; }
.ask:empty { display: none; }
.ask form { display: flex; flex-direction: column; gap: 8px; }
.choices { display: flex; flex-wrap: wrap; gap: 8px; }
.row { display: flex; gap: 8px; flex-wrap: wrap; }
.row > :first-child { flex: 1; }
.state { padding: 8px 16px; font-size: 14px; color: var(--text); background: var(--soft); display: flex; gap: 8px; align-items: center; flex-wrap: wrap; flex: none; }
.state p { flex: 1 1 60%; }
.state.empty { padding: 0; }
.state.trouble { background: #ffefd4; color: #5c3500; }
.state.trouble button, .state.trouble a { color: #5c3500; border-color: #5c3500; background: none; }
@media (width < 560px) { dialog { inset: 0 !important; width: 100vw; max-width: none; height: 100dvh; max-height: none; border: 0; border-radius: 0; } }
.root.inside, .root.inside dialog { position: static; width: 100%; max-width: none; }
@media (prefers-reduced-motion: no-preference) { dialog[open] { animation: rise .12s ease-out; } @keyframes rise { from { opacity: 0; transform: translateY(8px); } } }
`);

/** Fetches the conversation of this installation. Throws if it cannot be used. */
async function fetchQuestions(address) {
  const reply = await fetch(address, { credentials: 'omit', signal: AbortSignal.timeout(10_000) });
  if (!reply.ok) throw new Error(`HTTP ${reply.status}`);
  const document = await reply.json();
  if (!isUsable(document)) throw new Error('it has faults: open it in /chatbot/editor');
  return document;
}

export class LeadpipeChat extends HTMLElement {
  #t; #language; #root; #dialog; #launcher; #log; #ask; #state; #memory; #outbox; #questions = null;
  #editing = null; #shown = null; #askedAt = 0; #record = null; #isReady = null; #listening = null; #awaitsQuestion = false; #announced = new Set();

  connectedCallback() {
    if (this.#root) return this.#listen();
    const { api, questions, open } = this.dataset;
    this.#language = languageOf(this.dataset.language);
    this.#t = translator(this.#language);
    this.#outbox = this.outbox ?? outbox(api);
    this.#memory = new Memory(this.#outbox, this.#language);
    this.#build();
    this.#memory.addEventListener('change', () => this.#render());
    this.#listen();
    this.#isReady = this.#start(questions ?? `${api}/questions.json`);
    if (open === 'true' && !this.isOpen) this.open();
  }

  #listen() {
    this.#listening = new AbortController();
    this.#outbox.addEventListener('change', ({ detail }) => this.#follow(detail), { signal: this.#listening.signal });
    this.#memory.listen();
  }

  /** Removed from the page, or moved: what was not sent stays in the outbox. */
  disconnectedCallback() {
    this.#listening?.abort();
    this.#memory?.close();
  }

  async #start(address) {
    // The questions of the last visit are at hand at once, and without a connection.
    const kept = `questions ${address}`;
    const known = this.questions ? null : (await this.#outbox.store.get(kept))?.document;
    const fetched = this.questions ? Promise.resolve(this.questions) : fetchQuestions(address).then(document => {
      this.#outbox.store.change(kept, () => ({ id: kept, document })).catch(() => {});
      return document;
    });
    // It may fail before anybody waits for it.
    fetched.catch(() => {});
    await this.#memory.load();
    try {
      this.#questions = isUsable(known) ? known : await fetched;
    } catch (fault) {
      console.warn(`Leadpipe: ${address} cannot be used, so the chatbot asks for name and phone only:`, fault.message);
      announce(this, 'problem', { reason: 'questions' });
      this.#questions = shortest(this.#t);
    }
    this.#record = await this.#outbox.get(this.#memory.chat.conversation) ?? null;
    if (this.#record?.isStored) this.#announced.add(this.#record.id);
    // An answer that was kept just before the page ended may not have reached the outbox.
    await this.#memory.send(this.#questions);
    if (this.#record?.state === 'refused') await this.#follow(this.#record);
    this.#render();
  }

  // ── What a page may call ──

  get isOpen() { return this.#dialog?.open ?? false; }

  open() {
    if (this.isOpen) return;
    const isInside = this.hasAttribute('inside');
    this.#launcher.hidden = true;
    // In the editor it must not take the focus from the text.
    if (isInside) this.#dialog.setAttribute('open', '');
    else if (matchMedia('(width < 560px)').matches) this.#dialog.showModal();
    else this.#dialog.show();
    this.#outbox.token('chat').prepare();
    this.#render();
    if (!isInside) this.#focus();
    announce(this, 'open');
  }

  close() {
    if (!this.isOpen) return;
    this.#dialog.close();
  }

  // ── Elements ──

  #build() {
    const t = this.#t;
    const shadow = this.attachShadow({ mode: 'open' });
    shadow.adoptedStyleSheets = [BASE, STYLE];
    const { label, title, position, color, onColor } = this.dataset;
    this.#launcher = h('button', { type: 'button', class: 'launcher', part: 'launcher', 'aria-haspopup': 'dialog', onclick: () => this.open() }, icon(BUBBLE), label ?? t('open'));
    this.#log = h('div', { class: 'log', part: 'log', role: 'log', 'aria-label': t('log'), tabindex: '0' });
    // What is below it takes its room: the newest message stays in sight.
    new ResizeObserver(() => { this.#log.scrollTop = this.#log.scrollHeight; }).observe(this.#log);
    this.#ask = h('div', { class: 'ask', part: 'ask' });
    this.#state = h('div', { class: 'state empty', part: 'state' }, h('p', { role: 'status' }));
    const trap = honeypot();
    this.#dialog = h('dialog', { part: 'dialog', 'aria-labelledby': 'title', onclose: () => this.#closed(), onkeydown: event => { if (event.key === 'Escape' && !this.hasAttribute('inside')) { event.stopPropagation(); this.close(); } } },
      h('div', { class: 'head', part: 'head' }, h('h2', { id: 'title' }, title ?? t('title')),
        h('button', { type: 'button', 'aria-label': t('close'), part: 'close', onclick: () => this.close() }, icon(CROSS))),
      this.#log, this.#state, this.#ask, trap);
    this.#memory.trap = trap.querySelector('input');
    this.#root = h('div', { class: `root${position === 'start' ? ' start' : ''}${this.hasAttribute('inside') ? ' inside' : ''}`, dir: directionOf(this.#language), lang: this.#language }, this.#launcher, this.#dialog);
    if (color) this.#root.style.setProperty('--leadpipe-accent', color);
    if (onColor) this.#root.style.setProperty('--leadpipe-on-accent', onColor);
    // The side of the page's own direction must not decide where the chatbot stands.
    this.setAttribute('dir', directionOf(this.#language));
    shadow.append(this.#root);
  }

  #closed() {
    this.#launcher.hidden = false;
    this.#launcher.focus();
    announce(this, 'close');
  }

  #bubble(id, sender, text, more = null) {
    return h('div', { class: sender, part: `bubble ${sender}`, id, dir: 'auto' }, h('span', { class: 'aside', dir: directionOf(this.#language) }, `${this.#t(sender === 'bot' ? 'bot' : 'you')}: `), text, more);
  }

  /** Draws what is new. The same conversation twice changes nothing, so it takes no focus and no typed text. */
  #render() {
    const { chat } = this.#memory;
    if (!this.#questions || !chat || !this.#dialog.open) return;
    const t = this.#t;
    const question = this.#editing ?? this.#memory.current(this.#questions);
    const next = question ? this.#memory.messageID(question) : 'end';
    const wanted = chat.log.map(one => [one.id, () => this.#bubble(one.id, one.sender, one.text, this.#changeButton(one))]);
    wanted.unshift(['welcome', () => this.#bubble('welcome', 'bot', inLanguage(this.#questions.welcome ?? t('welcome'), this.#language))]);
    if (question) wanted.push([`${next}-q`, () => this.#bubble(`${next}-q`, 'bot', inLanguage(question.text, this.#language))]);
    const there = new Map([...this.#log.children].map(node => [node.id, node]));
    const ids = new Set(wanted.map(([id]) => id));
    for (const [id, node] of there) if (!ids.has(id)) node.remove();
    let place = this.#log.firstChild;
    for (const [id, make] of wanted) {
      const node = there.get(id);
      if (node === place && node) { place = node.nextSibling; continue; }
      this.#log.insertBefore(node ?? make(), place);
    }
    const shown = `${chat.conversation} ${next} ${chat.faults[question?.id]?.code ?? ''}`;
    if (shown !== this.#shown) {
      const hadFocus = this.#ask.contains(this.shadowRoot.activeElement) || this.shadowRoot.activeElement?.classList.contains('link');
      const isFirst = this.#shown === null;
      this.#shown = shown;
      this.#askedAt = Date.now();
      this.#ask.replaceChildren(...question ? this.#form(question, next, chat) : this.#end());
      this.#log.scrollTop = this.#log.scrollHeight;
      // Opened before the questions were there: the first one gets the focus, unless the visitor has moved it.
      const awaited = this.#awaitsQuestion && this.shadowRoot.activeElement === this.#log;
      this.#awaitsQuestion = false;
      if (hadFocus && !isFirst || awaited) this.#focus();
    }
    this.#showState();
  }

  #changeButton({ question, text, id }) {
    const asked = question && this.#questions.questions.find(one => one.id === question);
    if (!asked) return null;
    return h('button', { type: 'button', class: 'link', 'aria-label': this.#t('changeAnswer', { text }), onclick: () => {
      // Only the newest answer to a question can be changed; the button of an older one leads to the same.
      this.#editing = asked;
      this.#render();
      this.#focus();
    }, 'data-answer': id }, this.#t('change'));
  }

  #focus() {
    const target = this.#ask.querySelector('[aria-invalid=true], .choices button, input:not([tabindex="-1"]), button') ?? this.#log;
    this.#awaitsQuestion = target === this.#log;
    target.focus({ preventScroll: true });
  }

  // ── Questions ──

  #form(question, messageID, chat) {
    const t = this.#t;
    const words = text => inLanguage(text, this.#language);
    const labelled = { 'aria-labelledby': `${messageID}-q` };
    const fault = h('p', { class: 'fault', id: 'fault', role: 'alert' });
    let isAnswered = false;
    const answer = async (value, text) => {
      if (isAnswered) return;
      isAnswered = true;
      this.#editing = null;
      await this.#memory.answer(this.#questions, question, messageID, value, text, this.#askedAt);
      announce(this, 'answer', { question: question.id });
      this.#render();
      this.#focus();
    };
    const skip = question.optional ? h('button', { type: 'button', class: 'link', onclick: () => answer(null, t('skipped')) }, t('skip')) : null;
    const cancel = this.#editing && chat.answers[question.id] ? h('button', { type: 'button', class: 'link', onclick: () => { this.#editing = null; this.#render(); this.#focus(); } }, t('cancel')) : null;
    if (question.kind === 'choice') {
      return [h('div', { class: 'choices', role: 'group', ...labelled },
        question.choices.map(choice => h('button', { type: 'button', part: 'choice', onclick: () => answer(choice.value, words(choice.text)) }, words(choice.text)))),
      fault, skip, cancel].filter(Boolean);
    }
    let input, read, node;
    const described = { ...labelled, 'aria-describedby': 'fault', part: 'field', maxlength: '1000' };
    const say = key => {
      fault.textContent = key ? t(key) : '';
      input.setAttribute('aria-invalid', String(Boolean(key)));
      if (key) input.focus();
    };
    if (question.kind === 'consent') {
      const box = h('input', { type: 'checkbox', 'aria-describedby': `${messageID}-q` });
      return [h('form', { novalidate: true, onsubmit: event => { event.preventDefault(); answer(box.checked, t(box.checked ? 'yes' : 'no')); } },
        h('label', { class: 'check' }, box, h('span', {}, question.label ? words(question.label) : t('yes'))), h('button', { class: 'main', part: 'send' }, t('next'))), cancel].filter(Boolean);
    }
    if (question.kind === 'phone') {
      const field = phoneField(t, this.#language, described);
      ({ input, node } = field);
      read = () => { const read = field.read(); return read.fault ? read : { ...read, text: read.value }; };
    } else {
      const [type, autocomplete, reader] = { name: ['text', 'name', readName], email: ['email', 'email', readEmail], text: ['text', 'off', readText] }[question.kind];
      input = node = h('input', { type, autocomplete, name: question.field ?? question.id, dir: 'auto', ...described });
      read = () => reader(input.value);
    }
    const submit = event => {
      event.preventDefault();
      const { value, text = value, fault } = read();
      if (fault) return say(fault);
      say('');
      answer(value, text);
    };
    const refused = chat.faults[question.id];
    if (refused) {
      fault.textContent = faultText(t, refused);
      input.setAttribute('aria-invalid', 'true');
    }
    const chips = question.suggestions?.length ? h('div', { class: 'choices', role: 'group', ...labelled },
      question.suggestions.map(one => h('button', { type: 'button', part: 'choice', onclick: () => answer(inLanguage(one, 'en'), words(one)) }, words(one)))) : null;
    return [chips, h('form', { novalidate: true, onsubmit: submit }, h('div', { class: 'row' }, node), fault,
      h('div', { class: 'row' }, h('button', { class: 'main', part: 'send' }, t('send')), skip, cancel))].filter(Boolean);
  }

  #end() {
    const again = h('button', { type: 'button', onclick: async () => {
      this.#record = null;
      this.#editing = null;
      await this.#memory.restart();
      this.#focus();
    } }, this.#t('again'));
    return [again];
  }

  // ── The truth about where the request is ──

  async #follow(record) {
    if (record.id !== this.#memory.chat?.conversation) return;
    this.#record = record;
    if (record.isStored && !this.#announced.has(record.id)) {
      this.#announced.add(record.id);
      if (!record.isOfOtherTab) announce(this, 'lead', { conversationId: record.id, reference: reference(record.id), intent: record.body.intent ?? null });
    }
    if (record.state !== 'sending') announce(this, 'state', { conversationId: record.id, state: record.state, status: record.status });
    if (record.state === 'refused') {
      const isAsked = this.#questions && await this.#memory.refuse(this.#questions, record.details);
      if (isAsked) { this.#editing = null; this.#render(); if (this.isOpen) this.#focus(); }
      else if (this.#questions) this.#record = { ...record, state: 'failed' };
    }
    this.#showState();
  }

  #showState() {
    const record = this.#record?.id === this.#memory.chat?.conversation ? this.#record : null;
    const isSent = record?.state === 'sent';
    const isTrouble = ['offline', 'unreachable', 'busy', 'failed'].includes(record?.state);
    const name = this.#memory.chat && record?.body.customerName;
    const text = isSent && this.#memory.chat.isFinished ? this.#t('thanks', { name, reference: reference(record.id) }) : stateText(this.#t, record, this.#outbox.store.isDurable);
    const [told] = this.#state.children;
    if (told.textContent !== text) told.textContent = text;
    this.#state.classList.toggle('empty', !text);
    this.#state.classList.toggle('trouble', isTrouble);
    const canRetry = ['unreachable', 'failed', 'offline'].includes(record?.state);
    const contact = record?.state === 'failed' && this.dataset.contact;
    const wanted = `${canRetry} ${contact}`;
    if (this.#state.dataset.actions === wanted) return;
    this.#state.dataset.actions = wanted;
    const button = canRetry ? h('button', { type: 'button', onclick: () => this.#outbox.retry() }, this.#t('retry')) : null;
    const call = contact ? h('a', { href: `tel:${contact.replace(/[^+\d]/g, '')}` }, this.#t('call', { number: contact })) : null;
    this.#state.replaceChildren(...[told, button, call].filter(Boolean));
  }
}
