// Tables as CSV, as spreadsheets read it: UTF-8 with its mark, CRLF, quotes doubled.

/** Returns rows of texts and numbers as a file's text. A text that a spreadsheet would compute gets an apostrophe. */
export const csv = rows => `\ufeff${rows.map(row => `${row.map(cell).join(',')}\r\n`).join('')}`;

function cell(value) {
  if (typeof value === 'number') return String(value);
  const text = String(value ?? '');
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
