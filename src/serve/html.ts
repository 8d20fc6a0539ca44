import { createHash } from 'node:crypto';
import { escaped } from '../evaluate/html.ts';

/** A value as the attribute that the page's script reads. */
export function dataOf(value: unknown): string {
  return escaped(JSON.stringify(value));
}

/** The source of a Content-Security-Policy that lets one inline text pass, and no other. */
function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** Headers of a page that loads nothing, runs its own script only, and is shown in no frame. */
export function pageHeaders(style: string, script: string): Record<string, string> {
  const policy = [
    "default-src 'none'",
    `style-src ${hashOf(style)}`,
    `script-src ${hashOf(script)}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return { ...PLAIN_HEADERS, 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy.join('; ') };
}

/** Headers of every answer. */
export const PLAIN_HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};
