// State that several parts of the page show: one frozen value for each topic.

/**
 * Returns a topic. `set` takes a new state, or a function from the old state to the new one. Subscribers are called
 * once for each frame in which the state changed. `subscribe` returns the function that ends the subscription.
 */
export function topic(initial) {
  let state = Object.freeze(initial);
  let isPlanned = false;
  const subscribers = new Set();
  const notify = () => {
    isPlanned = false;
    for (const subscriber of [...subscribers]) subscriber(state);
  };
  return {
    get: () => state,
    set(next) {
      const value = typeof next === 'function' ? next(state) : next;
      if (value === state) return;
      state = Object.freeze(value);
      if (isPlanned) return;
      isPlanned = true;
      // Hidden pages have no frames, but their title shows how many leads wait.
      if (document.hidden) setTimeout(notify, 50); else requestAnimationFrame(notify);
    },
    subscribe(subscriber) {
      subscribers.add(subscriber);
      return () => subscribers.delete(subscriber);
    },
  };
}

/** Collects what a view has to end when it is left: subscriptions, timers, requests. */
export function scope() {
  const ends = [];
  return {
    add(end) { ends.push(end); return end; },
    listen(target, name, listener, options) {
      target.addEventListener(name, listener, options);
      ends.push(() => target.removeEventListener(name, listener, options));
    },
    end() { for (const end of ends.splice(0)) end(); },
  };
}

/** The session: null before log-in; otherwise what GET /api/admin/session returns, with defaults. */
export const session = topic(null);

/** The agents, as the server lists them. */
export const agents = topic([]);

/** Conversations whose first response is late or due soon, soonest first. */
export const urgent = topic({ rows: [], total: 0, at: null });

/** The ids of the list that was shown last, for "previous" and "next" in a conversation. */
export const trail = topic({ ids: [], address: '/admin/inbox' });

const RANKS = { read: 0, write: 1, owner: 2 };

/** Reports whether the key has this right. */
export function may(right) {
  const { rights } = session.get() ?? {};
  return rights in RANKS && RANKS[rights] >= RANKS[right];
}

const PREFIX = 'leadpipe.';

/** Reads a setting of this browser. Storage may be switched off; then it returns the default. */
export function preference(name, standard = null) {
  try { return JSON.parse(localStorage.getItem(PREFIX + name)) ?? standard; } catch { return standard; }
}

/** Stores a setting of this browser. A browser without storage forgets it on reload. */
export function setPreference(name, value) {
  try { localStorage.setItem(PREFIX + name, JSON.stringify(value)); } catch { /* Private windows have no storage. */ }
}

/** The id of the agent who uses this panel: the key's agent, or the one chosen in the settings; null if unknown. */
export function me() {
  return session.get()?.agent?.id ?? preference('agent');
}
