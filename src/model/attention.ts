// Shape legend: N tokens of a micro-batch, R rows, L grid length, H query heads, G key/value heads, Q = H / G, K head width
import type { Builder, RowCopies, RowMove, Value } from '../graph/index.ts';
import type { LayerKind, ModelConfig } from './config.ts';
import { rotate, rotationInputs } from './rope.ts';

/**
 * How the tokens of a micro-batch stand in rows. Linear layers see N tokens without padding; attention sees a grid of R rows of
 * length L. `dense`: the N tokens are the grid itself, row after row.
 */
export interface Layout {
  readonly tokens: number;
  readonly rows: number;
  readonly length: number;
  readonly dense: boolean;
  /** E: cells of the grid whose token stands in an earlier row too; not given where no rows share tokens. */
  readonly shared?: number | undefined;
}

/** Queries of one block: longer rows are computed in blocks that skip the keys which the mask hides. */
const QUERY_BLOCK = 128;

/** What attention computes on. */
export interface QueryKeyValue {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
}

/** Attention within the rows of a layout: turns q and k as the layer's kind says, with the tables of its inputs, then {@link attention}. */
export function rotatedAttention(
  g: Builder,
  { q, k, v }: QueryKeyValue,
  config: ModelConfig,
  kind: LayerKind,
  layout: Layout,
): Value {
  const window = { window: kind.window };
  if (kind.rope === 'none') return attention(g, { q, k, v }, config, layout, window);
  const names = rotationInputs(kind.rope);
  const shape = [layout.tokens, config.rotaryDim / 2];
  const tables = { cos: g.input(names.cos, shape), sin: g.input(names.sin, shape) };
  const turn = (x: Value) => rotate(g, x, config.headDim, tables);
  return attention(g, { q: turn(q), k: turn(k), v }, config, layout, window);
}

/**
 * Causal attention with grouped key/value heads (Ainslie et al. 2023, arXiv:2305.13245). q [N, H*K], k and v [N, G*K]; returns [N, H*K].
 * With a `window` a query sees so many tokens, itself included (Beltagy et al. 2020, arXiv:2004.05150). `queryBlock` changes the order of work, not the
 * result.
 */
export function attention(
  g: Builder,
  { q, k, v }: QueryKeyValue,
  config: Pick<ModelConfig, 'heads' | 'kvHeads' | 'headDim' | 'attentionScale'>,
  layout: Layout,
  { window = 0, queryBlock = QUERY_BLOCK }: { readonly window?: number; readonly queryBlock?: number } = {},
): Value {
  const { rows, length } = layout;
  const { heads, kvHeads, headDim, attentionScale: alpha } = config;
  const group = heads / kvHeads;
  const { toGrid, fromGrid } = gridMoves(g, layout);

  // Query heads that share a key head stand side by side: [R, G, Q, L, K] against [R, G, 1, L, K].
  const q_RGQLK = g.transpose(g.reshape(toGrid(q), [rows, length, kvHeads, group, headDim]), [0, 2, 3, 1, 4]);
  const k_RGLK = g.transpose(g.reshape(toGrid(k), [rows, length, kvHeads, headDim]), [0, 2, 1, 3]);
  const v_RGLK = g.transpose(g.reshape(toGrid(v), [rows, length, kvHeads, headDim]), [0, 2, 1, 3]);

  const blocks: Value[] = [];
  for (let start = 0; start < length; start += queryBlock) {
    const end = Math.min(start + queryBlock, length);
    const queries = end - start;
    const block = g.reshape(g.slice(q_RGQLK, { axis: 3, start, end }), [rows, kvHeads, group * queries, headDim]);
    const first = window < length && window > 0 ? Math.max(0, start - window + 1) : 0;
    const keys = g.slice(k_RGLK, { axis: 2, start: first, end });
    const values = g.slice(v_RGLK, { axis: 2, start: first, end });
    const scores = g.matMul(block, keys, { transB: true, alpha });
    const masked = g.add(
      g.reshape(scores, [rows, kvHeads, group, queries, end - first]),
      g.causalMask({ queries, keys: end - first, offset: start - first, window: window < length ? window : 0 }),
    );
    const weights = g.reshape(g.softmax(masked), [rows, kvHeads, group * queries, end - first]);
    blocks.push(g.reshape(g.matMul(weights, values), [rows, kvHeads, group, queries, headDim]));
  }
  const out_RLGQK = g.transpose(g.concat(blocks, 3), [0, 3, 1, 2, 4]);
  const out = g.reshape(out_RLGQK, [rows * length, heads * headDim]);
  return fromGrid(out);
}

/** How tokens get into the grid and back; see data/layout.ts. */
function gridMoves(g: Builder, { tokens, rows, length, dense, shared }: Layout) {
  if (dense) return { toGrid: (x: Value) => x, fromGrid: (x: Value) => x };
  const cells = rows * length;
  const index = g.input('grid.index', [cells], 'i32');
  const valid = g.input('grid.valid', [cells, 1]);
  const inverse = g.input('grid.inverse', [tokens], 'i32');
  const inverseValid = g.input('token.valid', [tokens, 1]);
  const into: RowMove = { index, valid, inverse, inverseValid };
  // A token's output is that of its first cell, so that no other cell gets a gradient from there; but all of its cells are read as keys and values.
  const outValid = shared === undefined ? valid : g.input('grid.owner', [cells, 1]);
  const out: RowMove = { index: inverse, valid: inverseValid, inverse: index, inverseValid: outValid };
  const copies: RowCopies | undefined =
    shared === undefined
      ? undefined
      : {
          cell: g.input('shared.cell', [shared], 'i32'),
          token: g.input('shared.token', [shared], 'i32'),
          copyValid: g.input('shared.valid', [shared, 1]),
        };
  return {
    toGrid: (x: Value) => (copies === undefined ? g.permuteRows(x, into) : g.spreadRows(x, into, copies)),
    fromGrid: (x: Value) => g.permuteRows(x, out),
  };
}
