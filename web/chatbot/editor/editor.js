// Checks a questions.json and plays it. The preview keeps everything in this page's memory and sends nothing.
import { LeadpipeChat } from '../../leadpipe/chat.js';
import { check } from '../../leadpipe/check.js';

customElements.define('leadpipe-chat', LeadpipeChat);

/** Takes the place of the outbox. It says that everything was sent. */
class PreviewOutbox extends EventTarget {
  #records = new Map();
  api = 'preview';
  store = {
    isDurable: true,
    get: async key => this.#records.get(key),
    change: async (key, edit) => {
      const value = edit(this.#records.get(key));
      if (value === null) this.#records.delete(key);
      else if (value !== undefined) this.#records.set(key, value);
      return this.#records.get(key);
    },
  };
  token() { return { prepare() {}, renew() {}, fields: {} }; }
  async get(id) { return this.#records.get(id); }
  async put(id, { type, path, body }) {
    const record = { id, type, path, body, key: 'preview', sentKey: 'preview', state: 'sent', status: 200, isStored: true };
    this.#records.set(id, record);
    this.dispatchEvent(new CustomEvent('change', { detail: record }));
  }
  async retry() {}
  async forget(id) { this.#records.delete(id); }
}

const find = id => document.getElementById(id);
const text = find('text');

function show() {
  let document_ = null;
  let faults = [];
  if (text.value.trim()) {
    try {
      document_ = JSON.parse(text.value);
      faults = check(document_);
    } catch (error) { faults = [{ path: 'JSON', message: error.message }]; }
  }
  find('verdict').textContent = !text.value.trim() ? '' : faults.length ? `Faults: ${faults.length}` : 'The chatbot can use this.';
  find('faults').replaceChildren(...faults.slice(0, 50).map(({ path, message }) => {
    const item = document.createElement('li');
    item.textContent = `${path} ${message}`;
    return item;
  }));
  text.setAttribute('aria-invalid', String(faults.length > 0));
  find('save').disabled = !document_ || faults.length > 0;
  if (!document_ || faults.length) return;
  const chat = document.createElement('leadpipe-chat');
  chat.setAttribute('inside', '');
  chat.dataset.language = find('language').value;
  chat.outbox = new PreviewOutbox();
  chat.questions = document_;
  find('preview').replaceChildren(chat);
  chat.open();
}

let timer = null;
text.addEventListener('input', () => {
  clearTimeout(timer);
  timer = setTimeout(show, 300);
});
find('language').addEventListener('change', show);
find('file').addEventListener('change', async event => {
  const [file] = event.target.files;
  if (!file) return;
  if (file.size > 500_000) { find('verdict').textContent = 'This file is larger than 500 kB: it is no questions.json.'; return; }
  text.value = await file.text();
  show();
});
find('load').addEventListener('click', async () => {
  try {
    const reply = await fetch('/questions.json', { signal: AbortSignal.timeout(10_000) });
    if (!reply.ok) throw new Error(`HTTP ${reply.status}`);
    text.value = await reply.text();
    show();
  } catch (error) { find('verdict').textContent = `The questions could not be loaded: ${error.message}`; }
});
find('save').addEventListener('click', () => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text.value], { type: 'application/json' }));
  link.download = 'questions.json';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
show();
