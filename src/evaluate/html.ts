/** Text as it stands in HTML, also in attributes: models write whatever they like, markup too. */
export function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (character) => names[character]!);
}

/** A coordinate. */
export const n = (value: number): string => (Number.isFinite(value) ? value.toFixed(1) : '0');
