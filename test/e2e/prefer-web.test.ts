import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readRankings } from '../../src/align/ranking/log.ts';
import { chromiumPath, openBrowser } from '../support/browser.ts';
import { temporaryFolder } from '../support/cli.ts';
import { writeRows } from '../support/golden-rows.ts';

const folder = temporaryFolder();
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const TSX = import.meta.resolve('tsx');
const answers = writeRows(path.join(folder, 'answers.jsonl'), [
  { prompt: 'Which colour?', answers: ['Red.', 'Green.', '<img src=x onerror=alert(1)>'] },
  { prompt: 'Which size?', answers: ['Large.', 'Small.'] },
  { prompt: 'Which shape?', answers: ['Round.'] },
]);

/** The program with its page open in a browser. */
interface Opened {
  readonly child: ChildProcess;
  readonly page: Page;
  readonly faults: readonly string[];
  readonly url: string;
}

describe.skipIf(chromiumPath() === undefined)('prefer --web', () => {
  let browser: Browser;
  const children: ChildProcess[] = [];
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  async function open(out: string, ...args: string[]): Promise<Opened> {
    const words = ['--import', TSX, MAIN, 'prefer', answers, '--out', out, '--web', '--rater', 'ada', ...args];
    const child = spawn(process.execPath, words, { cwd: folder, stdio: 'pipe' });
    children.push(child);
    const url = await new Promise<string>((resolve, reject) => {
      let said = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk: Buffer) => {
          said += chunk.toString();
          const link = /http:\S+/.exec(said)?.[0];
          if (link !== undefined) resolve(link);
        });
      }
      child.once('close', () => reject(new Error(said)));
    });
    const page = await (await browser.newContext()).newPage();
    const faults: string[] = [];
    page.on('console', (message) => void faults.push(message.text()));
    page.on('pageerror', (error) => void faults.push(error.message));
    await page.goto(url);
    return { child, page, faults, url };
  }

  const ended = (child: ChildProcess) => new Promise((resolve) => child.once('close', resolve));
  const judged = (out: string) => readRankings(path.join(folder, out)).rankings.judgements();
  const count = (page: Page, text: string) => page.locator('.count', { hasText: text }).waitFor();

  test('is judged by keys alone, without losing any that come too quickly', async () => {
    const { child, page, faults } = await open('keys.jsonl');
    expect(await page.textContent('.prompt')).toContain('Which colour?');
    for (const key of ['2', '1', 'r', 's', 'o', ' ', '1']) await page.keyboard.press(key);
    await page.locator('textarea').waitFor();
    await expect.poll(() => page.inputValue('textarea')).toBe('so 1');
    await page.keyboard.press('Control+Enter');
    await page.locator('p.reason', { hasText: 'so 1' }).waitFor();
    await page.keyboard.press('Enter');
    await count(page, '1 of 3');
    await page.keyboard.press('u');
    await count(page, '0 of 3');
    expect(await page.locator('.place').allTextContents()).toEqual(['2nd', '1st', '3rd']);
    await page.keyboard.press('Enter');
    await count(page, '1 of 3');
    for (const key of ['t', 'Enter', 'g', 'Enter']) await page.keyboard.press(key);
    await page.getByRole('heading', { name: 'All judged' }).waitFor();
    const done = ended(child);
    await page.keyboard.press('Enter');
    expect(await done).toBe(0);
    const [first, second, third] = judged('keys.jsonl').map(({ opinion }) => opinion);
    expect(first?.ranking?.groups).toHaveLength(3);
    expect(first?.reason).toBe('so 1');
    expect(second?.ranking?.groups).toHaveLength(1);
    expect(third).toEqual({ good: [0], bad: [] });
    expect(faults).toEqual([]);
  });

  test('is judged by mouse: ranks, marks, a mended text', async () => {
    const { page, faults } = await open('mouse.jsonl');
    await page.getByText('Green.').click();
    await page.getByRole('article', { name: 'Answer 1' }).getByRole('button', { name: 'Mend' }).click();
    await page.fill('textarea', 'Better.\nMuch better.');
    await page.getByRole('button', { name: 'Keep' }).click();
    await page.locator('.mended', { hasText: 'Much better.' }).waitFor();
    await page.getByRole('article', { name: 'Answer 2' }).getByRole('button', { name: 'Good' }).click();
    await page.getByRole('button', { name: 'Save' }).click();
    await count(page, '1 of 3');
    await page.getByRole('button', { name: 'Skip' }).click();
    await count(page, '2 of 3');
    expect(judged('mouse.jsonl')[0]?.opinion).toMatchObject({
      edits: [{ text: 'Better.\nMuch better.' }],
      good: [expect.any(Number)],
    });
    expect(faults).toEqual([]);
  });

  test('says what is missing, shows its keys, and says when it is alone', async () => {
    const { child, page } = await open('words.jsonl');
    await page.keyboard.press('Enter');
    await page.getByRole('status').filter({ hasText: 'Nothing is chosen yet.' }).waitFor();
    await page.keyboard.press('?');
    expect(await page.getByRole('dialog').isVisible()).toBe(true);
    await page.keyboard.press('Escape');
    child.kill('SIGKILL');
    await ended(child);
    await page.keyboard.press('1');
    await page.getByRole('alert').filter({ hasText: 'does not answer' }).waitFor();
  });

  test('opens by its link once, and stays open where it was opened', async () => {
    const { child, page, url } = await open('once.jsonl');
    await page.reload();
    await page.locator('.prompt').waitFor();
    const other = await (await browser.newContext()).newPage();
    const refused = await other.goto(url);
    expect(refused?.status()).toBe(403);
    expect(await other.textContent('body')).toContain('used already');
    const next = new Promise<string>((resolve) => {
      child.stdout?.on('data', (chunk: Buffer) => {
        const link = /http:\S+/.exec(chunk.toString())?.[0];
        if (link !== undefined) resolve(link);
      });
    });
    child.stdin?.write('\n');
    expect((await other.goto(await next))?.status()).toBe(200);
    child.kill('SIGINT');
    expect(await ended(child)).toBe(130);
  });

  test('fits a narrow screen, has names for all controls and readable contrast', async () => {
    const { page } = await open('narrow.jsonl');
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const width of [320, 1280]) {
        await page.setViewportSize({ width, height: 700 });
        const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
        expect(overflow, `${colorScheme} at ${width}`).toBeLessThanOrEqual(0);
      }
      expect(await page.evaluate(LOW_CONTRAST)).toEqual([]);
    }
    const names = await page
      .getByRole('button')
      .evaluateAll((all) => all.map((one) => (one as unknown as { textContent: string }).textContent.trim()));
    expect(names.every((name) => name !== '')).toBe(true);
  });
});

/** Texts whose colour and background have a contrast below WCAG's 4.5, in the page's own words. */
const LOW_CONTRAST = `(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const back = (node) => { for (let at = node; at; at = at.parentElement) { const colour = rgba(getComputedStyle(at).backgroundColor); if (colour[3] === 255) return colour; } return rgba('white'); };
  const low = [];
  for (const node of document.querySelectorAll('main *')) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim() !== '')) continue;
    if (node.closest(':disabled') || node.tagName === 'KBD') continue;
    const [a, b] = [light(rgba(getComputedStyle(node).color)), light(back(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(node.className + ' ' + node.textContent.slice(0, 20) + ' ' + ratio.toFixed(2));
  }
  return low;
})()`;
