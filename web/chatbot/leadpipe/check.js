// What is wrong with a questions.json, for the people who write it. Only the editor loads this.
import { KINDS } from './questions.js';

const FIELDS = ['intent', 'preferredArea', 'budget', 'propertyType', 'customerName', 'customerPhone', 'customerEmail', 'consent'];
const INTENTS = ['buy', 'rent', 'sell', 'invest', 'browse'];
const LANGUAGES = ['en', 'ar'];
const LIMITS = { questions: 60, choices: 30, text: 1000, value: 200 };

/** Returns what is wrong with a questions.json: a list of {path, message}, empty if the chatbot can use it. */
export function check(document) {
  const faults = [];
  const fault = (path, message) => faults.push({ path, message });
  const isObject = value => value !== null && typeof value === 'object' && !Array.isArray(value);
  const checkText = (text, path) => {
    for (const language of LANGUAGES) {
      const words = typeof text === 'string' ? text : isObject(text) ? text[language] : undefined;
      if (typeof words !== 'string' || !words.trim()) fault(`${path}.${language}`, 'is missing: write a text');
      else if (words.length > LIMITS.text) fault(`${path}.${language}`, `is longer than ${LIMITS.text} characters`);
    }
  };
  if (!isObject(document)) return [{ path: '', message: 'must be an object with "questions"' }];
  if (typeof document.policyVersion !== 'string' || !document.policyVersion || document.policyVersion.length > 64) {
    fault('policyVersion', 'must name the version of your privacy text: 1 to 64 characters');
  }
  if (document.welcome !== undefined) checkText(document.welcome, 'welcome');
  const { questions } = document;
  if (!Array.isArray(questions) || !questions.length || questions.length > LIMITS.questions) {
    return [...faults, { path: 'questions', message: `must be a list of 1 to ${LIMITS.questions} questions` }];
  }
  const earlier = new Map();
  questions.forEach((question, index) => {
    const path = `questions[${index}]`;
    if (!isObject(question)) return fault(path, 'must be an object');
    const { id, kind, field, choices, suggestions, when } = question;
    if (typeof id !== 'string' || !/^[a-z][a-z0-9-]{0,39}$/.test(id)) fault(`${path}.id`, 'must be a word of a-z, 0-9 and -');
    else if (earlier.has(id)) fault(`${path}.id`, `"${id}" is used twice`);
    if (!KINDS.includes(kind)) fault(`${path}.kind`, `must be one of ${KINDS.join(', ')}`);
    if (field !== undefined && !FIELDS.includes(field)) fault(`${path}.field`, `must be one of ${FIELDS.join(', ')}, or left out`);
    checkText(question.text, `${path}.text`);
    if (kind === 'choice') {
      if (!Array.isArray(choices) || !choices.length || choices.length > LIMITS.choices) fault(`${path}.choices`, `must be a list of 1 to ${LIMITS.choices}`);
      else {
        const seen = new Set();
        choices.forEach((choice, number) => {
          const place = `${path}.choices[${number}]`;
          if (!isObject(choice) || typeof choice.value !== 'string' || !choice.value || choice.value.length > LIMITS.value) return fault(`${place}.value`, 'must be a text');
          if (seen.has(choice.value)) fault(`${place}.value`, `"${choice.value}" is used twice`);
          seen.add(choice.value);
          if (field === 'intent' && !INTENTS.includes(choice.value)) fault(`${place}.value`, `must be one of ${INTENTS.join(', ')}`);
          checkText(choice.text, `${place}.text`);
        });
      }
    }
    if (suggestions !== undefined) {
      if (!Array.isArray(suggestions) || suggestions.length > LIMITS.choices) fault(`${path}.suggestions`, `must be a list of at most ${LIMITS.choices}`);
      else suggestions.forEach((one, number) => checkText(one, `${path}.suggestions[${number}]`));
    }
    if (when !== undefined) {
      if (!isObject(when)) fault(`${path}.when`, 'must be an object: the id of an earlier question, and a list of its values');
      else for (const [other, values] of Object.entries(when)) {
        const asked = earlier.get(other);
        if (!asked) fault(`${path}.when.${other}`, 'is not the id of an earlier question');
        else if (!Array.isArray(values) || !values.length) fault(`${path}.when.${other}`, 'must be a list of values');
        else for (const value of values) {
          if (asked.kind === 'choice' && !asked.choices?.some?.(choice => choice?.value === value)) fault(`${path}.when.${other}`, `"${value}" is not among its choices`);
        }
      }
    }
    if (typeof id === 'string') earlier.set(id, question);
  });
  for (const [field, kind] of [['customerName', 'name'], ['customerPhone', 'phone']]) {
    const found = questions.filter(question => question?.field === field);
    if (!found.some(question => question.kind === kind && !question.when && !question.optional)) {
      fault('questions', `needs a question of kind "${kind}" with the field "${field}" that is always asked and not optional: without it there is no lead`);
    }
  }
  return faults;
}
