import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findPersonal, luhn } from './personal.ts';
import { findSecrets } from './secrets.ts';

const kinds = (text: string) => findPersonal(text).map(({ kind, start, end }) => `${kind} ${text.slice(start, end)}`);

describe('findPersonal', () => {
  it.each([
    ['Write to a.b+c@mail.example.co.uk, please.', ['email a.b+c@mail.example.co.uk']],
    ['Card 4111-1111-1111-1111 and 378282246310005.', ['card 4111-1111-1111-1111', 'card 378282246310005']],
    ['IBAN gb82 west 1234 5698 7654 32 it is', ['iban gb82 west 1234 5698 7654 32']],
    ['The address 2001:db8::8a2e:370:7334 and 8.8.4.4', ['ip 2001:db8::8a2e:370:7334', 'ip 8.8.4.4']],
    ['Call (415) 555-2671 or 0171/2345678.', ['phone (415) 555-2671', 'phone 0171/2345678']],
    ['My SSN is 219-09-9999.', ['id 219-09-9999']],
    ['CPF 529.982.247-25', ['id 529.982.247-25']],
    ['DNI 12345678Z', ['id 12345678Z']],
  ])('finds the passages of %s', (text, found) => {
    expect(kinds(text)).toEqual(found);
  });

  it.each([
    'It was 1,250,000 in 2015-2016, and 3.14159265 on 2021-03-04.',
    'Order 12345678901234567 has the version 1.2.3.4 of 12:30:45.',
    'The card 4111111111111112 has a wrong digit, and DE89370400440532013001 too.',
    'So 1234567 + 7654321 = 8888888, and table 1-1000181-1 has 20 rows.',
    '@home we say so, see user@localhost.',
    'ISBN 978-3-16-148410-0 and DOI 10.1000/182.',
    'He ran 100 200 300 400 metres.',
  ])('leaves %s as it is', (text) => {
    expect(kinds(text)).toEqual([]);
  });

  it('gives spans in order that do not overlap', () => {
    const text = fc.string({ unit: fc.constantFrom(...'0123456789 -.()+@abDE:/xX'), maxLength: 80 });
    fc.assert(
      fc.property(text, (value) => {
        let at = 0;
        for (const { start, end } of findPersonal(value)) {
          expect(start).toBeGreaterThanOrEqual(at);
          expect(end).toBeGreaterThan(start);
          expect(end).toBeLessThanOrEqual(value.length);
          at = end;
        }
      }),
    );
  });

  it('takes time in proportion to the text', () => {
    for (const piece of ['1', '1 ', 'a@', 'a.', '1-', '(1', 'DE12', '::1', 'sk-']) {
      const start = performance.now();
      findPersonal(piece.repeat(20_000));
      findSecrets(piece.repeat(20_000));
      expect(performance.now() - start).toBeLessThan(4000);
    }
  });
});

describe('luhn', () => {
  it('notices every wrong digit', () => {
    const number = fc.stringMatching(/^\d{12,18}$/);
    fc.assert(
      fc.property(number, fc.nat(), fc.integer({ min: 1, max: 9 }), (body, place, by) => {
        const check = Array.from({ length: 10 }, (_, d) => String(d)).find((d) => luhn(body + d))!;
        const right = body + check;
        const at = place % right.length;
        const wrong = right.slice(0, at) + String((Number(right[at]) + by) % 10) + right.slice(at + 1);
        expect(luhn(right)).toBe(true);
        expect(luhn(wrong)).toBe(false);
      }),
    );
  });
});

describe('findSecrets', () => {
  it.each([
    'ghp_16C7e42F292c6912E7710c838347Ae178B4a',
    'export OPENAI_API_KEY=sk-proj-abcDEF1234567890abcDEF1234567890abcd',
    '-----BEGIN OPENSSH PRIVATE KEY-----',
    'AIzaSyA1bC2dE3fG4hI5jK6lM7nO8pQ9rS0tU1v',
    'postgres://admin:hunter2x@db.internal:5432/app',
    'password: "Tr0ub4dor&3"',
    'aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzKEY12345',
  ])('finds %s', (text) => {
    expect(findSecrets(text)).toHaveLength(1);
  });

  it.each([
    'Reset your password: click the link, and the token is sent to you.',
    'api_key = "YOUR_API_KEY_GOES_HERE_12345"',
    'sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx',
    'the secret is to_use_long_variable_names_everywhere_2',
    'https://example.com:8080/path@2x',
    'The key ingredient is sugar, and the password is never shared.',
  ])('leaves %s as it is', (text) => {
    expect(findSecrets(text)).toEqual([]);
  });
});
