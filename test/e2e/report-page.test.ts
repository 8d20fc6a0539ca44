import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, openBrowser } from '../support/browser.ts';
import { temporaryFolder } from '../support/cli.ts';
import { train, writeToys } from '../support/toy-runs.ts';

const folder = temporaryFolder();

describe.skipIf(chromiumPath() === undefined)('the report of a run with a budget of forgetting', () => {
  let browser: Browser;
  let report: string;
  beforeAll(async () => {
    browser = await openBrowser();
    const toys = writeToys(folder);
    // A model that knows the general text, for a random one has nothing to forget.
    const lessons = { method: 'pretrain', data: 'examples/general.txt', weights: 'full', 'max-length': 128, lr: 1e-2 };
    const { run: knowing } = await train(toys, { ...lessons, batch: 16, steps: 40, 'save-every': 100 });
    const flags = { 'forget-general-text': '5%', valid: 0.3, steps: 6, lr: 3e-2, 'eval-every': 2, eval: true } as const;
    const { run } = await train(toys, { ...flags, model: path.join(knowing, 'best') });
    report = path.join(run, 'report.html');
  }, 120_000);
  afterAll(() => browser.close());

  test.each([
    [390, 'light'],
    [1200, 'dark'],
  ] as const)('draws learning against forgetting in a window of %d pixels, %s', async (width, colorScheme) => {
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
    const faults: string[] = [];
    page.on('console', (message) => void faults.push(message.text()));
    page.on('pageerror', (error) => void faults.push(error.message));
    page.on('request', (request) => void (request.url().startsWith('file:') || faults.push(request.url())));
    await page.goto(pathToFileURL(report).href);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
    const chart = page.locator('svg[aria-label="validation loss by share of the forgetting budget"]');
    expect(await chart.locator('circle.chosen').count()).toBe(1);
    expect(await chart.locator('circle').count()).toBeGreaterThan(3);
    expect(await chart.locator('line.limit').count()).toBe(1);
    const outside = await page.evaluate(
      `[...document.querySelectorAll('svg[aria-label*="forgetting budget"] :is(circle, text)')].filter((one) => {
        const [a, b] = [one, one.ownerSVGElement].map((x) => x.getBoundingClientRect());
        return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
      }).length`,
    );
    expect(outside).toBe(0);
    const acts = page.locator('h3', { hasText: 'What the trainer did' }).locator('xpath=following-sibling::ul[1]/li');
    expect(await acts.first().textContent()).toMatch(
      /^step \d+: \d+ % of the forgetting budget is used: what the model said/,
    );
    await page.locator('summary', { hasText: /^All \d+ points/ }).click();
    expect(await page.locator('details table td', { hasText: '<- best/' }).count()).toBe(1);
    expect(faults).toEqual([]);
    await page.close();
  });
});
