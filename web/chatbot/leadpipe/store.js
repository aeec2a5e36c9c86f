// What is kept on the visitor's device: in IndexedDB, else in localStorage, else only while the page is open.
// No cookie, nothing of other sites. A record is a plain object; `change` is atomic across tabs in IndexedDB.

const NAME = 'leadpipe';
const OPEN_LIMIT = 2000;

/** Opens IndexedDB, or returns null if this browser does not allow it or does not answer. */
function openDatabase() {
  return new Promise(resolve => {
    // Some browsers never answer (WebKit bug 226547); the visitor need not wait for that.
    const limit = setTimeout(() => resolve(null), OPEN_LIMIT);
    const end = database => { clearTimeout(limit); resolve(database); };
    try {
      const opening = indexedDB.open(NAME, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore('records');
      opening.onsuccess = () => {
        const database = opening.result;
        database.onversionchange = () => database.close();
        end(database);
      };
      opening.onerror = opening.onblocked = () => end(null);
    } catch { end(null); }
  });
}

function inDatabase(database) {
  const run = (mode, work) => new Promise((resolve, reject) => {
    // Strict: a record that was reported as kept survives the end of the browser's process.
    const transaction = database.transaction('records', mode, { durability: 'strict' });
    let result;
    work(transaction.objectStore('records'), value => { result = value; });
    transaction.oncomplete = () => resolve(result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error('IndexedDB'));
  });
  return {
    isDurable: true,
    all: () => run('readonly', (records, end) => { records.getAll().onsuccess = e => end(e.target.result); }),
    change: (key, edit) => run('readwrite', (records, end) => {
      records.get(key).onsuccess = event => {
        const value = edit(event.target.result);
        if (value === null) records.delete(key);
        else if (value !== undefined) records.put(value, key);
        end(value === undefined ? event.target.result : value);
      };
    }),
  };
}

function inText(storage, isDurable) {
  const key = name => `${NAME}:${name}`;
  const read = name => {
    try { return JSON.parse(storage.getItem(name) ?? 'null') ?? undefined; } catch { return undefined; }
  };
  return {
    isDurable,
    async all() {
      const names = [];
      for (let index = 0; index < storage.length; index += 1) names.push(storage.key(index));
      return names.filter(name => name.startsWith(`${NAME}:`)).map(read).filter(Boolean);
    },
    async change(name, edit) {
      const old = read(key(name));
      const value = edit(old);
      if (value === null) storage.removeItem(key(name));
      else if (value !== undefined) storage.setItem(key(name), JSON.stringify(value));
      return value === undefined ? old : value;
    },
  };
}

function memory() {
  const items = new Map();
  return {
    get length() { return items.size; },
    key: index => [...items.keys()][index],
    getItem: name => items.get(name) ?? null,
    setItem: (name, value) => { items.set(name, value); },
    removeItem: name => { items.delete(name); },
  };
}

async function places() {
  const database = await openDatabase();
  const found = database ? [inDatabase(database)] : [];
  try {
    localStorage.setItem(`${NAME}-test`, '1');
    localStorage.removeItem(`${NAME}-test`);
    found.push(inText(localStorage, true));
  } catch { /* Blocked, or full. */ }
  return [...found, inText(memory(), false)];
}

/**
 * The records: `get(key)`, `all()`, `change(key, edit)`. `edit` gets the record or undefined and returns the new one,
 * null to delete it, or undefined to leave it. `isDurable` is false if records end with the page.
 */
export class Store {
  #places = null;
  isDurable = true;

  #ready() { return this.#places ??= places(); }

  /** Tries one place after the other. A place that fails (full, deleted, blocked) is not used again by this page. */
  async #use(work) {
    const found = await this.#ready();
    for (;;) {
      try {
        this.isDurable = found[0].isDurable;
        return await work(found[0]);
      } catch (error) {
        if (found.length === 1) throw error;
        const lost = found.shift();
        // What can still be read moves along.
        for (const record of await lost.all().catch(() => [])) {
          await found[0].change(record.id, mine => mine ?? record).catch(() => {});
        }
      }
    }
  }

  all() { return this.#use(place => place.all()); }
  change(key, edit) { return this.#use(place => place.change(key, edit)); }
  get(key) { return this.change(key, () => undefined); }
}
