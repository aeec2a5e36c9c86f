// What the chatbot remembers of one visitor: one conversation for all tabs and pages of the site.
import { newID } from './outbox.js';
import { inLanguage, leadBody, nextQuestion } from './questions.js';

/** A finished conversation that the server has is forgotten after a day, an unfinished one after thirty. */
const DAY = 86_400_000;

/** Where the visitor came from, as far as the page knows it. */
function origin() {
  const found = { page: location.href.split('#')[0].slice(0, 500), referrer: document.referrer.slice(0, 500) || undefined };
  const parameters = new URLSearchParams(location.search);
  const utm = {};
  for (const name of ['source', 'medium', 'campaign', 'term', 'content']) {
    const value = parameters.get(`utm_${name}`);
    if (value) utm[name] = value.slice(0, 200);
  }
  return { ...found, ...Object.keys(utm).length ? { utm } : {} };
}

/**
 * The conversation: {id, conversation, language, origin, answers, log, faults, changedAt}. `answers` has for each
 * question {value, text, revision}; `log` has the messages in their order, with ids that stay the same.
 *
 * Dispatches `change` when this tab or another one has changed it.
 */
export class Memory extends EventTarget {
  #channel = null;
  #listening = null;
  chat = null;

  constructor(outbox, language) {
    super();
    this.outbox = outbox;
    this.store = outbox.store;
    this.key = `chat ${outbox.api}`;
    this.language = language;
  }

  /** Hears of what other tabs change, until `close`. */
  listen() {
    this.#listening = new AbortController();
    try {
      this.#channel = new BroadcastChannel('leadpipe-chat');
      this.#channel.onmessage = () => this.load();
    } catch { /* Then the other tab's answers come when this one is looked at. */ }
    const { signal } = this.#listening;
    document.addEventListener('visibilitychange', () => { if (!document.hidden && this.chat) this.load(); }, { signal });
    addEventListener('pageshow', event => { if (event.persisted && this.chat) this.load(); }, { signal });
  }

  close() {
    this.#listening?.abort();
    this.#channel?.close();
    this.#channel = null;
  }

  #fresh() {
    return { id: this.key, conversation: newID(), language: this.language, origin: origin(), answers: {}, log: [], faults: {}, revisions: {}, changedAt: Date.now() };
  }

  /** Reads the conversation, or begins one. The same in every tab: the first one to begin it decides. */
  async load() {
    const before = this.chat?.conversation;
    const sent = await this.outbox.get(before ?? (await this.store.get(this.key))?.conversation ?? '');
    const isKept = sent && sent.sentKey !== sent.key;
    const chat = await this.store.change(this.key, old => {
      const age = Date.now() - (old?.changedAt ?? 0);
      return old && (isKept || age < (old.isFinished ? DAY : 30 * DAY)) ? undefined : this.#fresh();
    });
    this.chat = chat;
    if (sent && !isKept && sent.id !== chat.conversation) await this.outbox.forget(sent.id);
    this.dispatchEvent(new Event('change'));
    return this.chat;
  }

  async #edit(edit) {
    this.chat = await this.store.change(this.key, old => edit(structuredClone(old ?? this.#fresh())));
    this.#channel?.postMessage('changed');
    this.dispatchEvent(new Event('change'));
    return this.chat;
  }

  /** The question that is next: one that the server refused comes first. */
  current(questions) { return nextQuestion(questions, this.chat.answers); }

  /** The id of the next message about a question. */
  messageID(question) { return `${question.id}-${(this.chat.revisions[question.id] ?? 0) + 1}`; }

  /**
   * Keeps an answer. `messageID` is that of the question as the visitor saw it: a second click, or another tab that was
   * behind, changes nothing.
   */
  async answer(questions, question, messageID, value, text, askedAt) {
    await this.#edit(chat => {
      if (messageID !== `${question.id}-${(chat.revisions[question.id] ?? 0) + 1}`) return chat;
      const at = Date.now();
      chat.revisions[question.id] = (chat.revisions[question.id] ?? 0) + 1;
      chat.answers[question.id] = { value, text };
      delete chat.faults[question.id];
      chat.log.push({ id: `${messageID}-q`, sender: 'bot', text: inLanguage(question.text, chat.language), at: Math.min(askedAt, at) });
      chat.log.push({ id: `${messageID}-a`, question: question.id, sender: 'customer', text, at });
      chat.isFinished = !nextQuestion(questions, chat.answers);
      chat.changedAt = at;
      return chat;
    });
    await this.send(questions);
  }

  /** Gives the conversation to the outbox, once name and phone are known. */
  async send(questions) {
    const body = leadBody(questions, this.chat);
    if (!body) return;
    if (this.trap?.value) body.website2 = this.trap.value;
    await this.outbox.put(this.chat.conversation, { type: 'chat', path: '/api/chatbot/leads', body });
  }

  /** Takes answers back that the server refused: [{field, fault}]. Returns false if no question has these fields. */
  async refuse(questions, faults) {
    let isKnown = false;
    await this.#edit(chat => {
      for (const { path, ...fault } of faults) {
        const field = path.split(/[.[]/)[0];
        for (const question of questions.questions) {
          if (question.field !== field || !chat.answers[question.id]) continue;
          delete chat.answers[question.id];
          chat.faults[question.id] = { path, ...fault };
          chat.isFinished = false;
          isKnown = true;
        }
      }
      return chat;
    });
    return isKnown;
  }

  /** Begins another conversation. What was not sent of this one stays in the outbox. */
  async restart() {
    this.outbox.token('chat').renew();
    await this.#edit(() => this.#fresh());
  }
}
