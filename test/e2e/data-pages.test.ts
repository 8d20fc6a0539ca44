import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, openBrowser } from '../support/browser.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';

const folder = temporaryFolder();
const rows = Array.from({ length: 12 }, (_, i) => ({
  prompt: i % 4 === 0 ? 'Where is <b>your</b> shop & its cafÃ©?' : `Which lock fits bike ${i}?`,
  completion:
    i % 3 === 0
      ? 'Write to anna.keller@gmail.com.'
      : `Lock ${i}, with averyverylongwordwithoutanyspaces${'x'.repeat(120)}.`,
}));

describe.skipIf(chromiumPath() === undefined)('pages about data', () => {
  let browser: Browser;
  const pages = { check: path.join(folder, 'check.html'), xray: path.join(folder, 'xray.html') };
  beforeAll(async () => {
    browser = await openBrowser();
    const file = path.join(folder, 'rows.jsonl');
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const model = writeTinyChatModel(path.join(folder, 'model'));
    await cli(['data', 'check', file, '--html', pages.check]);
    await cli(['data', 'xray', file, '--model', model, '--html', pages.xray]);
  });
  afterAll(() => browser.close());

  test.each([
    ['check', 390, 'light'],
    ['check', 1200, 'dark'],
    ['xray', 390, 'dark'],
    ['xray', 1200, 'light'],
  ] as const)('%s fits a window of %d pixels, %s', async (name, width, colorScheme) => {
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
    const faults: string[] = [];
    page.on('console', (message) => void faults.push(message.text()));
    page.on('pageerror', (error) => void faults.push(error.message));
    page.on('request', (request) => void (request.url().startsWith('file:') || faults.push(request.url())));
    await page.goto(pathToFileURL(pages[name]).href);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
    const [text, back] = (await page.evaluate(
      '[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]',
    )) as [string, string];
    expect(brightness(text) > brightness(back)).toBe(colorScheme === 'dark');
    if (name === 'check') {
      expect(await page.locator('svg').count()).toBeGreaterThan(1);
      await page.locator('summary', { hasText: 'DATA_PII_EMAIL' }).click();
      await page
        .locator('q', { hasText: /an\*\*\./ })
        .first()
        .waitFor({ timeout: 5000 });
    } else {
      expect(await page.locator('pre').count()).toBe(3);
      expect(await page.locator('pre span.trained').first().getAttribute('title')).toMatch(
        /^id \d+, weight 1, trained/,
      );
      expect(await page.locator('pre b').count()).toBe(0);
    }
    expect(faults).toEqual([]);
    await page.close();
  });
});

function brightness(colour: string): number {
  return (colour.match(/\d+/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
}
