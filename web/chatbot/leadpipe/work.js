// Form tokens and their proof of work: what costs a person nothing and a robot something.

const K = [];
const START = [];
for (let number = 2; K.length < 64; number += 1) {
  let isPrime = true;
  for (let factor = 2; factor * factor <= number; factor += 1) if (number % factor === 0) isPrime = false;
  if (!isPrime) continue;
  const fraction = root => (root - Math.floor(root)) * 2 ** 32 | 0;
  if (START.length < 8) START.push(fraction(number ** (1 / 2)));
  K.push(fraction(number ** (1 / 3)));
}
const words = new Int32Array(64);

/** Mixes the 64 bytes at `offset` into the state (FIPS 180-4). crypto.subtle is missing on http, and slow in a loop. */
function mix(state, bytes, offset) {
  for (let i = 0; i < 16; i += 1) {
    const at = offset + i * 4;
    words[i] = bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
  }
  const turn = (x, n) => x >>> n | x << 32 - n;
  for (let i = 16; i < 64; i += 1) {
    const x = words[i - 15], y = words[i - 2];
    words[i] = words[i - 16] + (turn(x, 7) ^ turn(x, 18) ^ x >>> 3) + words[i - 7] + (turn(y, 17) ^ turn(y, 19) ^ y >>> 10);
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i += 1) {
    const one = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (e & f ^ ~e & g) + K[i] + words[i] | 0;
    const two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + (a & b ^ a & c ^ b & c) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, d + one | 0, c, b, a, one + two | 0];
  }
  return [a, b, c, d, e, f, g, h].map((word, i) => word + state[i] | 0);
}

/** Returns the eight words of the SHA-256 of an ASCII text. */
export function sha256(text) {
  const bytes = new Uint8Array((text.length + 72 >> 6) * 64);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  bytes[text.length] = 0x80;
  new DataView(bytes.buffer).setUint32(bytes.length - 4, text.length * 8);
  let state = START;
  for (let offset = 0; offset < bytes.length; offset += 64) state = mix(state, bytes, offset);
  return state;
}

/** Finds a number n so that SHA-256(token:n) begins with `bits` zero bits. Works in slices, so that the page stays quick. */
export async function solve(token, bits) {
  if (!(bits >= 0 && bits <= 24)) return null;
  for (let number = 0, slice = performance.now(); ; number += 1) {
    const [first] = sha256(`${token}:${number}`);
    if (Math.clz32(first) >= bits) return String(number);
    if (number % 64 === 0 && performance.now() - slice > 10) {
      await new Promise(resolve => setTimeout(resolve));
      slice = performance.now();
    }
  }
}

const DAY = 86_400_000;
/** A lead that has been tried so often goes without a token: at worst it is set aside, and is not lost. */
const MOST_TRIES = 3;

/** The token of this page for one API: asked for when a person begins, so that its minimum time passes meanwhile. */
export class FormToken {
  #asked = null;
  #timer = null;
  /** The fields of a submission, once they are known: synchronously, for a page that is being closed. */
  fields = null;

  constructor(api) { this.api = api; }

  /** Begins to ask. Safe to call often. */
  prepare() { this.get().catch(() => {}); }

  /** Forgets the token: the next submission gets one of its own. */
  renew() {
    clearTimeout(this.#timer);
    this.#asked = this.fields = null;
  }

  /**
   * Returns {fields, usableAt}. The fields are empty if the server has no tokens, or has given none although it was
   * reached, also for an earlier one of the `tries`. Throws otherwise: a later try may bring a token.
   */
  get(tries = 0) {
    this.#asked ??= this.#ask().catch(error => {
      this.#asked = null;
      throw error;
    });
    return this.#asked.catch(error => {
      if (!error.wasReached || tries < MOST_TRIES) throw error;
      return { fields: {}, usableAt: 0 };
    });
  }

  async #ask() {
    const reply = await fetch(`${this.api}/api/form-token`, { credentials: 'omit', signal: AbortSignal.timeout(8000) });
    let told = null;
    if (reply.status === 404) {
      this.fields = {};
      return { fields: {}, usableAt: 0 };
    }
    if (reply.status === 200) { try { told = await reply.json(); } catch { /* No token: a proxy's page. */ } }
    if (typeof told?.token !== 'string') throw Object.assign(new Error(`no token: ${reply.status}`), { wasReached: true });
    const issued = Date.now();
    const work = told.work ? await solve(told.token, told.work.bits) : null;
    this.fields = { formToken: told.token, ...work === null ? {} : { formWork: work } };
    this.#timer = setTimeout(() => this.renew(), DAY / 2);
    return { fields: this.fields, usableAt: issued + Math.min(Number(told.minimumSeconds) || 0, 30) * 1000 + 300 };
  }
}
