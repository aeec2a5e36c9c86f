// Texts that are being typed. They survive a reload, a log-in and the way to another view; a log-out deletes them.

const PREFIX = 'leadpipe.draft.';
const WAIT = 300;
const MOST = 100;
const AGE = 7 * 86_400_000;
const timers = new Map();

/** Returns the draft of a field of a lead, or "". */
export function draft(lead, field) {
  try { return JSON.parse(localStorage.getItem(`${PREFIX}${lead}.${field}`))?.text ?? ''; } catch { return ''; }
}

/** Returns the stored value that a draft was made from, or null. */
export function draftBase(lead, field) {
  try { return JSON.parse(localStorage.getItem(`${PREFIX}${lead}.${field}`))?.base ?? null; } catch { return null; }
}

/** Stores a draft at once; an empty one is removed. `base` is the stored value that it changes. */
export function keep(lead, field, text, base = null) {
  const key = `${PREFIX}${lead}.${field}`;
  clearTimeout(timers.get(key));
  timers.delete(key);
  try {
    if (text.trim() === '') localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify({ text, base, at: Date.now() }));
  } catch { /* Without storage a draft lives as long as its field. */ }
}

/**
 * Fills a field with its draft and stores what is typed, 300 ms after the last key, with `base()`. `saved` is called
 * after each time.
 */
export function follow(field, lead, name, saved, base = () => null) {
  const stored = draft(lead, name);
  if (stored) field.value = stored;
  const key = `${PREFIX}${lead}.${name}`;
  const store = () => { keep(lead, name, field.value, base()); saved?.(field.value); };
  field.addEventListener('input', () => {
    clearTimeout(timers.get(key));
    timers.set(key, setTimeout(store, WAIT));
  });
  // A phone may stop the page at any time once it is hidden.
  const hidden = () => { if (timers.has(key)) store(); };
  addEventListener('pagehide', hidden);
  document.addEventListener('visibilitychange', hidden);
  return () => {
    hidden();
    removeEventListener('pagehide', hidden);
    document.removeEventListener('visibilitychange', hidden);
  };
}

function all() {
  try { return Object.keys(localStorage).filter(key => key.startsWith(PREFIX)); } catch { return []; }
}

/** Removes drafts that are a week old, and the oldest beyond a hundred. */
export function prune() {
  const aged = all().map(key => {
    try { return [JSON.parse(localStorage.getItem(key)).at, key]; } catch { return [0, key]; }
  }).sort((a, b) => b[0] - a[0]);
  for (const [index, [at, key]] of aged.entries()) {
    if (index >= MOST || Date.now() - at > AGE) localStorage.removeItem(key);
  }
}

export function forget() {
  for (const key of all()) localStorage.removeItem(key);
}
