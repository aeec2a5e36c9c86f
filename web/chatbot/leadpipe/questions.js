// The conversation: which question is next, and what a lead is made of. Pure functions over questions.json and answers.

export const KINDS = ['choice', 'text', 'name', 'phone', 'email', 'consent'];

/** Returns a text in the language: {en, ar}, or one text for all languages. */
export function inLanguage(text, language) {
  return typeof text === 'string' ? text : text?.[language] ?? text?.en ?? '';
}

/** True if a question is asked after these answers: each id in `when` must have one of its values. */
export function isAsked({ when = {} }, answers) {
  return Object.entries(when).every(([id, values]) => values.includes(answers[id]?.value));
}

/** The next question without an answer; null at the end. */
export function nextQuestion({ questions }, answers) {
  return questions.find(question => !answers[question.id] && isAsked(question, answers)) ?? null;
}

/** Returns the body of POST /api/chatbot/leads; null before name and phone are known. */
export function leadBody({ questions, policyVersion }, chat) {
  const body = {};
  const more = {};
  let consent = false;
  for (const question of questions) {
    const answer = chat.answers[question.id];
    if (!answer || answer.value === null || !isAsked(question, chat.answers)) continue;
    if (question.field === 'consent') consent = answer.value === true;
    else if (question.field) body[question.field] = answer.value;
    else more[question.id] = answer.value;
  }
  if (!body.customerName || !body.customerPhone) return null;
  return {
    ...body, conversationId: chat.conversation, consent: { marketing: consent, policyVersion: String(policyVersion ?? '') || undefined },
    metadata: { ...chat.origin, language: chat.language, ...Object.keys(more).length ? { answers: more } : {} },
    messages: chat.log.slice(-400).map(({ id, sender, text, at }) => ({ id, sender, messageText: text, timestamp: new Date(at).toISOString() })),
  };
}

/** True if the chatbot can use a questions.json. What is wrong with it is the editor's to say (check.js). */
export function isUsable(document) {
  const questions = document?.questions;
  const isWhole = ({ id, kind, text, choices, suggestions = [], when = {} }) => typeof id === 'string' && KINDS.includes(kind) && inLanguage(text, 'en')
    && (kind !== 'choice' || choices.every(choice => choice.value && inLanguage(choice.text, 'en'))) && Array.isArray(suggestions) && Object.values(when).every(Array.isArray);
  const has = (field, kind) => questions.some(one => one.field === field && one.kind === kind && !one.when && !one.optional);
  try { return questions.every(isWhole) && has('customerName', 'name') && has('customerPhone', 'phone'); } catch { return false; }
}

/** The shortest conversation that makes a lead: used if questions.json cannot be loaded or used. */
export function shortest(t) {
  return {
    policyVersion: 'none', welcome: t('welcome'),
    questions: [
      { id: 'name', kind: 'name', field: 'customerName', text: t('askName') },
      { id: 'phone', kind: 'phone', field: 'customerPhone', text: t('askPhone') },
    ],
  };
}
