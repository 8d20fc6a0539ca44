import type { Found } from '../../../data/check/index.ts';
import type { Row } from '../../../data/index.ts';
import { type ErrorCode, TunesmithError } from '../../../errors/index.ts';
import { openTextOf } from '../../../evaluate/open.ts';
import { type Example, IGNORE } from '../../../text/example.ts';
import { rowRenderer } from '../../../train/rows.ts';
import type { ModelRequest } from '../../domain.ts';
import { countText } from '../../format.ts';

/** Looks at a row as a model will see it. */
export type Inspect = (row: Row) => Iterable<Found & { readonly code: ErrorCode }>;

/**
 * Opens tokenizer and template of a model, and no weights.
 *
 * @param asked tokens of the longest row; what the model can read if not given
 */
export function openInspector(model: ModelRequest, asked: number | undefined): Inspect {
  const { source, text } = openTextOf(model);
  const limit = Math.min(asked ?? source.config.maxPositions, source.config.maxPositions);
  const render = rowRenderer(text, 'train');
  const bos = text.tokenizer?.bosId;
  return function* inspect(row) {
    if (row.kind === 'messages' && text.template === undefined) return;
    let examples: readonly Example[];
    try {
      examples = render(row);
    } catch (error) {
      if (!(error instanceof TunesmithError)) throw error;
      const { message, fix } = error.details;
      yield { code: error.code, message, fix };
      return;
    }
    for (const { ids } of examples) {
      if (bos !== undefined && ids[0] === bos && ids[1] === bos) {
        yield { code: 'DATA_DOUBLE_BOS', message: `is rendered with the id ${bos} that begins a sequence twice.` };
      }
    }
    yield* tooLong(row, examples, limit);
  };
}

function* tooLong(
  row: Row,
  examples: readonly Example[],
  limit: number,
): Iterable<Found & { readonly code: ErrorCode }> {
  const longest = examples.reduce<Example | undefined>(
    (a, b) => (a === undefined || b.ids.length > a.ids.length ? b : a),
    undefined,
  );
  if (longest === undefined || longest.ids.length <= limit || row.kind === 'text') return;
  const trained = longest.labels.findIndex((label) => label !== IGNORE);
  const answer = longest.labels.findLastIndex((label) => label !== IGNORE) + 1 - Math.max(0, trained);
  const tokens = countText(longest.ids.length);
  if (row.kind === 'ids') {
    yield { code: 'DATA_TOO_LONG', message: `has ${tokens} tokens, more than ${countText(limit)}.` };
    return;
  }
  const turns = row.kind === 'messages' ? row.messages.filter((message) => message.role === 'user').length : 1;
  const shortened = turns > 1 ? 'its oldest turns would be left out' : 'nothing of it can be left out, so all of it is';
  const what = answer >= limit ? 'its answer alone does not fit and is left out' : shortened;
  yield { code: 'DATA_ROW_LONG', message: `has ${tokens} tokens, more than ${countText(limit)}: ${what}.` };
}
